"""A drill of the stop: shows within what time it stops, and leaves everything running."""

from typing import Any, Final

from django.http import HttpRequest

from arbsite.base import audit
from arbsite.base.models import User
from contracts.models import Chain
from wallets import kill

# What the kill switch promises at the 99th percentile.
PROMISED_MS: Final = 2_500


def kill_drill(
    *, chain: Chain, by: User | None = None, request: HttpRequest | None = None
) -> dict[str, Any]:
    """Go through the stop of one chain without engaging it, and write down the proof.

    It is not free: what was planned and not handed over yet is planned anew by whoever wants it.
    Must not run inside a database transaction. Raises: OperationalError when the record is away.
    """
    proof = kill.planned_invalidate(scope=chain.key)
    total_ms = sum(step.took_ms for step in proof.steps)
    answer = {
        **proof.as_json(),
        "drill": True,
        "totalMs": round(total_ms, 3),
        "promisedMs": PROMISED_MS,
        "ok": proof.complete and total_ms <= PROMISED_MS,
    }
    audit.record(
        verb="kill.drill",
        target=chain.key,
        actor=by,
        via="api" if request else "shell",
        request=request,
        after=answer,
    )
    return answer
