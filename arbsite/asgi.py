"""The web process: pages and API over HTTP, live data over one WebSocket."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arbsite.settings")
_http = get_asgi_application()  # sets Django up: what follows imports models

from arbsite import socket  # noqa: E402  models must be ready

application = ProtocolTypeRouter(
    {"http": _http, "websocket": socket.outer(AuthMiddlewareStack(socket.serve))}
)
