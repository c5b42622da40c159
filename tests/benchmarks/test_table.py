"""The table of `make bench`: a promised figure is in it, or the run fails and says which is not."""

import json

import pytest

from tests.benchmarks.__main__ import PROMISED, main
from tests.benchmarks.search_bench import real_book

ROW = {"value": 1.5, "unit": "us", "target": 3, "reference": 1.8, "ok": True}


def test_every_promised_figure_is_written_and_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ARB_DATA_DIR", str(tmp_path))

    assert main((("all", lambda: dict.fromkeys(PROMISED, ROW)),)) == 0

    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "bench.json").read_text())
    assert all(name in printed for name in PROMISED)
    assert list(written) == list(PROMISED)
    assert set(written["P1"]) == {"value", "unit", "target", "reference", "ok"}


def test_of_several_cases_the_one_nearest_to_its_target_stands_for_the_figure(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("ARB_DATA_DIR", str(tmp_path))
    rest = {name: ROW for name in PROMISED if name != "P2"}
    cases = {"P2 245": {**ROW, "value": 2.5}, "P2 10000": {**ROW, "value": 1}}

    main((("all", lambda: rest | cases),))

    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["P2"]["case"] == "P2 245"


@pytest.mark.parametrize("name", ["P8", "growth", "loops"])
def test_a_promised_figure_that_was_not_measured_fails_the_run(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setenv("ARB_DATA_DIR", str(tmp_path))

    assert main((("some", lambda: {each: ROW for each in PROMISED if each != name}),)) == 1

    assert f"not measured: {name}" in capsys.readouterr().out


def test_cases_without_a_target_are_measured_and_none_stands_for_the_others(tmp_path, monkeypatch):
    monkeypatch.setenv("ARB_DATA_DIR", str(tmp_path))
    rest = {name: ROW for name in PROMISED if name != "growth"}
    cases = {case: {**ROW, "target": "-"} for case in ("growth 245", "growth 100000")}

    assert main((("all", lambda: rest | cases),)) == 0

    assert "growth" not in json.loads((tmp_path / "bench.json").read_text())


def test_a_pool_graph_that_is_not_there_is_named(tmp_path, capsys):
    assert real_book(tmp_path / "pools.csv") is None
    assert "real pool graph, pools.csv is not there" in capsys.readouterr().out
