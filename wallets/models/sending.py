"""Everything that is ever sent, each signed payload and way it took, and the stop: facts only."""

from django.db import models

from arbsite.base.fields import AddressField, HashField, Uint256Field
from contracts.models import Chain
from wallets.models.accounts import NonceSequence, Wallet

STATUSES = [
    ("planned", "Planned"),
    ("simulated", "Simulated"),
    ("signed", "Signed"),
    ("submitted", "Submitted"),
    ("unknown", "Unknown"),
    ("included", "Included"),
    ("confirmed", "Confirmed"),
    ("reverted", "Reverted"),
    ("cancelled", "Cancelled"),
    ("expired", "Expired"),
    ("rejected", "Rejected"),
]


class Transaction(models.Model):
    """The intent: one thing to be sent at most once, and what became of it.

    Somebody waits for each index of its rows and its attempts': none is kept that nobody asks.
    """

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="+", db_index=False)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="transactions")
    kind = models.CharField(
        max_length=16,
        choices=[
            ("execution", "Execution"),
            ("test", "Test"),
            ("funding", "Funding"),
            ("deployment", "Deployment"),
            ("authorisation", "Authorisation"),
            ("administration", "Administration"),
            ("sweep", "Sweep"),
            ("pause", "Pause"),
            ("revoke", "Revoke"),
            ("rescue", "Rescue"),
            ("gap_fill", "Gap fill"),
        ],
    )
    idempotency_key = models.CharField(max_length=200, unique=True)
    to = AddressField(blank=True)
    value_wei = Uint256Field(default=0)
    data = models.BinaryField(default=bytes)
    gas_limit = models.PositiveBigIntegerField(default=0)
    last_block = models.PositiveBigIntegerField(null=True)
    kill_epoch = models.PositiveBigIntegerField(default=0)
    leader_epoch = models.PositiveBigIntegerField(null=True)
    private_only = models.BooleanField(default=False)
    simulated_only = models.BooleanField(default=False)
    simulated_block = models.PositiveBigIntegerField(null=True)
    simulated_block_hash = HashField(blank=True)
    status = models.CharField(max_length=10, default="planned", choices=STATUSES)
    reason = models.CharField(max_length=200, blank=True)
    submitted_via = models.CharField(max_length=80, blank=True)
    tx_hash = HashField(blank=True)
    block_number = models.PositiveBigIntegerField(null=True)
    block_hash = HashField(blank=True)
    gas_used = models.PositiveBigIntegerField(null=True)
    gas_price_wei = Uint256Field(null=True)
    l1_fee_wei = Uint256Field(null=True)
    receipt = models.JSONField(null=True)
    revert = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=[key for key, _ in STATUSES]),
                name="transaction_known_status",
            ),
        ]
        indexes = [
            models.Index(
                fields=["chain", "wallet"],
                condition=models.Q(
                    status__in=[
                        "planned",
                        "simulated",
                        "signed",
                        "submitted",
                        "unknown",
                        "included",
                    ]
                ),
                name="transaction_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} {self.status}"


class Attempt(models.Model):
    """One signed payload for a transaction. Hash and raw bytes never change once they are set."""

    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="attempts")
    sequence = models.ForeignKey(
        NonceSequence, on_delete=models.PROTECT, related_name="attempts", db_index=False
    )
    nonce = models.PositiveBigIntegerField()
    purpose = models.CharField(
        max_length=8,
        default="first",
        choices=[
            ("first", "First"),
            ("bump", "Bump"),
            ("cancel", "Cancel"),
            ("gap_fill", "Gap fill"),
            ("reuse", "Reuse"),
        ],
    )
    replaces = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="replaced_by"
    )
    released = models.BooleanField(default=False)
    to = AddressField(blank=True)
    value_wei = Uint256Field(default=0)
    data = models.BinaryField(default=bytes)
    gas_limit = models.PositiveBigIntegerField()
    tx_type = models.PositiveSmallIntegerField()
    max_fee_wei = Uint256Field()
    tip_fee_wei = Uint256Field()
    hash = HashField(null=True)
    raw = models.BinaryField(null=True)
    status = models.CharField(
        max_length=8,
        default="prepared",
        choices=[
            ("prepared", "Prepared"),
            ("signed", "Signed"),
            ("accepted", "Accepted"),
            ("unknown", "Unknown"),
            ("refused", "Refused"),
            ("mined", "Mined"),
            ("dead", "Dead"),
        ],
    )
    sent_via = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    signed_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            # One payload per nonce unless it openly replaces another: the database, not the code,
            # forbids two.
            models.UniqueConstraint(
                fields=["sequence", "nonce"],
                condition=models.Q(replaces__isnull=True, released=False),
                name="attempt_one_per_nonce",
            ),
            models.UniqueConstraint(fields=["hash"], name="attempt_hash_once"),
            models.CheckConstraint(
                # A gap fill replaces what missed on its nonce, if anything did.
                condition=models.Q(purpose="gap_fill")
                | models.Q(purpose="first", replaces__isnull=True)
                | models.Q(purpose__in=["bump", "cancel", "reuse"], replaces__isnull=False),
                name="attempt_replacement_is_typed",
            ),
            models.CheckConstraint(
                condition=models.Q(hash__isnull=True, raw__isnull=True)
                | models.Q(hash__isnull=False, raw__isnull=False),
                name="attempt_hash_with_raw",
            ),
        ]
        # Each signature asks for every payload of its nonce, given back or not.
        indexes = [models.Index(fields=["sequence", "nonce"], name="attempt_by_nonce")]

    def __str__(self) -> str:
        return f"attempt {self.pk} nonce {self.nonce}"


