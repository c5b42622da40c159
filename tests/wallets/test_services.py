"""Plans, wallets and commands: idempotent, named, written with their history."""

import io
import json
import threading
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from arbsite.base.models import AuditEvent
from arbsite.base.units import BlockNumber, Gas, Wei
from tests.wallets.conftest import make_chain
from wallets import balances, kill, selectors, services
from wallets.kernel.lifecycle import IllegalTransition
from wallets.models import Balance, KillState, StatusChange, Transaction, Wallet
from wallets.planning import transaction_planned
from wallets.simulation import Proof

pytestmark = pytest.mark.django_db(transaction=True)
SOMEONE = "0x" + "88" * 20


class FakeSigner:
    """Addresses that are a function of the path, as a seed's are."""

    def address(self, *, seed, path):
        number = sum(ord(c) * i for i, c in enumerate(seed + path, start=1))
        return f"0x{number:040x}"

    def key_import(self, *, chain_key, is_local, private_key, exposed=False):
        return SOMEONE

    def exposed(self):
        return frozenset()


@pytest.fixture
def chain(transactional_db):
    return make_chain()


@pytest.fixture
def wallet(chain):
    return services.wallet_create(chain=chain, role="executor", signer=FakeSigner())


def plan(wallet, **change):
    facts = {"wallet": wallet, "kind": "test", "to": wallet.address, "data": b"", "key": "k"}
    return services.transaction_plan(**{**facts, **change})


def simulate(planned):
    services.transaction_simulated(
        transaction_=planned, block_number=BlockNumber(1), block_hash="0x" + "ab" * 32,
        gas_limit=Gas(21_000),
    )  # fmt: skip


def test_one_key_is_one_transaction_however_often_it_is_planned(wallet):
    assert plan(wallet).pk == plan(wallet).pk
    assert StatusChange.objects.count() == 1


def test_what_is_drafted_at_once_is_held_to_what_is_planned(wallet):
    proof = Proof(block_number=BlockNumber(1), block_hash="0x" + "ab" * 32, gas_limit=Gas(21_000))
    facts = {
        "pk": 1, "wallet": wallet, "to": wallet.address, "data": b"", "epoch": 0, "key": "once",
    }  # fmt: skip
    with pytest.raises(ValueError, match="gas limit"):
        transaction_planned(**facts, kind="test", proof=replace(proof, gas_limit=Gas(0)))
    with pytest.raises(ValueError, match="not a kind"):
        transaction_planned(**facts, kind="gift", proof=proof)
    assert not Transaction.objects.exists()


@pytest.mark.parametrize(
    "change", [{"to": SOMEONE}, {"data": b"\x01"}, {"value_wei": Wei(1)}, {"kind": "sweep"}]
)
def test_a_key_never_stands_for_another_intent(wallet, change):
    plan(wallet)
    with pytest.raises(services.KeyReused):
        plan(wallet, **change)


def test_eight_threads_planning_one_key_make_one_row(wallet):
    keys, gate = [], threading.Barrier(8)

    def act():
        gate.wait()
        keys.append(plan(wallet).pk)
        connection.close()

    threads = [threading.Thread(target=act) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_plan_carries_the_epoch_of_both_switches(wallet):
    kill.kill_engage(reason="a", scope="local")
    kill.kill_release(reason="b", scope="local")
    kill.kill_engage(reason="c")
    kill.kill_release(reason="d")
    assert plan(wallet).kill_epoch == services.kill_epoch("local") == 4


def test_a_simulated_plan_may_be_rejected_and_then_nothing_more(wallet):
    planned = plan(wallet)
    simulate(planned)
    services.transaction_rejected(transaction_=planned, reason="too late")
    assert Transaction.objects.get().reason == "too late"
    with pytest.raises(IllegalTransition):
        simulate(planned)


def test_a_stale_copy_moves_nothing(wallet):
    planned = plan(wallet)
    twin = Transaction.objects.get()
    simulate(planned)
    with pytest.raises(services.StaleStatus):
        simulate(twin)
    assert StatusChange.objects.count() == 2


def test_pages_hear_after_the_commit_and_a_dead_channel_harms_nothing(wallet, settings):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]},
        }
    }
    assert plan(wallet).status == "planned"


