"""Open pages in a real Chromium, and keep what they asked for, said and ran."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright

# `.ci/run` sets it: a machine that decides must not pass over the browser tests.
REQUIRED = "ROUTERLIB_REQUIRE_BROWSER"
HOW_TO_GET_ONE = (
    "no Chromium found on this machine; install one (Debian: apt-get install chromium, "
    "elsewhere: python -m playwright install chromium)"
)
DESKTOP, PHONE = (1280, 800), (390, 844)

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_SERIOUS = ("serious", "critical")


def browser_path(play: Playwright) -> str:
    """Return the machine's own Chromium, or the one that Playwright manages; else skip."""
    managed = play.chromium.executable_path
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found or os.path.isfile(managed):
        return found or managed
    if os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, but {HOW_TO_GET_ONE}")
    pytest.skip(HOW_TO_GET_ONE)


@contextmanager
def started_browser() -> Iterator[Browser]:
    """Start Chromium, headless, and stop it afterwards."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path(play), args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page in a browser of its own, with everything that it did.

    Attributes
    ----------
    page : Page
        Playwright's page.
    requests : list of str
        Every address that was asked for, the page itself too.
    errors : list of str
        Uncaught errors and lines of the console of kind error.
    dialogs : list of str
        Messages of alerts and their kin.
    blocked : list of str
        Addresses that the page's own policy kept the browser from asking.
    """

    context: BrowserContext
    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)

    def outside(self) -> list[str]:
        """Return what was asked of a network."""
        return [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))]

    def left_the_machine(self) -> list[str]:
        """Return what was asked of any other machine than this one."""
        here = ("http://127.0.0.1:", "ws://127.0.0.1:", "about:")
        return [
            url for url in self.outside() if not url.startswith(here) and url not in self.blocked
        ]

    def violations(self) -> list[str]:
        """Return what axe-core calls serious or critical, with where it is."""
        from axe_playwright_python.sync_playwright import Axe

        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [
            f"{each['id']} ({each['impact']}): {node['target']} {node['html'][:120]}"
            for each in found
            if each["impact"] in _SERIOUS
            for node in each["nodes"]
        ]


@contextmanager
def visiting(
    browser: Browser,
    url: str,
    size: tuple[int, int] = DESKTOP,
    *,
    is_offline: bool = True,
    **settings: Any,
) -> Iterator[Visit]:
    """Open a page; `settings` are those of a browser context, such as ``color_scheme="dark"``."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, offline=is_offline, **settings
    )
    try:
        visit = Visit(context, context.new_page())
        context.on("request", lambda request: visit.requests.append(request.url))
        context.on(
            "requestfailed",
            lambda asked: visit.blocked.append(asked.url) if asked.failure == "csp" else None,
        )
        visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
        visit.page.on(
            "console", lambda line: visit.errors.append(line.text) if line.type == "error" else None
        )
        visit.page.on(
            "dialog", lambda dialog: (visit.dialogs.append(dialog.message), dialog.dismiss())
        )
        visit.page.goto(url)
        yield visit
    finally:
        context.close()


def screenshots_folder() -> Path:
    """Return where tests leave pictures to look at; not in git."""
    given = os.environ.get("ROUTERLIB_SCREENSHOTS")
    return Path(given) if given else Path(__file__).parents[2] / "reports" / "screenshots"
