"""/docs describes every address and field, and asks nobody but this server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from browsing import PHONE, visiting
from fault_server import fault_server
from serving import candidate, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = ("/", "/docs", "/openapi.json", "/health", "/models", "/v1/models")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    path = tmp_path_factory.mktemp("served") / "logs.db"
    with fault_server() as provider, serving([candidate("small", provider.url)], path) as client:
        yield client


def test_every_address_and_every_field_stands_on_the_page(served: httpx.Client) -> None:
    document, page = served.get("/openapi.json").json(), served.get("/docs").text
    for path, methods in document["paths"].items():
        for method in methods:
            assert page.count(f"<code>{method.upper()} {path}</code>") == 2
    for name, schema in document["components"]["schemas"].items():
        assert f'id="{name}"' in page
        for field in schema.get("properties", {}):
            assert f"<td><code>{field}</code></td>" in page
    links, anchors = re.findall(r'href="#([^"]+)"', page), re.findall(r' id="([^"]+)"', page)
    assert set(links) <= set(anchors)
    assert len(anchors) == len(set(anchors))


def test_no_page_names_another_host(served: httpx.Client) -> None:
    for page in PAGES:
        assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", served.get(page).text), page
    for gone in ("/redoc", "/docs/oauth2-redirect"):
        assert served.get(gone).status_code == 404


@pytest.mark.browser
@pytest.mark.parametrize("settings", [{}, {"size": PHONE}, {"color_scheme": "dark"}])
def test_a_browser_shows_the_documentation_and_asks_nobody_else(
    served: httpx.Client, browser: Browser, screenshots: Path, settings: dict
) -> None:
    with visiting(browser, f"{served.base_url}/docs", is_offline=False, **settings) as visit:
        visit.page.get_by_role("link", name="POST /v1/chat/completions").click()
        visit.page.get_by_role("link", name="ChatRequest").click()
        assert visit.page.get_by_role("heading", name="ChatRequest").is_visible()
        assert [url.partition("#")[0] for url in visit.requests] == [f"{served.base_url}/docs"]
        assert visit.errors == []
        assert visit.violations() == []
        width = visit.page.evaluate("document.documentElement.scrollWidth")
        assert width <= visit.page.viewport_size["width"]
        visit.page.screenshot(path=screenshots / f"docs-{'-'.join(settings) or 'desktop'}.png")