class Submission(models.Model):
    """What one relay was given of a payload: one row however often it was asked.

    ``outcome`` and ``detail`` are the last answer's; ``took_us`` the first one's.
    """

    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, related_name="submissions")
    relay = models.CharField(max_length=24)
    asked = models.PositiveIntegerField(default=1)
    accepted = models.BooleanField(default=False)
    outcome = models.CharField(
        max_length=8,
        choices=[
            ("accepted", "Accepted"),
            ("refused", "Refused"),
            ("unknown", "Unknown"),
            ("not_sent", "Not sent"),
        ],
    )
    detail = models.CharField(max_length=200, blank=True)
    took_us = models.PositiveBigIntegerField(default=0)
    first_at = models.DateTimeField(auto_now_add=True)
    last_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["attempt", "relay"], name="submission_one_per_relay"),
        ]
        indexes = [models.Index(fields=["last_at"], name="submission_latest")]

    def __str__(self) -> str:
        return f"{self.relay} {self.outcome}"


class StatusChange(models.Model):
    """One move of a transaction, with its reason. Append-only."""

    transaction = models.ForeignKey(
        Transaction, on_delete=models.PROTECT, related_name="status_changes"
    )
    old = models.CharField(max_length=10, blank=True)
    new = models.CharField(max_length=10)
    reason = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.old} -> {self.new}"


class RelayProbe(models.Model):
    """What a relay answered when it was last tried; good for the very entry that was tried."""

    chain = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="+")
    relay = models.CharField(max_length=24)
    entry_digest = models.CharField(max_length=64)
    ok = models.BooleanField(default=False)
    detail = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chain", "relay"], name="probe_one_per_relay"),
        ]

    def __str__(self) -> str:
        return f"{self.relay} {'answers' if self.ok else 'does not'}"


class KillState(models.Model):
    """The stop, for all chains (scope ``*``) or one. Unreadable or missing counts as engaged."""

    scope = models.CharField(max_length=32, unique=True)
    engaged = models.BooleanField(default=True)
    epoch = models.PositiveBigIntegerField(default=1)
    reason = models.CharField(max_length=200, blank=True)
    changed_by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.scope} {'engaged' if self.engaged else 'clear'}"
