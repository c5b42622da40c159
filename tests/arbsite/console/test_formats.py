"""Numbers on pages: one file of examples holds the server's words, and the browser's, to them."""

import json
from pathlib import Path

import pytest
from django.template import Context, Template
from hypothesis import given
from hypothesis import strategies as st

from arbsite.base import charts, formats
from arbsite.base.templatetags import arb

EXAMPLES = json.loads((Path(__file__).parent / "formats.json").read_text())
FACTS = {
    "tokens": {
        "0xA": {"symbol": "WBNB", "decimals": 18},
        "0xB": {"symbol": "USDC", "decimals": 6},
        "0xC": {"symbol": "UNIT", "decimals": 0},
        "native": {"symbol": "BNB", "decimals": 18},
    },
    "dexes": {"mdex": "MDEX"},
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e['fmt']} {e['value']}"[:60])
def test_a_value_is_shown_as_the_example_says(example):
    said = formats.shown(
        example["value"],
        fmt=example["fmt"],
        row=example.get("row", {}),
        facts=FACTS,
        asset=example.get("asset", ""),
    )

    assert (said.text, said.title, said.tone) == (
        example["text"],
        example["title"],
        example.get("tone", ""),
    )


@given(st.integers(-(10**40), 10**40), st.integers(0, 24))
def test_what_is_cut_off_is_cut_against_us(raw, decimals):
    text = formats.short_units(raw, decimals)
    if text.startswith("<"):
        assert 0 < raw * 10_000 < 10**decimals or decimals < 4
        return
    whole, _, part = text.replace(",", "").replace(formats.MINUS, "-").partition(".")
    shown = int(whole + part) * 10 ** (decimals - len(part))
    assert shown <= raw


@given(st.integers(-(10**40), 10**40), st.integers(0, 36))
def test_the_whole_number_is_there_on_hover(raw, decimals):
    text = formats.decimal_text(raw, decimals).replace(",", "").replace(formats.MINUS, "-")
    whole, _, part = text.partition(".")
    assert int(whole + part.ljust(decimals, "0")) == raw


def test_a_hostile_symbol_is_escaped_in_a_cell():
    facts = {"tokens": {"0xE": {"symbol": '"><script>x</script>', "decimals": 18}}}
    row = {"amount": "1000000000000000000", "token": "0xE"}
    page = Template('{% load arb %}{% value row "amount" "amount" "token" %}')

    html = page.render(Context({"row": row, "facts": facts}))

    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_filters_say_what_templates_ask_for():
    assert arb.wei("1500000000", "gwei") == "1.5 gwei"
    assert arb.wei(10**18) == "1.0000"
    assert arb.units("not a number", 18) == formats.UNKNOWN
    assert arb.age(61_000) == "1 min"
    assert arb.age(None) == formats.UNKNOWN
    assert arb.age("never") == formats.UNKNOWN


def test_a_waterfall_floats_each_cost_under_the_one_before():
    steps = [
        {"step": "gross_spread", "amount": "100", "bps": 100},
        {"step": "swap_fees", "amount": "-60", "bps": -60},
        {"step": "price_impact", "amount": "-60", "bps": -60},
        {"step": "l1_data_fee", "amount": None, "bps": None},
        {"step": "net", "amount": "-20", "bps": -20},
    ]

    bars = charts.waterfall_bars(steps)

    assert [(b["x"], b["width"]) for b in bars[:3]] == [(166, 833), (500, 500), (0, 500)]
    assert bars[3]["width"] == 0
    assert bars[4]["tone"] == "down"
    assert {b["zero"] for b in bars} == {166}
