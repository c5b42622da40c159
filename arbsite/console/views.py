"""Overview, the alerts, and the pages that errors get."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.templatetags.static import static

from arbsite.base.models import Alert
from arbsite.base.problems import problem_response, wants_problem
from arbsite.console import context, selectors
from execution import render as execution_render
from execution import selectors as execution_selectors

LATEST = 8


def overview(request: HttpRequest, *, chain: str) -> HttpResponse:
    """Is it safe, is it working, is it earning, what needs me."""
    facts = _live_facts(request, chain)
    return render(request, "console/overview.html", {"page": "overview", **facts})


def overview_live(request: HttpRequest, *, chain: str) -> HttpResponse:
    """The part of Overview that the page asks for again when something happened."""
    return render(request, "console/overview_live.html", _live_facts(request, chain))


def _live_facts(request: HttpRequest, chain: str) -> dict[str, Any]:
    status = context.status_of(request)
    return {
        "status": status,
        "needs": selectors.attention(status, chain=chain),
        "steps": selectors.first_steps(chain=chain),
        "pnl": selectors.pnl(chain=chain),
        "by_status": selectors.executions_by_status(chain=chain, hours=24),
        "funnel": selectors.funnel(chain=chain),
        "rejections": selectors.rejections(chain=chain),
        "p95_ms": selectors.latency_p95_ms(chain=chain),
        "points": selectors.profit_line(chain=chain),
        "latest": _latest(chain),
    }


def _latest(chain: str) -> list[dict[str, Any]]:
    rows = execution_selectors.executions().filter(chain_id=chain)[:LATEST]
    return [execution_render.execution(row) for row in rows]


def alerts(request: HttpRequest) -> HttpResponse:
    """What was raised, open ones first."""
    rows = Alert.objects.order_by("resolved_at", "-last_seen_at")[:100]
    open_first = sorted(rows, key=lambda alert: alert.resolved_at is not None)
    return render(request, "console/alerts.html", {"page": "alerts", "alerts": open_first})


def favicon(request: HttpRequest) -> HttpResponse:
    """Browsers ask for it at the root."""
    return HttpResponsePermanentRedirect(static("icons/favicon.svg"))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400."""
    return _error(request, 400, "That request cannot be read", "Go back and try another way.")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403."""
    words = str(exception or "") or "Your role does not reach this page."
    return _error(request, 403, "Not allowed", words)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form whose token is missing or old."""
    return _error(
        request, 403, "This form is out of date", "Load the page again and repeat what you did."
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    said = exception.args[0] if exception.args and isinstance(exception.args[0], str) else ""
    return _error(request, 404, "There is no such page", said)


def server_error(request: HttpRequest) -> HttpResponse:
    """500: rendered without the database, which may be what failed."""
    return _error(request, 500, "Something broke on our side", "The log has it under this number.")


def _error(request: HttpRequest, status: int, title: str, detail: str) -> HttpResponse:
    if wants_problem(request):
        return problem_response(status, detail or title)
    # The frame is left out on purpose: what it reads may be what failed.
    facts = {
        "error_status": status,
        "error_title": title,
        "error_detail": detail,
        "request_id": getattr(request, "request_id", ""),
    }
    return HttpResponse(render_to_string("errors/error.html", facts), status=status)
