"""What the market showed, in the admin panel: to be read, never changed."""

from django.contrib import admin

from arbsite.base.admin import ReadOnlyAdmin
from prices.models import GasUse, Monitor, Opportunity


@admin.register(Opportunity)
class OpportunityAdmin(ReadOnlyAdmin):
    """Lives of cycles; old ones are pruned."""

    list_display = [
        "id", "chain", "block_number", "verdict", "reason", "spread_class", "spread_bps",
        "net_profit_bps", "detected_at", "ended_at",
    ]  # fmt: skip
    list_filter = ["verdict", "reason", "spread_class"]
    search_fields = ["=id", "=cycle", "=block_hash"]
    date_hierarchy = "detected_at"
    list_select_related = ["chain"]


@admin.register(Monitor)
class MonitorAdmin(ReadOnlyAdmin):
    """What each chain's feed reports."""

    list_display = ["chain", "wanted", "mode", "running", "head_number", "lag_ms", "problem"]
    list_select_related = ["chain"]


@admin.register(GasUse)
class GasUseAdmin(ReadOnlyAdmin):
    """Gas measured from receipts."""

    list_display = ["chain", "lender_kind", "hops", "pool_kind", "samples", "largest_gas", "source"]
    list_filter = ["lender_kind", "source"]
    list_select_related = ["chain"]
