"""A view of each kind, so that the ground is tested apart from what stands on it."""

from django.db import OperationalError
from django.urls import include, path
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from arbsite.base.errors import Halt, Rejected, Retryable
from arbsite.base.idempotency import IdempotentView
from arbsite.base.models import AuditEvent, IdempotencyRecord
from arbsite.base.parsers import AddressInField, StrictSerializer, WeiField, WholeNumber
from arbsite.base.permissions import Operator, Viewer
from arbsite.base.problems import Conflict

ERRORS = {
    "rejected": Rejected("no profit in it"),
    "conflict": Conflict("not ready", checks=[{"key": "gas"}]),
    "halt": Halt("state and chain disagree"),
    "retryable": Retryable("the node lags"),
    "database": OperationalError("connection to server failed: password=hunter2"),
    "bug": RuntimeError("a bug that holds hunter2"),
}
effects: list[str] = []


class MoneyIn(StrictSerializer):
    amountWei = WeiField()
    to = AddressInField(required=False)
    count = WholeNumber(required=False, min_value=1, max_value=10)
    note = serializers.CharField(required=False, max_length=20)


class MoneyView(IdempotentView):
    permission_classes = [Operator]
    idempotent = "required"

    def post(self, request):
        wanted = MoneyIn(data=request.data).checked()
        if wanted.get("note") in ERRORS:
            raise ERRORS[wanted["note"]]
        effects.append(str(wanted["amountWei"]))
        return Response({"effect": len(effects), "amountWei": str(wanted["amountWei"])}, status=201)


class CalmView(IdempotentView):
    permission_classes = [Operator]

    def post(self, request):
        effects.append("calm")
        return Response({"effect": len(effects)})


class ErrorView(APIView):
    permission_classes = [Viewer]

    def get(self, request, kind):
        raise ERRORS[kind]


class EventOut(serializers.ModelSerializer):
    class Meta:
        model = AuditEvent
        fields = ["id"]


class EventsView(ListAPIView):
    permission_classes = [Viewer]
    queryset = AuditEvent.objects.all()
    serializer_class = EventOut


def records() -> list[tuple[str, int | None]]:
    return list(IdempotencyRecord.objects.values_list("key", "status"))


urlpatterns = [
    path("api/money", MoneyView.as_view()),
    path("api/calm", CalmView.as_view()),
    path("api/error/<str:kind>", ErrorView.as_view()),
    path("api/events", EventsView.as_view()),
    path("", include("arbsite.urls")),
]
