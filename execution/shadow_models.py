"""What was seen of opportunities that were not sent, one and two blocks later."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from arbsite.base.fields import AddressField, HashField, SignedAmountField, Uint256Field
from contracts.models import Chain, Token

FATES = [("there", "Still there"), ("taken", "Taken"), ("gone", "Gone")]


class ShadowCheck(models.Model):
    """One executable opportunity that was not sent, and what became of it.

    Simulated, never booked. ``expected_profit``: before gas, ``net_profit``: after all costs, raw
    units of the borrow token as decided; ``later``: the net one and two blocks later, null where
    it was not there any more. ``taken_by`` sent the transaction that ended it, to ``taken_via``.
    """

    chain = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="+")
    opportunity_id = models.BigIntegerField()
    block_number = models.PositiveBigIntegerField()
    block_hash = HashField()
    reason = models.CharField(max_length=20, blank=True)
    dexes = ArrayField(models.CharField(max_length=32))
    hops = models.PositiveSmallIntegerField()
    lender_kind = models.CharField(max_length=12)
    borrow_token = models.ForeignKey(Token, on_delete=models.CASCADE, related_name="+")
    expected_profit = SignedAmountField()
    net_profit = SignedAmountField()
    native_rate_num = Uint256Field()
    native_rate_den = Uint256Field()
    after_one = models.CharField(max_length=5, choices=FATES)
    after_two = models.CharField(max_length=5, choices=FATES)
    later = ArrayField(SignedAmountField(null=True), size=2)
    ended_in = models.PositiveBigIntegerField(null=True)
    ended_by = HashField(blank=True)
    taken_by = AddressField(blank=True)
    taken_via = AddressField(blank=True)
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-block_number", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["chain", "opportunity_id", "block_hash"], name="shadow_looked_at_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain_id} {self.opportunity_id} at {self.block_number}: {self.after_two}"
