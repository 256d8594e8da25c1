"""The report shows what was measured, needs no network, and runs nothing that a log contains."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import hostile
import pytest

from routerlib.evaluation.repricing import HeldOutDecisions
from routerlib.features.names import FOLDED
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, Score
from routerlib.records.prompt import Prompt
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.show.held_out import split_as_trained
from routerlib.show.pages.findings import find
from routerlib.show.pages.index import write_index
from routerlib.show.pages.notebook import script
from routerlib.show.tables.rendering import Table, table


@pytest.fixture(scope="module")
def log(hostile_index: Path) -> CallLog:
    return CallLog(hostile_index.parent / "logs.db", read_only=True)


@pytest.fixture(scope="module")
def page(hostile_index: Path) -> str:
    return hostile_index.read_text()


def test_same_data_give_the_same_bytes(hostile_index: Path) -> None:
    """Written by another process, in which sets of texts come in another order."""
    again = (
        "import hostile, sys; from pathlib import Path; from routerlib.log.call_log import CallLog;"
        "hostile.make_index(CallLog(Path(sys.argv[1])), 'again.html')"
    )
    subprocess.run(
        [sys.executable, "-c", again, str(hostile_index.parent / "logs.db")],
        check=True,
        cwd=Path(hostile.__file__).parent,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    for page, again, stem in (
        ("index.html", "again.html", "again_prompts"),
        ("prompts.html", "again_prompts.html", "again"),
    ):
        first, other = ((hostile_index.parent / name).read_text() for name in (page, again))
        same = {"again_prompts": "prompts", "again": "index"}[stem]
        other = other.replace(f'"{stem}.html"', f'"{same}.html"')
        if page == "index.html":
            first, other = without_stated_time(first), without_stated_time(other)
        assert other == first


def without_stated_time(page: str) -> str:
    """Leave out the one line that says when the router file was made."""
    page, n_lines = re.subn(r"<dt>Made</dt><dd>[^<]+</dd>\n", "", page)
    assert n_lines == 1
    return page


def test_nothing_in_the_page_asks_for_anything_outside_it(page: str) -> None:
    assert not re.search(r"(?:src|href|url\()\s*=?\s*[\"']?(?:https?:)?//", page)
    assert set(re.findall(r'src="([a-z]+:)', page)) <= {"data:"}
    assert len(page) < 5_000_000


def test_what_came_from_a_log_is_shown_as_it_is_and_never_run(page: str) -> None:
    own = [script(name).code for name in ("tables.js", "money.js", "whatif.js")]
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.S)
    assert [code for code in scripts if not code.startswith("{")] == own
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page
    assert "{{7*7}}" in page
    assert "large 49" not in page
    assert "small <b>" not in page
    assert "\u2028" not in "".join(scripts)


def test_data_for_the_scripts_are_the_held_out_decisions(page: str, log: CallLog) -> None:
    (text,) = re.findall(r'<script type="application/json" id="held-out">(.*?)</script>', page)
    outcomes = Outcomes.from_log(log)
    router = LGBMRouter().fit(outcomes.split()[0])
    held_out = HeldOutDecisions.of(router, split_as_trained(outcomes, router).test)
    assert held_out is not None
    assert json.loads(text) == held_out.as_dict()


def test_only_the_scripts_of_the_page_may_run(page: str) -> None:
    (allowed,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "unsafe-inline" not in allowed.split("style-src")[0]
    for name in ("tables.js", "money.js", "whatif.js"):
        assert script(name).source in allowed.replace("&#39;", "'")


def test_verdict_stands_before_everything_else(page: str) -> None:
    places = [
        page.index(text)
        for text in (
            'class="verdict',
            "Quality against cost",
            "Where prompts go, and why",
            "Examples, with reasons",
            "What if?",
            "Operating point",
            "Beside other ways to choose",
            "What goes where",
            "What the estimates look at",
            "Failed calls",
            "Where this comes from",
        )
    ]
    assert places == sorted(places)


def test_page_names_data_router_prices_and_notebooks(page: str, log: CallLog) -> None:
    outcomes = Outcomes.from_log(log)
    router = LGBMRouter().fit(outcomes.split()[0])
    assert router.router_hash_ in page
    assert router.data_hash_ in page
    assert split_as_trained(outcomes, router).test.data_hash in page
    assert "US dollars per million tokens" in page
    assert '<a href="03_evaluate.html">03 evaluate</a>' in page
    for row in ("best single", "random", "zero router", "oracle"):
        assert f">{row}</th>" in page


def test_every_figure_says_in_words_what_it_shows(page: str) -> None:
    pictures = re.findall(r"<svg [^>]*>", page)
    assert len(pictures) == 2 + 2  # the curve, wide and for phones; importances, directions
    assert all(re.search(r'role="img" aria-label="[^"]{20,}"', each) for each in pictures)
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))


def test_figures_take_the_colours_of_the_page_and_say_what_a_dot_is(page: str) -> None:
    curve = page[page.index("<svg") : page.index("</svg>")]
    assert "var(--ink)" in curve
    assert not re.search(": #(?:000000|ffffff)", curve)
    assert re.search(r"<title>always small [^<]*: quality \d\.\d+ for [\d.]+ dollars", curve)
    sizes = [float(each) for each in re.findall(r"font(?:-size)?: (?:bold )?([\d.]+)px", curve)]
    assert min(sizes) >= 9.9  # drawn for 518 of the 590 pixels or more that it is shown at


def test_failed_calls_are_counted_apart(page: str) -> None:
    assert "failure counts as wrong" in page
    assert "none of them is ever a label" in page


def test_table_without_rows_is_no_bare_head() -> None:
    empty = Table(("type", "calls"), (), (False, True), "Calls that failed")
    assert '<p class="caption">Calls that failed: none.</p>' in empty._repr_html_()
    assert "<table" not in empty._repr_html_()


def test_log_without_prices_or_failed_calls_leaves_no_heading_without_content(
    tmp_path: Path,
) -> None:
    log = CallLog(tmp_path / "logs.db")
    prompts = [Prompt.from_text(f"What is {i} plus {i * i}?", task="math") for i in range(40)]
    log.add_prompts(prompts)
    for row, prompt in enumerate(prompts):
        for model, score in (("small", row % 2), ("large", 1)):
            call_id = log.add_call(
                Call(prompt.prompt_id, model, "h", "ok", "1", given_cost_usd=0.001)
            )
            log.add_scores(call_id, [Score("exact", float(score))])
    outcomes = Outcomes.from_log(log)
    findings = find(log, LGBMRouter().fit(outcomes.split()[0]), n_bootstrap=20)
    page = write_index(tmp_path / "index.html", findings, log).read_text()
    assert "Prices that turn tokens" not in page
    assert "Calls without a complete answer" not in page
    assert "<h2>Where this comes from</h2>" in page


def test_words_of_the_page_are_explained_in_it(page: str) -> None:
    assert page.count("AIQ: average improvement in quality") == 1
    assert page.count("APGR: average performance gap recovered") == 1
    for word in ("zero router", "topic table", "oracle"):
        assert f"<dt>{word}</dt>" in page
    told = page.split("Where prompts go, and why")[1].split("Quality against cost")[0]
    for reason in FOLDED:
        is_used = re.search(rf"{reason} [+-]", told) is not None
        assert f"{reason}: " in told or not is_used


def test_unknown_numbers_are_shown_as_unknown(log: CallLog) -> None:
    frame = log.sql("select 'a' as model, cast('nan' as double) as quality, 2 as n")
    assert re.search(r"^a +– +2$", str(table(frame)), re.M)


def test_notebook_page_runs_nothing_that_an_answer_contains(hostile_notebook: Path) -> None:
    page = hostile_notebook.read_text()
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.S) == [script("tables.js").code]
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;") >= 8


def test_description_of_the_router_is_valid_json(hostile_index: Path) -> None:
    described = json.loads((hostile_index.parent / "router_model.json").read_text())
    assert described["sha256"] in hostile_index.read_text()
