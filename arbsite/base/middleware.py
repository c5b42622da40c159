"""What every request passes: a size limit, an id, a login."""

import uuid
from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from arbsite.base.parsers import clean_input
from arbsite.base.problems import problem_response, wants_problem

Next = Callable[[HttpRequest], HttpResponseBase]
OPEN_PATHS: Final = (
    "/accounts/login/",
    "/accounts/logout/",
    "/accounts/2fa/authenticate/",  # the second step of signing in: nobody is signed in yet
    "/static/",
    "/favicon.ico",
)
MAX_QUERY: Final = 4096


class BodyLimit:
    """Refuses bodies over the limit, and hostile characters in paths and queries."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdigit() and len(length) < 20):
            return problem_response(400, "Content-Length is not a number.")
        if "HTTP_TRANSFER_ENCODING" in request.META:
            return problem_response(411, "Send the body whole, with its Content-Length.")
        if int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return problem_response(413, "The body is over 256 KiB.")
        if len(request.META.get("QUERY_STRING", "")) > MAX_QUERY:
            return problem_response(414, "The query is too long.")
        try:
            texts = [
                request.path,
                *(t for pair in request.GET.lists() for t in (pair[0], *pair[1])),
            ]
        except ValueError:
            return problem_response(400, "The query cannot be read.")
        if not all(clean_input(text) for text in texts):
            return problem_response(400, "The address holds a control or direction character.")
        return self.get_response(request)


class RequestId:
    """Gives each request an id that audit rows and error pages carry."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = uuid.uuid4().hex[:16]
        request.request_id = request_id  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["X-Request-Id"] = request_id
        return response


class LoginRequired:
    """Sends whoever is not signed in to the sign-in page; the API answers for itself."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if (
            request.user.is_authenticated
            or wants_problem(request)
            or request.path.startswith(OPEN_PATHS)
        ):
            return self.get_response(request)
        response: HttpResponse = redirect_to_login(request.get_full_path(), settings.LOGIN_URL)
        return response
