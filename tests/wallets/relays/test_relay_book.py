"""A relay gets nothing before it answered its probe, as its entry is now; what each one carried."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from arbsite.base.conf import ArbConfig
from tests.wallets.conftest import (  # noqa: F401  fixtures of the send path
    anvil,
    bench,
    channel_layer,
    desk,
)
from tests.wallets.relays.builder import builder
from wallets import adapters, relay_book
from wallets.models import RelayProbe

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
REFUSES = {"error": {"code": -38000, "message": "bundle missing txs"}}


@pytest.fixture
def registered(bench):  # noqa: F811
    """A chain with one bundle endpoint in its registry, and that endpoint."""
    with builder() as wire:
        wire.answer = REFUSES
        bench.chain.relays = [
            {"kind": "bundle", "name": "one", "url": wire.url, "dialect": "max_block",
             "auth": "header"},
        ]  # fmt: skip
        bench.chain.save()
        yield bench.chain, wire
        way = adapters._ways.pop(bench.chain.key, None)
        if way:
            way[2].close()


def give_credential(settings, **names):
    settings.ARB = ArbConfig.from_environ(
        {f"RELAY_{name.upper()}_AUTH": value for name, value in names.items()},
        root=settings.BASE_DIR,
    )


def probed(*, fails=False):
    out = StringIO()
    if fails:
        with pytest.raises(CommandError, match="no relay of local may be used"):
            call_command("probe_relays", "--chain", "local", "--json", stdout=out)
    else:
        call_command("probe_relays", "--chain", "local", "--json", stdout=out)
    return json.loads(out.getvalue())


def test_an_untried_relay_is_no_way(registered):
    chain, _ = registered
    assert adapters.private_way(chain) is None
    assert relay_book.relays_shown(chain=chain)[0]["state"] == "unverified"


def test_a_builder_that_refuses_an_empty_bundle_is_one(registered, settings):
    chain, wire = registered
    give_credential(settings, one="token")
    (shown,) = probed()
    (call,) = wire.calls

    assert call["params"] == [{"txs": [], "maxBlockNumber": 1}]
    assert wire.requests[0][0]["Authorization"] == "token"
    assert (shown["state"], shown["credential"]) == ("verified", True)
    assert "missing txs" in shown["detail"]
    assert "token" not in json.dumps(shown)
    way = adapters.private_way(chain)
    assert way is not None
    assert way.name == "bundle:one"
    assert adapters.private_way(chain) is way


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"error": {"code": -32601, "message": "the method does not exist"}}, "knows no"),
        ({"error": {"code": -32000, "message": "eth_sendBundle is not supported"}}, "knows no"),
        ({"error": {"code": 401, "message": "Unauthorized"}}, "does not let us in"),
        ({"error": {"code": -32600, "message": "error in signature check 0xab"}}, "let us in"),
    ],
)
def test_an_endpoint_that_is_no_builder_or_knows_us_not_is_none(registered, settings, answer, why):
    chain, wire = registered
    give_credential(settings, one="token")
    wire.answer = answer
    (shown,) = probed(fails=True)

    assert (shown["state"], why in shown["detail"]) == ("failed", True)
    assert adapters.private_way(chain) is None


def test_without_its_credential_it_is_not_even_asked(registered):
    (shown,) = probed(fails=True)

    assert "RELAY_ONE_AUTH" in shown["detail"]
    assert registered[1].requests == []


def test_an_entry_that_changed_is_unverified_again(registered, settings):
    chain, _ = registered
    give_credential(settings, one="token")
    probed()
    chain.relays[0]["minGasPriceWei"] = "7"
    chain.save()

    assert adapters.private_way(chain) is None
    assert "changed since" in relay_book.relays_shown(chain=chain)[0]["detail"]


def test_what_is_signed_for_a_local_chain_goes_to_no_relay_elsewhere(registered):
    chain, _ = registered
    chain.relays[0]["url"] = "https://relay.example"
    chain.save()
    (entry,) = relay_book.entries_of(chain)
    RelayProbe.objects.create(
        chain=chain, relay="one", entry_digest=relay_book.digest_of(entry), ok=True
    )

    assert adapters.private_way(chain) is None
    assert relay_book.relays_shown(chain=chain)[0]["state"] == "failed"


def test_an_entry_of_an_older_form_stops_nothing_else(registered):
    chain, _ = registered
    chain.relays = [{"kind": "bundle", "name": "Not A Name", "url": "https://x.example"}]

    assert relay_book.entries_of(chain) == ()
    assert adapters.private_way(chain) is None


def test_the_sender_is_made_anew_when_its_relays_are(registered, settings):
    chain, _ = registered
    before = adapters.sender(chain)
    assert adapters.sender(chain) is before
    give_credential(settings, one="token")
    probed()
    after = adapters.sender(chain)

    assert after is not before
    assert not before.carries(private_only=True)
    assert after.carries(private_only=True)
    before.close()
    adapters._senders.pop((chain.key, str(adapters.signer_socket()))).close()


def test_an_engine_hears_of_a_probe_where_another_set_of_relays_may_be_used(registered, settings):
    chain, _ = registered
    give_credential(settings, one="token")

    def revision():
        chain.refresh_from_db()
        return chain.registry_revision

    first = revision()
    probed()
    tried = revision()
    probed()

    assert tried == first + 1
    assert revision() == tried


def test_statistics_take_one_query_and_none_has_no_rows(registered, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert relay_book.relay_statistics(chain_key="local") == []
