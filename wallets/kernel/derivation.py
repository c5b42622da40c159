"""BIP-44 paths of our roles, and keys and addresses derived along them; no I/O."""

import re
from typing import Final

from coincurve import PrivateKey, PublicKey
from eth_account.hdaccount import key_from_seed, seed_from_mnemonic
from eth_utils.address import to_checksum_address
from sha3 import keccak_256

from arbsite.base.errors import Rejected

INDEX_END: Final = 2**31
SEED_BYTES: Final = 64
# Executors live where every other wallet program looks first; the rest one account further each.
ACCOUNT_OF_ROLE: Final = {"executor": 0, "gas_reserve": 1, "master": 2}
_PATH: Final = re.compile(r"m/44'/60'/(\d{1,10})'/0/(\d{1,10})", re.ASCII)
_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class BadPath(Rejected):
    """Not a path of ours."""


class BadMnemonic(Rejected):
    """The words are no BIP-39 mnemonic. Carries none of them."""

    def __init__(self) -> None:
        super().__init__(
            "that is not a valid English BIP-39 mnemonic (12 to 24 words with a checksum): "
            "check spelling and order; the words are not repeated here"
        )


class BadKey(Rejected):
    """The input is no private key. Carries none of it."""

    def __init__(self) -> None:
        super().__init__(
            "that is not a private key (64 hex digits, not zero, below the curve's order); "
            "the input is not repeated here"
        )


def path_of(*, role: str, index: int) -> str:
    """The path of a role's ``index``-th address.

    Raises: BadPath for an unknown role, or an index outside [0, 2**31): beyond it eth-account
        hardens or not in silence.
    """
    if role not in ACCOUNT_OF_ROLE:
        raise BadPath(f"role {role!r} has no derivation account")
    if not 0 <= index < INDEX_END:
        raise BadPath(f"derivation index {index} must be in [0, 2**31)")
    return f"m/44'/60'/{ACCOUNT_OF_ROLE[role]}'/0/{index}"


def key_name(chain_key: str, address: str) -> str:
    """What an imported key is called among secrets."""
    return f"key:{chain_key}:{address}"


def seed_name(seed: str) -> str:
    """What a seed is called among secrets."""
    return f"seed:{seed}"


def secret_of(
    *, source: str, seed: str, path: str, chain_key: str, address: str
) -> tuple[str, str]:
    """(name among secrets, path) of a wallet's key; the path is "" for an imported one."""
    if source == "imported":
        return key_name(chain_key, address), ""
    return seed_name(seed), path


def check_path(path: str) -> str:
    """The same path. Raises: BadPath unless it is ``m/44'/60'/account'/0/index`` in range."""
    match = _PATH.fullmatch(path)
    if not match or any(int(part) >= INDEX_END for part in match.groups()):
        raise BadPath("a path here is m/44'/60'/account'/0/index; the input is not repeated")
    return path


def seed_of(mnemonic: str) -> bytes:
    """The 64-byte BIP-39 seed, without a passphrase. Raises: BadMnemonic, which echoes nothing."""
    words = " ".join(mnemonic.split())
    if len(words.split(" ")) not in (12, 15, 18, 21, 24):
        raise BadMnemonic
    try:
        seed = bytes(seed_from_mnemonic(words, ""))
    except Exception:  # eth-account's own texts hold the words, whatever their type
        seed = b""
    if len(seed) != SEED_BYTES:
        raise BadMnemonic
    return seed


def key_at(seed: bytes, path: str) -> bytes:
    """The 32-byte private key at ``path``, from the master node at depth 0. Raises: BadPath."""
    if len(seed) != SEED_BYTES:
        raise ValueError("a seed has 64 bytes")
    return bytes(key_from_seed(seed, check_path(path)))


def key_from_hex(text: str) -> bytes:
    """A private key of 64 hex digits, with or without 0x. Raises: BadKey, which echoes nothing."""
    digits = text.strip().removeprefix("0x")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", digits, re.ASCII):
        raise BadKey
    key = bytes.fromhex(digits)
    if not 0 < int.from_bytes(key, "big") < _CURVE_ORDER:
        raise BadKey
    return key


def address_of(key: bytes) -> str:
    """The checksummed address of a private key."""
    return address_of_public(PrivateKey(key).public_key)


def address_of_public(public: PublicKey) -> str:
    """The checksummed address of a public key."""
    digest = keccak_256(public.format(compressed=False)[1:]).digest()
    return str(to_checksum_address(digest[12:]))
