"""From an opportunity to money: what was acted on, the mode it ran in, time and profit."""

from datetime import datetime

from django.db import models

from arbsite.base.fields import AddressField, HashField, SignedAmountField, Uint256Field
from arbsite.base.models import User
from contracts.models import Chain, Deployment, Token
from wallets.models import Transaction, Wallet


class FastModeConfig(models.Model):
    """One version of a chain's limits; versions are never edited."""

    chain = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="fast_mode_configs")
    version = models.PositiveIntegerField()
    auto_execute = models.BooleanField(default=False)
    min_profit_threshold_bps = models.PositiveIntegerField(default=50)
    max_gas_price_wei = Uint256Field()
    max_slippage_bps = models.PositiveIntegerField(default=50)
    use_private_mempool = models.BooleanField(default=False)
    # Of the net profit after all other costs, to the builder that a bundle goes to; 0: no tip.
    tip_share_bps = models.PositiveIntegerField(default=0)
    cooldown_ms = models.PositiveIntegerField(default=0)
    # What a loan may be worth in wei; 0 asks nothing.
    max_position_wei = Uint256Field(default=0)
    max_executions_per_hour = models.PositiveIntegerField(default=0)
    # NULL, in versions older than these limits: what `limits` derives for the chain.
    max_loss_per_hour_wei = Uint256Field(null=True)
    max_loss_per_day_wei = Uint256Field(null=True)
    max_consecutive_failures = models.PositiveIntegerField(default=3)
    # How long arming lasts; 0 for ever (local chains only).
    expiry_ms = models.PositiveBigIntegerField(null=True)
    # The version whose limits this one repeats, where somebody went back.
    repeats = models.PositiveIntegerField(null=True)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["chain", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["chain", "version"], name="fast_mode_one_per_version"),
            models.CheckConstraint(
                condition=models.Q(min_profit_threshold_bps__gt=0),
                name="fast_mode_minimum_above_zero",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain_id} v{self.version}"


class FastMode(models.Model):
    """Whether a chain executes by itself now, since when, by whom and why."""

    chain = models.OneToOneField(Chain, on_delete=models.CASCADE, primary_key=True)
    state = models.CharField(
        max_length=8,
        default="off",
        choices=[("off", "Off"), ("armed", "Armed"), ("paused", "Paused")],
    )
    config = models.ForeignKey(FastModeConfig, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=200, blank=True)
    since = models.DateTimeField(auto_now_add=True)
    changed_by = models.CharField(max_length=150, blank=True)
    # The last arming: a pause keeps it, so that neither the end nor the counts begin anew.
    armed_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    # A check disarmed a local chain: it is armed again, by itself, when every check holds.
    returns = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.chain_id} {self.state}"

    @property
    def counts_from(self) -> datetime:
        """Since when failures count: the last arming."""
        return self.armed_at or self.since


class Execution(models.Model):
    """An opportunity acted on, or a test. Its status is its transaction's once that exists.

    Somebody waits for each index of a row: none is kept that nobody asks.
    """

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=10, choices=[("arbitrage", "Arbitrage"), ("test", "Test")])
    # (chain, block, path, state) acted on, so that one opportunity is executed at most once.
    key = models.CharField(max_length=160, unique=True)
    opportunity_id = models.BigIntegerField(null=True, db_index=True)
    transaction = models.OneToOneField(
        Transaction, null=True, on_delete=models.PROTECT, related_name="execution"
    )
    requested_by = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    automatic = models.BooleanField(default=False)
    wallet = models.ForeignKey(Wallet, null=True, on_delete=models.PROTECT, related_name="+")
    deployment = models.ForeignKey(
        Deployment, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    config = models.ForeignKey(
        FastModeConfig, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    refused = models.CharField(max_length=20, blank=True)
    error = models.CharField(max_length=300, blank=True)
    block_number = models.PositiveBigIntegerField(null=True)
    block_hash = HashField(blank=True)
    path = models.JSONField(default=list)
    waterfall = models.JSONField(default=list)
    borrow_token = models.ForeignKey(
        Token, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    borrow_amount = Uint256Field(null=True)
    lender_kind = models.CharField(max_length=12, blank=True)
    lender_address = AddressField(blank=True)
    expected_profit = SignedAmountField(null=True)
    # What the simulation returned that it was sent on, and who simulated: node, or evm in process.
    simulated_profit = SignedAmountField(null=True)
    simulated_by = models.CharField(max_length=4, blank=True)
    native_rate_num = Uint256Field(null=True)
    native_rate_den = Uint256Field(null=True)
    # What was paid, as the receipt says: 0 before one, and for whatever did not succeed.
    tip_wei = Uint256Field(default=0)
    l1_fee_wei = Uint256Field(default=0)
    last_block = models.PositiveBigIntegerField(null=True)
    realized_profit = SignedAmountField(null=True)
    net_profit_wei = SignedAmountField(null=True)
    latency_us = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class PnlEntry(models.Model):
    """One booked amount. Append-only: a reorg adds the opposite, nothing is edited."""

    execution = models.ForeignKey(Execution, on_delete=models.PROTECT, related_name="pnl_entries")
    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="+")
    block_number = models.PositiveBigIntegerField()
    block_hash = HashField()
    kind = models.CharField(
        max_length=8,
        choices=[("profit", "Profit"), ("gas", "Gas"), ("l1_fee", "L1 fee"), ("tip", "Tip")],
    )
    reversal = models.BooleanField(default=False)
    # Blocks may leave the chain and come back: the same entry is then booked once per return.
    round = models.PositiveSmallIntegerField(default=0)
    token = models.ForeignKey(Token, null=True, on_delete=models.PROTECT, related_name="+")
    amount = SignedAmountField()
    net_wei = SignedAmountField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["execution", "block_hash", "kind", "reversal", "round"],
                name="pnl_booked_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"


class LatencySample(models.Model):
    """Microseconds spent in one stage, of an execution or of a sampled block."""

    chain = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="+")
    stage = models.CharField(max_length=16)
    microseconds = models.PositiveBigIntegerField()
    execution_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["chain", "stage", "at"], name="latency_by_stage")]

    def __str__(self) -> str:
        return f"{self.stage} {self.microseconds}"


# Found by Django only from here.
from execution.shadow_models import ShadowCheck  # noqa: E402

__all__ = [
    "Execution",
    "FastMode",
    "FastModeConfig",
    "LatencySample",
    "PnlEntry",
    "ShadowCheck",
]
