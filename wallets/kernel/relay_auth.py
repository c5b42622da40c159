"""How a request to a relay says who sends it: a header, or a signature over its bytes. No I/O.

Such a key is an identity alone: it signs no transaction and need not hold a coin.
"""

from collections.abc import Sequence

from coincurve import PrivateKey
from sha3 import keccak_256

from arbsite.base.errors import Rejected
from contracts.kernel.relay_entry import Auth, RelayEntry
from wallets.kernel.derivation import address_of, key_from_hex
from wallets.kernel.payload import transaction_hash


class NoCredential(Rejected):
    """A relay asks for a credential that is not configured."""


def auth_headers(entry: RelayEntry, body: bytes, *, credential: str) -> dict[str, str]:
    """What a request carries besides its body. Raises: NoCredential, BadKey."""
    if entry.auth in (Auth.NONE, Auth.SOUL_POINT):
        return {}
    if not credential:
        raise NoCredential(f"relay {entry.name} asks for RELAY_{entry.name.upper()}_AUTH: set it")
    if entry.auth is Auth.FLASHBOTS:
        return {"X-Flashbots-Signature": flashbots_signature(body, key=credential)}
    return {"Authorization": f"Bearer {credential}" if entry.auth is Auth.BEARER else credential}


def flashbots_signature(body: bytes, *, key: str) -> str:
    """``address:signature`` of a body: EIP-191 over the hex text of its hash. Raises: BadKey."""
    text = ("0x" + keccak_256(body).hexdigest()).encode()
    message = b"\x19Ethereum Signed Message:\n" + str(len(text)).encode() + text
    secret = key_from_hex(key)
    signature = _recoverable(keccak_256(message).digest(), secret)
    return f"{address_of(secret)}:0x{signature[:64].hex()}{signature[64] + 27:02x}"


def soul_point_signature(raws: Sequence[bytes], *, key: str) -> str:
    """A 48 Soul Point member's word for a bundle: its transactions' hashes, joined and hashed.

    The recovery id is 0 or 1, not 27 or 28. Raises: BadKey.
    """
    joined = b"".join(transaction_hash(raw) for raw in raws)
    return "0x" + _recoverable(keccak_256(joined).digest(), key_from_hex(key)).hex()


def _recoverable(digest: bytes, secret: bytes) -> bytes:
    return bytes(PrivateKey(secret).sign_recoverable(digest, hasher=None))
