"""In a real browser the report is safe, readable by everybody, and answers "what if?" as Python."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from browsing import DESKTOP, PHONE, visiting
from hostile import HOSTILE, MODELS

from routerlib.evaluation.failed_calls import failures_counted
from routerlib.evaluation.repricing import HeldOutDecisions
from routerlib.log.call_log import CallLog
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.loading import load_router
from routerlib.routers.training.train import train_router
from routerlib.show.held_out import failures_as_wrong, split_as_trained
from routerlib.show.pages import index as report
from routerlib.show.tables.money import PROMPTS_PER_MONTH, Monthly

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

SAMPLE_LOG = Path(__file__).parents[2] / "data/sample_logs.db"
LOOKS = [(size, scheme) for size in (DESKTOP, PHONE) for scheme in ("light", "dark")]


class Written(NamedTuple):
    """A report, and what its page should compute."""

    page: Path
    held_out: HeldOutDecisions


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a router of the sample log, as training placed it."""
    path = tmp_path_factory.mktemp("trained") / "router_model.pkl"
    with CallLog(SAMPLE_LOG, read_only=True) as log:
        train_router(Outcomes.from_log(log).split()[0]).save(path)
    return path


@pytest.fixture(scope="module")
def written(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return the report of the sample log, as `routerlib report` writes it."""
    folder = tmp_path_factory.mktemp("report")
    with CallLog(SAMPLE_LOG, read_only=True) as log:
        outcomes = Outcomes.from_log(log)
        router = load_router(trained)
        tried = router.training_.get("tried_cost_weight")  # on so few templates none is chosen
        router.stand_at(router.cost_weight_ if tried is None else tried)
        router.save(folder / "router_model.pkl")
        report.write_report(
            folder / "index.html", log, folder / "router_model.pkl", n_bootstrap=200
        )
        router = load_router(folder / "router_model.pkl")
        test = split_as_trained(outcomes, router).test
        counted = failures_counted(test, failures_as_wrong(log, test))
    held_out = HeldOutDecisions.of(router, counted)
    assert held_out is not None
    return Written(folder / "index.html", held_out)


def found(page: Page) -> dict[str, object]:
    """Return what the page has computed, unrounded."""
    return json.loads(page.locator("#what-if").get_attribute("data-found") or "{}")


def as_page_says(held_out: HeldOutDecisions, **supposed: object) -> dict[str, object]:
    expected = held_out.at(**supposed)._asdict()  # type: ignore[arg-type]
    return {**expected, "shares": pytest.approx(list(expected["shares"].values()))} | {
        name: pytest.approx(value, abs=1e-12)
        for name, value in expected.items()
        if isinstance(value, float)
    }


def press(page: Page, selector: str, key: str, times: int = 1) -> None:
    page.locator(selector).focus()
    for _ in range(times):
        page.keyboard.press(key)


# -- safe ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["index", "notebook"])
def test_hostile_texts_run_nothing_and_are_shown_verbatim(
    browser: Browser, hostile_index: Path, hostile_notebook: Path, kind: str
) -> None:
    path = hostile_index if kind == "index" else hostile_notebook
    for size, scheme in (LOOKS[0], LOOKS[-1]):
        with visiting(browser, path.as_uri(), size, color_scheme=scheme) as visit:
            title = visit.page.title()
            visit.page.wait_for_timeout(200)
            assert visit.dialogs == visit.errors == visit.outside() == []
            assert visit.page.title() == title != "run"
            text = visit.page.locator("body").text_content() or ""
            for shown in HOSTILE.split("\u2028"):
                assert shown.split("{%")[0] in text
            assert "{{7*7}}" in text
            if kind == "index":
                assert all(name in text for name in MODELS)
            # Wide tables scroll by themselves; the page never does sideways.
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_a_script_that_slipped_in_would_not_run(browser: Browser, written: Written) -> None:
    refused: list[tuple[str, str | None]] = []
    with visiting(browser, written.page.as_uri(), is_offline=False) as visit:
        visit.page.on("requestfailed", lambda asked: refused.append((asked.url, asked.failure)))
        visit.page.evaluate(
            "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
            "document.body.append(s); document.body.insertAdjacentHTML('beforeend',"
            "'<img src=x: onerror=\"window.ran = 1\"><img src=http://192.0.2.1/a.png>')"
        )
        visit.page.wait_for_timeout(200)
        assert visit.page.evaluate("window.ran") is None
        assert ("http://192.0.2.1/a.png", "csp") in refused


def small_letters(page: Page) -> list[object]:
    """Open all that is folded, and return what figures write in under 11 pixels."""
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    return page.evaluate(  # type: ignore[no-any-return]
        """[...document.querySelectorAll("figure svg text")].filter(each => {
            const onto = each.getScreenCTM();
            const size = parseFloat(getComputedStyle(each).fontSize) * Math.hypot(onto.a, onto.b);
            return each.getClientRects().length && size > 0 && size < 10.95;
        }).map(each => each.textContent)"""
    )


# -- for everybody -------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_nothing_serious_hinders_anybody_and_nothing_is_requested(
    browser: Browser, written: Written, screenshots: Path, size: tuple[int, int], scheme: str
) -> None:
    with visiting(browser, written.page.as_uri(), size, color_scheme=scheme) as visit:
        assert visit.violations() == []
        assert small_letters(visit.page) == []
        assert visit.outside() == visit.errors == visit.dialogs == []
        assert visit.requests[0] == written.page.as_uri()
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        for part, is_whole in (("top", False), ("whole", True)):
            picture = screenshots / f"report_{size[0]}_{scheme}_{part}.png"
            visit.page.screenshot(path=picture, full_page=is_whole)


def test_verdict_curve_and_reasons_are_found_without_scrolling_twice(
    browser: Browser, written: Written
) -> None:
    with visiting(browser, written.page.as_uri()) as visit:
        bottoms = {
            name: visit.page.locator(selector).first.bounding_box()
            for name, selector in (
                ("verdict", ".verdict"),
                ("next steps", ".next"),
                ("curve", ".first .fold, .first figure"),  # folded while much is unknown
                ("reasons", ".routes"),
            )
        }
        ends = {name: box["y"] + box["height"] for name, box in bottoms.items() if box}
        assert ends["verdict"] < DESKTOP[1] / 2
        assert max(ends.values()) < 2 * DESKTOP[1]


def test_it_prints_without_what_only_a_screen_can_do(
    browser: Browser, written: Written, screenshots: Path
) -> None:
    with visiting(browser, written.page.as_uri(), color_scheme="dark") as visit:
        visit.page.emulate_media(media="print")
        assert not visit.page.locator(".controls").is_visible()
        assert not visit.page.locator(".filter").first.is_visible()
        assert visit.page.get_by_text("Suppositions over").is_visible()
        white = "rgb(255, 255, 255)"
        assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == white
        assert visit.violations() == []  # what was dark on the screen is dark on white now
        assert visit.page.evaluate(
            "[...document.querySelectorAll('.scroll')].every(e => e.scrollWidth <= e.clientWidth)"
        )
        pdf = visit.page.pdf(path=screenshots / "report.pdf", format="A4")
        assert pdf.startswith(b"%PDF")


def test_a_word_opens_its_meaning_at_a_touch_and_paper_holds_them_all(
    browser: Browser, written: Written
) -> None:
    with visiting(browser, written.page.as_uri(), PHONE, has_touch=True) as visit:
        word = visit.page.locator(".verdict .term").first
        tip = visit.page.locator(f"#{word.get_attribute('popovertarget')}")
        assert not tip.is_visible()
        word.tap()
        assert tip.is_visible()
        assert tip.locator("b").text_content() == word.text_content()
        visit.page.keyboard.press("Escape")
        folded = visit.page.locator("#words dl")
        assert not folded.is_visible()
        visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert folded.is_visible()
        assert visit.page.locator("#in-full p").first.is_visible()
        visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert not folded.is_visible()


def test_prompts_per_month_turn_the_saving_into_dollars(browser: Browser, written: Written) -> None:
    with visiting(browser, written.page.as_uri()) as visit:
        shown = visit.page.locator("output[data-bill]")
        values = [float(shown.get_attribute(f"data-{name}") or "nan") for name in ("saved", "low")]
        best = shown.get_attribute("data-best") or ""
        bill = float(shown.get_attribute("data-bill") or "nan")
        high = float(shown.get_attribute("data-high") or "nan")
        found = Monthly(best, bill, Interval(values[0], values[1], high, 0.0))
        assert shown.text_content() == found.told(PROMPTS_PER_MONTH)
        for n in (0, 2_000_000, 123_456_789):
            visit.page.get_by_label("Prompts per month").fill(str(n))
            assert shown.text_content() == found.told(n)


def test_without_a_script_tables_stand_in_for_the_sliders(
    browser: Browser, written: Written
) -> None:
    with visiting(browser, written.page.as_uri(), java_script_enabled=False) as visit:
        assert not visit.page.locator(".controls").is_visible()
        settings = visit.page.locator("#what-if table").last
        best = written.held_out.best_single
        half = written.held_out.at(price_factors={best: 0.5})
        row = settings.locator("tr", has_text=f"{best} costs half as much").text_content() or ""
        assert f"{half.quality:.3f}" in row
        assert f"{1000 * half.cost_usd:.3g}" in row


# -- it answers ----------------------------------------------------------------------------------


def test_at_first_the_page_shows_what_was_measured(browser: Browser, written: Written) -> None:
    with visiting(browser, written.page.as_uri()) as visit:
        assert found(visit.page) == as_page_says(written.held_out)
        text = visit.page.locator(".found").text_content() or ""
        assert f"0 of {len(written.held_out)} prompts go elsewhere" in text
        measured = visit.page.locator(".tiles strong").first.text_content()
        assert visit.page.locator('[data-shows="saving"]').text_content() == measured


def test_sliders_answer_by_keyboard_as_python_does(browser: Browser, written: Written) -> None:
    held_out = written.held_out
    weights = held_out.cost_weights()
    own, best = weights.index(held_out.cost_weight), held_out.best_single
    price = f"#price-{held_out.models.index(best)}"
    with visiting(browser, written.page.as_uri()) as visit:
        page = visit.page
        press(page, price, "ArrowLeft", 3)  # half the price, three tenths of a decade
        assert found(page) == as_page_says(held_out, price_factors={best: 0.5})
        assert page.locator(f"{price}-value").text_content() == "0.5 times"
        press(page, "#cost-weight", "ArrowRight", 5)
        supposed = {"cost_weight": weights[own + 5], "price_factors": {best: 0.5}}
        assert found(page) == as_page_says(held_out, **supposed)
        press(page, price, "End")
        supposed = {"cost_weight": weights[own + 5], "price_factors": {best: 10.0}}
        assert found(page) == as_page_says(held_out, **supposed)
        assert found(page)["n_changed"] != 0
        press(page, "#cost-weight", "Home")
        supposed = {"cost_weight": 0.0, "price_factors": {best: 10.0}}
        assert found(page) == as_page_says(held_out, **supposed)
        assert (page.locator("#cost-weight").get_attribute("aria-valuetext") or "").startswith("0:")
        page.get_by_role("button", name="Back to the start").press("Enter")
        assert found(page) == as_page_says(held_out)


def test_a_router_that_fell_back_keeps_to_the_best_single_until_a_weight_is_tried(
    browser: Browser, trained: Path, tmp_path: Path
) -> None:
    with CallLog(SAMPLE_LOG, read_only=True) as log:
        outcomes = Outcomes.from_log(log)
        router = load_router(trained)
        router.stand_at(router.cost_weight_, "no gain could be shown", router.training_)
        router.save(tmp_path / "router_model.pkl")
        path = tmp_path / "index.html"
        report.write_report(path, log, tmp_path / "router_model.pkl", n_bootstrap=50)
        test = split_as_trained(outcomes, router).test
        counted = failures_counted(test, failures_as_wrong(log, test))
    held_out = HeldOutDecisions.of(router, counted)
    assert held_out is not None
    weights, best = held_out.cost_weights(), held_out.best_single
    own = weights.index(held_out.cost_weight)
    with visiting(browser, path.as_uri()) as visit:
        page = visit.page
        assert page.locator(".tiles strong").first.text_content() == f"always {best}"
        press(page, f"#price-{held_out.models.index(best)}", "End")
        assert found(page) == as_page_says(held_out, price_factors={best: 10.0})
        difference = page.locator('[data-shows="difference"]').text_content()
        assert difference == f"the same: it is always {best}"
        assert page.locator("#cost-weight-value").text_content() == f"not used: keeps to {best}"
        press(page, "#cost-weight", "ArrowRight", 2)
        supposed = {"cost_weight": weights[own + 2], "price_factors": {best: 10.0}}
        assert found(page) == as_page_says(held_out, **supposed)
        assert found(page)["n_changed"] != 0
        page.get_by_role("button", name="Back to the start").press("Enter")
        assert found(page) == as_page_says(held_out)


def test_tables_sort_by_keyboard_and_filter(browser: Browser, written: Written) -> None:
    with visiting(browser, written.page.as_uri()) as visit:
        for summary in visit.page.locator(".fold > summary").all():
            summary.press("Enter")  # the long part is folded
        table = visit.page.get_by_role("region", name=re.compile("^Ways to choose")).locator(
            "table"
        )
        head = table.get_by_role("columnheader", name=re.compile("^cost \\(US"))
        column = table.locator("tbody td:nth-child(3)")

        def costs() -> list[float]:
            return [float(text.split(" ")[0]) for text in column.all_text_contents()]

        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == "ascending"
        assert costs() == sorted(costs())
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == "descending"
        assert costs() == sorted(costs(), reverse=True)
        search = visit.page.get_by_role("searchbox").first  # a long table has one
        name = (search.get_attribute("aria-label") or "").removeprefix("Filter rows: ")
        long = visit.page.get_by_role("region", name=name, exact=True)
        rows = long.locator("tbody tr")
        wanted = (rows.first.locator("th, td").first.text_content() or "").strip()
        texts = [text.lower() for text in rows.all_text_contents()]
        n_wanted = sum(wanted.lower() in text for text in texts)
        assert 0 < n_wanted < len(texts)
        search.fill(wanted)
        assert long.locator("tbody tr:visible").count() == n_wanted
        status = long.locator("xpath=preceding-sibling::label[1]").text_content() or ""
        assert f"{n_wanted} of {len(texts)}" in status
        search.fill("")
        assert long.locator("tbody tr:visible").count() == len(texts)


def test_prompts_are_searched_filtered_and_read_side_by_side(
    browser: Browser, written: Written, screenshots: Path
) -> None:
    page_of_prompts = written.page.with_name("prompts.html")
    with visiting(browser, written.page.as_uri()) as visit:
        visit.page.get_by_role("link", name="all prompts and answers").click()
        page = visit.page
        page.wait_for_selector("[data-ready]")
        assert page.url == page_of_prompts.as_uri()
        count = page.locator("#count")
        assert count.text_content() == "450 of 450 prompts"
        page.get_by_label("Task").select_option("math")
        n_math = int((count.text_content() or "").split(" ")[0])
        assert 25 < n_math < 450
        assert page.locator("#list > li").count() == 25
        page.get_by_role("button", name="Next").click()
        assert "page 2" in (page.locator("#at").text_content() or "")
        page.get_by_label("Show").select_option("failed")
        assert int((count.text_content() or "").split(" ")[0]) < n_math
        page.get_by_label("Task").select_option("")
        page.get_by_label("Show").select_option("missed")
        first = page.locator("#list summary").first
        first.press("Enter")
        page.locator("#list .answers").first.wait_for()
        cards = page.locator("#list .answers").first.locator(".answer")
        assert cards.count() == 3
        assert page.locator("#list .answer.chosen").count() == 1
        assert any("(best" in (card.text_content() or "") for card in cards.all())
        assert visit.violations() == []
        page.screenshot(path=screenshots / "prompts_1280_light.png")
        page.get_by_label("Search").fill("no prompt says this")
        assert count.text_content() == "0 of 450 prompts"
        assert visit.outside() == visit.errors == visit.dialogs == []
    with visiting(browser, page_of_prompts.as_uri(), PHONE, color_scheme="dark") as visit:
        visit.page.wait_for_selector("[data-ready]")
        visit.page.locator("#list summary").first.press("Enter")
        visit.page.locator("#list .answers").first.wait_for()
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        assert visit.violations() == []


def test_hostile_prompts_and_answers_run_nothing(browser: Browser, hostile_index: Path) -> None:
    with visiting(browser, hostile_index.with_name("prompts.html").as_uri()) as visit:
        visit.page.wait_for_selector("[data-ready]")
        title = visit.page.title()
        visit.page.get_by_label("Search").fill("theorem")
        visit.page.locator("#list summary").first.press("Enter")
        visit.page.wait_for_timeout(100)
        assert visit.dialogs == visit.errors == visit.outside() == []
        assert visit.page.title() == title
        assert "{{7*7}}" in (visit.page.locator("#list .answer pre").first.text_content() or "")
