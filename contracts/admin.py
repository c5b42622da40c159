"""The registry in the admin panel: chains, tokens, exchanges, pairs, pools, our contracts.

Facts that rows rest on (addresses, chain ids, decimals) come from market files and from the chain,
so they are shown and not edited here.
"""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from arbsite.base.admin import AuditedAdmin, ReadOnlyAdmin
from contracts import services
from contracts.models import Chain, Deployment, Dex, Pair, Pool, Token
from contracts.rpc import mask_url


class RegistryAdmin(AuditedAdmin):
    """Rows that a market file makes: never added or deleted by hand."""

    editable: tuple[str, ...] = ()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """All that is shown but what `editable` names."""
        shown = self.fields or [field.name for field in self.opts.fields]
        return [str(name) for name in shown if name not in self.editable]

    def save_model(
        self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool
    ) -> None:
        """Save, record, and have whoever watches the chain take it."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if form.changed_data:
                services.registry_touch(chain_key=getattr(obj, "chain_id", obj.pk))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Import a market file instead."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What was traded keeps its rows."""
        return False


def _masked(urls: list[str]) -> str:
    return ", ".join(mask_url(url) for url in urls) or "-"


@admin.register(Chain)
class ChainAdmin(RegistryAdmin):
    """Networks. Endpoints may carry keys, so only their hosts are shown."""

    list_display = ["key", "name", "eip155_id", "is_local", "fee_model", "checked_at"]
    list_filter = ["is_local", "fee_model"]
    search_fields = ["key", "name"]
    fields = [
        "key", "name", "eip155_id", "native_symbol", "is_local", "http", "ws", "relay_hosts",
        "block_time_ms", "confirmations", "fee_model", "min_gas_price_wei", "l1_fee",
        "explorer_url", "wrapped_native", "aave_pool", "multicall3", "aave_premium_bps",
        "aave_premium_rounding", "checked_at",
    ]  # fmt: skip
    editable = ("name",)

    @admin.display(description="HTTP endpoints")
    def http(self, chain: Chain) -> str:
        """Masked."""
        return _masked(chain.rpc_http)

    @admin.display(description="WebSocket endpoints")
    def ws(self, chain: Chain) -> str:
        """Masked."""
        return _masked(chain.rpc_ws)

    @admin.display(description="Relays")
    def relay_hosts(self, chain: Chain) -> str:
        """Masked."""
        return ", ".join(f"{r['name']} ({mask_url(r['url'])})" for r in chain.relays) or "-"


@admin.register(Token)
class TokenAdmin(RegistryAdmin):
    """Tokens; a denied one is in no cycle from the next event on."""

    list_display = ["symbol", "chain", "address", "decimals", "risk", "denied", "lendable"]
    list_filter = ["chain", "risk", "denied", "lendable"]
    search_fields = ["symbol", "address"]
    editable = ("denied",)


@admin.register(Dex)
class DexAdmin(RegistryAdmin):
    """Exchanges."""

    list_display = ["name", "chain", "key", "fee_bps", "router", "enabled"]
    list_filter = ["chain", "enabled"]
    search_fields = ["name", "key", "router", "factory"]
    editable = ("name", "enabled")


@admin.register(Pair)
class PairAdmin(RegistryAdmin):
    """Traded couples of tokens."""

    list_display = ["name", "chain", "denied"]
    list_filter = ["chain", "denied"]
    search_fields = ["name"]
    list_select_related = ["chain", "base", "quote"]
    editable = ("denied",)


@admin.register(Pool)
class PoolAdmin(RegistryAdmin):
    """Pools; a quarantined one is used again only when someone who looked says so."""

    list_display = ["__str__", "chain", "address", "fee_bps", "quarantined", "quarantined_at"]
    list_filter = ["chain", "dex", ("quarantined", admin.EmptyFieldListFilter)]
    search_fields = ["address", "pair__name"]
    list_select_related = ["chain", "dex", "pair"]
    actions = ["clear_quarantine"]

    @admin.action(description="Clear quarantine", permissions=["change"])
    def clear_quarantine(self, request: HttpRequest, queryset: QuerySet[Pool]) -> None:
        """Use the chosen pools' numbers again."""
        cleared = 0
        with transaction.atomic():
            for pool in queryset.exclude(quarantined="").select_for_update(of=("self",)):
                self.recorded(
                    request, pool, "clear_quarantine", before={"quarantined": pool.quarantined},
                    after={"quarantined": ""},
                )  # fmt: skip
                Pool.objects.filter(pk=pool.pk).update(quarantined="", quarantined_at=None)
                services.registry_touch(chain_key=pool.chain_id)
                cleared += 1
        self.message_user(request, f"Cleared: {cleared}.", messages.SUCCESS)


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    """Our contracts: changed by transactions, never by a form."""

    list_display = ["__str__", "chain", "kind", "owner", "active", "adopted", "observed_at"]
    list_filter = ["chain", "kind", "active"]
    search_fields = ["address", "owner", "tx_hash"]
    list_select_related = ["chain"]
