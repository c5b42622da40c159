"""`import_market` believes what the chain confirms; one line per refusal, nothing half done."""

import copy
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from arbsite.base.models import AuditEvent
from contracts.models import Chain, Dex, Pair, Pool, Token
from tests.e2e.other_market.market import PAIRS
from tests.e2e.other_market.node import free_port

pytestmark = pytest.mark.django_db
OTHER_ADDRESS = "0xdAC17F958D2ee523a2206206994597C13D831ec7"


@pytest.fixture
def document(other_market):
    return copy.deepcopy(other_market.file())


@pytest.fixture
def run(tmp_path):
    """Import a document (or text); what it printed."""

    def imported(content, *words):
        file = tmp_path / "market.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        out = StringIO()
        call_command("import_market", str(file), *words, stdout=out, stderr=StringIO())
        return out.getvalue()

    return imported


def nothing_is_written():
    return not any(m.objects.exists() for m in (Chain, Token, Dex, Pair, Pool, AuditEvent))


def written():
    return [
        sorted(
            model.objects.values_list(
                *(f.attname for f in model._meta.fields if not f.name.endswith(("_at", "revision")))
            )
        )
        for model in (Token, Dex, Pair, Pool)
    ]


def test_an_import_finds_every_pool_and_says_what_it_left_out(run, document):
    said = run(document)

    assert Pool.objects.count() == 19
    assert "no pool: WBNB/USDT." in said
    assert "on meadow" in said
    assert "no liquidity: ALPHA/WBNB on harbor" in said
    assert "19 pools, checked on chain" in said
    assert Chain.objects.get().is_local
    assert {p.fee_bps for p in Pool.objects.all()} == {10, 17, 25, 30}
    assert Pool.objects.exclude(fee_proven_at=None).count() == 18
    proven = set(Token.objects.filter(risk="proven").values_list("decimals", flat=True))
    assert proven == {6, 8, 18}


def test_two_tokens_of_one_symbol_have_pairs_of_their_own_names(run, document, other_market):
    run(document)

    names = set(Pair.objects.filter(quote__symbol="USDT").values_list("name", flat=True))
    for each in ("USDT", "USDT6"):
        digits = other_market.tokens[each][2:6].lower()
        assert f"WBNB/USDT.{digits}" in names


def test_without_aave_the_wrapped_coin_and_what_trades_against_it_are_borrowed(run, document):
    run(document)

    lendable = set(Token.objects.filter(lendable=True).values_list("symbol", "decimals"))
    assert lendable == {("WBNB", 18), ("USDT", 18), ("USDT", 6), ("BTCB", 8)}
    assert not Token.objects.exclude(atoken="").exists()


def test_a_second_import_changes_nothing_but_the_revision(run, document):
    run(document)
    before, revision = written(), Chain.objects.get().registry_revision
    run(document)

    assert written() == before
    assert Chain.objects.get().registry_revision > revision


def test_what_a_later_file_drops_stays(run, document):
    run(document)
    smaller = copy.deepcopy(document)
    smaller["pairs"] = smaller["pairs"][:1]
    smaller["dexes"] = smaller["dexes"][:2]
    run(smaller)

    assert Pool.objects.count() == 19
    assert Pair.objects.count() == len(PAIRS) + 1


def test_json_output_names_what_was_found(run, document):
    report = json.loads(run(document, "--json"))

    assert report["chain"] == "other"
    assert report["pools"] == 19
    assert report["fees_unproven"] == []
    assert report["empty"] == ["ALPHA/WBNB on harbor"]


def change(path, value):
    def apply(document, market):
        entry = document
        for key in path[:-1]:
            entry = entry[key]
        entry[path[-1]] = value(document, market) if callable(value) else value

    return apply


