"""BIP-32 and BIP-39 from their texts alone: the oracle our derivation is held against."""

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass

from coincurve import PrivateKey

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HARDENED = 2**31
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@dataclass(frozen=True)
class Node:
    """One extended private key."""

    key: bytes
    chain_code: bytes
    depth: int
    number: int = 0

    def child(self, number: int) -> "Node":
        public = PrivateKey(self.key).public_key.format(compressed=True)
        data = b"\0" + self.key if number >= HARDENED else public
        digest = _hmac(self.chain_code, data + number.to_bytes(4, "big"))
        left = int.from_bytes(digest[:32], "big")
        assert left < ORDER
        key = (left + int.from_bytes(self.key, "big")) % ORDER
        assert key
        return Node(key.to_bytes(32, "big"), digest[32:], self.depth + 1, number)


def master(seed: bytes) -> Node:
    """The node at depth 0."""
    digest = _hmac(b"Bitcoin seed", seed)
    return Node(digest[:32], digest[32:], 0)


def derive(seed: bytes, path: str) -> Node:
    """Along a path such as ``m/44'/60'/0'/0/0``, from the master node."""
    node = master(seed)
    for step in path.split("/")[1:]:
        number = int(step.rstrip("'"))
        node = node.child(number + HARDENED if step.endswith("'") else number)
    return node


def seed_of(words: str, passphrase: str = "") -> bytes:
    """BIP-39's stretch."""
    salt = unicodedata.normalize("NFKD", "mnemonic" + passphrase).encode()
    return hashlib.pbkdf2_hmac("sha512", unicodedata.normalize("NFKD", words).encode(), salt, 2048)


def read_xprv(text: str) -> Node:
    """An ``xprv``; its checksum must hold."""
    number = 0
    for letter in text:
        number = number * 58 + _ALPHABET.index(letter)
    raw = number.to_bytes(82, "big")
    body, check = raw[:-4], raw[-4:]
    assert hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4] == check
    assert body[:4] == bytes.fromhex("0488ade4")
    assert body[45] == 0
    return Node(body[46:], body[13:45], body[4], int.from_bytes(body[9:13], "big"))


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha512).digest()
