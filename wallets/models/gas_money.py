"""How executors are kept in gas, and the ledger of it: facts and constraints only."""

from django.db import models

from arbsite.base.fields import HashField, SignedAmountField, Uint256Field
from arbsite.base.models import User
from contracts.models import Chain
from wallets.models.accounts import Wallet
from wallets.models.sending import Transaction


class FundingPolicy(models.Model):
    """How one chain's executors are kept in gas. A wallet's own threshold stands before this one.

    The minimum between two fundings of a wallet is ``cooldown_s``; days are the last 24 hours.
    """

    chain = models.OneToOneField(
        Chain, primary_key=True, on_delete=models.CASCADE, related_name="funding_policy"
    )
    automatic = models.BooleanField(default=True)
    threshold_wei = Uint256Field(default=50_000_000_000_000_000)
    target_wei = Uint256Field(default=100_000_000_000_000_000)
    min_transfer_wei = Uint256Field(default=1_000_000_000_000_000)
    cap_transfer_wei = Uint256Field(default=200_000_000_000_000_000)
    cap_wallet_day_wei = Uint256Field(default=500_000_000_000_000_000)
    cap_chain_day_wei = Uint256Field(default=1_000_000_000_000_000_000)
    reserve_floor_wei = Uint256Field(default=100_000_000_000_000_000)
    cooldown_s = models.PositiveIntegerField(default=600)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "funding policies"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(target_wei__gt=models.F("threshold_wei")),
                name="funding_policy_target_above_threshold",
            ),
        ]

    def __str__(self) -> str:
        return f"funding on {self.chain_id}"


class BalanceMonitor(models.Model):
    """Whether a chain's balances are watched, how often, and how the last sweep went."""

    chain = models.OneToOneField(
        Chain, primary_key=True, on_delete=models.CASCADE, related_name="balance_monitor"
    )
    running = models.BooleanField(default=True)
    interval_s = models.PositiveIntegerField(default=15)
    swept_at = models.DateTimeField(null=True)
    swept_block = models.PositiveBigIntegerField(null=True)
    swept_wallets = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"balances on {self.chain_id}"


class Funding(models.Model):
    """One entry of the gas money's ledger.

    ``topup``: from a reserve to an executor. ``deposit``: what came to a reserve from outside; the
    reserve is its wallet too. Where a top-up has a transaction, that has the status; ``closed_at``
    only says that nothing of it is under way any more, for the constraint below to count by.
    """

    kind = models.CharField(
        max_length=8, default="topup", choices=[("topup", "Top-up"), ("deposit", "Deposit")]
    )
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="fundings")
    reserve = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="funded")
    amount_wei = Uint256Field()
    # The most its gas may cost, set aside with the amount.
    gas_wei = Uint256Field(default=0)
    automatic = models.BooleanField(default=False)
    requested_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=200, null=True, unique=True)
    decided_balance_wei = Uint256Field(null=True)
    decided_block = models.PositiveBigIntegerField(null=True)
    decided_block_hash = HashField(blank=True)
    kill_epoch = models.PositiveBigIntegerField(default=0)
    transaction = models.OneToOneField(
        Transaction, null=True, on_delete=models.PROTECT, related_name="funding"
    )
    refused = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # I25, by the database: whatever runs twice finds the first one in its way.
            models.UniqueConstraint(
                fields=["wallet"],
                condition=models.Q(kind="topup", closed_at__isnull=True),
                name="funding_one_open_per_wallet",
            ),
            models.UniqueConstraint(
                fields=["reserve", "decided_block"],
                condition=models.Q(kind="deposit"),
                name="funding_one_deposit_per_block",
            ),
            models.CheckConstraint(
                condition=(models.Q(kind="topup") & ~models.Q(wallet=models.F("reserve")))
                | models.Q(
                    kind="deposit",
                    wallet=models.F("reserve"),
                    transaction__isnull=True,
                    closed_at__isnull=False,
                ),
                name="funding_kind_fits",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_wei__gt=0), name="funding_moves_something"
            ),
        ]
        indexes = [models.Index(fields=["wallet", "-created_at"], name="funding_latest")]

    def __str__(self) -> str:
        return f"{self.amount_wei} wei to {self.wallet}"


class ReserveBook(models.Model):
    """A reserve's balance as its ledger explains it, up to one final block.

    ``opened`` plus deposits and returns, less top-ups and gas, is ``checked``. ``difference_wei``
    is what the chain had less (or, without an explanation, more) at the block last looked at;
    while it is not zero nothing is booked until a person has looked.
    """

    reserve = models.OneToOneField(
        Wallet, primary_key=True, on_delete=models.PROTECT, related_name="book"
    )
    opened_block = models.PositiveBigIntegerField()
    opened_wei = Uint256Field()
    checked_block = models.PositiveBigIntegerField()
    checked_block_hash = HashField()
    checked_wei = Uint256Field()
    difference_wei = SignedAmountField(default=0)
    problem = models.CharField(max_length=200, blank=True)
    checked_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.reserve} at block {self.checked_block}"
