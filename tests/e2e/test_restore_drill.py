"""A drill: an older backup on a chain that went on; nothing moves until a human let it."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import setup_databases, teardown_databases

from arbsite.base.models import Alert
from arbsite.stack.backup import backup
from arbsite.stack.restore import NotEmpty, restore
from contracts.kernel.jsonrpc import hex_int
from contracts.localchain.harness import local_market
from contracts.models import Chain
from execution import fast_mode
from tests.execution.floor import (
    PASSPHRASE,
    Floor,
    await_,
    await_alone,
    build,
    signer_running,
)
from wallets import adapters, kill
from wallets.models import Attempt, KillState, NonceSequence, Wallet

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def record(django_db_setup, django_db_blocker):
    """This run's database, emptied afterwards."""
    with django_db_blocker.unblock():
        made = None
        if not connection.settings_dict["NAME"].startswith("test_"):
            made = setup_databases(verbosity=0, interactive=False, aliases=["default"])
        yield
        call_command("flush", interactive=False, verbosity=0)
        if made is not None:
            teardown_databases(made, verbosity=0)


@contextmanager
def another_database():
    """A fresh, empty database of the same server in the place of this run's."""
    name = connection.settings_dict["NAME"]
    with adapters.connect(name="drill") as owner:
        owner.execute("CREATE DATABASE drill")
    connection.close()
    connection.settings_dict["NAME"] = "drill"
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name
        with adapters.connect(name="drill") as owner:
            owner.execute("DROP DATABASE drill WITH (FORCE)")


def trade(on: Floor, more: int) -> None:
    """Let the engine run until it executed ``more`` times, then stop it and settle."""
    before = len(on.included())
    on.start()
    with on.pump(block_s=0.3):
        await_(lambda: len(on.included()) >= before + more, until_s=90)
    on.stop()
    for _ in range(4):
        on.market.driver.step()
        on.settle()
    adapters.sender(on.chain).close()


def signed() -> set[tuple[str, int, str]]:
    """(account, nonce, hash) of every payload that this record ever signed."""
    rows = Attempt.objects.exclude(hash=None)
    return set(rows.values_list("sequence__address", "nonce", "hash"))


def spent(on: Floor, wallet: Wallet) -> int:
    return hex_int(on.rpc.call("eth_getTransactionCount", [wallet.address, "latest"]))


def test_an_older_backup_starts_held_and_trades_again_once_a_human_let_it(record, tmp_path):
    settings_before = settings.CHANNEL_LAYERS
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    try:
        with local_market(seed=5150) as market:
            _drill(market, tmp_path)
    finally:
        settings.CHANNEL_LAYERS = settings_before


def _drill(market, tmp_path):
    file, fresh = tmp_path / "backup", tmp_path / "fresh"
    with signer_running() as folder:
        on = build(market)
        trade(on, 1)
        own = replace(settings.ARB, data_dir=folder, database_url="the one of this run")
        backup(file, arb=own, with_passphrase=False, say=lambda line: None)
        kept = spent(on, on.executor)
        trade(on, 1)
        mined = signed()
        ahead = spent(on, on.executor)
        assert ahead > kept
    await_alone()

    fresh.mkdir(mode=0o700)
    (fresh / "passphrase").write_bytes(PASSPHRASE + b"\n")
    (fresh / "passphrase").chmod(0o600)
    with another_database():
        new = replace(own, data_dir=fresh, passphrase_file=str(fresh / "passphrase"))
        done = restore(file, arb=new, force=False, say=lambda line: None)
        assert done.accounts == 2
        with pytest.raises(NotEmpty):
            restore(file, arb=new, force=False, say=lambda line: None)

        with signer_running(fresh / "keystore"):
            _recover(on, kept=kept, ahead=ahead, mined=mined)
        await_alone()


def _recover(on, *, kept, ahead, mined):
    on.chain = Chain.objects.get(key="local")
    state = KillState.objects.get(scope="*")
    assert state.engaged
    assert state.reason.startswith("restored from a backup of 2")
    assert set(NonceSequence.objects.values_list("frozen", flat=True)) == {state.reason}

    on.market.driver.step()
    on.settle()

    sequence = NonceSequence.objects.get(address=on.executor.address)
    assert sequence.next_nonce == kept
    assert f"the chain's nonce is {ahead}, the restored record's {kept}" in sequence.frozen
    alert = Alert.objects.get(key=f"frozen:local:{on.executor.address}")
    assert f"`unfreeze --chain local --wallet {on.executor.address} REASON`" in alert.fix
    # The reserve sent nothing since: it was compared and is free.
    assert NonceSequence.objects.get(address=on.reserve.address).frozen == ""
    assert spent(on, on.executor) == ahead

    call_command("unfreeze", "a drill", chain="local", wallet=on.executor.address)
    assert Wallet.objects.get(address=on.executor.address).state == "active"
    on.settle()
    assert spent(on, on.executor) == ahead  # still stopped
    call_command("kill_release", "the drill is over")
    fast_mode.fast_mode_ensure(chain=on.chain)
    trade(on, 1)

    assert not kill.selectors.kill_engaged(chain_key="local")
    # Over both records, the lost part included, each nonce of each account has one payload.
    payloads = mined | signed()
    assert len({(address, nonce) for address, nonce, _ in payloads}) == len(payloads)
    assert {nonce for address, nonce, _ in signed() - mined if address == on.executor.address} == (
        set(range(ahead, spent(on, on.executor)))
    )
