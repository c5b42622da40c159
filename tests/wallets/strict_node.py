"""A node in this process that keeps the pools' rules to the letter, on a wire that breaks them all.

JSON-RPC over real HTTP, so that the client, its pool of connections and its deadlines are the real
ones. One account's payloads wait by nonce, one a nonce; a second needs ten percent more on both fee
fields; blocks, receipts, counts and balances follow from what was mined. `dialect` gives the
client whose words a refusal has; `send_faults` what becomes of the next hand-overs.
"""

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import rlp
from eth_account import Account

from wallets.kernel.payload import transaction_hash

BASE_FEE = 10**9
GAS = 21_000
PRICE_BUMP = 110  # geth core/txpool/legacypool: DefaultConfig.PriceBump 10
QUEUE_MAX = 64  # geth: AccountQueue

# client -> refusal -> (code, text). `{}` are filled where the client fills them.
DIALECTS: dict[str, dict[str, tuple[int, str]]] = {
    # go-ethereum core/txpool/errors.go, core/error.go, core/txpool/validation.go
    "geth": {
        "known": (-32000, "already known"),
        "low": (-32000, "nonce too low: next nonce {next}, tx nonce {nonce}"),
        "replace": (-32000, "replacement transaction underpriced"),
        "cheap": (
            -32000,
            "transaction gas price below minimum: gas tip cap {tip}, minimum needed 1",
        ),
        "poor": (
            -32000,
            "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, "
            "overshot {over}",
        ),
        "gas": (-32000, "intrinsic gas too low: gas {gas}, minimum needed 21000"),
        "far": (-32000, "account limit exceeded: pooled {next}"),
    },
    # bnb-chain/bsc core/txpool/errors.go, core/error.go, core/txpool/validation.go
    "bsc": {
        "known": (-32000, "already known"),
        "low": (-32000, "nonce too low: next nonce {next}, tx nonce {nonce}"),
        "replace": (-32000, "replacement transaction underpriced"),
        "cheap": (
            -32000,
            "transaction gas price below minimum: gas tip cap {tip}, minimum needed 50000000",
        ),
        "poor": (
            -32000,
            "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, "
            "overshot {over}",
        ),
        "gas": (-32000, "intrinsic gas too low: gas {gas}, minimum needed 21000"),
        "far": (-32000, "account limit exceeded: pooled {next} txs"),
    },
    # maticnetwork/bor core/txpool/validation.go (its errors.go was not to be had: geth's words),
    # with 25 gwei as floor
    "bor": {
        "known": (-32000, "already known"),
        "low": (-32000, "nonce too low: next nonce {next}, tx nonce {nonce}"),
        "replace": (-32000, "replacement transaction underpriced"),
        "cheap": (
            -32000,
            "transaction gas price below minimum: gas tip cap {tip}, minimum needed 25000000000",
        ),
        "poor": (
            -32000,
            "insufficient funds for gas * price + value: balance {balance}, queued cost 1, "
            "tx cost {cost}, overshot {over}",
        ),
        "gas": (-32000, "intrinsic gas too low: gas {gas}, minimum needed 21000"),
        "far": (-32000, "txpool is full"),
    },
    # ethereum-optimism/op-geth core/txpool/errors.go, validation.go: the L1's cost is within
    "op-geth": {
        "known": (-32000, "already known"),
        "low": (-32000, "nonce too low: next nonce {next}, tx nonce {nonce}"),
        "replace": (-32000, "replacement transaction underpriced"),
        "cheap": (-32000, "transaction underpriced: tip needed 1, tip permitted {tip}"),
        "poor": (
            -32000,
            "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, "
            "overshot {over}",
        ),
        "gas": (-32000, "intrinsic gas too low: needed 21000, allowed {gas}"),
        "far": (-32000, "in-flight transaction limit reached for delegated accounts"),
    },
    # OffchainLabs/nitro execution/gethexec/tx_pre_checker.go: NonceError.Error, PreCheckTx. It has
    # no pool: what it says of a nonce that is pending was not to be found, geth's words stand in
    "nitro": {
        "known": (-32000, "already known"),
        "low": (-32000, "nonce too low: address 0xab, tx: {nonce} state: {next}"),
        "replace": (-32000, "replacement transaction underpriced"),
        "cheap": (
            -32000,
            "max fee per gas less than block base fee: address 0xab, maxFeePerGas: {tip} "
            "baseFee: 100000000",
        ),
        "poor": (
            -32000,
            "insufficient funds for gas * price + value: address 0xab have {balance} want {cost}",
        ),
        "gas": (-32000, "intrinsic gas too low"),
        "far": (-32000, "nonce too high: address 0xab, tx: {nonce} state: {next}"),
    },
    # erigontech/erigon txnprovider/txpool/txpoolcfg: DiscardReason.String
    "erigon": {
        "known": (-32000, "existing tx with same hash"),
        "low": (-32000, "nonce too low"),
        "replace": (-32000, "INTERNAL_ERROR: could not replace existing tx"),
        "cheap": (-32000, "fee too low"),
        "poor": (-32000, "insufficient funds"),
        "gas": (-32000, "intrinsic gas too low"),
        "far": (-32000, "queued sub-pool is full"),
    },
    # NethermindEth/nethermind Nethermind.TxPool/AcceptTxResult.cs
    "nethermind": {
        "known": (-32010, "AlreadyKnown"),
        "low": (-32010, "OldNonce, Current nonce: {next}, nonce of rejected tx: {nonce}"),
        "replace": (-32010, "ReplacementNotAllowed"),
        "cheap": (-32010, "FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: {tip}"),
        "poor": (-32010, "InsufficientFunds, Balance is {balance} less than sending value"),
        "gas": (-32010, "Invalid, intrinsic gas too low"),
        "far": (-32010, "NonceGap, Future nonce. Expected nonce: {next}"),
    },
    # hyperledger/besu ethereum/api RpcErrorType
    "besu": {
        "known": (-32000, "Known transaction"),
        "low": (-32001, "Nonce too low"),
        "replace": (-32000, "Replacement transaction underpriced"),
        "cheap": (-32009, "Gas price below configured minimum gas price"),
        "poor": (-32004, "Upfront cost exceeds account balance"),
        "gas": (-32003, "Intrinsic gas exceeds gas limit"),
        "far": (-32006, "Transaction nonce is too distant from current sender nonce"),
    },
    # paradigmxyz/reth crates/rpc/rpc-eth-types: RpcPoolError, RpcInvalidTransactionError
    "reth": {
        "known": (-32000, "already known"),
        "low": (-32000, "nonce too low: next nonce {next}, tx nonce {nonce}"),
        "replace": (-32000, "replacement transaction underpriced"),
        "cheap": (-32000, "transaction underpriced"),
        "poor": (-32003, "insufficient funds for gas * price + value: have {balance} want {cost}"),
        "gas": (-32000, "intrinsic gas too low"),
        "far": (-32003, "txpool is full"),
    },
    # foundry-rs/foundry crates/anvil/src/eth/error.rs: to_rpc_result
    "anvil": {
        "known": (-32003, "transaction already imported"),
        "low": (-32003, "nonce too low"),
        "replace": (-32003, "replacement transaction underpriced"),
        "cheap": (-32003, "max fee per gas less than block base fee"),
        "poor": (-32003, "Insufficient funds for gas * price + value"),
        "gas": (-32003, "intrinsic gas too low"),
        "far": (-32003, "nonce too high"),
    },
}
# What may become of a hand-over: taken or not, answered or not.
TAKEN = ("lost", "null", "garbage", "internal", "twice", "bad_gateway")
NOT_TAKEN = ("unheard", "busy")


