"""Moving away from an exposed wallet: its coin to the last wei, its rights, whatever is killed."""

import pytest

from contracts.kernel import abi
from contracts.kernel.jsonrpc import hex_int
from contracts.localchain.chain import Sending
from contracts.rpc import RpcUnavailable
from tests.wallets.administration.conftest import COIN_WEI, funded
from wallets import exposure, kill, services
from wallets.administration.authorise import executor_authorise
from wallets.administration.leftovers import stays_behind
from wallets.administration.moving import NotMovable, wallet_move_away
from wallets.exposure import NoHaven
from wallets.models import Assignment, NonceSequence, Transaction
from wallets.signer_client import SignRefused

pytestmark = pytest.mark.e2e


def balance(office, address):
    return hex_int(office.rpc.call("eth_getBalance", [address, "latest"]))


def is_executor(office, deployment, wallet):
    asked = abi.encode_call("isExecutor(address)", wallet.address)
    return abi.decode_uint(office.rpc.eth_call(to=deployment.address, data=asked)) == 1


def test_an_exposed_executor_leaves_nothing_behind_even_while_killed(
    office, deployed, executor, reserve, desk
):
    executor_authorise(office, wallet=executor)
    exposure.wallet_expose(wallet=executor, reason="pasted into a chat", signer=desk)
    kill.kill_engage(reason="drill")
    held, before = balance(office, executor.address), balance(office, reserve.address)

    moved = wallet_move_away(office, wallet=executor)

    assert balance(office, executor.address) == 0
    assert moved.to == reserve.address
    paid = moved.coin.gas_used * int(moved.coin.gas_price_wei)
    assert int(moved.coin.value_wei) == held - paid
    cost_of_revoking = sum(one.gas_used * int(one.gas_price_wei) for one in moved.revoked)
    assert balance(office, reserve.address) == before + held - paid - cost_of_revoking
    assert [one.kind for one in moved.revoked] == ["revoke"]
    assert not is_executor(office, deployed, executor)
    assert not Assignment.objects.get(wallet=executor).desired
    assert moved.left == ()
    assert Transaction.objects.get(pk=moved.coin.pk).kind == "rescue"


def test_asked_again_it_moves_what_came_since_and_revokes_nothing_twice(
    office, deployed, executor, reserve, desk, market
):
    executor_authorise(office, wallet=executor)
    exposure.wallet_expose(wallet=executor, reason="drill", signer=desk)
    wallet_move_away(office, wallet=executor)
    assert wallet_move_away(office, wallet=executor).coin is None

    funded(executor, market)
    again = wallet_move_away(office, wallet=executor)

    assert balance(office, executor.address) == 0
    assert int(again.coin.value_wei) > 999 * COIN_WEI
    assert again.revoked == ()


def test_an_exposed_reserve_revokes_first_and_moves_to_the_other_one(
    office, deployed, executor, reserve, desk, chain
):
    executor_authorise(office, wallet=executor)
    other = services.wallet_create(chain=chain, role="gas_reserve", signer=desk)
    exposure.wallet_expose(wallet=reserve, reason="drill", signer=desk)
    exposure.wallet_expose(wallet=executor, reason="drill", signer=desk)

    first = wallet_move_away(office, wallet=executor)
    second = wallet_move_away(office, wallet=reserve)

    # The owner's key is exposed, and still good enough to take a right away.
    assert [one.wallet_id for one in first.revoked] == [reserve.pk]
    assert not is_executor(office, deployed, executor)
    assert second.to == other.address
    assert balance(office, reserve.address) == 0


def test_what_does_not_move_is_named_token_by_token_and_contract_by_contract(
    office, deployed, executor, reserve, desk, market
):
    token = market.market.token("USDT")
    give(market, token, to=executor.address, raw=12 * 10**token.decimals + 5)
    exposure.wallet_expose(wallet=executor, reason="drill", signer=desk)
    wallet_move_away(office, wallet=executor)

    [said] = stays_behind(office.rpc, wallet=executor)
    assert said == f"12.{5:0{token.decimals}d} USDT ({token.address}) stays: send it with its key."
    assert stays_behind(office.rpc, wallet=reserve) == [
        f"It stays the owner of FlashLoanReceiver {deployed.address}: have another gas reserve "
        "deploy a new one."
    ]

    [said] = stays_behind(Away(), wallet=executor)
    assert "is not known: RPC endpoint fake: the node is away" in said


class Away:
    """A node that does not answer."""

    def eth_call(self, **asked):
        raise RpcUnavailable("the node is away", endpoint="fake", sent=False)

    def batch(self, calls, timeout_s=None):
        raise RpcUnavailable("the node is away", endpoint="fake", sent=False)


def give(market, token, *, to, raw):
    """Somebody who trades there sends tokens."""
    trader = market.market.dexes[0].traders[0]
    data = abi.encode_call("transfer(address,uint256)", to, raw)
    market.chain.forget_nonces()
    price = market.market.min_gas_price_wei
    market.chain.send(
        [Sending(sender=trader, to=token.address, data=data, gas=100_000, gas_price=price)]
    )
    market.driver.step()


def test_without_another_reserve_the_treasury_is_where_it_goes(
    office, open_office, reserve, desk, chain
):
    exposure.wallet_expose(wallet=reserve, reason="drill", signer=desk)
    with pytest.raises(NoHaven, match="ARB_TREASURY_LOCAL"):
        wallet_move_away(office, wallet=reserve)
    assert not Transaction.objects.filter(wallet=reserve, kind="rescue").exists()

    treasury = "0x" + "7e" * 20
    desk.signer._treasuries = {"local": treasury}
    moved = wallet_move_away(open_office(treasury=treasury), wallet=reserve)

    assert moved.coin is not None
    assert balance(office, reserve.address) == 0


def test_a_treasury_that_the_signer_was_not_told_of_gets_nothing(open_office, reserve, desk):
    exposure.wallet_expose(wallet=reserve, reason="drill", signer=desk)
    held = balance(open_office(), reserve.address)

    with pytest.raises(SignRefused):
        wallet_move_away(open_office(treasury="0x" + "66" * 20), wallet=reserve)

    assert balance(open_office(), reserve.address) == held
    assert NonceSequence.objects.get(address=reserve.address).frozen == ""


def test_a_wallet_in_use_is_not_moved_and_the_command_is_named(office, executor, reserve):
    with pytest.raises(NotMovable, match="mark_exposed"):
        wallet_move_away(office, wallet=executor)


def test_where_nothing_may_be_signed_the_move_is_simulated_and_recorded(
    open_office, executor, reserve, desk
):
    exposure.wallet_expose(wallet=executor, reason="drill", signer=desk)

    moved = wallet_move_away(open_office(may_sign=False), wallet=executor)

    assert (moved.coin.status, moved.coin.simulated_only) == ("simulated", True)
    assert balance(open_office(), executor.address) > 0
