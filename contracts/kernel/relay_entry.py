"""A relay as the market file describes it: where it is, how it is asked, what it wants. No I/O.

A builder's quirks are data, each with its source in the file and in docs/relays.md. Builders' pages
contradict one another and change, so an entry is used only after it was probed: the file cannot
claim that.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from contracts.kernel.market_entry import BadMarketFile, Entry, is_url

# RELAY_<NAME>_AUTH is its credential, and several names together are what `submittedVia` shows.
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_]{0,23}")
URL_MAX: Final = 300
WINDOW_MAX: Final = 25
_FLAG: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}")
_BUILDER: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class Dialect(StrEnum):
    """How a builder is told what a bundle is."""

    FLASHBOTS = "flashbots"  # one exact block a request, in hex; replaced and ended by its id
    MAX_BLOCK = "max_block"  # any block up to a number
    BLOXROUTE = "bloxroute"  # parameters by name, bytes without 0x, builders named


class Auth(StrEnum):
    """What a builder wants of a credential; `RELAY_<NAME>_AUTH` holds it."""

    NONE = "none"
    HEADER = "header"  # as it is, in Authorization
    BEARER = "bearer"  # after "Bearer ", in Authorization
    FLASHBOTS = "flashbots"  # a key that signs each body, in X-Flashbots-Signature
    SOUL_POINT = "48sp"  # a member's key that signs the bundle's hashes, in 48spSign; may lack


# What a request says itself: no flag takes its place.
_OURS: Final = frozenset(
    {
        "txs", "blockNumber", "maxBlockNumber", "minTimestamp", "maxTimestamp",
        "revertingTxHashes", "droppingTxHashes", "replacementUuid", "48spSign",
    }
)  # fmt: skip
_BUNDLE_KEYS: Final = frozenset(
    {
        "dialect", "auth", "tipRecipient", "windowBlocks", "minGasPriceWei", "flags", "builders",
        "cancels", "verified",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayEntry:
    """One of ``chain.relays``.

    ``window_blocks``: how many blocks a builder that takes exact ones is asked for at once.
    ``tip_recipient``: whom it favours bundles for paying, or "". ``min_gas_price_wei``: below it
    nothing is sent there. ``flags``: its own switches, said with every bundle.
    """

    kind: str  # bundle, private_rpc
    name: str
    url: str = field(repr=False)
    dialect: Dialect = Dialect.FLASHBOTS
    auth: Auth = Auth.NONE
    tip_recipient: str = ""
    window_blocks: int = 2
    min_gas_price_wei: int = 0
    flags: Mapping[str, bool] = field(default_factory=dict)
    builders: tuple[str, ...] = ()
    cancels: bool = False

    def as_json(self) -> dict[str, Any]:
        """The entry as the market file has it, without notes: what the registry keeps."""
        shown: dict[str, Any] = {"kind": self.kind, "name": self.name, "url": self.url}
        if self.auth is not Auth.NONE:
            shown["auth"] = self.auth.value
        if self.min_gas_price_wei:
            shown["minGasPriceWei"] = str(self.min_gas_price_wei)
        if self.kind != "bundle":
            return shown
        shown |= {"dialect": self.dialect.value, "windowBlocks": self.window_blocks}
        if self.tip_recipient:
            shown["tipRecipient"] = self.tip_recipient
        if self.flags:
            shown["flags"] = dict(self.flags)
        if self.builders:
            shown["builders"] = list(self.builders)
        if self.cancels:
            shown["cancels"] = True
        return shown


def tip_recipients(entries: Iterable[RelayEntry]) -> frozenset[str]:
    """Whom the builders among them favour for being paid, in lower case. Private RPCs name nobody,
    and are asked only where there is no builder."""
    return frozenset(entry.tip_recipient.lower() for entry in entries if entry.tip_recipient)


def relay_entry(where: str, value: object) -> RelayEntry:
    """Check and type one entry. Raises: BadMarketFile naming it."""
    entry = Entry(where, value, {"kind", "name", "url"}, _BUNDLE_KEYS)
    kind = entry.choice("kind", ("bundle", "private_rpc"))
    if kind == "private_rpc":
        for key in sorted(_BUNDLE_KEYS - {"auth", "minGasPriceWei", "verified"}):
            if key in entry.values:
                raise entry.fail(key, "is a bundle endpoint's: leave it out of a private RPC")
    if entry.flag("verified"):
        raise entry.fail(
            "verified", "is found by `probe_relays` alone: write false or leave it out"
        )
    dialect = Dialect(_choice(entry, "dialect", Dialect))
    auth = Auth(_choice(entry, "auth", Auth))
    if kind == "private_rpc" and auth in (Auth.FLASHBOTS, Auth.SOUL_POINT):
        raise entry.fail("auth", "of a private RPC must be none, header or bearer")
    if auth is Auth.SOUL_POINT and dialect is not Dialect.MAX_BLOCK:
        raise entry.fail("auth", "48sp goes with the dialect max_block")
    return RelayEntry(
        kind=kind,
        name=entry.named(
            "name", NAME, "must be 1 to 24 lower-case letters, digits and _, such as blockrazor"
        ),
        url=_url(entry),
        dialect=dialect,
        auth=auth,
        tip_recipient=entry.address("tipRecipient") if entry.values.get("tipRecipient") else "",
        window_blocks=(
            entry.number("windowBlocks", 1, WINDOW_MAX) if "windowBlocks" in entry.values else 2
        ),
        min_gas_price_wei=entry.wei("minGasPriceWei", default="0"),
        flags=_flags(entry),
        builders=_builders(entry, dialect),
        cancels=entry.flag("cancels"),
    )


def _choice(entry: Entry, key: str, choices: type[Dialect] | type[Auth]) -> str:
    if key not in entry.values:
        return "flashbots" if choices is Dialect else "none"
    return entry.choice(key, [each.value for each in choices])


def _url(entry: Entry) -> str:
    url = entry.text("url", most=URL_MAX)
    if not is_url(url, ("http", "https")):
        raise entry.fail("url", "must be an http:// or https:// URL")
    return url


def _flags(entry: Entry) -> dict[str, bool]:
    value = entry.values.get("flags", {})
    if not isinstance(value, dict):
        raise entry.fail("flags", 'must be an object of switches, such as {"noMerge": true}')
    for key, on in value.items():
        if not _FLAG.fullmatch(key) or key in _OURS or not isinstance(on, bool):
            raise BadMarketFile(f"{entry.where}.flags", "must hold a builder's switches, each true "
                                "or false; what a request says itself is none")  # fmt: skip
    return dict(value)


def _builders(entry: Entry, dialect: Dialect) -> tuple[str, ...]:
    value = entry.values.get("builders", [])
    if not isinstance(value, list) or not all(
        isinstance(name, str) and _BUILDER.fullmatch(name) for name in value
    ):
        raise entry.fail("builders", 'must be a list of builders\' names, such as ["all"]')
    if value and dialect is not Dialect.BLOXROUTE:
        raise entry.fail("builders", "goes with the dialect bloxroute")
    return tuple(value)
