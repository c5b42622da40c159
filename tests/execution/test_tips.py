"""A tip goes where a bundle carries it to who is paid, out of what is left; else nothing goes."""

from dataclasses import replace

import pytest

from arbsite.base.units import Wei
from contracts.models import Chain, Deployment
from execution.kernel.limits import MOST_TIP_BPS
from execution.models import Execution
from execution.tips import affordable, tips_now
from prices.kernel.costs import NO_TIP, TipTerms
from tests.execution.rows import change
from tests.execution.test_desk import BEST, PRICE_WEI, another, eip1559, make_bench, wanted_of
from wallets import relay_book
from wallets.models import Balance, Transaction, Wallet

pytestmark = pytest.mark.django_db(transaction=True)
BUILDER = "0x" + "4848" * 10
OTHER = "0x" + "1266" * 10
COIN = 10**18
SHARE_BPS = 1_000


def relay(name, **changes):
    entry = {
        "kind": "bundle",
        "name": name,
        "url": f"https://{name}.example",
        "tipRecipient": BUILDER,
    }
    return {**entry, **changes}


def relays_are(chain, *relays):
    """Those relays, each of which answered its probe."""
    Chain.objects.filter(pk=chain.pk).update(relays=list(relays))
    chain.refresh_from_db()
    for entry in relay_book.entries_of(chain):
        relay_book.probe_record(chain=chain, entry=entry, ok=True, detail="a test")


def contract_pays(address):
    Deployment.objects.update(observed={"tipRecipient": address})


@pytest.fixture
def bench(channel_layer):
    made = make_bench()
    relays_are(made.chain, relay("one", url="http://127.0.0.1:1"))
    made.sender.tip_recipients = frozenset({BUILDER.lower()})
    contract_pays(BUILDER)
    change(made.chain, usePrivateMempool=True, tipShareBps=SHARE_BPS)
    return made


def sent(bench, wanted=None):
    """What was simulated, planned and recorded of it: value, value, the waterfall's step."""
    acted = bench.act(wanted)
    row = Execution.objects.select_related("transaction").get(pk=acted.execution_pk)
    step = next(each for each in row.waterfall if each["step"] == "relay_tip")
    value = int(row.transaction.value_wei)
    assert bench.simulator.asked[-1]["value_wei"] == value
    assert (int(step["amount"]) == 0) == (value == 0)
    return row, value, step


