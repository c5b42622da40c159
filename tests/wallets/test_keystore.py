"""Secrets at rest: bound, authenticated, never shown, whole at every instant."""

import base64
import json
import stat
import traceback

import pytest

from wallets import keystore as module
from wallets.kernel import derivation
from wallets.keystore import (
    AddressMismatch,
    Keystore,
    KeystoreDamaged,
    KeystoreExists,
    SecretExists,
    SecretMissing,
    WrongPassphrase,
)
from wallets.passphrase import passphrase_read

JUNK = "test test test test test test test test test test test junk"
KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff81"
PASS = b"correct horse battery staple"
FIRST = "m/44'/60'/0'/0/0"


@pytest.fixture
def store(tmp_path):
    made = Keystore.create(tmp_path / "keystore", passphrase=PASS)
    made.seed_import("main", mnemonic=JUNK)
    return made


def _encodings(secret: bytes) -> list[bytes]:
    return [
        secret,
        secret.hex().encode(),
        secret.hex().upper().encode(),
        base64.b64encode(secret),
        str(int.from_bytes(secret, "big")).encode(),
    ]


def test_an_opened_keystore_derives_the_known_address(store, tmp_path):
    again = Keystore.open(tmp_path / "keystore", passphrase=PASS)
    assert again.address_at(seed="main", path=FIRST) == (
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    )


def test_a_canary_key_is_nowhere_on_disk_in_five_encodings(store, tmp_path):
    store.key_import(chain_key="bsc", is_local=False, private_key=KEY)
    written = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    secrets = [bytes.fromhex(KEY), derivation.seed_of(JUNK), JUNK.encode(), PASS]
    for secret in secrets:
        for encoded in _encodings(secret):
            assert encoded not in written


def test_files_are_private(store, tmp_path):
    folder = tmp_path / "keystore"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / module.FILE_NAME).stat().st_mode) == 0o600


def test_a_wrong_passphrase_opens_nothing_and_is_not_repeated(store, tmp_path):
    wrong = b"hunter2-canary"
    with pytest.raises(WrongPassphrase) as caught:
        Keystore.open(tmp_path / "keystore", passphrase=wrong)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_secret_under_another_name_does_not_authenticate(store, tmp_path):
    path = tmp_path / "keystore" / module.FILE_NAME
    document = json.loads(path.read_text())
    document["secrets"]["seed:local"] = document["secrets"]["seed:main"]
    path.write_text(json.dumps(document))
    moved = Keystore.open(tmp_path / "keystore", passphrase=PASS)
    with pytest.raises(KeystoreDamaged):
        moved.address_at(seed="local", path=FIRST)


@pytest.mark.parametrize("place", ["nonce", "box"])
def test_one_flipped_bit_is_noticed(store, tmp_path, place):
    path = tmp_path / "keystore" / module.FILE_NAME
    document = json.loads(path.read_text())
    box = bytearray.fromhex(document["secrets"]["seed:main"][place])
    box[3] ^= 1
    document["secrets"]["seed:main"][place] = box.hex()
    path.write_text(json.dumps(document))
    with pytest.raises(KeystoreDamaged):
        Keystore.open(tmp_path / "keystore", passphrase=PASS).address_at(seed="main", path=FIRST)


@pytest.mark.parametrize("text", ["", "{}", "[]", "{" * 100_000, '{"version": 2}', "\0"])
def test_a_file_that_is_no_keystore_is_called_damaged(tmp_path, text):
    folder = tmp_path / "keystore"
    folder.mkdir()
    (folder / module.FILE_NAME).write_text(text)
    with pytest.raises(KeystoreDamaged):
        Keystore.open(folder, passphrase=PASS)


@pytest.mark.parametrize("cost", [1, 2**14, 2**15 + 1, 2**40, "32768", None])
def test_a_header_with_another_cost_is_refused_before_it_is_computed(store, tmp_path, cost):
    path = tmp_path / "keystore" / module.FILE_NAME
    document = json.loads(path.read_text())
    document["wraps"][0]["n"] = cost
    path.write_text(json.dumps(document))
    with pytest.raises(KeystoreDamaged):
        Keystore.open(tmp_path / "keystore", passphrase=PASS)


def test_nothing_is_ever_overwritten(store, tmp_path):
    with pytest.raises(KeystoreExists):
        Keystore.create(tmp_path / "keystore", passphrase=PASS)
    with pytest.raises(SecretExists):
        store.seed_import("main", mnemonic=JUNK)


def test_a_made_seed_shows_24_words_that_give_its_addresses(tmp_path):
    store = Keystore.create(tmp_path / "keystore", passphrase=PASS)
    words = store.seed_create("main")
    assert len(words.split()) == 24
    key = derivation.key_at(derivation.seed_of(words), FIRST)
    assert store.address_at(seed="main", path=FIRST) == derivation.address_of(key)


def test_a_key_that_derives_another_address_is_never_given_out(store):
    with pytest.raises(AddressMismatch):
        store.key_derived(seed="main", path=FIRST, address="0x" + "11" * 20)


def test_an_imported_key_is_kept_for_its_chain_alone(store):
    address = store.key_import(chain_key="bsc", is_local=False, private_key="0x" + KEY)
    assert store.key_imported(chain_key="bsc", address=address) == bytes.fromhex(KEY)
    with pytest.raises(SecretMissing):
        store.key_imported(chain_key="ethereum", address=address)


def test_a_key_is_never_shared_between_a_local_chain_and_another(store):
    store.key_import(chain_key="bsc", is_local=False, private_key=KEY)
    with pytest.raises(SecretExists):
        store.key_import(chain_key="rehearsal", is_local=True, private_key=KEY)


def test_importing_the_same_key_again_changes_nothing(store):
    first = store.key_import(chain_key="bsc", is_local=False, private_key=KEY)
    assert store.key_import(chain_key="bsc", is_local=False, private_key=KEY) == first


def test_both_passphrases_open_the_file_while_it_changes(store, tmp_path):
    folder = tmp_path / "keystore"

    def publish():
        for passphrase in (PASS, b"new one"):
            Keystore.open(folder, passphrase=passphrase)

    store.rotate(new=b"new one", publish=publish)
    with pytest.raises(WrongPassphrase):
        Keystore.open(folder, passphrase=PASS)
    assert Keystore.open(folder, passphrase=b"new one").names() == {"seed:main"}


def test_the_passphrase_is_made_once_and_private(tmp_path):
    first = passphrase_read(data_dir=tmp_path)
    path = tmp_path / "secrets/keystore_passphrase"
    assert passphrase_read(data_dir=tmp_path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(WrongPassphrase, match="chmod 600"):
        passphrase_read(data_dir=tmp_path)


def test_a_missing_or_empty_passphrase_file_is_named(tmp_path):
    with pytest.raises(WrongPassphrase, match="No such file"):
        passphrase_read(data_dir=tmp_path, passphrase_file=str(tmp_path / "gone"))
    empty = tmp_path / "empty"
    empty.touch(mode=0o600)
    with pytest.raises(WrongPassphrase, match="is empty"):
        passphrase_read(data_dir=tmp_path, passphrase_file=str(empty))