class Refused(Exception):
    """The pool does not take it."""

    def __init__(self, kind: str, **facts: int) -> None:
        self.kind, self.facts = kind, facts


@dataclass(frozen=True)
class Tx:
    """A decoded payload."""

    raw: bytes
    hash: str
    sender: str
    nonce: int
    max_fee: int
    tip: int
    gas: int
    to: str
    value: int
    data: bytes

    @property
    def cost(self) -> int:
        return self.gas * self.max_fee + self.value


def decode(raw: bytes) -> Tx:
    """An EIP-1559 or legacy payload, its sender recovered by another library than ours."""
    if raw[0] == 2:
        _, nonce, tip, fee, gas, to, value, data, *_ = rlp.decode(raw[1:])
    else:
        nonce, fee, gas, to, value, data, *_ = rlp.decode(raw)
        tip = fee
    number = lambda part: int.from_bytes(part, "big")  # noqa: E731  said six times below
    return Tx(
        raw=raw, hash="0x" + transaction_hash(raw).hex(), sender=Account.recover_transaction(raw),
        nonce=number(nonce), max_fee=number(fee), tip=number(tip), gas=number(gas),
        to="0x" + to.hex(), value=number(value), data=bytes(data),
    )  # fmt: skip


@dataclass
class Block:
    """What was mined, and every account after it."""

    number: int
    hash: str
    parent: str
    txs: list[Tx]
    nonces: dict[str, int]
    balances: dict[str, int]
    burnt: int


