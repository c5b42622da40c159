"""What was acted on and what it brought, in the admin panel: to be read, never changed."""

from django.contrib import admin

from arbsite.base.admin import ReadOnlyAdmin
from execution.models import Execution, FastMode, FastModeConfig, PnlEntry


@admin.register(Execution)
class ExecutionAdmin(ReadOnlyAdmin):
    """The execution log."""

    list_display = [
        "id", "chain", "kind", "status", "refused", "automatic", "expected_profit",
        "net_profit_wei", "created_at",
    ]  # fmt: skip
    list_filter = ["chain", "kind", "automatic", "transaction__status"]
    search_fields = ["=id", "=opportunity_id", "transaction__tx_hash", "error"]
    date_hierarchy = "created_at"
    list_select_related = ["chain", "transaction"]

    @admin.display(description="status")
    def status(self, execution: Execution) -> str:
        """Its transaction's, once it has one."""
        if execution.transaction is not None:
            return execution.transaction.status
        return "rejected" if execution.refused else "planned"


@admin.register(PnlEntry)
class PnlEntryAdmin(ReadOnlyAdmin):
    """Booked amounts."""

    list_display = ["id", "execution", "chain", "kind", "reversal", "amount", "net_wei", "at"]
    list_filter = ["chain", "kind", "reversal"]
    search_fields = ["=execution__id", "=block_hash"]
    date_hierarchy = "at"
    list_select_related = ["execution", "chain"]


@admin.register(FastMode)
class FastModeAdmin(ReadOnlyAdmin):
    """Whether a chain executes by itself: armed and disarmed on its own page only."""

    list_display = ["chain", "state", "config", "since", "changed_by", "reason"]
    list_select_related = ["chain", "config"]


@admin.register(FastModeConfig)
class FastModeConfigAdmin(ReadOnlyAdmin):
    """Versions of the limits; a version is never edited."""

    list_display = ["chain", "version", "min_profit_threshold_bps", "auto_execute", "created_by"]
    list_filter = ["chain"]
    list_select_related = ["chain"]
