# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks` runs, its results are as their schema says, and the page shows those that are recorded."""

from __future__ import annotations

import re
import subprocess
import sys

import jsonschema
import pytest
from support import ROOT

sys.path.append(str(ROOT))
from benchmarks import page, results, stats, tables
from benchmarks.model import Case, Comparison, Ratio
from benchmarks.registry import COMPARISONS
from benchmarks.timing import AGAIN, take_turns


def run(*arguments: object) -> str:
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def compared(case: Case, *ratios: Ratio) -> dict:
    comparison = Comparison(
        name="it",
        title="It",
        subject="a",
        against={"b": "peer"},
        ratios=ratios,
        measure=lambda _: iter([]),
    )
    return stats.summarise(comparison, case)


def test_quick_run(tmp_path):
    said = run(
        "--quick",
        "--only",
        "phases",
        "start_up",
        "--json",
        tmp_path / "it.json",
        "--plots",
        tmp_path,
    )
    assert "import snapcore" in said
    found = results.load(tmp_path / "it.json")
    assert found["quick"]
    assert [c["name"] for c in found["comparisons"]] == ["phases", "start_up"]
    for comparison in found["comparisons"]:
        assert comparison["not_run"] is None
        assert (tmp_path / f"{comparison['name']}.svg").read_text().startswith("<?xml")
        for case in comparison["cases"]:
            assert case["noise"]["rounds"] >= 2
            assert case["ratios"]


def test_list_names_every_comparison():
    said = run("--list")
    assert all(f"\n{name} " in f"\n{said}" for name in COMPARISONS)


def test_a_tool_that_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = run("--quick", "--only", "compression")
    assert "not run: not installed: gcore, zstd" in found


def test_results_that_lack_something_are_refused():
    found = results.load(page.RESULTS)
    del found["comparisons"][0]["cases"][0]["noise"]
    with pytest.raises(jsonschema.ValidationError, match="'noise' is a required property"):
        results.check(found)


def test_page_shows_the_recorded_results():
    text = page.PAGE.read_text(encoding="utf-8")
    found = results.load(page.RESULTS)
    assert not found["quick"]
    assert page.render(text, found) == text, "run python benchmarks --page"
    shown = set(re.findall(r"<!-- benchmarks: (\w+) -->", text))
    assert shown == {"machine", "aims", *COMPARISONS}
    assert {c["name"] for c in found["comparisons"]} == set(COMPARISONS)


def test_recorded_ratios_are_those_of_the_recorded_times():
    for recorded in results.load(page.RESULTS)["comparisons"]:
        comparison = COMPARISONS[recorded["name"]]
        assert recorded["against"] == comparison.against
        for case in recorded["cases"]:
            again = stats.summarise(comparison, Case(case["name"], case["samples"], case["sizes"]))
            assert again == case
            named = {comparison.subject, *comparison.against}
            assert {series.removesuffix(AGAIN) for series in case["samples"]} <= named


def test_plots_are_there():
    text = page.PAGE.read_text(encoding="utf-8")
    shown = page.SHOWN.findall(text)
    assert set(shown) <= set(COMPARISONS)
    drawn = {path.stem for path in page.IMAGES.glob("*.svg")}
    assert drawn & set(COMPARISONS) == set(shown)
    pages = "".join(path.read_text(encoding="utf-8") for path in page.PAGE.parent.rglob("*.md"))
    assert [name for name in drawn if f"images/{name}.svg" not in pages] == []
    assert all(path.stat().st_size < 100_000 for path in page.IMAGES.glob("*.svg"))


def test_everyone_has_a_turn_in_every_round():
    seen: list[str] = []
    calls = {name: lambda name=name: seen.append(name) for name in ("a", "b", "slow")}
    samples = take_turns(calls, 3, again="a", limits={"slow": 1})
    assert list(samples) == ["a", "b", "slow", "a" + AGAIN]
    assert [len([v for v in row if v is not None]) for row in samples.values()] == [3, 3, 1, 3]
    # One round more, which warms up; what is slow has none.
    assert {name: seen.count(name) for name in calls} == {"a": 8, "b": 4, "slow": 1}


def test_a_call_may_measure_itself():
    samples = take_turns({"a": lambda: {"a": 2.0, "part": 1.0}, "b": lambda: 3.0}, 2, again="a")
    assert samples == {
        "a": [2.0, 2.0],
        "b": [3.0, 3.0],
        "part": [1.0, 1.0],
        "a" + AGAIN: [2.0, 2.0],
        "part" + AGAIN: [1.0, 1.0],
    }


def test_ratio_is_of_the_rounds_in_which_both_were_measured():
    case = Case("x", {"a": [1.0, 2.0, 4.0], "b": [4.0, None, 8.0], "a" + AGAIN: [1.1, 2.0, 4.0]})
    found = compared(case, Ratio(over="b", under="a", at_least=3))
    assert found["noise"] == {"median": 1.0, "low": 1.0, "high": 1.1, "rounds": 3}
    (ratio,) = found["ratios"]
    assert (ratio["median"], ratio["low"], ratio["high"], ratio["rounds"]) == (3.0, 2.0, 4.0, 2)
    assert ratio["met"]
    assert ratio["close"]
    assert not ratio["noise"]
    assert tables.verdict(ratio) == "met, not in every round"


@pytest.mark.parametrize(
    ("b", "again", "noise"),
    [
        ([1.0, 3.0], [1.0, 2.0], True),  # now less, now more
        ([2.2, 3.6], [1.5, 3.0], True),  # no more than the subject from itself
        ([4.0, 8.0], [1.5, 3.0], False),
    ],
)
def test_noise(b, again, noise):
    case = Case("x", {"a": [2.0, 2.0], "b": b, "a" + AGAIN: again})
    assert compared(case, Ratio(over="b", under="a"))["ratios"][0]["noise"] is noise


def test_first_ratio_that_applies_to_a_case():
    case = Case("1 GiB to ext4", {"a": [1.0], "b": [2.0]})
    ratios = (
        Ratio(over="b", under="a", at_least=5, cases="256 MiB*"),
        Ratio(over="b", under="a", at_least=3, cases="1 GiB*"),
        Ratio(over="b", under="a"),
    )
    (ratio,) = compared(case, *ratios)["ratios"]
    assert ratio["at_least"] == 3
    assert not ratio["met"]
