"""Keys that others may know: asked for, noted for ever, refused where coin has value."""

import io
import json
from dataclasses import replace

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from arbsite.base.models import AuditEvent
from tests.wallets.conftest import await_no_sessions, make_chain
from tests.wallets.test_signer import prepare
from wallets import exposure, kill, selectors, services
from wallets.keystore import FILE_NAME, Keystore, KeystoreDamaged
from wallets.models import Wallet
from wallets.signer_client import SignRefused

pytestmark = pytest.mark.django_db(transaction=True)
JUNK = "test test test test test test test test test test test junk"
KEY = "4b" * 32
FIRST, SECOND = "m/44'/60'/0'/0/0", "m/44'/60'/0'/0/1"
PASS = b"a passphrase of this test"


@pytest.fixture
def store(tmp_path):
    return Keystore.create(tmp_path / "keystore", passphrase=PASS)


def again(tmp_path):
    return Keystore.open(tmp_path / "keystore", passphrase=PASS)


def rewrite(tmp_path, change):
    path = tmp_path / "keystore" / FILE_NAME
    document = json.loads(path.read_text())
    change(document["secrets"])
    path.write_text(json.dumps(document))


def test_what_is_noted_with_a_seed_outlives_the_process(store, tmp_path):
    store.seed_import("main", mnemonic=JUNK, exposed=True)
    store.key_import(chain_key="bsc", is_local=False, private_key=KEY)

    assert again(tmp_path).exposed() == {"seed:main"}
    assert again(tmp_path).is_exposed("seed:main", path=SECOND)


def test_one_path_is_noted_without_the_others(store, tmp_path):
    store.seed_import("main", mnemonic=JUNK)
    store.expose("seed:main", path=SECOND)

    assert again(tmp_path).is_exposed("seed:main", path=SECOND)
    assert not again(tmp_path).is_exposed("seed:main", path=FIRST)
    assert again(tmp_path).address_at(seed="main", path=FIRST).startswith("0xf39F")


def test_a_key_exposed_on_one_chain_is_exposed_on_all(store, tmp_path):
    store.key_import(chain_key="bsc", is_local=False, private_key=KEY)
    address = store.key_import(chain_key="polygon", is_local=False, private_key=KEY, exposed=True)
    store.key_import(chain_key="base", is_local=False, private_key=KEY)

    names = {f"key:{chain}:{address}" for chain in ("bsc", "polygon", "base")}
    assert again(tmp_path).exposed() == names


@pytest.mark.parametrize(
    "change",
    [
        lambda secrets: secrets["seed:main"].pop("exposed"),
        lambda secrets: secrets["seed:main"].update(exposed=False),
        lambda secrets: secrets["seed:main"].update(exposed_paths=[]),
    ],
)
def test_a_note_that_is_taken_out_of_the_file_makes_the_secret_useless(store, tmp_path, change):
    store.seed_import("main", mnemonic=JUNK, exposed=True)
    rewrite(tmp_path, change)

    with pytest.raises(KeystoreDamaged):
        again(tmp_path).address_at(seed="main", path=FIRST)


def test_a_path_taken_out_of_the_note_makes_the_seed_useless(store, tmp_path):
    store.seed_import("main", mnemonic=JUNK)
    store.expose("seed:main", path=FIRST)
    store.expose("seed:main", path=SECOND)
    rewrite(tmp_path, lambda secrets: secrets["seed:main"].update(exposed_paths=[SECOND]))

    with pytest.raises(KeystoreDamaged):
        again(tmp_path).address_at(seed="main", path=FIRST)


@pytest.fixture
def live(desk):
    """A chain whose coin has value, with an executor of the main seed."""
    chain = make_chain("live", is_local=False, eip155_id=56)
    kill.kill_rows_ensure(chain_keys=["live"])
    yield chain, services.wallet_create(chain=chain, role="executor", signer=desk.client)
    await_no_sessions("test-prepare")


def refusal(desk, wallet, key):
    with pytest.raises(SignRefused) as caught:
        desk.client.sign(prepare(wallet, key=key).pk)
    return caught.value


def test_an_exposed_wallet_signs_nothing_usual_on_a_mainnet(desk, live):
    _, wallet = live
    assert desk.client.sign(prepare(wallet, key="before").pk).hash

    exposure.wallet_expose(wallet=wallet, reason="pasted", signer=desk.client)

    refused = refusal(desk, wallet, "after")
    assert refused.code == "exposed"
    assert "run `move_away`" in str(refused)
    assert selectors.wallets_that_send(chain_key="live", role="executor") == []
    assert AuditEvent.objects.get(verb="wallet.expose").after["reason"] == "pasted"


def test_the_keystore_decides_where_the_row_says_nothing(desk, live):
    _, wallet = live
    exposure.wallet_expose(wallet=wallet, reason="pasted", signer=desk.client)
    Wallet.objects.filter(pk=wallet.pk).update(state="active")
    assert refusal(desk, wallet, "one").code == "exposed"