def test_an_index_is_never_used_twice_on_any_chain(chain):
    other = make_chain("rehearsal", eip155_id=56)
    made = [
        services.wallet_create(chain=one, role=role, signer=FakeSigner())
        for one in (chain, other)
        for role in ("executor", "gas_reserve", "executor", "master")
    ]
    paths = [wallet.derivation_path for wallet in made]
    assert len(set(paths)) == len(paths)
    assert [p for p in paths if p.startswith("m/44'/60'/0'")] == [
        f"m/44'/60'/0'/0/{index}" for index in range(4)
    ]


def test_an_index_of_the_main_seed_stays_used_whatever_became_of_its_wallet(transactional_db):
    first = make_chain("bsc", is_local=False, eip155_id=56)
    second = make_chain("polygon", is_local=False, eip155_id=137)
    one = services.wallet_create(chain=first, role="executor", signer=FakeSigner())
    Wallet.objects.filter(pk=one.pk).update(state="retired")
    # A row written by hand on another chain, with an index of its own.
    Wallet.objects.create(
        chain=second, role="executor", source="derived", seed="main", derivation_index=6,
        derivation_path="m/44'/60'/0'/0/6", address=SOMEONE,
    )  # fmt: skip

    later = [
        services.wallet_create(chain=chain, role="executor", signer=FakeSigner())
        for chain in (first, second, first)
    ]

    assert [wallet.derivation_index for wallet in later] == [7, 8, 9]


def test_wallets_made_at_once_take_different_indexes(chain):
    made, gate = [], threading.Barrier(6)

    def act():
        gate.wait()
        made.append(services.wallet_create(chain=chain, role="executor", signer=FakeSigner()))
        connection.close()

    threads = [threading.Thread(target=act) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wallet.derivation_index for wallet in made) == list(range(6))


def test_a_master_of_a_real_chain_is_watched_only(transactional_db):
    bsc = make_chain("bsc", is_local=False, eip155_id=56)
    with pytest.raises(services.WalletRefused, match="watch-only"):
        services.wallet_create(chain=bsc, role="master", signer=FakeSigner())
    watched = services.wallet_watch(chain=bsc, role="master", address=SOMEONE)
    assert (watched.source, watched.derivation_path) == ("watch", "")
    with pytest.raises(services.WalletRefused, match="already"):
        services.wallet_watch(chain=bsc, role="master", address=SOMEONE)


@pytest.mark.parametrize("address", ["", "0x", "0x" + "0" * 40, "0x" + "zz" * 20, "x" * 300])
def test_a_bad_address_is_refused_by_name(chain, address):
    with pytest.raises(services.WalletRefused):
        services.wallet_watch(chain=chain, role="executor", address=address)


def test_the_first_wallet_of_a_chain_brings_its_switch(chain):
    assert selectors.kill_engaged(chain_key="local")
    services.wallet_create(chain=chain, role="executor", signer=FakeSigner())
    assert not selectors.kill_engaged(chain_key="local")


def test_making_a_wallet_is_audited(wallet):
    event = AuditEvent.objects.get(verb="wallet.create")
    assert event.target == wallet.address
    assert event.after["role"] == "executor"


class FakeChainRpc:
    """A node with fixed balances; ``multicall`` answers in one call, as Multicall3 does."""

    def __init__(self):
        self.calls = []

    def call(self, method, params):
        self.calls.append(method)
        return {"number": "0x10", "hash": "0x" + "cd" * 32}

    def batch(self, calls):
        self.calls += [method for method, _ in calls]
        return [hex(7 + i) for i in range(len(calls))]

    def eth_call(self, *, to, data, block):
        from eth_abi.abi import decode, encode

        self.calls.append("eth_call")
        assert block == 16
        (rows,) = decode(["(address,bool,bytes)[]"], data[4:])
        return encode(
            ["(bool,bytes)[]"], [[(True, encode(["uint256"], [9 + i])) for i in range(len(rows))]]
        )


