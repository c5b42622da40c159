"""Paths and keys: known answers first, then what is refused."""

import traceback

import pytest
from eth_account import Account

from wallets.kernel import derivation

JUNK = "test test test test test test test test test test test junk"
Account.enable_unaudited_hdwallet_features()


@pytest.mark.parametrize(
    ("index", "address"),
    [
        (0, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        (1, "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        (9, "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"),
    ],
)
def test_the_well_known_mnemonic_gives_its_well_known_addresses(index, address):
    seed = derivation.seed_of(JUNK)
    key = derivation.key_at(seed, derivation.path_of(role="executor", index=index))
    assert derivation.address_of(key) == address


def test_the_seed_is_the_one_of_the_public_bip39_vector():
    words = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    # trezor/python-mnemonic's vectors use the passphrase TREZOR; ours is the one without.
    assert len(derivation.seed_of(words)) == 64
    expected = Account.from_mnemonic(words, account_path="m/44'/60'/1'/0/3")
    path = derivation.path_of(role="gas_reserve", index=3)
    assert derivation.key_at(derivation.seed_of(words), path) == bytes(expected.key)


def test_roles_never_share_a_path():
    paths = {derivation.path_of(role=r, index=7) for r in derivation.ACCOUNT_OF_ROLE}
    assert paths == {"m/44'/60'/0'/0/7", "m/44'/60'/1'/0/7", "m/44'/60'/2'/0/7"}


@pytest.mark.parametrize("index", [-1, 2**31, 2**40])
def test_an_index_outside_the_unhardened_range_is_refused(index):
    with pytest.raises(derivation.BadPath):
        derivation.path_of(role="executor", index=index)


@pytest.mark.parametrize(
    "path",
    [
        "m/44'/60'/0'/0/2147483648", "m/44'/60'/0'/0/0'", "m/44'/60'/0'/0", "m", "44'/60'/0'/0/0",
        "m/44'/60'/0'/0/٣", "m/44'/60'/0'/0/0\n", "m/44'/61'/0'/0/0",
    ],
)  # fmt: skip
def test_a_path_that_is_not_ours_is_refused(path):
    with pytest.raises(derivation.BadPath):
        derivation.check_path(path)


@pytest.mark.parametrize(
    "words", [JUNK.replace("junk", "test"), "", "abandon " * 11 + "zzzz", JUNK[:-5]]
)
def test_a_bad_mnemonic_is_refused_without_repeating_a_word(words):
    with pytest.raises(derivation.BadMnemonic) as caught:
        derivation.seed_of(words)
    told = "".join(traceback.format_exception(caught.value))
    assert "abandon abandon" not in told
    assert "test test" not in told
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("text", ["", "0x", "ab" * 31, "zz" * 32, "00" * 32, "ff" * 32, "٣" * 64])
def test_a_bad_key_is_refused_without_repeating_it(text):
    with pytest.raises(derivation.BadKey) as caught:
        derivation.key_from_hex(text)
    assert not text or text not in str(caught.value)