BAD = {
    "wrong chain id": (change(["chain", "chainId"], 57), "chain.chainId: is 57, but the node says"),
    "token without code": (
        change(["tokens", 4, "address"], OTHER_ADDRESS),
        f"tokens[4].address (ALPHA): {OTHER_ADDRESS} has no code on this chain",
    ),
    "router without code": (
        change(["dexes", 2, "router"], OTHER_ADDRESS), "dexes[2].router (quarry)",
    ),
    "wrong decimals": (
        change(["tokens", 2, "decimals"], 18), "tokens[2].decimals (USDT): is 18, but the token",
    ),
    "token that is none": (
        change(["tokens", 4, "address"], lambda d, m: m.multicall), "tokens[4].decimals",
    ),
    "unknown key": (change(["chain", "colour"], "blue"), "chain.colour: is not a known key"),
    "unknown key of a token": (
        change(["tokens", 0, "price"], 1), "tokens[0].price: is not a known key",
    ),
    "missing key": (
        lambda d, m: d["chain"].pop("feeModel"), "chain.feeModel: is missing",
    ),
    "token twice": (
        lambda d, m: d["tokens"].append(dict(d["tokens"][1])), "tokens[5]: stands twice",
    ),
    "pair of an unknown symbol": (change(["pairs", 0], ["WBNB", "GOLD"]), "pairs[0]: GOLD is not"),
    "ambiguous symbol": (
        change(["pairs", 0], ["WBNB", "USDT"]), "pairs[0]: 2 tokens call themselves USDT",
    ),
    "pair with itself": (change(["pairs", 0], ["WBNB", "WBNB"]), "pairs[0]: pairs WBNB with"),
    "pair twice": (
        lambda d, m: d["pairs"].append(d["pairs"][2][::-1]), "pairs[6]: stands twice",
    ),
    "wrong fee": (
        change(["dexes", 1, "feeBps"], 16), "dexes[1].feeBps (meadow): 16 is not what pool",
    ),
    "fee above the pair's": (
        change(["dexes", 1, "feeBps"], 18), "dexes[1].feeBps (meadow): 18 is not what pool",
    ),
    "router of another factory": (
        change(["dexes", 0, "router"], lambda d, m: m.routers["summit"]),
        "dexes[0].router (harbor): ",
    ),
    "factory that is none": (
        change(["dexes", 0, "factory"], lambda d, m: m.tokens["USDT"]), "dexes[0].router (harbor)",
    ),
    "aave that is none": (
        change(["chain", "aavePool"], lambda d, m: m.multicall), "chain.aavePool: does not answer",
    ),
    "zero address": (
        change(["chain", "multicall3"], "0x" + "0" * 40), "chain.multicall3: is the zero address",
    ),
    "wrong checksum": (
        change(["chain", "wrappedNative"], OTHER_ADDRESS[:-1] + "8"), "EIP-55 checksum",
    ),
    "local beyond this machine": (
        change(["chain", "rpcHttp"], ["http://10.1.2.3:8545"]), "is not on this machine",
    ),
    "the embedded chain's key, not local": (
        lambda d, m: d["chain"].update(key="local", local=False), "is the embedded chain's",
    ),
    "symbol that turns text around": (
        change(["tokens", 4, "symbol"], "AL\u202ePHA"), "tokens[4].symbol: holds characters",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_entry_is_named_in_one_line_and_nothing_is_written(case, run, document, other_market):
    spoil, expected = BAD[case]
    spoil(document, other_market)

    with pytest.raises(CommandError) as refusal:
        run(document)

    said = str(refusal.value)
    assert expected in said
    assert "\n" not in said
    assert said.endswith("(nothing was written)")
    assert nothing_is_written()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"chain": ', "is not JSON"),
        ("[]", "file: must be a JSON object"),
        ('{"chain": {}, "chain": {}, "tokens": [], "dexes": [], "pairs": []}', "stands twice"),
        ("[" * 100_000, "is not JSON"),
        ("1" * 10_000, "is not JSON"),
        ("\ufeff{}", "is not JSON"),
    ],
)
def test_a_file_that_is_no_market_file_gives_one_line(text, expected, run):
    with pytest.raises(CommandError, match=expected) as refusal:
        run(text)
    assert "\n" not in str(refusal.value)
    assert nothing_is_written()


def test_a_missing_file_gives_one_line(tmp_path):
    with pytest.raises(CommandError, match=r"cannot read .*: No such file"):
        call_command("import_market", str(tmp_path / "none.json"))


def test_a_local_chain_cannot_be_taken_on_trust(run, document):
    with pytest.raises(CommandError, match="import it without --offline"):
        run(document, "--offline")
    assert nothing_is_written()


def test_a_local_chain_on_a_real_node_is_refused(run, document):
    with node_that_says("Geth/v1.15.0") as url:
        document["chain"]["rpcHttp"] = [url]
        with pytest.raises(CommandError, match="only anvil and hardhat count as local"):
            run(document)
    assert nothing_is_written()


def test_every_endpoint_of_a_local_chain_is_asked_what_it_is(run, document):
    with node_that_says("Geth/v1.15.0") as url:
        document["chain"]["rpcHttp"].append(url)
        with pytest.raises(CommandError, match="only anvil and hardhat count as local"):
            run(document)
    assert nothing_is_written()


def test_a_node_that_is_away_gives_one_line(run, document):
    document["chain"]["rpcHttp"] = [f"http://127.0.0.1:{free_port()}"]
    with pytest.raises(CommandError, match="connection refused") as refusal:
        run(document)
    assert "\n" not in str(refusal.value)
    assert nothing_is_written()


def test_two_networks_cannot_share_a_number(run, document):
    document["chain"] |= {"local": False, "key": "first"}
    run(document, "--offline")
    document["chain"]["key"] = "second"

    with pytest.raises(CommandError, match=r"chain.chainId: 56 is already chain first"):
        run(document, "--offline")
    assert Chain.objects.count() == 1


def test_a_rehearsal_may_have_the_number_of_a_network(run, document):
    real = copy.deepcopy(document)
    real["chain"] |= {"local": False, "key": "bsc"}
    run(real, "--offline")
    run(document)

    assert set(Chain.objects.values_list("key", "eip155_id")) == {("bsc", 56), ("other", 56)}


def test_a_known_key_keeps_its_number(run, document):
    document["chain"] |= {"local": False}
    run(document, "--offline")
    document["chain"]["chainId"] = 97

    with pytest.raises(CommandError, match="is registered with chain id 56"):
        run(document, "--offline")


@pytest.mark.parametrize("key", ["decimals", "factory"])
def test_what_rows_rest_on_is_not_changed_on_trust(key, run, document):
    document["chain"] |= {"local": False}
    run(document, "--offline")
    if key == "decimals":
        document["tokens"][1]["decimals"] = 9
    else:
        document["dexes"][0]["factory"] = OTHER_ADDRESS

    with pytest.raises(CommandError, match="is registered"):
        run(document, "--offline")
    assert Token.objects.get(symbol="USDT", decimals=18)


def test_a_new_pool_comes_with_the_next_import(run, document, chain_as_before):
    run(document)
    chain_as_before.pair("meadow", "WBNB", "USDT6")
    chain_as_before.fund("meadow", "WBNB", "USDT6", 300_000)
    chain_as_before.settle()
    run(document)

    assert Pool.objects.count() == 20


class node_that_says:
    """A node that knows only what it is."""

    def __init__(self, version):
        answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": version}).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = answer.replace(b'"id": 1', b'"id": %d' % request["id"])
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
