"""An authenticator app, by hand: RFC 6238 as sign-in takes it (SHA-1, 30 s, six digits)."""

import base64
import hashlib
import hmac
import struct
import time

PERIOD_S = 30


def code_of(secret: str, *, periods_ago: int = 0) -> str:
    """What the app shows now, or showed so many periods ago."""
    counter = int(time.time()) // PERIOD_S - periods_ago
    digest = hmac.new(
        base64.b32decode(secret, casefold=True), struct.pack(">Q", counter), hashlib.sha1
    ).digest()
    offset = digest[-1] & 0x0F
    (number,) = struct.unpack(">I", digest[offset : offset + 4])
    return f"{(number & 0x7FFFFFFF) % 10**6:06d}"
