"""A small market with fixed values: what pages and sockets are tested on."""

from datetime import UTC, datetime, timedelta

from django.db import connection
from django.utils import timezone

from arbsite.base.models import User
from contracts.models import Chain, Deployment, Dex, Pair, Pool, RpcHealth, Token
from execution.models import Execution, FastMode, FastModeConfig, LatencySample, PnlEntry
from prices.models import Monitor, Opportunity, PoolState, PriceCandle
from tests.contracts.registry.shipped import MARKETS
from wallets.models import (
    Assignment,
    Attempt,
    Balance,
    KillState,
    NonceSequence,
    StatusChange,
    Transaction,
    Wallet,
)

ONE = 10**18
DEXES = (("pancakeswap", "PancakeSwap", 25), ("mdex", "MDEX", 30), ("babyswap", "BabySwap", 30))
SYMBOLS = ("WBNB", "CAKE", "USDT", "BUSD", "XVS")
PAIRS = (
    ("CAKE", "USDT", 2_000_000),
    ("WBNB", "USDT", 600_000_000),
    ("CAKE", "WBNB", 3_300),
    ("XVS", "WBNB", 12_000),
    ("BUSD", "USDT", 1_000_000),
)
EXECUTOR = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
RECEIVER = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


def make_address(n: int) -> str:
    return f"0x{n:040x}"


def make_hash(n: int) -> str:
    return f"0x{n:064x}"


def make_user(name="ada", role="admin", **change) -> User:
    user = User(username=name, role=role, is_staff=role == "admin", **change)
    user.set_password("correct horse battery")
    user.save()
    return user


def make_market(*, head=24_817_203, price_step_bps=40) -> Chain:
    """Five pairs on three exchanges, the second dearer than the first by ``price_step_bps``."""
    for scope in ("*", "local"):
        KillState.objects.update_or_create(scope=scope, defaults={"engaged": False})
    chain = Chain.objects.create(
        key="local",
        name="Local chain",
        eip155_id=31337,
        native_symbol="BNB",
        is_local=True,
        block_time_ms=1000,
        confirmations=2,
        fee_model="eip1559",
        min_gas_price_wei=10**9,
        wrapped_native=make_address(0x1001),
    )
    tokens = {
        symbol: Token.objects.create(
            chain=chain,
            address=make_address(0x1001 + i),
            symbol=symbol,
            decimals=18,
            lendable=symbol in ("WBNB", "USDT"),
        )
        for i, symbol in enumerate(SYMBOLS)
    }
    dexes = [
        Dex.objects.create(
            chain=chain,
            key=key,
            name=name,
            kind="uniswap_v2",
            factory=make_address(0x2000 + i),
            router=make_address(0x2100 + i),
            fee_bps=fee,
            callback="pancakeCall",
        )
        for i, (key, name, fee) in enumerate(DEXES)
    ]
    now = timezone.now()
    Monitor.objects.create(
        chain=chain,
        running="stream",
        started_at=now,
        head_number=head,
        head_hash=make_hash(head),
        head_at=now,
        lag_ms=3,
    )
    for n, (base, quote, price_e6) in enumerate(PAIRS):
        pair = Pair.objects.create(
            chain=chain, base=tokens[base], quote=tokens[quote], name=f"{base}/{quote}"
        )
        for d, dex in enumerate(dexes):
            make_pool(pair, dex, price_e6, number=n * 10 + d, shift_bps=d * price_step_bps)
    make_mode(chain)
    RpcHealth.objects.create(
        chain=chain,
        kind="http",
        position=0,
        endpoint="127.0.0.1:8545",
        ok=True,
        latency_us=900,
        checked_at=now,
    )
    return chain


def make_shipped_chains() -> None:
    """The chains of the shipped market files, never watched, without their tokens and pairs."""
    Chain.objects.bulk_create(
        Chain(
            key=entry["key"],
            name=entry["name"],
            eip155_id=entry["chainId"],
            native_symbol=entry["nativeSymbol"],
            block_time_ms=entry["blockTimeMs"],
            confirmations=entry["confirmations"],
            fee_model=entry["feeModel"],
            min_gas_price_wei=int(entry["minGasPriceWei"]),
            l1_fee=entry["l1Fee"],
            explorer_url=entry["explorerUrl"],
            wrapped_native=entry["wrappedNative"],
        )
        for entry in (market["chain"] for market in MARKETS.values())
    )