def tip_of(evaluation=BEST, *, share_bps=SHARE_BPS):
    return -(-evaluation.net_wei * share_bps // 10_000)


def costed_tips(share_bps):
    return TipTerms(share_bps=share_bps, most_wei=Wei(COIN))


def test_a_tenth_of_the_net_is_simulated_planned_and_shown(bench):
    row, value, step = sent(bench)

    assert abs(value - tip_of()) <= 1  # the net is floored where its tenth is not
    rate = BEST.native_rate
    assert int(step["amount"]) == -rate.tokens_ceil(value)
    net = next(each for each in row.waterfall if each["step"] == "net")
    assert int(net["amount"]) == BEST.net_profit + int(step["amount"])
    assert sum(int(each["amount"]) for each in row.waterfall[:-1]) == int(net["amount"])
    # Offered is not paid: that is the receipt's to say.
    assert (row.tip_wei, row.transaction.private_only) == (0, True)


def test_what_the_contract_must_earn_covers_the_tip(bench):
    tips = costed_tips(9_000)
    plain, given_ = wanted_of(), wanted_of().repriced(PRICE_WEI, tips=tips)
    tip = -given_.evaluation.waterfall.relay_tip
    gas = -BEST.waterfall.gas
    assert tip > 0
    assert given_.plan.min_profit == max(plain.plan.min_profit, gas + tip + plain.threshold)
    assert given_.candidate.net_profit == plain.candidate.net_profit - tip >= plain.threshold
    again = given_.repriced(PRICE_WEI, tips=NO_TIP)
    assert again.candidate.net_profit == plain.candidate.net_profit


def test_dearer_gas_leaves_less_to_tip_from_and_the_trade_goes_on_paying(bench):
    tips = costed_tips(9_000)
    cheap = wanted_of().repriced(PRICE_WEI, tips=tips)
    dear = wanted_of().repriced(Wei(PRICE_WEI * 3), tips=tips)
    assert 0 < dear.evaluation.tip_wei < cheap.evaluation.tip_wei
    assert dear.candidate.net_profit >= dear.threshold
    fall = dear.evaluation.waterfall
    assert fall.gas == -BEST.native_rate.tokens_ceil(BEST.gas_estimate * PRICE_WEI * 3)


def test_a_public_way_carries_no_tip(bench):
    change(bench.chain, usePrivateMempool=False)
    row, value, _ = sent(bench)
    assert (value, row.transaction.private_only) == (0, False)


def test_without_a_share_no_tip_is_offered(bench):
    change(bench.chain, tipShareBps=0)
    assert sent(bench)[1] == 0


@pytest.mark.parametrize("paid", ["", OTHER])
def test_a_contract_that_pays_nobody_or_another_offers_none(bench, paid):
    contract_pays(paid)
    assert sent(bench)[1] == 0


def test_a_builder_that_names_nobody_is_offered_none(bench):
    bench.sender.tip_recipients = frozenset()
    assert sent(bench)[1] == 0


def test_the_share_that_holds_when_it_is_sent_counts_not_that_of_the_search(bench):
    costed = wanted_of().repriced(PRICE_WEI, tips=costed_tips(9_000))
    assert abs(sent(bench, costed)[1] - tip_of()) <= 1
    Transaction.objects.update(status="confirmed")
    change(bench.chain, tipShareBps=0)
    second = replace(another(bench), opportunity_pk=8)
    assert sent(bench, second.repriced(PRICE_WEI, tips=costed_tips(9_000)))[1] == 0


def test_an_executor_pays_no_more_than_it_holds_beside_its_gas(bench):
    gas_wei = bench.desk.trial.gas_of_one(wanted_of(), bench.desk.refresh())
    held = Wei(gas_wei + 7)
    Balance.objects.create(
        wallet=Wallet.objects.get(), balance_wei=held, block_number=1, block_hash=BEST.block.hash
    )
    assert sent(bench)[1] == 7


def test_what_is_affordable_is_what_is_left_and_an_unknown_balance_bounds_nothing():
    terms = TipTerms(share_bps=1, most_wei=Wei(10))
    assert affordable(terms, balance_wei=None, gas_wei=Wei(5)) is terms
    assert affordable(terms, balance_wei=Wei(8), gas_wei=Wei(5)).most_wei == 3
    assert affordable(terms, balance_wei=Wei(4), gas_wei=Wei(5)).most_wei == 0
    assert affordable(terms, balance_wei=Wei(99), gas_wei=Wei(5)).most_wei == 10


def standing(bench):
    found = bench.desk.refresh()
    return tips_now(chain=bench.chain, config=found.mode.config, receiver=found.deployment)


def test_only_a_relay_that_answered_its_probe_is_one_to_tip(bench):
    assert standing(bench).ok
    relays_are(bench.chain, relay("one", url="http://127.0.0.1:1", windowBlocks=3))
    assert standing(bench).terms.share_bps == SHARE_BPS
    Chain.objects.update(relays=[relay("two", url="http://127.0.0.1:1")])
    bench.chain.refresh_from_db()
    found = standing(bench)
    assert (found.terms, found.ok) == (NO_TIP, False)
    assert "no builder" in found.why
    assert "probe_relays" in found.fix


def test_who_is_not_paid_is_named_beside_who_would_be(bench):
    contract_pays(OTHER)
    found = standing(bench)
    assert (found.terms, found.ok) == (NO_TIP, False)
    assert OTHER in found.why
    assert BUILDER.lower() in found.why
    assert "tip recipient" in found.fix


def test_no_more_is_offered_than_the_signer_signs(bench):
    assert standing(bench).terms == TipTerms(share_bps=SHARE_BPS, most_wei=Wei(COIN))
    assert MOST_TIP_BPS < 10_000


def test_dynamic_fees_and_a_tip_are_weighed_together(channel_layer):
    made = make_bench(fee_model="eip1559")
    relays_are(made.chain, relay("one", url="http://127.0.0.1:1"))
    made.sender.tip_recipients = frozenset({BUILDER.lower()})
    contract_pays(BUILDER)
    change(made.chain, usePrivateMempool=True, tipShareBps=SHARE_BPS)
    made.sender.fees = eip1559(tip=PRICE_WEI * 2, max_fee=PRICE_WEI * 2)
    row, value, _ = sent(made)
    dearer = wanted_of().repriced(Wei(PRICE_WEI * 2))
    assert abs(value - tip_of(dearer.evaluation)) <= 1
    gas = next(each for each in row.waterfall if each["step"] == "gas")
    assert int(gas["amount"]) == dearer.evaluation.waterfall.gas
