"""What a person asked for and a worker does: facts and constraints only."""

from django.db import models

from arbsite.base.models import User
from contracts.models import Chain, Deployment
from wallets.models.accounts import Wallet


class Request(models.Model):
    """A wish of a person that a worker acts on. Web writes it; only a worker takes and ends it.

    ``args`` holds whole numbers as decimal strings. ``runs`` counts claims: a run whose number is
    no longer the row's was overtaken and writes nothing. Its transactions carry keys that begin
    with `key`, so a second run goes on with them.
    """

    kind = models.CharField(
        max_length=16,
        choices=[
            ("generate", "Generate a wallet"),
            ("authorize", "Authorise"),
            ("revoke", "Revoke"),
            ("fund", "Fund"),
            ("auto_fund", "Fund all that are low"),
            ("pause", "Pause"),
            ("unpause", "Let go on"),
            ("sweep", "Sweep"),
            ("limits", "Set limits"),
            ("mend", "Mend drift"),
            ("deploy", "Deploy"),
            ("observe", "Read contracts"),
            ("balances", "Read balances"),
            ("expose", "Note as exposed"),
            ("move_away", "Move away"),
            ("drill", "Drill the kill switch"),
            ("replace", "Replace"),
        ],
    )
    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="+")
    wallet = models.ForeignKey(Wallet, null=True, on_delete=models.PROTECT, related_name="requests")
    deployment = models.ForeignKey(
        Deployment, null=True, on_delete=models.PROTECT, related_name="requests"
    )
    args = models.JSONField(default=dict)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    runs = models.PositiveIntegerField(default=0)
    taken_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    result = models.JSONField(null=True)
    reason = models.CharField(max_length=40, blank=True)
    problem = models.CharField(max_length=400, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(done_at__isnull=True, result__isnull=True, problem="")
                | models.Q(done_at__isnull=False, result__isnull=False, problem="")
                | (models.Q(done_at__isnull=False, result__isnull=True) & ~models.Q(problem="")),
                name="request_ends_one_way",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=models.Q(done_at__isnull=True),
                name="request_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def key(self) -> str:
        """What the idempotency keys of its transactions begin with."""
        return f"request:{self.pk}:"