def test_the_row_decides_where_the_keystore_was_restored_from_before(desk, live):
    _, wallet = live
    Wallet.objects.filter(pk=wallet.pk).update(state="exposed")
    assert refusal(desk, wallet, "one").code == "exposed"


def test_an_exposed_seed_takes_its_wallets_along_and_shows_old_ones_as_exposed(desk, live):
    chain, wallet = live
    exposure.seed_expose(seed="main", reason="photographed", signer=desk.client)

    later = services.wallet_create(chain=chain, role="executor", signer=desk.client)

    wallet.refresh_from_db()
    assert (wallet.state, later.state) == ("exposed", "exposed")
    assert "photographed" in wallet.state_reason
    assert refusal(desk, later, "one").code == "exposed"


@pytest.mark.parametrize(("key", "eip155_id", "is_local"), [
    ("live", 97, False), ("live", 11_155_111, False), ("local", 31337, True),
])  # fmt: skip
def test_where_coin_has_no_value_an_exposed_key_goes_on(desk, key, eip155_id, is_local):
    chain = make_chain(key, is_local=is_local, eip155_id=eip155_id)
    kill.kill_rows_ensure(chain_keys=[key])
    desk.client.expose("seed:local" if is_local else "seed:main")

    wallet = services.wallet_create(chain=chain, role="executor", signer=desk.client)

    assert wallet.state == "active"
    assert desk.client.sign(prepare(wallet).pk).hash
    await_no_sessions("test-prepare")


def test_a_watched_wallet_has_no_key_to_note_and_is_out_of_use_all_the_same(desk, live):
    chain, _ = live
    watched = services.wallet_watch(chain=chain, role="master", address="0x" + "77" * 20)
    exposure.wallet_expose(wallet=watched, reason="pasted", signer=desk.client)
    assert Wallet.objects.get(pk=watched.pk).state == "exposed"
    assert desk.client.exposed() == frozenset()


def test_without_a_reason_nothing_is_noted(desk, live):
    with pytest.raises(exposure.ReasonWanted):
        exposure.wallet_expose(wallet=live[1], reason=" ", signer=desk.client)
    assert desk.client.exposed() == frozenset()


@pytest.fixture
def shell(transactional_db, settings, tmp_path, monkeypatch):
    settings.ARB = replace(settings.ARB, data_dir=tmp_path)
    settings.SIGNER_SOCKET = tmp_path / "signer.sock"
    make_chain("bsc", is_local=False, eip155_id=56)

    def run(*words, stdin="", terminal=False):
        given = io.StringIO(stdin)
        given.isatty = lambda: terminal
        monkeypatch.setattr("sys.stdin", given)
        out, err = io.StringIO(), io.StringIO()
        call_command(*words, stdout=out, stderr=err)
        return out.getvalue() + err.getvalue()

    return run


IMPORT = ("import_key", "--chain", "bsc", "--role", "executor")


def test_an_imported_key_is_exposed_when_its_owner_says_so(shell):
    shown = shell(*IMPORT, "--exposed", stdin=KEY)

    wallet = Wallet.objects.get()
    assert wallet.state == "exposed"
    assert f"move_away --chain bsc --wallet {wallet.pk}" in shown
    assert KEY not in shown


def test_a_key_that_nobody_vouches_for_counts_as_safe_and_the_mend_is_said(shell):
    assert "mark_exposed" in shell(*IMPORT, stdin=KEY)
    assert Wallet.objects.get().state == "active"
    assert "mark_exposed" not in shell(*IMPORT, "--not-exposed", stdin="4c" * 32)


def test_both_answers_at_once_are_refused(shell):
    with pytest.raises(CommandError, match="not allowed with"):
        shell(*IMPORT, "--exposed", "--not-exposed", stdin=KEY)


def test_on_a_terminal_the_question_is_asked_until_it_is_answered(shell, monkeypatch):
    answers = iter(["", "perhaps", "Yes"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(answers))
    monkeypatch.setattr("wallets.management.commands._keys.getpass", lambda prompt: KEY)

    shell(*IMPORT, terminal=True)

    assert Wallet.objects.get().state == "exposed"
    assert next(answers, None) is None


def test_an_imported_mnemonic_is_exposed_with_all_it_gives(shell):
    assert "for ever" in shell("create_keystore", "--import", "--exposed", stdin=JUNK)
    shell("create_wallet", "--chain", "bsc", "--role", "executor")
    assert Wallet.objects.get().state == "exposed"


def test_mark_exposed_names_what_is_out_of_use_and_the_command_to_run(shell):
    shell("create_keystore")
    shell("create_wallet", "--chain", "bsc", "--role", "executor")
    wallet = Wallet.objects.get()

    shown = shell("mark_exposed", "--chain", "bsc", "--wallet", str(wallet.pk), "pasted in a chat")

    assert f"move_away --chain bsc --wallet {wallet.pk}" in shown
    assert (Wallet.objects.get().state, Wallet.objects.get().state_reason) == (
        "exposed", "pasted in a chat",
    )  # fmt: skip
    with pytest.raises(CommandError, match="--seed main"):
        shell("mark_exposed", "nothing named")
