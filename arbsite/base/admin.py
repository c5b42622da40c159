"""The admin panel's pages of people, tokens and records, and what all its pages share.

Nothing here is the way to act: services are. What is only a record can be read and not changed.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse

from arbsite.base import audit
from arbsite.base.models import Alert, ApiToken, AuditEvent, User

HIDDEN = frozenset({"password", "digest", "last_login", "rpc_http", "rpc_ws", "relays"})


class AuditedAdmin(admin.ModelAdmin[Any]):
    """Every change is written down in its own transaction: who, what, before, after."""

    show_full_result_count = False
    list_per_page = 50

    def save_model(
        self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool
    ) -> None:
        """Save, and record what the form changed."""
        with transaction.atomic():
            old = self.model._default_manager.filter(pk=obj.pk).first() if change else None
            super().save_model(request, obj, form, change)
            names = form.changed_data if change else [f.name for f in obj._meta.fields]
            self.recorded(
                request, obj, "change" if change else "add", before=facts(old, names),
                after=facts(obj, names),
            )  # fmt: skip

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete, and record what it was."""
        with transaction.atomic():
            before = facts(obj, [f.name for f in obj._meta.fields])
            self.recorded(request, obj, "delete", before=before, after=None)
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """One by one, so that each is recorded."""
        with transaction.atomic():
            for obj in queryset:
                self.delete_model(request, obj)

    def recorded(
        self,
        request: HttpRequest,
        obj: models.Model,
        what: str,
        *,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
    ) -> None:
        """Append the audit event of one row."""
        audit.record(
            verb=f"admin.{what}",
            target=f"{obj._meta.label_lower} {obj.pk} {obj}",
            actor=request.user if isinstance(request.user, User) else None,
            via="admin",
            request=request,
            before=before,
            after=after,
        )


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """A record: it can be looked at."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


def facts(obj: models.Model | None, names: Iterable[str]) -> dict[str, Any] | None:
    """A row's columns as JSON takes them, without secrets; big integers as text."""
    if obj is None:
        return None
    found: dict[str, Any] = {}
    for name in names:
        field = next((f for f in obj._meta.fields if f.name == name), None)
        if field is None:
            continue
        value = getattr(obj, field.attname)
        if name in HIDDEN:
            found[name] = "(hidden)"
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
            found[name] = str(value)
        else:
            found[name] = json.loads(json.dumps(value, cls=DjangoJSONEncoder, default=str))
    return found


@admin.register(User)
class PeopleAdmin(AuditedAdmin, UserAdmin[User]):
    """People and their role; what a role may do stands in the API's permissions."""

    list_display = ["username", "role", "is_active", "is_staff", "last_login"]
    list_filter = ["role", "is_active", "is_staff"]
    search_fields = ["username"]
    ordering = ["username"]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Reach", {"fields": ["role", "is_active", "is_staff", "is_superuser"]}),
        ("Shown", {"fields": ["time_zone"]}),
        ("When", {"fields": ["last_login", "date_joined"]}),
    ]
    readonly_fields = ["last_login", "date_joined"]
    add_fieldsets = [
        (None, {"fields": ["username", "role", "usable_password", "password1", "password2"]}),
    ]
    filter_horizontal = []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """People stay, because the audit names them: make them inactive."""
        return False

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        """The password's own page; that it was changed is recorded, never to what."""
        with transaction.atomic():
            old = User.objects.filter(pk=id).values_list("password", flat=True).first()
            response = super().user_change_password(request, id, form_url)
            person = User.objects.filter(pk=id).first()
            if person is not None and person.password != old:
                self.recorded(request, person, "password", before=None, after=None)
        return response


@admin.register(ApiToken)
class ApiTokenAdmin(AuditedAdmin):
    """Tokens: their first letters, never what is stored of them. To revoke one, delete it."""

    list_display = ["prefix", "user", "scope", "label", "created_at", "expires_at", "last_used_at"]
    list_filter = ["scope"]
    search_fields = ["prefix", "label", "user__username"]
    list_select_related = ["user"]
    fields = ["prefix", "user", "scope", "label", "created_at", "expires_at", "last_used_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Made by `create_token`, which shows it once."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never widened."""
        return False


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Who did what, when, from where."""

    list_display = ["at", "actor_name", "via", "verb", "target", "source_ip"]
    list_filter = ["via", "verb"]
    search_fields = ["actor_name", "verb", "target", "request_id"]
    date_hierarchy = "at"


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """What was raised, open or resolved."""

    list_display = ["last_seen_at", "severity", "title", "count", "resolved_at"]
    list_filter = ["severity", ("resolved_at", admin.EmptyFieldListFilter)]
    search_fields = ["key", "title"]
