"""One effect per Idempotency-Key: the first answer is kept 24 h and given again."""

import hashlib
import json
from datetime import timedelta
from typing import Any, cast

from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework import status as http
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from arbsite.base.models import IdempotencyRecord, User
from arbsite.base.parsers import clean_input
from arbsite.base.problems import CONTENT_TYPE

HEADER = "HTTP_IDEMPOTENCY_KEY"


class KeyReused(APIException):
    """The key came with another body before."""

    status_code = http.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "This Idempotency-Key came with another body or path: use a new key."


class StillRunning(APIException):
    """The first request of this key has not answered yet."""

    status_code = http.HTTP_409_CONFLICT
    default_detail = "The first request with this Idempotency-Key is still running."
    wait = 2


class IdempotentView(APIView):
    """A view whose changing calls honour Idempotency-Key.

    ``idempotent`` is ``"required"`` where money moves or keys are made, else ``"accepted"``.
    An answer of 5xx is not kept: the same key may then be tried again.
    """

    idempotent = "accepted"
    _record: IdempotencyRecord | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Claim the key before the handler runs."""
        super().initial(request, *args, **kwargs)
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return
        key = request.META.get(HEADER, "")
        if not key:
            if self.idempotent == "required":
                raise ValidationError(
                    {"Idempotency-Key": ["This call moves money or makes keys: send the header."]}
                )
            return
        if len(key) > 200 or not key.isascii() or not key.isprintable() or not clean_input(key):
            raise ValidationError({"Idempotency-Key": ["At most 200 printable ASCII characters."]})
        self._claim(request, key)

    def _claim(self, request: Request, key: str) -> None:
        user = cast(User, request.user)  # the permissions let nobody else come here
        body = json.dumps(request.data, sort_keys=True)
        words = f"{request.method} {request.path} {body}"
        fingerprint = hashlib.sha256(words.encode()).hexdigest()
        old = timezone.now() - timedelta(days=1)
        IdempotencyRecord.objects.filter(user=user, key=key, created_at__lt=old).delete()
        try:
            with transaction.atomic():
                self._record = IdempotencyRecord.objects.create(
                    user=user, key=key, fingerprint=fingerprint
                )
        except IntegrityError:
            first = IdempotencyRecord.objects.filter(user=user, key=key).first()
            if first is not None and first.fingerprint != fingerprint:
                raise KeyReused() from None
            if first is None or first.status is None:  # None: it failed just now; ask again
                raise StillRunning() from None
            raise Replay(first) from None

    def handle_exception(self, exc: Exception) -> Response:
        """A replay is answered with the first answer."""
        if isinstance(exc, Replay):
            status = cast(int, exc.record.status)  # a record without one is still running
            response = Response(
                exc.record.body, status=status, content_type=CONTENT_TYPE if status >= 400 else None
            )
            response["Idempotent-Replay"] = "true"
            return response
        try:
            return super().handle_exception(exc)
        except BaseException:  # a bug, on its way to a 500 that nothing below will see
            record, self._record = self._record, None
            if record is not None:
                record.delete()
            raise

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        """Keep the first answer."""
        final = super().finalize_response(request, response, *args, **kwargs)
        record, self._record = self._record, None
        if record is not None:
            if final.status_code >= 500:
                record.delete()
            else:
                final.render()
                body = json.loads(final.content) if final.content else None
                IdempotencyRecord.objects.filter(pk=record.pk).update(
                    status=final.status_code, body=body
                )
        return final


class Replay(Exception):
    """This key was answered before."""

    def __init__(self, record: IdempotencyRecord) -> None:
        self.record = record
        super().__init__("replay")
