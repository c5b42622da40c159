"""The public vectors of BIP-32 and BIP-39, and our roles' paths against an independent oracle."""

import json
from pathlib import Path

import pytest
from eth_account.hdaccount import key_from_seed, seed_from_mnemonic
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wallets.kernel import bip32
from wallets.kernel import derivation

JUNK = "test test test test test test test test test test test junk"
# The addresses every developer's tool shows for it, index 0 to 9.
JUNK_ADDRESSES = [
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC", "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
    "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65", "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
    "0x976EA74026E726554dB657fA54763abd0C3a0aa9", "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
    "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f", "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
]  # fmt: skip
VECTORS = json.loads((Path(__file__).parents[2] / "recorded/derivation_vectors.json").read_text())
BIP32 = [(row["seed"], row["path"], row["xprv"]) for row in VECTORS["bip32"]]
BIP39 = [(row["words"], row["seed"]) for row in VECTORS["bip39"]]


@pytest.mark.parametrize(("seed", "path", "xprv"), BIP32)
def test_bip32_vectors_hold_for_the_oracle_and_for_what_we_derive_with(seed, path, xprv):
    expected = bip32.read_xprv(xprv)
    found = bip32.derive(bytes.fromhex(seed), path)

    assert (found.key, found.chain_code, found.depth, found.number) == (
        expected.key, expected.chain_code, expected.depth, expected.number,
    )  # fmt: skip
    if path != "m":
        assert key_from_seed(bytes.fromhex(seed), path) == expected.key


@pytest.mark.parametrize(("words", "seed"), BIP39)
def test_bip39_vectors_hold_for_the_oracle_and_for_what_we_stretch_with(words, seed):
    assert bip32.seed_of(words, "TREZOR").hex() == seed
    assert bytes(seed_from_mnemonic(words, "TREZOR")).hex() == seed
    assert derivation.seed_of(words) == bip32.seed_of(words)


def test_the_first_mnemonic_of_all_gives_its_seed_and_address_without_a_passphrase():
    seed = derivation.seed_of("abandon " * 11 + "about")

    assert seed.hex() == (
        "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1"
        "9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4"
    )
    key = derivation.key_at(seed, derivation.path_of(role="executor", index=0))
    assert derivation.address_of(key) == "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"


@pytest.mark.parametrize(("index", "address"), list(enumerate(JUNK_ADDRESSES)))
def test_executors_of_the_well_known_mnemonic_have_its_well_known_addresses(index, address):
    path = derivation.path_of(role="executor", index=index)

    assert path == f"m/44'/60'/0'/0/{index}"
    assert derivation.address_of(derivation.key_at(derivation.seed_of(JUNK), path)) == address


@pytest.mark.parametrize("index", [0, 1, 2, 9, 1_000, 2**31 - 1])
def test_gas_reserves_live_one_hardened_account_further(index):
    path = derivation.path_of(role="gas_reserve", index=index)
    expected = bip32.derive(bip32.seed_of(JUNK), f"m/44'/60'/1'/0/{index}").key

    assert derivation.key_at(derivation.seed_of(JUNK), path) == expected
    assert derivation.address_of(expected) not in JUNK_ADDRESSES


@given(
    seed=st.binary(min_size=64, max_size=64),
    role=st.sampled_from(sorted(derivation.ACCOUNT_OF_ROLE)),
    index=st.integers(0, 2**31 - 1),
)
@settings(max_examples=50)
def test_every_key_is_five_steps_below_the_master_node_at_depth_0(seed, role, index):
    path = derivation.path_of(role=role, index=index)
    node = bip32.derive(seed, path)

    assert bip32.master(seed).depth == 0
    assert node.depth == 5
    assert derivation.key_at(seed, path) == node.key


@pytest.mark.parametrize(
    "words", [f"  {JUNK}\n", JUNK.replace(" ", "  "), JUNK.replace(" ", "\n"), f"\t{JUNK}\t"]
)
def test_how_words_are_spaced_changes_no_address(words):
    assert derivation.seed_of(words) == derivation.seed_of(JUNK)
