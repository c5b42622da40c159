"""Who runs PostgreSQL, which refuses to run as root: we ourselves, a mapped user, or `nobody`.

As root the server sees itself as `nobody` inside a user namespace, while its files stay root's and
no folder is opened to others. Where user namespaces are blocked it runs as the real `nobody`.
"""

import ctypes
import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from arbsite.base.errors import Rejected

_CLONE_NEWUSER: Final = 0x10000000
_NOBODY: Final = "nobody"


class Unreachable(Rejected):
    """The user `nobody` cannot get to the data folder or the programs."""


class Mode(StrEnum):
    """How the server gets an identity that is not root."""

    SELF = "self"
    NAMESPACE = "namespace"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Identity:
    """The user a server runs as."""

    mode: Mode
    uid: int
    gid: int

    def become(self) -> None:
        """Change the calling process, which must have one thread. Raises OSError if refused."""
        if self.mode is Mode.NAMESPACE:
            _enter_namespace(uid=self.uid, gid=self.gid)
        elif self.mode is Mode.NOBODY:
            os.setgroups([])
            os.setgid(self.gid)
            os.setuid(self.uid)

    def give(self, path: Path) -> None:
        """Make ``path`` the server's own, where its files are not ours anyway."""
        if self.mode is Mode.NOBODY:
            os.chown(path, self.uid, self.gid)


def choose(*, namespaces: Callable[[], bool] | None = None) -> Identity:
    """The identity for this user on this machine."""
    if os.geteuid() != 0:
        return Identity(Mode.SELF, os.geteuid(), os.getegid())
    nobody = pwd.getpwnam(_NOBODY)
    allowed = (namespaces or namespaces_allowed)()
    return Identity(Mode.NAMESPACE if allowed else Mode.NOBODY, nobody.pw_uid, nobody.pw_gid)


def namespaces_allowed() -> bool:
    """Whether the kernel lets this process make a user namespace (containers often do not)."""
    child = os.fork()
    if child == 0:
        try:
            nobody = pwd.getpwnam(_NOBODY)
            _enter_namespace(uid=nobody.pw_uid, gid=nobody.pw_gid)
        except BaseException:  # a copy of this process: nothing may go on in it, whatever came
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def check_reachable(identity: Identity, *paths: Path) -> None:
    """Check that the server's user may walk to ``paths``.

    Raises:
        Unreachable: naming the folder in the way and what to do.
    """
    if identity.mode is not Mode.NOBODY:
        return
    for path in paths:
        for folder in reversed(path.resolve().parents):
            found = folder.stat()
            walks = found.st_mode & (stat.S_IXUSR if found.st_uid == identity.uid else stat.S_IXOTH)
            if not walks:
                raise Unreachable(
                    f"PostgreSQL does not run as root, this machine blocks user namespaces, and "
                    f"user {_NOBODY} cannot pass {folder} (mode {stat.S_IMODE(found.st_mode):o}) "
                    f"on the way to {path}: run as an ordinary user, or keep the project and "
                    f"ARB_DATA_DIR below a folder open to it, such as /var/lib/arb, or set "
                    f"DATABASE_URL"
                )


def _enter_namespace(*, uid: int, gid: int) -> None:
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"unshare(CLONE_NEWUSER): {os.strerror(code)}")
    # The kernel takes a group map from an unprivileged writer only without setgroups.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")
