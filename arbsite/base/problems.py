"""Every error of the API leaves here as ``application/problem+json`` (RFC 9457)."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response

from arbsite.base.errors import Halt, Rejected, Retryable

logger = logging.getLogger(__name__)
CONTENT_TYPE = "application/problem+json"


class Conflict(Rejected):
    """Refused as things stand; ``extra`` joins the problem's body."""

    def __init__(self, detail: str, **extra: Any) -> None:
        self.extra = extra
        super().__init__(detail)


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Turn what a view raised into a problem; None lets a bug be a 500."""
    headers: dict[str, str] = {}
    if isinstance(error, Http404):
        return _problem(404, str(error) or "There is no such thing here.")
    if isinstance(error, PermissionDenied):
        return _problem(403, str(error) or "Not allowed.")
    if isinstance(error, exceptions.ValidationError):
        errors = error.detail if isinstance(error.detail, dict) else {"body": error.detail}
        detail = "; ".join(f"{name}: {_first(words)}" for name, words in errors.items())
        return _problem(400, detail, errors=errors)
    if isinstance(error, exceptions.APIException):
        if wait := getattr(error, "wait", None):
            headers["Retry-After"] = str(int(wait))
        if auth := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = auth
        extra: Mapping[str, Any] = getattr(error, "extra", {})
        return _problem(error.status_code, str(error.detail), headers=headers, **extra)
    if isinstance(error, Rejected):
        return _problem(409, str(error), **getattr(error, "extra", {}))
    if isinstance(error, Halt):
        return _problem(423, str(error))
    if isinstance(error, Retryable | OperationalError):
        told = str(error) if isinstance(error, Retryable) else "The database is away."
        return _problem(503, told, headers={"Retry-After": "2"})
    return None


def _first(words: Any) -> str:
    while isinstance(words, list | tuple | dict) and words:
        words = next(iter(words.values())) if isinstance(words, dict) else words[0]
    return str(words)


def _body(status: int, detail: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    return {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **extra}


def _problem(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
) -> Response:
    response = Response(
        _body(status, detail, extra),
        status=status,
        headers=dict(headers or {}),
        content_type=CONTENT_TYPE,
    )
    response["Content-Type"] = CONTENT_TYPE
    return response


def problem_response(status: int, detail: str) -> JsonResponse:
    """A problem from outside a DRF view: middleware and error pages."""
    return JsonResponse(_body(status, detail, {}), status=status, content_type=CONTENT_TYPE)


def wants_problem(request: HttpRequest) -> bool:
    """Whether an error of this request is answered as a problem rather than a page."""
    return request.path.startswith("/api/")
