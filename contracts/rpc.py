"""JSON-RPC over HTTP; with `contracts.ws_rpc` the only door to a node.

Nothing here retries; a read may move on to the next endpoint, a send never does.
"""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from typing import Final, Self

import msgspec

from contracts.endpoints import (
    Endpoint,
    RpcUnavailable,
    WrongChain,
    endpoint_of,
    is_loopback,
    mask_url,
)
from contracts.http_wire import HttpWire, WireFailed
from contracts.kernel.jsonrpc import (
    Json,
    RpcError,
    call_object,
    decode_answers,
    hex_bytes,
    hex_int,
)
from contracts.ws_rpc import WsRpc

CHAIN_ID_CHECK_S: Final = 60.0
Params = Sequence[object] | Mapping[str, object]
__all__ = [
    "Endpoint",
    "HttpRpc",
    "RpcError",
    "RpcUnavailable",
    "WrongChain",
    "WsRpc",
    "is_loopback",
    "mask_url",
]


class HttpRpc:
    """A chain's HTTP endpoints in order of preference; thread-safe, keep-alive.

    A read is asked of the first endpoint, and of the next only when the one before gave no answer.
    With ``chain_id`` each endpoint's ``eth_chainId`` is compared before first use, after each
    fault, and when a minute has gone by; `warm` does it before anyone waits for it. With
    ``calls_per_s`` no endpoint is asked for more in this process: sends go all the same.
    ``headers`` makes what a body is sent with besides, such as a signature over its very bytes.

    Raises: RpcError when a node answers with an error; RpcUnavailable when none answers;
        WrongChain when an endpoint serves another chain.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        chain_id: int | None = None,
        timeout_s: float = 5.0,
        calls_per_s: int | None = None,
        headers: Callable[[bytes], Mapping[str, str]] | None = None,
    ) -> None:
        if not urls:
            raise ValueError("an RPC client needs at least one URL")
        self.endpoints = [endpoint_of(url, calls_per_s=calls_per_s) for url in urls]
        self.chain_id = chain_id
        self.timeout_s = timeout_s
        self._urgent = True
        self._headers = headers
        self._ids = itertools.count(1)
        self._wires: dict[str, HttpWire] = {}

    def background(self) -> Self:
        """The same client for what can wait: it leaves a quarter of the budget to what cannot."""
        twin = copy(self)
        twin._urgent = False
        return twin

    def warm(self) -> None:
        """Ask every endpoint for its chain's id where the last answer will soon be too old.

        Keeps the connection open as well, so that who has something to send finds both done.
        Raises: WrongChain. An endpoint that does not answer is left to whoever asks it next.
        """
        for endpoint in self.endpoints:
            with suppress(RpcUnavailable, RpcError):
                self._check_chain(endpoint, self.timeout_s, older_s=CHAIN_ID_CHECK_S / 4)

    def call(self, method: str, params: Params = (), *, timeout_s: float | None = None) -> Json:
        """One request; the ``result`` as the node wrote it. ``params`` by position or by name."""
        answer = self._ask([(method, params)], timeout_s=timeout_s)[0]
        if isinstance(answer, RpcError):
            raise answer
        return answer

    def batch(
        self,
        calls: Sequence[tuple[str, Params]],
        *,
        timeout_s: float | None = None,
    ) -> list[Json]:
        """Many requests in one body; each place holds its result, or the RpcError given for it."""
        return self._ask(calls, timeout_s=timeout_s) if calls else []

    def eth_call(
        self,
        *,
        to: str,
        data: bytes,
        block: str | int | Mapping[str, object] = "latest",
        sender: str | None = None,
        value: int = 0,
        gas: int | None = None,
        gas_price: int | None = None,
        overrides: Mapping[str, object] | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        """What a call would return at ``block`` (a tag, a number, or ``{"blockHash": ...}``)."""
        request = call_object(
            to=to, data=data, sender=sender, value=value, gas=gas, gas_price=gas_price
        )
        params: list[object] = [request, hex(block) if isinstance(block, int) else block]
        if overrides:
            params.append(overrides)
        return hex_bytes(self.call("eth_call", params, timeout_s=timeout_s))

    def send_raw(self, raw: bytes, *, timeout_s: float | None = None) -> str:
        """Hand one signed transaction to the first endpoint, once. Returns the hash the node gave.

        Raises: RpcUnavailable with ``sent`` False only when not one byte can have left.
        """
        endpoint = self.endpoints[0]
        endpoint.budget.spend(1)
        self._check_chain(endpoint, timeout_s or self.timeout_s)
        answer = self._post(
            endpoint,
            [("eth_sendRawTransaction", ["0x" + raw.hex()])],
            timeout_s=timeout_s or self.timeout_s,
        )[0]
        if isinstance(answer, RpcError):
            raise answer
        return str(answer)

    def ping(self, endpoint: Endpoint, *, timeout_s: float | None = None) -> int:
        """The endpoint's block number, asked of it alone."""
        limit = timeout_s or self.timeout_s
        self._check_chain(endpoint, limit)
        answer = self._post(endpoint, [("eth_blockNumber", [])], timeout_s=limit)[0]
        if isinstance(answer, RpcError):
            raise answer
        return hex_int(answer)

    def close(self) -> None:
        """Close every kept connection."""
        for wire in self._wires.values():
            wire.close()

    def _ask(self, calls: Sequence[tuple[str, Params]], *, timeout_s: float | None) -> list[Json]:
        limit = timeout_s or self.timeout_s
        last: RpcUnavailable | None = None
        for endpoint in self.endpoints:
            try:
                self._spend(endpoint, len(calls))
                self._check_chain(endpoint, limit)
                return self._post(endpoint, calls, timeout_s=limit)
            except RpcUnavailable as error:
                last = error
        assert last is not None  # noqa: S101  at least one endpoint, see __init__
        raise last

    def _spend(self, endpoint: Endpoint, calls: int) -> None:
        if not endpoint.budget.take(calls, urgent=self._urgent):
            with endpoint.lock:
                endpoint.over_budget += calls
            why = f"over its budget of {endpoint.budget.per_s} calls a second"
            raise RpcUnavailable(why, endpoint=endpoint.shown, sent=False)

    def _check_chain(
        self, endpoint: Endpoint, timeout_s: float, *, older_s: float = CHAIN_ID_CHECK_S
    ) -> None:
        if self.chain_id is None:
            return
        now = time.monotonic()
        checked = endpoint.chain_checked_at
        if checked is not None and now - checked < older_s:
            return
        answer = self._post(endpoint, [("eth_chainId", [])], timeout_s=timeout_s)[0]
        if isinstance(answer, RpcError):
            raise answer
        found = hex_int(answer)
        if found != self.chain_id:
            raise WrongChain(endpoint=endpoint.shown, expected=self.chain_id, found=found)
        endpoint.chain_checked_at = now

    def _post(
        self,
        endpoint: Endpoint,
        calls: Sequence[tuple[str, Params]],
        *,
        timeout_s: float,
    ) -> list[Json]:
        ids = [next(self._ids) for _ in calls]
        requests = [
            {"jsonrpc": "2.0", "id": key, "method": method, "params": params}
            for key, (method, params) in zip(ids, calls, strict=True)
        ]
        body = msgspec.json.encode(requests[0] if len(requests) == 1 else requests)
        started = time.monotonic()
        status = 200
        try:
            more = self._headers(body) if self._headers else {}
            status, answer = self._wire(endpoint.url).post(body, timeout_s=timeout_s, headers=more)
            answers = decode_answers(answer, ids)
        except WireFailed as error:
            raise self._failed(endpoint, error.why, sent=error.sent) from None
        except ValueError as error:
            why = str(error) if status == 200 else f"{error} (HTTP {status})"
            raise self._failed(endpoint, why, sent=True) from None
        endpoint.answered(took_s=time.monotonic() - started)
        return answers

    def _wire(self, url: str) -> HttpWire:
        wire = self._wires.get(url)
        if wire is None:
            wire = self._wires.setdefault(url, HttpWire(url))
        return wire

    def _failed(self, endpoint: Endpoint, why: str, *, sent: bool) -> RpcUnavailable:
        endpoint.failed(why)
        return RpcUnavailable(why, endpoint=endpoint.shown, sent=sent)
