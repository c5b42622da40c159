"""What was sent, in the admin panel: to be read, never changed."""

from django.contrib import admin

from arbsite.base.admin import ReadOnlyAdmin
from wallets.models import (
    Attempt,
    BalanceMonitor,
    Funding,
    FundingPolicy,
    KillState,
    RelayProbe,
    Request,
    ReserveBook,
    StatusChange,
    Submission,
    Transaction,
    Wallet,
)


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    """Addresses and roles; keys are elsewhere."""

    list_display = ["__str__", "chain", "role", "address", "source", "state"]
    list_filter = ["chain", "role", "state"]
    search_fields = ["label", "address"]
    list_select_related = ["chain"]


@admin.register(Transaction)
class TransactionAdmin(ReadOnlyAdmin):
    """Things to be sent, and what became of them."""

    list_display = ["id", "chain", "kind", "status", "wallet", "tx_hash", "block_number"]
    list_filter = ["chain", "kind", "status"]
    search_fields = ["tx_hash", "to", "idempotency_key"]
    list_select_related = ["chain", "wallet"]
    date_hierarchy = "created_at"


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """Signed payloads; raw bytes are not shown: who has them can send them."""

    list_display = ["id", "transaction", "nonce", "purpose", "status", "hash", "released"]
    list_filter = ["purpose", "status", "released"]
    search_fields = ["hash"]
    list_select_related = ["transaction"]
    exclude = ["raw"]


@admin.register(StatusChange)
class StatusChangeAdmin(ReadOnlyAdmin):
    """Moves of transactions, with their reasons."""

    list_display = ["at", "transaction", "old", "new", "reason"]
    list_filter = ["new"]
    search_fields = ["reason", "transaction__tx_hash"]
    list_select_related = ["transaction"]
    date_hierarchy = "at"


@admin.register(Funding)
class FundingAdmin(ReadOnlyAdmin):
    """Money for gas: top-ups and deposits."""

    list_display = [
        "id", "kind", "wallet", "reserve", "amount_wei", "automatic", "requested_by", "refused",
        "created_at", "closed_at",
    ]  # fmt: skip
    list_filter = ["kind", "automatic"]
    search_fields = ["wallet__address", "wallet__label"]
    list_select_related = ["wallet", "reserve", "requested_by"]


@admin.register(FundingPolicy)
class FundingPolicyAdmin(ReadOnlyAdmin):
    """Limits of funding: changed through their own form, which writes down who did."""

    list_display = ["chain", "automatic", "threshold_wei", "target_wei", "cap_chain_day_wei"]
    list_select_related = ["chain"]


@admin.register(BalanceMonitor)
class BalanceMonitorAdmin(ReadOnlyAdmin):
    """Watching of balances, and how the last sweep went."""

    list_display = ["chain", "running", "interval_s", "swept_at", "swept_block", "problem"]
    list_select_related = ["chain"]


@admin.register(ReserveBook)
class ReserveBookAdmin(ReadOnlyAdmin):
    """Reserves held against the chain."""

    list_display = ["reserve", "checked_block", "checked_wei", "difference_wei", "problem"]
    list_select_related = ["reserve"]


@admin.register(KillState)
class KillStateAdmin(ReadOnlyAdmin):
    """The stop: moved by its own page and command only."""

    list_display = ["scope", "engaged", "epoch", "reason", "changed_by", "changed_at"]


@admin.register(Submission)
class SubmissionAdmin(ReadOnlyAdmin):
    """What relays were given, and what they said."""

    list_display = ["id", "relay", "attempt_id", "outcome", "asked", "took_us", "last_at", "detail"]
    list_filter = ["relay", "outcome"]


@admin.register(RelayProbe)
class RelayProbeAdmin(ReadOnlyAdmin):
    """How relays answered when they were tried."""

    list_display = ["relay", "chain", "ok", "at", "detail"]
    list_filter = ["chain", "ok"]
    list_select_related = ["chain"]


@admin.register(Request)
class RequestAdmin(ReadOnlyAdmin):
    """What people asked for, and what came of it."""

    list_display = ["id", "kind", "chain", "wallet", "deployment", "requested_by", "created_at",
                    "done_at", "problem"]  # fmt: skip
    list_filter = ["kind", "chain", ("done_at", admin.EmptyFieldListFilter)]
    search_fields = ["wallet__address", "deployment__address", "requested_by__username"]
    list_select_related = ["chain", "wallet", "deployment", "requested_by"]
    date_hierarchy = "created_at"
