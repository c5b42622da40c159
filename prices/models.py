"""What the market shows: monitoring, pool states, candles, opportunities and gas measured."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from arbsite.base.fields import AddressField, HashField, SignedAmountField, Uint256Field
from contracts.models import Chain, Pool, Token


class Monitor(models.Model):
    """Monitoring of one chain: what the operator wants, and what its feed last reported."""

    chain = models.OneToOneField(Chain, on_delete=models.CASCADE, primary_key=True)
    wanted = models.BooleanField(default=True)
    mode = models.CharField(
        max_length=6, default="stream", choices=[("stream", "Stream"), ("poll", "Poll")]
    )
    poll_interval_ms = models.PositiveIntegerField(default=2000)
    min_spread_bps = models.PositiveIntegerField(default=5)
    wish_revision = models.PositiveBigIntegerField(default=1)
    changed_by = models.CharField(max_length=150, blank=True)
    # Reported by whoever feeds the book: the engine in stream mode, a worker in poll mode.
    running = models.CharField(max_length=6, blank=True)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    head_number = models.PositiveBigIntegerField(null=True)
    head_hash = HashField(blank=True)
    head_at = models.DateTimeField(null=True)
    lag_ms = models.PositiveIntegerField(null=True)
    updates = models.PositiveBigIntegerField(default=0)
    opportunities_detected = models.PositiveBigIntegerField(default=0)
    # Reason -> how many of them it stopped, as they were born or when automation came to act.
    rejections = models.JSONField(default=dict)
    problem = models.CharField(max_length=200, blank=True)
    # The newest batch written: one whose commit was not heard of is not written twice.
    last_batch = models.UUIDField(null=True)

    @property
    def revision(self) -> int:
        """Rises when the operator's wishes or the chain's registry change: then begin anew."""
        return int(self.wish_revision + self.chain.registry_revision)

    def __str__(self) -> str:
        return f"{self.chain_id} {self.running or 'stopped'}"


class PoolState(models.Model):
    """The last known reserves of a pool, and what its exchange's router quotes, at one block."""

    pool = models.OneToOneField(Pool, on_delete=models.CASCADE, primary_key=True)
    reserve0 = Uint256Field()
    reserve1 = Uint256Field()
    block_number = models.PositiveBigIntegerField()
    block_hash = HashField()
    quote_in = Uint256Field(null=True)
    quote_out = Uint256Field(null=True)
    quote_block_number = models.PositiveBigIntegerField(null=True)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.pool)


class PriceCandle(models.Model):
    """A pool's marginal price over one minute, in quote per base, scaled by 1e18."""

    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="candles")
    minute = models.DateTimeField()
    open_e18 = Uint256Field()
    high_e18 = Uint256Field()
    low_e18 = Uint256Field()
    close_e18 = Uint256Field()
    samples = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "minute"], name="candle_one_per_minute"),
        ]

    def __str__(self) -> str:
        return f"{self.pool_id} {self.minute}"


class Opportunity(models.Model):
    """One life of a cycle: born at a block, changed with its verdict, ended.

    The table is partitioned by day of ``detected_at`` (see the first migration), so nothing may
    point a foreign key at it: an execution copies the facts it needs.
    """

    id = models.BigIntegerField(primary_key=True)
    chain = models.ForeignKey(
        Chain, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False
    )
    cycle = models.CharField(max_length=64)
    mode = models.CharField(max_length=6)
    block_number = models.PositiveBigIntegerField()
    block_hash = HashField()
    last_block_number = models.PositiveBigIntegerField()
    pools = ArrayField(models.BigIntegerField())
    zero_for_one = ArrayField(models.BooleanField())
    amounts = ArrayField(Uint256Field())
    reserves = ArrayField(Uint256Field())
    borrow_token = models.ForeignKey(
        Token, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False
    )
    borrow_amount = Uint256Field()
    lender_kind = models.CharField(max_length=12)
    lender_address = AddressField(blank=True)
    spread_bps = models.BigIntegerField()
    steps = ArrayField(SignedAmountField(null=True), size=8)
    net_profit = SignedAmountField(null=True)
    net_profit_bps = models.BigIntegerField(null=True)
    net_profit_usd_e6 = models.BigIntegerField(null=True)
    usd_source = models.CharField(max_length=80, blank=True)
    native_rate_num = Uint256Field(null=True)
    native_rate_den = Uint256Field(null=True)
    native_rate_pools = ArrayField(models.BigIntegerField(), default=list)
    gas_estimate = models.PositiveBigIntegerField()
    gas_price_wei = Uint256Field()
    tip_wei = Uint256Field()
    l1_fee_wei = Uint256Field(null=True)
    verdict = models.CharField(max_length=10)
    reason = models.CharField(max_length=20, blank=True)
    spread_class = models.CharField(max_length=10)
    detected_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "opportunities"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.chain_id} {self.cycle} at {self.block_number}"


class Sighting(models.Model):
    """An opportunity that could be executed, as it was decided when it became so.

    Written with its life, and kept until it was looked at again; ``reason`` says why nothing was
    sent, as far as that was known. ``costs``: gas, tip and L1 fee, raw units of the borrow token,
    not positive.
    """

    chain = models.ForeignKey(
        Chain, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False
    )
    opportunity_id = models.BigIntegerField(db_index=True)
    cycle = models.CharField(max_length=64)
    block_number = models.PositiveBigIntegerField()
    block_hash = HashField()
    reason = models.CharField(max_length=20, blank=True)
    pools = ArrayField(models.BigIntegerField())
    zero_for_one = ArrayField(models.BooleanField())
    reserves = ArrayField(Uint256Field())
    borrow_token = models.ForeignKey(
        Token, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False
    )
    lender_kind = models.CharField(max_length=12)
    lender_address = AddressField(blank=True)
    premium_bps = models.PositiveIntegerField()
    premium_rounding = models.CharField(max_length=8)
    expected_profit = SignedAmountField()
    costs = SignedAmountField()
    native_rate_num = Uint256Field()
    native_rate_den = Uint256Field()
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["chain", "block_number"], name="sighting_by_block")]

    def __str__(self) -> str:
        return f"{self.chain_id} {self.cycle} at {self.block_number}"


class GasUse(models.Model):
    """Gas measured from receipts, by lender, hop count and kind of pool."""

    chain = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="+")
    lender_kind = models.CharField(max_length=12)
    hops = models.PositiveSmallIntegerField()
    pool_kind = models.CharField(max_length=20)
    samples = models.PositiveBigIntegerField(default=0)
    total_gas = models.PositiveBigIntegerField(default=0)
    largest_gas = models.PositiveBigIntegerField(default=0)
    source = models.CharField(
        max_length=8, choices=[("estimate", "Estimate"), ("receipt", "Receipt")]
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["chain", "lender_kind", "hops", "pool_kind"], name="gas_use_one_per_kind"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain_id} {self.lender_kind} {self.hops} hops"