def make_pool(pair, dex, price_e6, *, number, shift_bps) -> Pool:
    pool = Pool.objects.create(
        chain=pair.chain,
        dex=dex,
        pair=pair,
        address=make_address(0x3000 + number),
        token0=pair.base,
        token1=pair.quote,
        fee_bps=dex.fee_bps,
    )
    reserve0 = 500_000 * ONE
    reserve1 = reserve0 * price_e6 * (10_000 + shift_bps) // 10_000 // 10**6
    PoolState.objects.create(
        pool=pool,
        reserve0=reserve0,
        reserve1=reserve1,
        block_number=24_817_203,
        block_hash=make_hash(24_817_203),
        quote_in=ONE,
        quote_out=reserve1 * (10_000 - dex.fee_bps) // 10_000 // 500_000,
        quote_block_number=24_817_203,
        updated_at=timezone.now(),
    )
    return pool


def make_mode(chain, *, state="armed", auto=True) -> FastMode:
    config = FastModeConfig.objects.create(
        chain=chain,
        version=1,
        auto_execute=auto,
        min_profit_threshold_bps=5,
        max_gas_price_wei=50 * 10**9,
        created_by="system",
    )
    return FastMode.objects.create(chain=chain, state=state, config=config, changed_by="system")


def make_opportunity(
    pk=1, *, chain="local", verdict="executable", reason="", net_bps=31, ended=False, at=None
) -> Opportunity:
    """CAKE bought on PancakeSwap and sold on BabySwap, borrowed in USDT."""
    pools = list(Pool.objects.filter(chain_id=chain, pair__name="CAKE/USDT").order_by("pk"))
    token = Token.objects.get(chain_id=chain, symbol="USDT")
    borrow = 1_200 * ONE
    gross = borrow * 80 // 10_000
    net = borrow * net_bps // 10_000
    fees, impact, gas = -(gross * 6 // 10), -(ONE // 5), -(ONE // 3)
    steps = [gross, fees, impact, 0, gas, 0, 0]
    steps[2] -= sum(steps) - net
    at = at or timezone.now()
    return Opportunity.objects.create(
        id=pk,
        chain_id=chain,
        cycle=f"cycle{pk}",
        mode="stream",
        block_number=24_817_200 + pk,
        block_hash=make_hash(pk),
        last_block_number=24_817_200 + pk,
        pools=[pools[0].pk, pools[2].pk],
        zero_for_one=[False, True],
        amounts=[borrow, 598 * ONE, borrow + net],
        reserves=[1_000_000 * ONE, 500_000 * ONE, 500_000 * ONE, 1_008_000 * ONE],
        borrow_token=token,
        borrow_amount=borrow,
        lender_kind="first_pool",
        lender_address=pools[0].address,
        spread_bps=80,
        steps=[*steps, net],
        net_profit=net,
        net_profit_bps=net_bps,
        net_profit_usd_e6=net // 10**12,
        usd_source="USDT pool",
        native_rate_num=600,
        native_rate_den=1,
        gas_estimate=191_500,
        gas_price_wei=10**9,
        tip_wei=0,
        l1_fee_wei=0,
        verdict=verdict,
        reason=reason,
        spread_class="real",
        detected_at=at,
        changed_at=at,
        ended_at=at if ended else None,
    )


def make_wallet(chain) -> Wallet:
    wallet, _ = Wallet.objects.get_or_create(
        chain=chain,
        address=EXECUTOR,
        defaults={"role": "executor", "label": "Local-Executor-1", "source": "watch"},
    )
    return wallet


def make_execution(n=1, *, status="confirmed", net=7 * ONE // 1000, simulated_only=False):
    """An arbitrage with its transaction, history, stages and bookings."""
    chain = Chain.objects.get(key="local")
    wallet = make_wallet(chain)
    deployment, _ = Deployment.objects.get_or_create(
        chain=chain,
        address=RECEIVER,
        defaults={"kind": "receiver", "owner": EXECUTOR, "code_hash": make_hash(9)},
    )
    Assignment.objects.get_or_create(
        wallet=wallet, deployment=deployment, defaults={"authorized_at": timezone.now()}
    )
    mined = status in ("included", "confirmed", "reverted")
    sent = Transaction.objects.create(
        chain=chain,
        wallet=wallet,
        kind="execution",
        idempotency_key=f"execution-{n}",
        to=RECEIVER,
        gas_limit=300_000,
        status=status,
        simulated_only=simulated_only,
        submitted_via="" if simulated_only else "public 127.0.0.1:8545",
        tx_hash="" if simulated_only else make_hash(0xABC000 + n),
        block_number=24_817_200 + n if mined else None,
        gas_used=191_204 if mined else None,
        gas_price_wei=1_200_000_000 if mined else None,
        revert={
            "name": "ProfitTooLow",
            "values": {"got": "1", "wanted": "2"},
            "meaning": "The walk ended with less profit than was asked for.",
            "nextAction": "Nothing to do: only gas was lost.",
        }
        if status == "reverted"
        else None,
    )
    for old, new in (("", "planned"), ("planned", "simulated"), ("simulated", status)):
        StatusChange.objects.create(transaction=sent, old=old, new=new, reason="")
    if not simulated_only:
        sequence, _ = NonceSequence.objects.get_or_create(chain=chain, address=EXECUTOR)
        Attempt.objects.create(
            transaction=sent,
            sequence=sequence,
            nonce=n,
            gas_limit=300_000,
            tx_type=2,
            max_fee_wei=2 * 10**9,
            tip_fee_wei=10**9,
            hash=make_hash(0xABC000 + n),
            raw=b"\x02",
        )
    tokens = {t.symbol: t for t in Token.objects.filter(chain=chain)}
    hops = [
        {"dex": "pancakeswap", "pool": make_address(0x3000), "tokenIn": tokens["USDT"].address,
         "tokenOut": tokens["CAKE"].address, "feeBps": 25, "amountIn": "1", "amountOut": "1"},
        {"dex": "babyswap", "pool": make_address(0x3002), "tokenIn": tokens["CAKE"].address,
         "tokenOut": tokens["USDT"].address, "feeBps": 30, "amountIn": "1", "amountOut": "1"},
    ]  # fmt: skip
    execution = Execution.objects.create(
        chain=chain,
        kind="arbitrage",
        key=f"key-{n}",
        opportunity_id=n,
        transaction=sent,
        automatic=True,
        wallet=wallet,
        deployment=deployment,
        config=FastModeConfig.objects.first(),
        path=hops,
        borrow_token=tokens["USDT"],
        borrow_amount=1_200 * ONE,
        lender_kind="first_pool",
        expected_profit=4 * ONE,
        native_rate_num=600,
        native_rate_den=1,
        last_block=24_817_210 + n,
        realized_profit=(4 * ONE if status != "reverted" else 0) if mined else None,
        net_profit_wei=net if mined else None,
        latency_us={
            "eventToState": 90, "search": 240, "simulate": 1_310, "sign": 420, "persist": 2_900,
            "submit": 1_100, "total": 6_060, "inclusion": 812_000,
        },
    )  # fmt: skip
    if mined and not simulated_only:
        PnlEntry.objects.create(
            execution=execution,
            chain=chain,
            block_number=24_817_200 + n,
            block_hash=make_hash(n),
            kind="profit",
            amount=4 * ONE,
            net_wei=net,
        )
    return execution


def backdate_bookings(execution, *, minutes) -> None:
    """Move its bookings into the past, which the table's own trigger rightly refuses."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        PnlEntry.objects.filter(execution=execution).update(
            at=timezone.now() - timedelta(minutes=minutes)
        )
        cursor.execute("SET session_replication_role = origin")


def make_history(*, minutes=40) -> None:
    """Candles of one pair, executions and opportunities of the last hour, stage times."""
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=minutes)
    for d, pool in enumerate(Pool.objects.filter(pair__name="CAKE/USDT").order_by("pk")):
        for m in range(minutes):
            close = 2 * ONE + ONE * (((m * 7 + d * 3) % 11) - 5) // 300 + ONE * d // 125
            PriceCandle.objects.create(
                pool=pool,
                minute=start + timedelta(minutes=m),
                open_e18=close,
                high_e18=close,
                low_e18=close,
                close_e18=close,
            )
    chain = Chain.objects.get(key="local")
    for n in range(1, 13):
        status = {4: "reverted", 12: "submitted", 11: "included"}.get(n, "confirmed")
        net = -230 * 10**12 if status == "reverted" else (5 + n % 4) * ONE // 1000
        row = make_execution(n, status=status, net=net)
        backdate_bookings(row, minutes=120 - 10 * n)
        for stage, us in row.latency_us.items():
            LatencySample.objects.create(chain=chain, stage=stage, microseconds=us + 13 * n)
    reasons = ("", "fees", "gas", "fees", "price_impact", "min_profit", "thin_pool", "fees")
    for n in range(1, 25):
        reason = reasons[n % len(reasons)]
        make_opportunity(
            n,
            verdict="rejected" if reason else "executable",
            reason=reason,
            net_bps=31 - n if not reason else -n,
            ended=n < 20,
            at=timezone.now() - timedelta(seconds=(25 - n) * 40),
        )
    Balance.objects.create(
        wallet=make_wallet(chain),
        block_number=1,
        block_hash=make_hash(1),
        balance_wei=3 * ONE,
    )
