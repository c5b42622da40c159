"""The shadow check: what is unsent is called computed; sums are per lender and path length."""

import pytest
from django.utils import timezone

from contracts.models import Token
from execution import shadow_selectors
from execution.models import ShadowCheck
from tests.arbsite.console.builders import make_user
from tests.execution.rows import EXECUTOR, make_chain, make_execution, make_hash, make_sent

pytestmark = pytest.mark.django_db
RIVAL = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
COIN = 10**18


@pytest.fixture
def chain(settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    return make_chain()


def make_check(chain, *, n, **change):
    facts = {
        "block_number": 100 + n, "block_hash": make_hash(n), "reason": "in_flight",
        "dexes": ["pancakeswap", "biswap"], "hops": 2, "lender_kind": "first_pool",
        "borrow_token": Token.objects.get(chain=chain), "expected_profit": 700 * COIN,
        "net_profit": 600 * COIN, "native_rate_num": 600, "native_rate_den": 1,
        "after_one": "there", "after_two": "taken", "later": [500 * COIN, None],
        "ended_in": 102 + n, "ended_by": make_hash(50 + n), "taken_by": RIVAL, "taken_via": RIVAL,
        "at": timezone.now(),
    }  # fmt: skip
    return ShadowCheck.objects.create(chain=chain, opportunity_id=n, **{**facts, **change})


def test_the_page_says_who_took_it_and_that_nothing_was_earned(client, chain):
    make_check(chain, n=1)
    make_check(chain, n=2, reason="", taken_by=EXECUTOR)
    make_sent(chain)
    client.force_login(make_user(role="viewer"))

    page = client.get("/opportunities/shadow/").content.decode()

    assert "Nothing here was earned" in page
    assert "already in flight" in page
    assert "its turn had not come" in page
    assert RIVAL in page
    assert page.count(">ours<") == 2  # among the takers, and in its row
    assert 'href="/opportunities/2/"' in page


def test_without_anything_to_show_it_says_what_would_show(client, chain):
    client.force_login(make_user(role="viewer"))

    page = client.get("/opportunities/shadow/").content.decode()

    assert "Nothing to look at yet" in page


def test_simulated_and_realised_are_summed_in_the_coin_per_lender_exchange_and_length(chain):
    path = [{"dex": "pancakeswap"}, {"dex": "biswap"}, {"dex": "pancakeswap"}]
    landed = make_sent(chain, n=1, status="confirmed", receipt={"status": "0x1"})
    reverted = make_sent(chain, n=2, status="reverted", receipt={"status": "0x0"})
    make_execution(chain, n=1, sent=landed, path=path, expected_profit=1_200, realized_profit=600)
    make_execution(chain, n=2, sent=reverted, path=path, expected_profit=599, realized_profit=0)
    make_execution(chain, n=3, path=path, expected_profit=9_999)  # never sent
    make_check(chain, n=1)

    kinds = {
        (row["lender"], row["dex"], row["hops"]): row
        for row in shadow_selectors.shadow(chain=chain)["kinds"]
    }

    assert set(kinds) == {
        ("aave_v3", "pancakeswap", 3), ("aave_v3", "biswap", 3),
        ("first_pool", "pancakeswap", 2), ("first_pool", "biswap", 2),
    }  # fmt: skip
    sent = kinds["aave_v3", "pancakeswap", 3]
    assert (sent["sent"], sent["landed"], sent["unsent"]) == (2, 1, 0)
    assert (sent["simulatedWei"], sent["landedSimulatedWei"]) == ("2", "2")
    assert sent["realizedWei"] == "1"
    unsent = kinds["first_pool", "biswap", 2]
    assert (unsent["unsent"], unsent["thereOne"], unsent["thereTwo"]) == (1, 1, 0)
    assert (unsent["taken"], unsent["unsentNetWei"]) == (1, str(COIN))


def test_another_chains_checks_are_not_shown(chain):
    other = make_chain(key="other", name="Other", eip155_id=5)
    make_check(other, n=1)

    assert shadow_selectors.shadow(chain=chain)["unsent"]["count"] == 0
