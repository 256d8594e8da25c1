"""Browser tests find a browser, or say how to get one; and they notice what a page does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from browsing import REQUIRED, browser_path, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(REQUIRED, raising=False)
    return SimpleNamespace(chromium=SimpleNamespace(executable_path=str(tmp_path / "none")))


def test_without_a_browser_the_test_is_skipped_and_says_how_to_get_one(bare_machine: Any) -> None:
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        browser_path(bare_machine)


def test_where_a_browser_is_required_its_absence_fails(
    bare_machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="is set, but no Chromium found"):
        browser_path(bare_machine)


def test_the_browser_that_playwright_manages_is_taken_too(
    bare_machine: Any, tmp_path: Path
) -> None:
    (tmp_path / "none").touch()
    assert browser_path(bare_machine) == str(tmp_path / "none")


@pytest.mark.browser
def test_requests_scripts_and_poor_contrast_are_noticed(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<title>x</title><img src=http://192.0.2.1/a.png><p style='color:#bbb'>pale</p>"
        "<script>alert(7); throw Error('thrown')</script>"
    )
    with visiting(browser, page.as_uri()) as visit:
        assert visit.outside() == ["http://192.0.2.1/a.png"]
        assert visit.dialogs == ["7"]
        assert any("thrown" in error for error in visit.errors)
        found = "\n".join(visit.violations())
        assert "color-contrast (serious)" in found
        assert "image-alt (critical)" in found