@pytest.mark.parametrize("multicall", ["", "0x" + "ca" * 20])
def test_all_balances_of_a_chain_are_read_in_one_call(chain, multicall, django_assert_num_queries):
    chain.multicall3 = multicall
    for _ in range(3):
        services.wallet_create(chain=chain, role="executor", signer=FakeSigner())
    rpc = FakeChainRpc()
    assert balances.balances_refresh(chain=chain, rpc=rpc).wallets == 3
    assert balances.balances_refresh(chain=chain, rpc=rpc).wallets == 3
    assert Balance.objects.count() == 3
    if multicall:
        assert rpc.calls == ["eth_getBlockByNumber", "eth_call"] * 2
    with django_assert_num_queries(1):
        latest = selectors.balances_latest(chain_key="local")
    first = 9 if multicall else 7
    assert sorted(row.balance_wei for row in latest.values()) == [first, first + 1, first + 2]


def run(*words, stdin=None, monkeypatch=None):
    if stdin is not None:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


@pytest.fixture
def shell(chain, settings, tmp_path, monkeypatch):
    """The key commands with a data folder of their own, and no signer running."""
    from dataclasses import replace

    settings.ARB = replace(settings.ARB, data_dir=tmp_path)
    settings.SIGNER_SOCKET = tmp_path / "s" / "signer.sock"
    assert len(str(settings.SIGNER_SOCKET)) < 107
    return lambda *words, stdin=None: run(*words, stdin=stdin, monkeypatch=monkeypatch)


def test_create_wallet_starts_a_signer_for_its_own_duration(shell, settings):
    made = json.loads(shell("create_wallet", "--chain", "local", "--role", "executor", "--json"))
    wallet = Wallet.objects.get()
    assert made == {
        "id": wallet.pk, "address": wallet.address, "derivationPath": "m/44'/60'/0'/0/0",
    }  # fmt: skip
    assert not settings.SIGNER_SOCKET.exists()


def test_create_keystore_shows_24_words_once(shell):
    shown = shell("create_keystore")
    assert any(len(line.split()) == 24 for line in shown.splitlines())
    with pytest.raises(CommandError, match="never overwritten"):
        shell("create_keystore")


def test_a_mnemonic_comes_from_standard_input_and_is_never_repeated(shell):
    with pytest.raises(CommandError) as caught:
        shell("create_keystore", "--import", stdin="canary " * 12)
    assert "canary" not in str(caught.value)
    junk = "test " * 11 + "junk\n"
    assert "junk" not in shell("create_keystore", "--import", stdin=junk)


def test_an_imported_mnemonic_shows_its_old_addresses_in_order(shell):
    make_chain("bsc", is_local=False, eip155_id=56)
    shell("create_keystore", "--import", stdin="test " * 11 + "junk\n")

    made = [
        json.loads(shell("create_wallet", "--chain", "bsc", "--role", "executor", "--json"))
        for _ in range(2)
    ]

    assert [one["address"] for one in made] == [
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    ]


def test_an_imported_key_is_never_shown(shell):
    make_chain("bsc", is_local=False, eip155_id=56)
    key = "4b" * 32
    shown = shell("import_key", "--chain", "bsc", "--role", "executor", stdin=key)
    assert key not in shown
    assert Wallet.objects.get().source == "imported"
    with pytest.raises(CommandError) as caught:
        shell("import_key", "--chain", "bsc", "--role", "executor", stdin="canary" * 20)
    assert "canary" not in str(caught.value)


def test_an_unknown_chain_is_one_line_that_names_what_there_is(shell):
    with pytest.raises(CommandError, match="registered: local"):
        shell("create_wallet", "--chain", "nowhere", "--role", "executor")


def test_kill_and_release_from_a_shell(shell):
    shell("create_wallet", "--chain", "local", "--role", "executor")
    proof = json.loads(shell("kill", "--json", "drill"))
    assert proof["complete"] is True
    assert KillState.objects.get(scope="*").engaged
    assert "epoch 2" in shell("kill_release", "over")
    assert "on local" in shell("kill", "--chain", "local", "again")
    assert not KillState.objects.get(scope="*").engaged
