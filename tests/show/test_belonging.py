"""Reports of different logs never share a page, and a report links to pages of its own log only."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from routerlib.cli import main
from routerlib.cli.options import reports_of
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call
from routerlib.records.project import FILE
from routerlib.records.prompt import Prompt
from routerlib.routers.baselines import BestSingle
from routerlib.show.pages.belonging import (
    is_same,
    mark_in,
    mark_of,
    meta,
    page_of,
    pages_of,
    refuse_other,
    router_in,
)
from routerlib.show.pages.notebook import to_html

ROOT = Path(__file__).parents[2]


def write_log(path: Path, text: str) -> str:
    """Make a log of one prompt; return its mark."""
    with CallLog(path) as log:
        log.add_prompts([Prompt.from_text(text)])
        return mark_of(log)


def write_page(path: Path, mark: str) -> Path:
    """Write the page of an empty notebook that read a log."""
    notebook = path.with_suffix(".ipynb")
    nbformat.write(nbformat.v4.new_notebook(), notebook)
    return to_html(notebook, path, mark)


def test_a_log_keeps_its_mark_as_it_grows_and_is_copied(tmp_path: Path) -> None:
    mark = write_log(tmp_path / "one.db", "first")
    with CallLog(tmp_path / "one.db") as log:
        later = Prompt.from_text("second")
        log.add_prompts([later])
        log.add_call(Call(later.prompt_id, "small", "h", "ok", "x"))
        assert mark_of(log) == mark
    shutil.copyfile(tmp_path / "one.db", tmp_path / "copy.db")
    with CallLog(tmp_path / "copy.db", read_only=True) as log:
        assert is_same(mark_of(log), mark)
    assert not is_same(write_log(tmp_path / "two.db", "other"), mark)


def test_pages_of_another_log_are_neither_linked_nor_written_over(tmp_path: Path) -> None:
    one = write_log(tmp_path / "one.db", "first")
    two = write_log(tmp_path / "two.db", "other")
    page = write_page(tmp_path / "01_mine.html", one)
    write_page(tmp_path / "02_other.html", two)
    write_page(tmp_path / "03_untold.html", "")
    assert mark_in(page) == one
    assert pages_of(tmp_path, one) == ["01_mine.html"]
    refuse_other(page, one)
    refuse_other(tmp_path / "none.html", two)
    with pytest.raises(ValueError, match=r"01_mine\.html is the report of another log, one\.db;"):
        refuse_other(page, two)


def test_each_log_but_the_projects_own_has_a_folder_of_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROUTERLIB_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert reports_of(Path("data/logs.db")) == Path("reports")
    assert reports_of(Path("data/my_logs.db")) == Path("reports/my_logs")
    (tmp_path / FILE).write_text('log = "data/my_logs.db"\nreports = "pages"\n')
    assert reports_of(Path("data/my_logs.db")) == tmp_path / "pages"
    assert reports_of(Path("data/logs.db")) == tmp_path / "pages/logs"


def test_the_report_of_a_log_of_ones_own_leaves_the_pipelines_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ROUTERLIB_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    other = write_log(tmp_path / "else.db", "other")
    index = write_page(tmp_path / "reports/index.html", other)
    before = index.read_bytes()
    shutil.copyfile(ROOT / "data/sample_logs.db", tmp_path / "my_logs.db")
    with CallLog("my_logs.db", read_only=True) as log:
        train, _ = Outcomes.from_log(log).split(test_size=0.3, random_state=0)
    BestSingle().fit(train).save("mine.pkl")
    report = ["report", "--log", "my_logs.db", "--model", "mine.pkl"]
    assert main(report) == 0
    assert "next: open reports/my_logs/index.html in a browser" in capsys.readouterr().out
    assert index.read_bytes() == before
    assert mark_in(tmp_path / "reports/my_logs/index.html").endswith(" my_logs.db")
    before_other = (tmp_path / "reports/my_logs/index.html").read_bytes()
    shutil.copyfile("mine.pkl", "other.pkl")
    assert main(["report", "--log", "my_logs.db", "--model", "other.pkl"]) == 0
    assert "next: open reports/my_logs/other.html in a browser" in capsys.readouterr().out
    assert (tmp_path / "reports/my_logs/index.html").read_bytes() == before_other
    assert router_in(tmp_path / "reports/my_logs/other.html") == "other.pkl"
    assert (tmp_path / "reports/my_logs/other_prompts.html").is_file()
    own = str(tmp_path / "reports/my_logs/index.html")
    assert main(["report", "--log", "my_logs.db", "--model", "other.pkl", "--out", own]) == 1
    assert "is the report of another router, mine.pkl; name another" in capsys.readouterr().err
    assert main([*report, "--out", "reports/index.html"]) == 1
    told = "reports/index.html is the report of another log, else.db; name another page"
    assert told in capsys.readouterr().err
    assert index.read_bytes() == before


def test_the_projects_own_router_keeps_the_index(tmp_path: Path) -> None:
    """Other routers come and go on pages of their own, whichever was first."""
    other, own = tmp_path / "other.pkl", tmp_path / "router_model.pkl"
    assert page_of(tmp_path, other, is_own=False) == tmp_path / "index.html"
    (tmp_path / "index.html").write_text(meta("b2:x my.db", "router_model.pkl"))
    assert page_of(tmp_path, own, is_own=True) == tmp_path / "index.html"
    assert page_of(tmp_path, other, is_own=False) == tmp_path / "other.html"
    assert router_in(tmp_path / "index.html") == "router_model.pkl"
