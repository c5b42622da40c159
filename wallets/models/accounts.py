"""Addresses with roles, their nonces, who leads a chain, and what they hold: facts only."""

from django.db import models

from arbsite.base.fields import AddressField, HashField, Uint256Field
from contracts.models import Chain, Deployment


class Wallet(models.Model):
    """An address with a role on one chain. Key material never enters this table."""

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="wallets")
    role = models.CharField(
        max_length=12,
        choices=[("master", "Master"), ("executor", "Executor"), ("gas_reserve", "Gas reserve")],
    )
    label = models.CharField(max_length=60, blank=True)
    address = AddressField()
    source = models.CharField(
        max_length=8, choices=[("derived", "Derived"), ("imported", "Imported"), ("watch", "Watch")]
    )
    seed = models.CharField(
        max_length=8, blank=True, choices=[("main", "Main seed"), ("local", "Local seed")]
    )
    derivation_path = models.CharField(max_length=60, blank=True)
    derivation_index = models.PositiveBigIntegerField(null=True)
    state = models.CharField(
        max_length=8,
        default="active",
        choices=[
            ("active", "Active"),
            ("frozen", "Frozen"),
            ("exposed", "Exposed"),
            ("retired", "Retired"),
        ],
    )
    state_reason = models.CharField(max_length=200, blank=True)
    threshold_wei = Uint256Field(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["chain", "role", "id"]
        constraints = [
            models.UniqueConstraint(fields=["chain", "address"], name="wallet_one_per_address"),
            # An index is never used twice, so one path is one wallet wherever it is used.
            models.UniqueConstraint(
                fields=["seed", "derivation_path"],
                condition=models.Q(source="derived"),
                name="wallet_one_per_path",
            ),
        ]

    def __str__(self) -> str:
        return self.label or self.address


class NonceSequence(models.Model):
    """The next nonce of one account: 1 + the highest with an attempt that is not released."""

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="+", db_index=False)
    address = AddressField()
    next_nonce = models.PositiveBigIntegerField(default=0)
    leader_epoch = models.PositiveBigIntegerField(default=0)
    frozen = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chain", "address"], name="sequence_one_per_account"),
        ]

    def __str__(self) -> str:
        return f"{self.chain_id} {self.address}"


class ChainLeader(models.Model):
    """Who leads a chain's engine; a raised epoch refuses whoever led before."""

    chain = models.OneToOneField(Chain, on_delete=models.CASCADE, primary_key=True)
    epoch = models.PositiveBigIntegerField(default=0)
    holder = models.CharField(max_length=80, blank=True)
    since = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.chain_id} epoch {self.epoch}"


class Assignment(models.Model):
    """An executor authorised on a contract, with the transaction that did it."""

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="assignments")
    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="assignments")
    position = models.PositiveSmallIntegerField(default=0)
    transaction = models.OneToOneField(
        "wallets.Transaction", null=True, on_delete=models.PROTECT, related_name="assignment"
    )
    desired = models.BooleanField(default=True)
    authorized_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["deployment", "position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["wallet", "deployment"], name="assignment_one_each"),
        ]

    def __str__(self) -> str:
        return f"{self.wallet} on {self.deployment}"


class Balance(models.Model):
    """A wallet's native balance at one block."""

    wallet = models.ForeignKey(Wallet, on_delete=models.CASCADE, related_name="balances")
    block_number = models.PositiveBigIntegerField()
    block_hash = HashField()
    balance_wei = Uint256Field()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["wallet", "-at"], name="balance_latest")]
        constraints = [
            models.UniqueConstraint(fields=["wallet", "block_hash"], name="balance_one_per_block"),
        ]

    def __str__(self) -> str:
        return f"{self.wallet} {self.balance_wei}"