@dataclass
class StrictNode:
    """State under one lock; every method may be called from a test while requests come in."""

    chain_id: int
    dialect: str = "geth"
    price_bump: int = PRICE_BUMP
    min_tip: int = 1
    pool: dict[str, dict[int, Tx]] = field(default_factory=dict)
    hidden: dict[str, Tx] = field(default_factory=dict)  # with builders, by hash
    in_transit: list[bytes] = field(default_factory=list)  # taken by the wire, not there yet
    send_faults: deque[str] = field(default_factory=deque)
    sent: list[str] = field(default_factory=list)  # every raw payload that was ever handed over
    lag: int = 0  # blocks that reads are behind
    receipts_lost: bool = False
    archive: bool = True  # whether it keeps state of old heights

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.salt = 0
        self.blocks = [Block(0, "0x" + "00" * 32, "0x" + "ff" * 32, [], {}, {}, 0)]
        self.url = ""
        self.gate = threading.Event()

    @property
    def http_url(self) -> str:
        return self.url

    # What a test does to it.

    def fund(self, address: str, wei: int) -> None:
        with self.lock:
            self.blocks[-1].balances[address] = self.balance(address) + wei

    def mine(self, count: int = 1, *, private: bool = True) -> None:
        """Mine what is executable; with ``private`` what builders hold as well."""
        with self.lock:
            for _ in range(count):
                self._mine_one(private=private)

    def reorg(self, depth: int, *, keep: bool = True, replace: int | None = None) -> None:
        """Undo the last blocks; ``keep``: their payloads wait again, in public now."""
        with self.lock:
            depth = min(depth, len(self.blocks) - 1)
            gone, self.blocks = (
                self.blocks[len(self.blocks) - depth :],
                self.blocks[: -depth or None],
            )
            self.salt += 1
            back = [tx for block in gone for tx in block.txs]
            self._drop_spent()
            for tx in back if keep else ():
                with suppress(Refused):
                    self.take(tx.raw)
            for _ in range(depth if replace is None else replace):
                self._mine_one(private=False, empty=True)

    def forget_pool(self) -> None:
        with self.lock:
            self.pool.clear()

    def deliver(self) -> None:
        """What was on its way arrives."""
        with self.lock:
            arriving, self.in_transit = self.in_transit, []
            for raw in arriving:
                with suppress(Refused):
                    self.take(raw)

    def leak(self) -> None:
        """What builders hold becomes public."""
        with self.lock:
            for tx in list(self.hidden.values()):
                with suppress(Refused):
                    self.take(tx.raw)

    def spend_by_a_stranger(self, address: str) -> None:
        """Someone else with the account's key gets the next nonce mined."""
        with self.lock:
            self.blocks[-1].nonces[address] = self.nonce(address) + 1
            self._drop_spent()
            self._mine_one(private=False, empty=True)

    # State.

    @property
    def head(self) -> int:
        return len(self.blocks) - 1

    def nonce(self, address: str, at: int = -1) -> int:
        return self.blocks[at].nonces.get(address, 0)

    def balance(self, address: str, at: int = -1) -> int:
        return self.blocks[at].balances.get(address, 0)

    def mined(self, upto: int | None = None) -> Iterator[tuple[Block, Tx]]:
        for block in self.blocks[: None if upto is None else upto + 1]:
            for tx in block.txs:
                yield block, tx

    # The pool's rules.

    def take(self, raw: bytes) -> str:
        """Admit to the public pool, or raise `Refused` as geth's validation orders it."""
        with self.lock:
            tx = decode(raw)
            waiting = self.pool.setdefault(tx.sender, {})
            if any(one.hash == tx.hash for one in waiting.values()):
                raise Refused("known")
            if tx.gas < GAS:
                raise Refused("gas", gas=tx.gas)
            if tx.tip < self.min_tip or tx.max_fee < BASE_FEE:
                raise Refused("cheap", tip=tx.tip)
            following = self.nonce(tx.sender)
            facts = {"next": following, "nonce": tx.nonce}
            if tx.nonce < following:
                raise Refused("low", **facts)
            if tx.nonce > following + QUEUE_MAX:
                raise Refused("far", **facts)
            before = waiting.get(tx.nonce)
            spent = sum(one.cost for one in waiting.values()) - (before.cost if before else 0)
            funds = self.balance(tx.sender)
            if funds < spent + tx.cost:
                over = spent + tx.cost - funds
                raise Refused("poor", balance=funds, cost=tx.cost, over=over)
            if before and (
                tx.max_fee * 100 < before.max_fee * self.price_bump
                or tx.tip * 100 < before.tip * self.price_bump
                or tx.max_fee <= before.max_fee
                or tx.tip <= before.tip
            ):
                raise Refused("replace")
            waiting[tx.nonce] = tx
            return tx.hash

    def words(self, refused: Refused) -> dict[str, object]:
        code, text = DIALECTS[self.dialect][refused.kind]
        facts = dict.fromkeys(("next", "nonce", "tip", "balance", "cost", "over", "gas"), 0)
        return {"code": code, "message": text.format(**{**facts, **refused.facts})}

    def _mine_one(self, *, private: bool, empty: bool = False) -> None:
        last = self.blocks[-1]
        nonces, balances, burnt = dict(last.nonces), dict(last.balances), last.burnt
        txs: list[Tx] = []
        while not empty and (tx := self._executable(nonces, balances, private=private)):
            price = min(tx.max_fee, BASE_FEE + tx.tip)
            balances[tx.sender] -= GAS * price + tx.value
            to = next((known for known in balances if known.lower() == tx.to), tx.to)
            balances[to] = balances.get(to, 0) + tx.value
            burnt += GAS * price
            nonces[tx.sender] = tx.nonce + 1
            txs.append(tx)
        number = last.number + 1
        seed = f"{last.hash}{number}{self.salt}{[tx.hash for tx in txs]}"
        found = "0x" + hashlib.sha256(seed.encode()).hexdigest()
        self.blocks.append(Block(number, found, last.hash, txs, nonces, balances, burnt))
        self._drop_spent()

    def _executable(
        self, nonces: dict[str, int], balances: dict[str, int], *, private: bool
    ) -> Tx | None:
        """The dearest payload that an account's next nonce has."""
        offers = [tx for waiting in self.pool.values() for tx in waiting.values()]
        offers += list(self.hidden.values()) if private else []
        good = [
            tx
            for tx in offers
            if tx.nonce == nonces.get(tx.sender, 0)
            and tx.max_fee >= BASE_FEE
            and balances.get(tx.sender, 0) >= tx.cost
        ]
        return max(good, key=lambda tx: (tx.tip, tx.hash), default=None)

    def _drop_spent(self) -> None:
        for sender, waiting in self.pool.items():
            for nonce in [n for n in waiting if n < self.nonce(sender)]:
                del waiting[nonce]

    # JSON-RPC.

    def answer(self, method: str, params: list) -> object:
        """The result of a read. Raises: Refused("...") never, KeyError for an unknown method."""
        with self.lock:
            top = max(0, self.head - self.lag)
            return _READS[method](self, params, top)

    def _height(self, tag: str, top: int) -> int:
        return top if tag in ("latest", "pending") else int(tag, 16)


