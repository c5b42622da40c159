"""The one WebSocket: exact Origin, login, and the protocol's frames; its hub does the rest."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from django.conf import settings
from django.db import Error as DatabaseError

from arbsite.console.clients import CLOSE_SIGNED_OUT, MAX_FRAME_BYTES, Client, Wire
from arbsite.console.feeds import CHANNELS
from arbsite.console.hub import Hub
from arbsite.console.logins import log_in, still_good

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CLOSE_FOREIGN: Final = 4003


def allowed_origins() -> frozenset[str]:
    """The exact origins that may open a socket: the named hosts on our port, or behind TLS."""
    port = settings.ARB.bind_port
    hosts = [host for host in settings.ALLOWED_HOSTS if host and host[0] not in ".*"]
    plain = {f"http://{host}:{port}" for host in hosts}
    if port == 80:
        plain |= {f"http://{host}" for host in hosts}
    return frozenset(plain | {f"https://{host}" for host in hosts})


def outer(inner: App) -> App:
    """The border: path and Origin are checked before anything else is, and before accept."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        if scope["path"] != "/ws/" or origin not in allowed_origins():
            await receive()
            await send({"type": "websocket.close", "code": CLOSE_FOREIGN})
            return
        await inner({**scope, "arb.wire": Wire(send)}, receive, send)

    return app


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    """One connection, from its handshake to its end."""
    await receive()
    hub = Hub.here()
    try:
        login = await hub.read(log_in, scope)
    except DatabaseError:
        login = None
    if login is None:
        await send({"type": "websocket.close", "code": CLOSE_SIGNED_OUT})
        return
    await send({"type": "websocket.accept"})
    client = Client(send=send, wire=scope["arb.wire"], login=login)
    hub.enter(client)
    sender = asyncio.create_task(client.send_all())
    try:
        while (message := await receive())["type"] == "websocket.receive":
            await _answer(hub, client, message)
    finally:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
        await hub.exit(client)


class BadFrame(Exception):
    """A client's frame that cannot be served; becomes an ``error`` frame, never a crash."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(detail)


async def _answer(hub: Hub, client: Client, message: Message) -> None:
    try:
        wanted = _parse(message)
        if wanted["type"] == "ping":
            client.say({"type": "pong"})
        elif wanted["type"] == "subscribe":
            await _subscribe(hub, client, _channels(wanted, client))
        elif wanted["type"] == "unsubscribe":
            names = _channels(wanted, client)
            for name in names:
                client.leave(name)
            client.say({"type": "unsubscribed", "channels": names})
        else:
            raise BadFrame("unknown_type", "type must be one of subscribe, unsubscribe, ping")
    except BadFrame as error:
        client.say({"type": "error", "code": error.code, "detail": error.detail})


def _parse(message: Message) -> dict[str, Any]:
    text = message.get("text")
    if text is None:
        raise BadFrame("bad_frame", "frames must be text, not binary")
    if len(text) > MAX_FRAME_BYTES or len(text.encode(errors="replace")) > MAX_FRAME_BYTES:
        raise BadFrame("too_large", "a frame may hold at most 16 KiB")
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError):
        raise BadFrame("bad_json", "the frame is not JSON") from None
    if not isinstance(wanted, dict) or not isinstance(wanted.get("type"), str):
        raise BadFrame("bad_message", "the frame must be an object with a type")
    return wanted


def _channels(wanted: Mapping[str, Any], client: Client) -> list[str]:
    """The known channels it names, once each; each unknown one is answered with an error."""
    names = wanted.get("channels")
    if not isinstance(names, list) or not names or len(names) > 50:
        raise BadFrame("bad_channels", "channels must be a list of 1 to 50 names")
    known = [name for name in CHANNELS if name in names]
    if len(known) < len({str(name) for name in names}):
        detail = f"channels are {', '.join(CHANNELS)}; others in this frame were left out"
        if not known:
            raise BadFrame("unknown_channel", detail)
        client.say({"type": "error", "code": "unknown_channel", "detail": detail})
    return known


async def _subscribe(hub: Hub, client: Client, names: list[str]) -> None:
    try:
        if not await hub.read(still_good, {client.login}):
            client.close(CLOSE_SIGNED_OUT)
            return
        client.say({"type": "subscribed", "channels": names})
        for name in names:
            client.join(name)
            client.joined(name, await hub.snapshot(name))
    except DatabaseError:
        for name in names:
            client.leave(name)
        raise BadFrame("unavailable", "the database is away: subscribe again in a moment") from None
