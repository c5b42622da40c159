"""What an import asks a chain before it believes a market file. Reads only; writes nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from eth_utils import to_checksum_address

from arbsite.base.errors import Rejected
from contracts.kernel import abi
from contracts.kernel.abi import BadAnswer, Call
from contracts.kernel.jsonrpc import RpcError, clean_text, hex_bytes, hex_int
from contracts.kernel.market_file import BadMarketFile, DexEntry, MarketFile, PairEntry
from contracts.models import Pool
from contracts.proving import Block, PoolFact, SwapProof, prove_swap
from contracts.rpc import HttpRpc, is_loopback

CHUNK: Final = 400
FEE_POOLS: Final = 5
ZERO: Final = "0x" + "0" * 40
Progress = Callable[[str], None]
EMBEDDED: Final = "local"


class NotLocal(Rejected):
    """A file calls a chain local, and it is not one."""


@dataclass(slots=True, kw_only=True)
class MarketFacts:
    """What the chain said of a market file."""

    block: Block
    pools: list[PoolFact] = field(default_factory=list)
    lendable: dict[str, str] = field(default_factory=dict)  # token -> aToken, or "" without Aave
    premium_bps: int | None = None
    premium_rounding: str = ""
    fees_proven: set[str] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


def check_local_claim(market: MarketFile, urls: Sequence[str], *, offline: bool) -> None:
    """Refuse ``local: true`` unless every RPC is loopback and every node a development node.

    ``urls``: HTTP endpoints that will be used; those of the file are looked at as well.
    Raises: NotLocal; RpcUnavailable when a node is away.
    """
    key = market.chain.key
    if not market.chain.local:
        if key == EMBEDDED:
            raise BadMarketFile("chain.key", f"{key} is the embedded chain's: take another key")
        return
    for url in (*urls, *market.chain.rpc_http, *market.chain.rpc_ws):
        if not is_loopback(url):
            raise NotLocal(
                f"chain {key} says local: true, but an RPC is not on this machine: "
                "remove local, or use loopback endpoints only"
            )
    if offline:
        raise NotLocal(
            f"chain {key} says local: true, which must be checked with its node: "
            "import it without --offline"
        )
    for url in urls:
        if url.startswith("http"):
            _check_development_node(key, url)


def _check_development_node(key: str, url: str) -> None:
    rpc = HttpRpc([url])
    try:
        version = clean_text(rpc.call("web3_clientVersion"))
    except RpcError as error:
        version = f"silent about its version ({error.message[:80]})"
    finally:
        rpc.close()
    if not version.lower().startswith(("anvil", "hardhat")):
        raise NotLocal(
            f"chain {key} says local: true, but its node is {version[:40]}: "
            "only anvil and hardhat count as local"
        )


def probe_market(market: MarketFile, rpc: HttpRpc, *, progress: Progress) -> MarketFacts:
    """Check every claim of the file against the chain and find its pools.

    Raises: BadMarketFile naming the offending entry; RpcUnavailable when the node is away.
    """
    chain_id = hex_int(rpc.call("eth_chainId"))
    if chain_id != market.chain.chain_id:
        raise BadMarketFile(
            "chain.chainId", f"is {market.chain.chain_id}, but the node says {chain_id}"
        )
    progress(f"chain id {chain_id} agrees")
    _check_code(market, rpc)
    progress("code at every address")
    _check_tokens(market, rpc)
    progress(f"decimals of {len(market.tokens)} tokens agree")
    for i, dex in enumerate(market.dexes):
        found = _address_of(_view(rpc, dex.router, "factory()"))
        if found != dex.factory:
            raise BadMarketFile(
                f"dexes[{i}].router ({dex.key})",
                f"{dex.router} belongs to factory {found or 'none'}, not to {dex.factory}",
            )
    facts = MarketFacts(block=settled_block(rpc))
    facts.pools = _find_pools(market, rpc, facts)
    progress(f"{len(facts.pools)} pools found for {len(market.pairs)} pairs")
    for i, dex in enumerate(market.dexes):
        _prove_fee(f"dexes[{i}].feeBps ({dex.key})", dex, facts, rpc)
    progress(f"fees proved on {len(facts.fees_proven)} of {len(market.dexes)} exchanges")
    if market.chain.aave_pool:
        _read_aave(market, rpc, facts)
        progress(f"{len(facts.lendable)} tokens lendable at {facts.premium_bps} bps")
    else:
        facts.lendable = dict.fromkeys(_borrowable_without_aave(market, facts), "")
        progress(f"no Aave: {len(facts.lendable)} tokens are borrowed from first pools only")
    return facts


def _borrowable_without_aave(market: MarketFile, facts: MarketFacts) -> list[str]:
    """Wrapped native, and what trades against it: profit in these is worth something known.

    Any pool lends its own reserve as a path's first, so the choice is of what to earn.
    """
    native = market.chain.wrapped_native
    sides = [(p.token0, p.token1) for p in facts.pools if p.reserve0 and p.reserve1]
    beside = {b if a == native else a for a, b in sides if native in (a, b)}
    return sorted(beside | {native}) if beside else []


def _addresses(market: MarketFile) -> Iterator[tuple[str, str]]:
    yield "chain.wrappedNative", market.chain.wrapped_native
    if market.chain.aave_pool:
        yield "chain.aavePool", market.chain.aave_pool
    if market.chain.multicall3:
        yield "chain.multicall3", market.chain.multicall3
    for i, token in enumerate(market.tokens):
        yield f"tokens[{i}].address ({token.symbol})", token.address
    for i, dex in enumerate(market.dexes):
        yield f"dexes[{i}].factory ({dex.key})", dex.factory
        yield f"dexes[{i}].router ({dex.key})", dex.router


def _check_code(market: MarketFile, rpc: HttpRpc) -> None:
    entries = list(_addresses(market))
    answers = rpc.batch([("eth_getCode", [address, "latest"]) for _, address in entries])
    for (where, address), code in zip(entries, answers, strict=True):
        if isinstance(code, RpcError):
            raise code
        if not hex_bytes(code):
            raise BadMarketFile(where, f"{address} has no code on this chain")


def _check_tokens(market: MarketFile, rpc: HttpRpc) -> None:
    calls = [Call(token.address, abi.encode_call("decimals()")) for token in market.tokens]
    for i, (token, answer) in enumerate(zip(market.tokens, _many(rpc, calls), strict=True)):
        found = _uint_of(answer)
        if found != token.decimals:
            raise BadMarketFile(
                f"tokens[{i}].decimals ({token.symbol})",
                f"is {token.decimals}, but the token says {'nothing' if found is None else found}",
            )


def _uint_of(answer: bytes | None) -> int | None:
    return int.from_bytes(answer[:32]) if answer and len(answer) >= 32 else None


def _address_of(answer: bytes | None) -> str | None:
    """The address that a view gave, or None for anything else: chain text is hostile."""
    try:
        return abi.decode_address(answer) if answer else None
    except BadAnswer:
        return None


def _view(
    rpc: HttpRpc, to: str, signature: str, *args: object, block: Block = "latest"
) -> bytes | None:
    try:
        return rpc.eth_call(to=to, data=abi.encode_call(signature, *args), block=block) or None
    except RpcError:
        return None


def settled_block(rpc: HttpRpc) -> Block:
    """The block before the newest, by hash: its state moves no more while it is asked about.

    A node that was just restarted may know no state but its newest; then that one is taken.
    """
    newest = hex_int(rpc.call("eth_blockNumber"))
    for number in (max(0, newest - 1), newest):
        head = rpc.call("eth_getBlockByNumber", [hex(number), False])
        if not isinstance(head, dict):
            continue
        block: Block = {"blockHash": head["hash"]}
        with suppress(RpcError):
            rpc.call("eth_getBalance", [ZERO, block])
            return block
    return "latest"


def _many(rpc: HttpRpc, calls: Sequence[Call], *, block: Block = "latest") -> list[bytes | None]:
    """Each call's answer, None where it failed; in JSON-RPC batches, since Multicall3 may lack."""
    answers: list[bytes | None] = []
    for start in range(0, len(calls), CHUNK):
        chunk = calls[start : start + CHUNK]
        asked = [
            ("eth_call", [{"to": call.to, "data": "0x" + call.data.hex()}, block]) for call in chunk
        ]
        for answer in rpc.batch(asked):
            answers.append(None if isinstance(answer, RpcError) else hex_bytes(answer) or None)
    return answers


