"""What can be known to fail before anything is started, each as one clear line."""

import errno
import os
import socket
from pathlib import Path

from arbsite.base.errors import Rejected
from arbsite.stack.binaries import anvil, postgres_bin, redis_server
from arbsite.stack.processes import Plan


class PortBusy(Rejected):
    """Something else listens where the console should."""


class AddressNotOurs(Rejected):
    """The address to listen on is not this machine's."""


class FolderNotWritable(Rejected):
    """The data folder cannot be written."""


def check(plan: Plan) -> None:
    """Check programs, port and data folder.

    Raises:
        ProgramMissing, PortBusy, AddressNotOurs, FolderNotWritable: with the mend.
    """
    if plan.embedded_postgres:
        postgres_bin()
    if plan.embedded_redis:
        redis_server()
    if plan.localchain:
        anvil(plan.root)
    check_folder(plan.data_dir)
    check_port(plan.bind_host, plan.bind_port)


def check_folder(data_dir: Path) -> None:
    """Make the data folder if need be. Raises FolderNotWritable."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FolderNotWritable(
            f"cannot make the data folder {data_dir} ({error.strerror}): set ARB_DATA_DIR"
        ) from None
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise FolderNotWritable(
            f"the data folder {data_dir} belongs to another user: set ARB_DATA_DIR, or use its "
            f"owner"
        )


def check_port(host: str, port: int) -> None:
    """Raises PortBusy, AddressNotOurs."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise AddressNotOurs(f"ARB_BIND: {host!r} is not a host of this machine") from None
    with socket.socket(family, kind, protocol) as probe:
        # As the server does: a port in TIME_WAIT is free, one with a listener is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortBusy(
                    f"port {port} on {host} is busy: stop what listens there, or set ARB_BIND to "
                    f"another, such as {host}:{port + 1 if port < 65535 else port - 1}"
                ) from None
            raise AddressNotOurs(
                f"ARB_BIND: cannot listen on {host}:{port} ({error.strerror})"
            ) from None
