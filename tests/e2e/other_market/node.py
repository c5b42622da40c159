"""A bare anvil, its JSON-RPC by hand, and the compiler: nothing here is the product's."""

import http.client
import itertools
import json
import socket
import subprocess
import threading
import time
from pathlib import Path

from eth_abi import encode
from eth_utils import keccak, to_checksum_address

ROOT = Path(__file__).resolve().parents[3]
ANVIL = ROOT / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
SOURCES = Path(__file__).parent / "solidity"
DEPLOYER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"  # anvil's first account, unlocked
_compiled: dict[str, str] = {}


class Refused(Exception):
    """The node answered with an error."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def compiled(name: str) -> str:
    """Creation code of a contract under `solidity/`, hex without 0x."""
    if not _compiled:
        sources = {p.name: {"content": p.read_text()} for p in SOURCES.glob("*.sol")}
        request = {
            "language": "Solidity",
            "sources": sources,
            "settings": {
                "optimizer": {"enabled": True, "runs": 200},
                "evmVersion": "cancun",
                "outputSelection": {"*": {"*": ["evm.bytecode.object"]}},
            },
        }
        done = subprocess.run(
            [str(ROOT / "tools/solc"), "--standard-json"],
            input=json.dumps(request), capture_output=True, text=True, check=True,
        )  # fmt: skip
        answer = json.loads(done.stdout)
        wrong = [e for e in answer.get("errors", ()) if e["severity"] == "error"]
        assert not wrong, wrong[0]["formattedMessage"]
        for contracts in answer["contracts"].values():
            for each, built in contracts.items():
                _compiled[each] = built["evm"]["bytecode"]["object"]
    return _compiled[name]


def calldata(signature: str, *args) -> str:
    inner = signature[signature.index("(") + 1 : -1]
    types = inner.split(",") if inner else []
    return "0x" + (keccak(text=signature)[:4] + encode(types, args)).hex()


class Node:
    """One anvil on a free port. Blocks come one per transaction, or by the clock when asked."""

    def __init__(self, *, chain_id: int = 56) -> None:
        self.port = free_port()
        self.chain_id = chain_id
        self.http_url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}"
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [
                str(ANVIL), "--port", str(self.port), "--chain-id", str(chain_id), "--quiet",
                "--gas-limit", "100000000",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 20
        while True:
            try:
                assert int(self.ask("eth_chainId"), 16) == chain_id
                return
            except OSError:
                assert self._process.poll() is None, "anvil ended"
                assert time.monotonic() < until, "anvil did not answer"
                threading.Event().wait(0.02)

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    def ask(self, method: str, *params):
        with self._lock:
            wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method}
                wire.request(
                    "POST", "/", json.dumps({**body, "params": params}),
                    {"Content-Type": "application/json"},
                )  # fmt: skip
                answer = json.loads(wire.getresponse().read())
            finally:
                wire.close()
        if "error" in answer:
            raise Refused(answer["error"]["message"])
        return answer["result"]

    def send(self, to: str | None, data: str, *, value: int = 0, sender: str = DEPLOYER) -> dict:
        """One transaction and its receipt; fails where it reverts."""
        request = {"from": sender, "data": data, "value": hex(value), "gas": hex(12_000_000)}
        if to:
            request["to"] = to
        sent = self.ask("eth_sendTransaction", request)
        until = time.monotonic() + 30
        while (receipt := self.ask("eth_getTransactionReceipt", sent)) is None:
            assert time.monotonic() < until, "not mined"
            threading.Event().wait(0.02)
        assert receipt["status"] == "0x1", f"{data[:10]} to {to} reverted"
        return receipt

    def create(self, name: str, types: str = "", *args) -> str:
        """Deploy one of ours."""
        arguments = encode(types.split(","), args).hex() if types else ""
        return self.create_code(compiled(name) + arguments)

    def create_code(self, code: str) -> str:
        return to_checksum_address(self.send(None, "0x" + code)["contractAddress"])

    def call(self, to: str, signature: str, *args) -> str:
        return self.ask("eth_call", {"to": to, "data": calldata(signature, *args)}, "latest")