def _find_pools(market: MarketFile, rpc: HttpRpc, facts: MarketFacts) -> list[PoolFact]:
    wanted = [(dex, pair) for dex in market.dexes for pair in market.pairs]
    signature = "getPair(address,address)"
    asked = [
        Call(dex.factory, abi.encode_call(signature, pair.base, pair.quote)) for dex, pair in wanted
    ]
    listed: list[tuple[DexEntry, PairEntry, str]] = []
    for (dex, pair), answer in zip(wanted, _many(rpc, asked, block=facts.block), strict=True):
        address = _address_of(answer)
        if address is None:
            raise BadMarketFile(f"dexes ({dex.key}).factory", "does not answer getPair")
        if address == ZERO:
            facts.left_out.append(f"{pair.name} on {dex.key}")
        else:
            listed.append((dex, pair, address))
    views = ("token0()", "token1()", "getReserves()")
    calls = [Call(at, abi.encode_call(view)) for *_, at in listed for view in views]
    answers = _many(rpc, calls, block=facts.block)
    pools = []
    for i, (dex, pair, address) in enumerate(listed):
        fact = _pool(dex, pair, address, answers[3 * i : 3 * i + 3])
        if not (fact.reserve0 and fact.reserve1):
            facts.empty.append(f"{pair.name} on {dex.key}")
        pools.append(fact)
    return pools


