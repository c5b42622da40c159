"""Writing down who did what, in the same database transaction as the act itself."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from arbsite.base.models import AuditEvent, User


def record(
    *,
    verb: str,
    target: str = "",
    actor: User | None = None,
    via: str = "system",
    request: HttpRequest | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEvent:
    """Append one event; call it inside the transaction that does the act. Never pass secrets."""
    return AuditEvent.objects.create(
        actor=actor,
        actor_name=actor.get_username() if actor else via,
        via=via,
        source_ip=request.META.get("REMOTE_ADDR") or None if request else None,
        request_id=getattr(request, "request_id", ""),
        verb=verb,
        target=target[:120],
        before=dict(before) if before is not None else None,
        after=dict(after) if after is not None else None,
    )
