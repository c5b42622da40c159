"""Shipped market files in the registry: what `up` does with them, without a connection."""

from io import StringIO

import pytest
from django.core.management import call_command

from contracts.models import Chain
from prices.adapters import chain_costs
from tests.contracts.registry.shipped import MARKETS, ROOT

pytestmark = pytest.mark.django_db


@pytest.fixture
def registered():
    """Every shipped file, imported as a first start does."""
    said = []
    for key in MARKETS:
        out = StringIO()
        file = ROOT / f"contracts/registry/{key}.json"
        call_command("import_market", str(file), offline=True, stdout=out, stderr=StringIO())
        said.append(out.getvalue())
    return said


def test_every_file_is_registered_without_a_look_at_the_chain(registered):
    rows = {chain.key: chain for chain in Chain.objects.all()}

    assert set(rows) == set(MARKETS)
    assert all("not checked on chain (--offline)" in said for said in registered)
    for key, chain in rows.items():
        assert chain.checked_at is None
        assert chain.pairs.count() == len(MARKETS[key]["pairs"])
        assert chain.tokens.count() == len(MARKETS[key]["tokens"])
        assert chain.dexes.count() == len(MARKETS[key]["dexes"])
        # A pool is only ever what a factory said, and nobody was asked.
        assert chain.pools.count() == 0


def test_registering_again_changes_nothing(registered):
    before = list(Chain.objects.order_by("key").values("key", "rpc_http", "confirmations"))
    for key in MARKETS:
        file = ROOT / f"contracts/registry/{key}.json"
        call_command("import_market", str(file), offline=True, stdout=StringIO())

    assert list(Chain.objects.order_by("key").values("key", "rpc_http", "confirmations")) == before


def test_no_two_of_them_share_a_chain_id(registered):
    ids = list(Chain.objects.values_list("eip155_id", flat=True))

    assert len(set(ids)) == len(ids) == len(MARKETS)


@pytest.mark.parametrize("key", sorted(MARKETS))
def test_the_l1_fee_is_known_to_be_nothing_or_not_known(registered, key):
    costs = chain_costs(Chain.objects.get(key=key))

    expected = 0 if MARKETS[key]["chain"]["l1Fee"] == "none" else None
    assert costs.l1_fee_wei == expected
