"""The playground in a real browser, in JupyterLab and voila: type, move, ask, judge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import DESKTOP, PHONE, Visit, visiting
from notebook_servers import jupyter_lab, make_checkout, voila
from playwright.sync_api import Browser, Page, expect

from routerlib.gather.candidates import local_pool
from routerlib.log.call_log import CallLog

pytestmark = [pytest.mark.browser, pytest.mark.live]

NOTEBOOK = "05_playground.ipynb"
PROMPT = "What is 6 * 7? <script>alert(1)</script><img src=x onerror=alert(2)>"
SMALLEST = "smollm2-135m"
# A kernel starts, LightGBM trains a router: half a minute where the two cores are busy.
READY_MS = 120_000
TALL = (DESKTOP[0], 1400)


@pytest.fixture(scope="module")
def _weights() -> None:
    """Have the smallest model in the cache, so that no test waits for it."""
    local_pool.base_url(SMALLEST)


@pytest.fixture
def checkout(tmp_path: Path, _weights: None) -> Path:
    return make_checkout(tmp_path / "checkout")


@pytest.fixture
def in_lab(browser: Browser, checkout: Path, tmp_path: Path) -> Iterator[Visit]:
    """Open the notebook in JupyterLab, dark, and run all its cells."""
    with (
        jupyter_lab(checkout, tmp_path / "state", theme="JupyterLab Dark") as url,
        visiting(browser, "about:blank", TALL, is_offline=False) as visit,
    ):
        page = visit.page
        page.goto(f"{url}/{NOTEBOOK}", timeout=READY_MS)
        # "Run All Cells" while the kernel is still connecting would be silently lost.
        expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=READY_MS)
        page.locator("#jp-MainMenu").get_by_text("Run", exact=True).click()
        page.get_by_role("menuitem").filter(has_text=re.compile("^Run All Cells$")).click()
        page.locator(".rl-estimates").wait_for(timeout=READY_MS)
        yield visit


@pytest.fixture
def in_voila(browser: Browser, checkout: Path, tmp_path: Path) -> Iterator[Visit]:
    """Open the notebook as a page of its own."""
    with (
        voila(checkout, tmp_path / "state") as url,
        visiting(browser, "about:blank", TALL, is_offline=False) as visit,
    ):
        visit.page.goto(url, timeout=READY_MS, wait_until="commit")
        visit.page.locator(".rl-estimates").wait_for(timeout=READY_MS)
        yield visit


def use(page: Page) -> None:
    """Type a prompt, move the slider until the choice flips, ask, and give a thumb."""
    headline = page.locator(".rl-headline strong")
    page.locator(".rl-prompt textarea").fill(PROMPT)
    expect(page.locator(".rl-note").first).to_contain_text("math")
    first = headline.text_content()
    handle = page.locator(".rl-slider [role=slider]")
    handle.focus()
    for _ in range(40):
        if headline.text_content() != first:
            break
        handle.press("ArrowRight")
        page.wait_for_timeout(100)
    assert headline.text_content() != first
    handle.press("End")
    expect(headline).to_have_text(SMALLEST)
    page.locator(".rl-ask").click()
    expect(page.locator(".rl-receipt")).to_contain_text("tokens", timeout=READY_MS)
    page.locator(".rl-right").click()
    expect(page.locator(".rl-status")).to_contain_text(f"Logged: 1 for {SMALLEST}")
    expect(page.locator(".rl-prompt textarea")).to_have_value(PROMPT)


def tab_order(page: Page) -> list[str]:
    """Return the main fields in the order in which the tab key reaches them."""
    page.locator(".rl-playground select").first.focus()
    reached: list[str] = []
    for _ in range(9):
        page.keyboard.press("Tab")
        reached += page.evaluate(
            "['rl-prompt', 'rl-kind', 'rl-slider', 'rl-ask']"
            ".filter(name => document.activeElement.closest('.' + name))"
        )
    return list(dict.fromkeys(reached))


def small_letters(page: Page) -> list[object]:
    """Return what is written in under 11 pixels."""
    return page.evaluate(  # type: ignore[no-any-return]
        """[...document.querySelectorAll(".rl-playground *")].filter(each =>
            each.getClientRects().length && parseFloat(getComputedStyle(each).fontSize) < 10.95
            && [...each.childNodes].some(node => node.nodeType == 3 && node.data.trim())
        ).map(each => each.textContent)"""
    )


def check_log(checkout: Path, prompt: str = PROMPT) -> None:
    """Find the decision, its call and the person's score."""
    with CallLog(checkout / "data/logs.db", read_only=True) as log:
        rows = log.sql(
            "select prompts.text, decisions.candidate, calls.candidate as asked, propensity, "
            "length(router_hash) as hash_length, status, response, scores.judge, score "
            "from decisions join prompts using (prompt_id) join calls using (decision_id) "
            "join scores using (call_id)"
        )
    (row,) = rows.to_dict("records")
    assert row.pop("response").strip()
    assert row == {
        "text": prompt,
        "candidate": SMALLEST,
        "asked": SMALLEST,
        "propensity": 1.0,
        "hash_length": len("b2:") + 32,
        "status": row["status"],
        "judge": "person",
        "score": 1.0,
    }
    assert row["status"] == "ok"


def test_in_jupyterlab_a_prompt_is_routed_asked_and_judged(
    in_lab: Visit, checkout: Path, screenshots: Path
) -> None:
    use(in_lab.page)
    in_lab.page.locator(".rl-playground").screenshot(path=screenshots / "playground_lab_dark.png")
    check_log(checkout)
    assert in_lab.dialogs == []
    assert in_lab.left_the_machine() == []


def test_in_voila_a_prompt_is_routed_asked_and_judged_accessibly(
    in_voila: Visit, checkout: Path, screenshots: Path
) -> None:
    page = in_voila.page
    assert tab_order(page) == ["rl-prompt", "rl-kind", "rl-slider", "rl-ask"]
    expect(page.locator(".rl-deadline option:checked")).to_have_text("at any time")
    use(page)
    check_log(checkout)
    page.locator(".rl-playground").screenshot(path=screenshots / "playground_voila.png")
    assert in_voila.violations() == []
    assert in_voila.left_the_machine() == []
    assert in_voila.dialogs == []
    handle = page.locator(".rl-slider [role=slider]")
    expect(handle).to_have_attribute("aria-valuetext", re.compile(r"\$[\d.]+ a point"))

    # As wide as a phone, and tall enough to show everything in one picture.
    page.set_viewport_size({"width": PHONE[0], "height": 2600})
    page.wait_for_timeout(300)
    page.locator(".rl-playground").screenshot(path=screenshots / "playground_voila_phone.png")
    too_wide = page.evaluate(
        "[...document.querySelectorAll('.rl-playground, .rl-columns > *, .rl-result, .rl-card')]"
        ".filter(each => each.getBoundingClientRect().right > innerWidth + 1)"
        ".map(each => each.className)"
    )
    assert too_wide == []
    assert small_letters(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
