"""The report shows what was measured, needs no network, and runs nothing that a log contains."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from browsing import PHONE, visiting

from routerlib import artifact, report
from routerlib.log import CallLog
from routerlib.outcomes import Outcomes
from routerlib.pages import to_html
from routerlib.routers import LGBMRouter
from routerlib.tables import table
from routerlib.types import Call, CandidateModel, Price, Prompt, Score, Usage
from routerlib.workspace import split_as_trained

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "<script>document.title='run'</script>{{7*7}}<img src=x onerror=\"document.title='run'\">"
MODELS = ("small <b>", "large {{7*7}}")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> CallLog:
    """Return a log in which every text that a stranger could write is hostile."""
    log = CallLog(tmp_path_factory.mktemp("hostile") / "logs.db")
    candidates = [
        CandidateModel(name, "m", "custom", "http://127.0.0.1:9/v1", None, Price(price, price))
        for name, price in zip(MODELS, (1, 10), strict=True)
    ]
    log.add_prices(candidates)
    for number in range(140):
        is_hard = number % 2 == 0
        text = f"Prove theorem {number} of {number * 31} {HOSTILE}" if is_hard else f"Hi {number}!"
        prompt = Prompt.from_text(text, task="math" if is_hard else "chat")
        log.add_prompts([prompt])
        for name in MODELS:
            is_right = name != MODELS[0] or not is_hard
            call = Call(prompt.prompt_id, name, "h", "ok", HOSTILE, Usage(100, 10))
            if number == 3:
                failed = Call(prompt.prompt_id, name, "h", "error", error_type=HOSTILE)
                log.add_call(failed)
                continue
            log.add_call(call, scores=[Score("exact", float(is_right))])
    return log


@pytest.fixture(scope="module")
def index(log: CallLog) -> Path:
    outcomes = Outcomes.from_log(log)
    router = LGBMRouter().fit(outcomes.split()[0])
    file = log.path.parent / "router_model.pkl"
    router.save(file)
    findings = report.find(log, router, n_bootstrap=50)
    for name in ("index.html", "again.html"):
        report.write_index(
            log.path.parent / name,
            findings,
            log,
            log_origin=f"From {HOSTILE}",
            metadata=artifact.load(file).metadata,
            notebooks=["03_evaluate.html"],
        )
    return log.path.parent / "index.html"


@pytest.fixture(scope="module")
def page(index: Path) -> str:
    return index.read_text()


def test_same_data_give_the_same_bytes(index: Path) -> None:
    assert index.read_bytes() == (index.parent / "again.html").read_bytes()


def test_nothing_in_the_page_asks_for_anything_outside_it(page: str) -> None:
    assert not re.search(r"(?:src|href|url\()\s*=?\s*[\"']?(?:https?:)?//", page)
    assert set(re.findall(r'src="([a-z]+:)', page)) == {"data:"}
    assert len(page) < 5_000_000


def test_what_came_from_a_log_is_shown_as_it_is_and_never_run(page: str) -> None:
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page
    assert "{{7*7}}" in page
    assert "large 49" not in page
    assert "small <b>" not in page


def test_verdict_stands_before_everything_else(page: str) -> None:
    places = [
        page.index(text)
        for text in (
            'class="verdict',
            "Quality against cost",
            "Beside other ways to choose",
            "What goes where",
            "Examples, with reasons",
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
    pictures = re.findall(r"<img [^>]*>", page)
    assert len(pictures) == 3  # the curve, and one per candidate model
    assert all(re.search(r'alt="[^"]{20,}"', picture) for picture in pictures)


def test_failed_calls_are_counted_apart(page: str) -> None:
    assert "failure counts as wrong" in page
    assert "none of them is ever a label" in page


def test_unknown_numbers_are_shown_as_unknown(log: CallLog) -> None:
    frame = log.sql("select 'a' as model, cast('nan' as double) as quality, 2 as n")
    assert "– | 2" in str(table(frame))


@pytest.fixture(scope="module")
def hostile_notebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = [
        nbformat.v4.new_output("stream", text=HOSTILE),
        nbformat.v4.new_output("display_data", data={"text/plain": HOSTILE}),
        nbformat.v4.new_output("error", ename=HOSTILE, evalue=HOSTILE, traceback=[HOSTILE]),
    ]
    cells = [
        nbformat.v4.new_markdown_cell("# A question"),
        nbformat.v4.new_code_cell(f"text = {HOSTILE!r}", outputs=outputs),
    ]
    folder = tmp_path_factory.mktemp("notebook")
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "n.ipynb")
    return to_html(folder / "n.ipynb", folder / "n.html")


def test_notebook_page_runs_nothing_that_an_answer_contains(hostile_notebook: Path) -> None:
    page = hostile_notebook.read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;") >= 5


@pytest.mark.browser
def test_pages_open_from_a_file_without_any_request_or_script(
    browser: Browser, index: Path, hostile_notebook: Path
) -> None:
    for path in (index, hostile_notebook):
        with visiting(browser, path.as_uri(), PHONE) as visit:
            title = visit.page.title()
            visit.page.wait_for_timeout(200)
            assert visit.outside() == []
            assert visit.errors == visit.dialogs == []
            assert visit.page.title() == title != "run"
            # Wide tables scroll by themselves; the page never does sideways.
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_description_of_the_router_is_valid_json(index: Path) -> None:
    described = json.loads((index.parent / "router_model.json").read_text())
    assert described["sha256"] in index.read_text()