def _block(node: StrictNode, params: list, top: int) -> object:
    tag = params[0]
    if tag == "finalized":
        return None
    height = node._height(tag, top)
    if height > top:
        return None
    block = node.blocks[height]
    return {
        "number": hex(block.number), "hash": block.hash, "parentHash": block.parent,
        "baseFeePerGas": hex(BASE_FEE), "transactions": [tx.hash for tx in block.txs],
    }  # fmt: skip


def _count(node: StrictNode, params: list, top: int) -> object:
    address, tag = params
    height = node._height(tag, top)
    if height > top or (not node.archive and height < top - 2):
        raise LookupError("missing trie node")
    count = node.nonce(address, height)
    waiting = node.pool.get(address, {}) if tag == "pending" else {}
    while count in waiting:
        count += 1
    return hex(count)


def _receipt(node: StrictNode, params: list, top: int) -> object:
    for block, tx in node.mined(top) if not node.receipts_lost else ():
        if tx.hash == params[0]:
            price = min(tx.max_fee, BASE_FEE + tx.tip)
            return {
                "transactionHash": tx.hash, "blockNumber": hex(block.number),
                "blockHash": block.hash, "gasUsed": hex(GAS), "effectiveGasPrice": hex(price),
                "status": "0x1", "logs": [], "from": tx.sender, "to": tx.to,
            }  # fmt: skip
    return None