def _pool(
    dex: DexEntry, pair: PairEntry, address: str, answers: Sequence[bytes | None]
) -> PoolFact:
    sides = (_address_of(answers[0]), _address_of(answers[1]))
    reserves = _reserves_of(answers[2])
    if sides[0] is None or sides[1] is None or reserves is None:
        raise BadMarketFile(f"dexes ({dex.key})", f"pool {address} does not answer as a pair")
    if set(sides) != {pair.base, pair.quote}:
        raise BadMarketFile(f"dexes ({dex.key})", f"pool {address} holds other tokens")
    return PoolFact(
        dex=dex.key, router=dex.router, base=pair.base, quote=pair.quote, address=address,
        token0=sides[0], token1=sides[1], reserve0=reserves[0], reserve1=reserves[1],
    )  # fmt: skip


def _reserves_of(answer: bytes | None) -> tuple[int, int] | None:
    try:
        reserve0, reserve1 = abi.decode_result(["uint112", "uint112"], answer or b"")
    except BadAnswer:
        return None
    return int(reserve0), int(reserve1)


def _prove_fee(where: str, dex: DexEntry, facts: MarketFacts, rpc: HttpRpc) -> None:
    """One simulated swap: the output computed with ``feeBps`` passes, one unit more reverts.

    A pool whose token taxes says nothing of the fee: the next is asked.
    """
    deep = [p for p in facts.pools if p.dex == dex.key and min(p.reserve0, p.reserve1) > 10**4]
    for pool in sorted(deep, key=lambda p: -p.reserve0 * p.reserve1)[:FEE_POOLS]:
        proof = prove_swap(pool, fee_bps=dex.fee_bps, pools=facts.pools, rpc=rpc, block=facts.block)
        if proof is SwapProof.OTHER_FEE:
            raise BadMarketFile(
                where, f"{dex.fee_bps} is not what pool {pool.address} enforces: correct it"
            )
        if proof is SwapProof.EXACT:
            facts.fees_proven.add(dex.key)
            return


_RESERVE_DATA: Final = (
    "((uint256),uint128,uint128,uint128,uint128,uint128,uint40,uint16,"
    "address,address,address,address,uint128,uint128,uint128)"
)
_ACTIVE, _FROZEN, _PAUSED, _FLASH = 56, 57, 60, 63  # bits of an Aave V3 reserve's configuration


def _read_aave(market: MarketFile, rpc: HttpRpc, facts: MarketFacts) -> None:
    """Which tokens Aave lends now, its premium, and how that is rounded."""
    pool = market.chain.aave_pool
    facts.premium_bps = _uint_of(_view(rpc, pool, "FLASHLOAN_PREMIUM_TOTAL()"))
    if facts.premium_bps is None or facts.premium_bps >= 10_000:
        raise BadMarketFile("chain.aavePool", "does not answer as an Aave V3 pool")
    calls = [
        Call(pool, abi.encode_call("getReserveData(address)", token.address))
        for token in market.tokens
    ]
    for token, answer in zip(market.tokens, _many(rpc, calls), strict=True):
        if answer is None:
            continue
        try:
            (row,) = abi.decode_result([_RESERVE_DATA], answer)
        except BadAnswer:
            raise BadMarketFile("chain.aavePool", "does not answer as an Aave V3 pool") from None
        flags = row[0][0]
        lends = flags >> _ACTIVE & 1 and not flags >> _FROZEN & 1 and not flags >> _PAUSED & 1
        if int(row[8], 16) and lends and flags >> _FLASH & 1:
            facts.lendable[token.address] = str(to_checksum_address(row[8]))
    facts.premium_rounding = _premium_rounding(pool, facts, rpc)


def _premium_rounding(pool: str, facts: MarketFacts, rpc: HttpRpc) -> str:
    """``half_up`` or ``ceil``, told by the premium of a simulated loan of one unit.

    Half of a unit or less rounds to 0 in Aave before 3.1, and to 1 later.
    """
    code = abi.artifact("SwapProver")["deployedBytecode"]
    for token in facts.lendable:
        holder = next((p.address for p in facts.pools if token in (p.token0, p.token1)), None)
        if holder is None:
            continue
        data = abi.encode_call("premiumOf(address,address,uint256)", pool, token, 1)
        try:
            answer = rpc.eth_call(
                to=holder, data=data, block=facts.block, overrides={holder: {"code": code}}
            )
        except RpcError:
            continue
        return "ceil" if _uint_of(answer) else "half_up"
    facts.lendable.clear()  # no loan could be shown to work: nothing is borrowed from there
    return ""


def read_pools(pools: Sequence[Pool], rpc: HttpRpc, *, block: Block) -> list[PoolFact]:
    """Registered pools with their reserves at that block."""
    calls = [Call(pool.address, abi.encode_call("getReserves()")) for pool in pools]
    facts = []
    for pool, answer in zip(pools, _many(rpc, calls, block=block), strict=True):
        reserve0, reserve1 = _reserves_of(answer) or (0, 0)
        facts.append(
            PoolFact(
                dex=pool.dex.key,
                router=pool.dex.router,
                base=pool.token0.address,
                quote=pool.token1.address,
                address=pool.address,
                token0=pool.token0.address,
                token1=pool.token1.address,
                reserve0=reserve0,
                reserve1=reserve1,
            )
        )
    return facts
