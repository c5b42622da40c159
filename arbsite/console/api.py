"""Health without a login, and the status of every part with one."""

from django.db import DatabaseError, connection
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from arbsite.base.permissions import Viewer
from arbsite.console import health


class HealthView(APIView):
    """GET /api/health: whether this web process can answer. No detail, no login."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(responses=dict)
    def get(self, request: Request) -> Response:
        """200 with the record at hand, else 503."""
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except DatabaseError:
            return Response({"status": "unavailable"}, status=503)
        return Response({"status": "ok"})


class StatusView(APIView):
    """GET /api/status: the health of every part, and of every chain in use."""

    permission_classes = [Viewer]

    @extend_schema(responses=dict)
    def get(self, request: Request) -> Response:
        """Endpoints are masked."""
        return Response(health.status())