def _transaction(node: StrictNode, params: list, top: int) -> object:
    if node.receipts_lost:
        return None
    public = [tx for waiting in node.pool.values() for tx in waiting.values()]
    for tx in [*public, *(tx for _, tx in node.mined(top))]:
        if tx.hash == params[0]:
            return {"hash": tx.hash, "nonce": hex(tx.nonce)}
    return None


_READS: dict[str, Callable[[StrictNode, list, int], object]] = {
    "eth_chainId": lambda node, params, top: hex(node.chain_id),
    "eth_blockNumber": lambda node, params, top: hex(top),
    "eth_getBlockByNumber": _block,
    "eth_getTransactionCount": _count,
    "eth_getTransactionReceipt": _receipt,
    "eth_getTransactionByHash": _transaction,
    "eth_getBalance": lambda node, params, top: hex(node.balance(params[0], top)),
    "eth_estimateGas": lambda node, params, top: hex(GAS),
    "eth_maxPriorityFeePerGas": lambda node, params, top: hex(10**9),
    "anvil_setBalance": lambda node, params, top: node.fund(params[0], int(params[1], 16)),
    "evm_mine": lambda node, params, top: node.mine(),
    "eth_gasPrice": lambda node, params, top: hex(2 * 10**9),
}


class Handler(BaseHTTPRequestHandler):
    """One request a connection, so that closing it loses the answer and nothing else."""

    node: StrictNode

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if isinstance(body, list):
            self._reply(200, [self._one(request) for request in body])
            return
        if body["method"] == "eth_sendRawTransaction":
            self._send(body)
            return
        self._reply(200, self._one(body))

    def _one(self, request: dict) -> dict:
        try:
            found: dict = {"result": self.node.answer(request["method"], request["params"])}
        except LookupError as error:
            found = {"error": {"code": -32000, "message": str(error)}}
        return {"jsonrpc": "2.0", "id": request["id"], **found}

    def _send(self, request: dict) -> None:
        node, raw = self.node, bytes.fromhex(request["params"][0][2:])
        private = self.path.endswith("/private")
        with node.lock:
            node.sent.append(request["params"][0])
            fault = node.send_faults.popleft() if node.send_faults else "none"
        if fault in ("late", "delayed"):
            node.in_transit.append(raw)
            if fault == "late":
                node.gate.wait(5)  # until the client gave up
            return
        if fault in NOT_TAKEN:
            if fault == "busy":
                self._reply(429, {"error": "too many requests"})
            return
        said = self._admit(raw, private=private)
        if fault == "twice":
            said = self._admit(raw, private=private)
        if fault == "null":
            said = {"result": None}
        if fault == "internal":
            said = {"error": {"code": -32603, "message": "internal error"}}
        if fault == "bad_gateway":
            self._reply(502, {"jsonrpc": "2.0", "id": request["id"], **said})
        elif fault == "garbage":
            self._reply(200, "not what you asked for")
        elif fault != "lost":
            self._reply(200, {"jsonrpc": "2.0", "id": request["id"], **said})

    def _admit(self, raw: bytes, *, private: bool) -> dict:
        node = self.node
        if private:
            tx = decode(raw)
            with node.lock:
                node.hidden[tx.hash] = tx
            return {"result": tx.hash}
        try:
            return {"result": node.take(raw)}
        except Refused as refused:
            return {"error": node.words(refused)}

    def _reply(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        with suppress(OSError):  # the client gave up
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing: tests read what was sent from the node."""


@contextmanager
def strict_node(chain_id: int, **facts: object) -> Iterator[StrictNode]:
    """A node that listens for as long as the block."""
    node = StrictNode(chain_id=chain_id, **facts)  # type: ignore[arg-type]
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"node": node}))
    node.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield node
    finally:
        node.gate.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
