"""An endpoint of a node: what may be shown of it, what was seen of it, what it may be asked.

A URL may carry a provider's key, so it stands in no error, log or repr: `mask_url` gives what may
be shown. No I/O.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from arbsite.base.errors import Halt, Retryable
from contracts.kernel.latencies import Latencies

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class RpcUnavailable(Retryable):
    """No usable answer. ``sent`` says whether the request may have arrived."""

    def __init__(self, why: str, *, endpoint: str, sent: bool) -> None:
        self.why = why
        self.endpoint = endpoint
        self.sent = sent
        super().__init__(f"RPC endpoint {endpoint}: {why}")


class WrongChain(Halt):
    """A node of another chain answered."""

    def __init__(self, *, endpoint: str, expected: int, found: int) -> None:
        self.expected = expected
        self.found = found
        super().__init__(
            f"RPC endpoint {endpoint} serves chain id {found}, not {expected}: correct its URL"
        )


def mask_url(url: str) -> str:
    """What of an endpoint's URL may be shown: scheme, host and port, never path, query or user."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "?"
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.scheme}://{parts.hostname or '?'}{port}"


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine by name or address, without asking any resolver."""
    return (urlsplit(url).hostname or "") in _LOOPBACK


class Budget:
    """Calls a second that an endpoint may be asked, saved up for one second. Thread-safe.

    The last quarter is kept for what is ``urgent``. Without ``per_s`` there is no bound.
    """

    def __init__(self, per_s: int | None = None) -> None:
        self.per_s = per_s
        self._left = float(per_s or 0)
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def take(self, calls: int, *, urgent: bool = False) -> bool:
        """Spend so many; False, and nothing is spent, where they are not there.

        A batch larger than all that can be saved up is let through when everything is there.
        """
        if self.per_s is None:
            return True
        with self._lock:
            now = time.monotonic()
            self._left = min(float(self.per_s), self._left + (now - self._at) * self.per_s)
            self._at = now
            kept = 0.0 if urgent else self.per_s / 4
            if self._left - kept < min(calls, self.per_s - kept):
                return False
            self._left -= calls
            return True

    def spend(self, calls: int) -> None:
        """Spend so many that cannot wait: what follows waits the longer."""
        if self.per_s is not None:
            with self._lock:
                self._left -= calls


@dataclass(slots=True)
class Endpoint:
    """One URL and what was seen of it. Its counters are read by others, written under ``lock``."""

    url: str = field(repr=False)
    shown: str
    calls: int = 0
    failures: int = 0
    last_ms: float | None = None
    last_ok_at: float | None = None
    last_error: str = ""
    chain_checked_at: float | None = None
    budget: Budget = field(default_factory=Budget)
    latencies: Latencies = field(default_factory=Latencies)
    over_budget: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def answered(self, *, took_s: float) -> None:
        """Count an answer."""
        with self.lock:
            self.calls += 1
            self.last_ms = took_s * 1_000
            self.last_ok_at = time.time()
            self.latencies.add(int(took_s * 1_000_000) + 1)

    def failed(self, why: str) -> None:
        """Count a failure; whoever answers at this address next must prove its chain anew."""
        with self.lock:
            self.failures += 1
            self.last_error = why
            self.chain_checked_at = None

    def take_latencies(self) -> Latencies:
        """What was counted since the last call."""
        with self.lock:
            taken, self.latencies = self.latencies, Latencies()
        return taken


def endpoint_of(url: str, *, calls_per_s: int | None = None) -> Endpoint:
    """An endpoint of which nothing was seen yet."""
    return Endpoint(url=url, shown=mask_url(url), budget=Budget(calls_per_s))
