"""The notebooks keep their conventions, and each runs as users run it."""

from __future__ import annotations

import ast
import io
import json
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from browsing import DESKTOP, PHONE, visiting
from notebook_servers import make_checkout
from plain_papermill import run_notebooks

import routerlib as rl
from routerlib.routers.loading import load_router
from routerlib.show.notebooks import pipeline
from routerlib.show.notebooks.run import NotebookFailed, known_parameters, run_notebook
from routerlib.show.pages.notebook import to_html

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Nine kernels at once on a machine that does more besides take longer than one test may.
for_nine_kernels = pytest.mark.timeout(1800)
FORBIDDEN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Try, ast.Lambda)


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_only_paths_and_the_split_are_set_for_several_notebooks_at_once() -> None:
    declared = [known_parameters(path) for path in PATHS]
    # Each of these asks its own question of the cost weight.
    own = {"cost_weight"}
    shared = {
        name for name in set().union(*declared) - own if sum(name in each for each in declared) > 1
    }
    assert shared == {"log_path", "router_path", "candidates_path", "test_size", "random_state"}
    for name in shared:
        assert len({repr(each[name]) for each in declared if name in each}) == 1


def test_numbered_notebooks_are_those_that_the_pipeline_runs() -> None:
    known = (*pipeline.NOTEBOOKS, *pipeline.FURTHER_NOTEBOOKS)
    assert tuple(path.stem for path in PATHS) == known


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
class TestConventions:
    def test_title_is_one_question_with_its_reason(self, path: Path) -> None:
        first = nbformat.read(path, as_version=4).cells[0]
        title, _, why = first.source.partition("\n")
        assert re.fullmatch(r"# .+\?", title)
        assert 3 <= len(re.findall(r"[.!?](?:\s|$)", why)) <= 6

    def test_second_cell_alone_holds_the_parameters_as_explained_literals(self, path: Path) -> None:
        cells = nbformat.read(path, as_version=4).cells
        tagged = [
            i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])
        ]
        assert tagged == [1]
        # One "=" a line: papermill shows no help for a line with two.
        for line in cells[1].source.splitlines():
            assert re.fullmatch(r"[a-z_]+ = [^=]+  # [^=]{10,}", line), line
        # The first has no router yet, and the others train all of their own.
        assert "router_path" in known_parameters(path) or path.stem in (
            "01_collect",
            "08_benchmarks",
            "10_agent",
        )

    def test_third_cell_imports_everything(self, path: Path) -> None:
        cells = nbformat.read(path, as_version=4).cells
        imports = (ast.Import, ast.ImportFrom)
        assert all(isinstance(node, imports) for node in ast.parse(cells[2].source).body)
        later = [node for cell in cells[3:] if cell.cell_type == "code" for node in _nodes(cell)]
        assert not any(isinstance(node, imports) for node in later)

    def test_imports_are_the_library_and_one_line_of_what_it_shows(self, path: Path) -> None:
        cells = nbformat.read(path, as_version=4).cells
        library, shown = cells[2].source.splitlines()
        assert library == "import routerlib as rl"
        assert shown.startswith("from routerlib.show import ")
        taken = shown.removeprefix("from routerlib.show import ").split(", ")
        assert taken == sorted(set(taken) & {"notebooks", "plots", "tables", "words"})
        names = {"rl": rl} | {name: import_module(f"routerlib.show.{name}") for name in taken}
        called = [
            (node.value.id, node.attr)
            for cell in code_cells(path)
            for node in _nodes(cell)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in names
        ]
        assert {face for face, _ in called} == set(names)  # nothing is imported in vain
        assert [each for each in called if each[1] not in names[each[0]].__all__] == []

    def test_cells_are_few_and_short_and_hold_no_machinery(self, path: Path) -> None:
        assert len(nbformat.read(path, as_version=4).cells) <= 25
        for cell in code_cells(path):
            assert len(cell.source.splitlines()) <= 12
            assert "%" not in cell.source.split("#")[0]
            assert not any(isinstance(node, FORBIDDEN) for node in _nodes(cell))
            assert not re.search(r"\bprint\(|os\.chdir|sys\.path", cell.source)

    def test_prose_announces_every_code_cell(self, path: Path) -> None:
        kinds = [cell.cell_type for cell in nbformat.read(path, as_version=4).cells]
        assert kinds[:3] == ["markdown", "code", "code"]
        assert kinds[3:] == ["markdown", "code"] * ((len(kinds) - 4) // 2) + ["markdown"]

    def test_last_words_are_what_was_learned_and_what_comes_next(self, path: Path) -> None:
        cells = nbformat.read(path, as_version=4).cells
        assert cells[-3].source.endswith("## What we learned")
        assert "_lessons(" in cells[-2].source
        assert cells[-1].source.startswith("Next: ")

    def test_prose_states_no_measured_number(self, path: Path) -> None:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                assert not re.search(r"\d\s*%|\d\.\d\d", cell.source)

    def test_nothing_of_a_run_is_committed(self, path: Path) -> None:
        raw = json.loads(path.read_text())
        assert set(raw["metadata"]) == {"kernelspec", "language_info"}
        assert raw["metadata"]["kernelspec"]["name"] == "python3"
        for cell in raw["cells"]:
            assert set(cell["metadata"]) <= {"tags"}
            assert cell.get("outputs", []) == []
            assert cell.get("execution_count") is None


def _nodes(cell: Any) -> list[ast.AST]:
    return list(ast.walk(ast.parse(cell.source)))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ROUTERLIB_HOME", raising=False)
    return make_checkout(tmp_path)


@pytest.mark.live
def test_whole_pipeline_runs_on_live_calls_and_publishes(checkout: Path) -> None:
    stream = io.StringIO()
    small = {"n_prompts": 4, "candidate_names": ["smollm2-135m"]}
    result = pipeline.run(root=checkout, parameters={**small, "n_bootstrap": 100}, stream=stream)
    assert {path.name for path in result.published} == {
        "router_model.pkl",
        "router_model.json",
        "index.html",
        "prompts.html",
        *(f"{name}{suffix}" for name in pipeline.NOTEBOOKS for suffix in (".html", ".ipynb")),
    }
    assert "4 calls to make" in stream.getvalue()
    assert result.verdict in stream.getvalue()
    described = json.loads((checkout / "data/router_model.json").read_text())
    assert described["test"]["verdict"]["sentence"] == result.verdict
    assert all(path.stat().st_size < 5_000_000 for path in result.published)
    again = io.StringIO()
    pipeline.run(root=checkout, only=["01"], parameters=small, stream=again)
    assert "nothing to ask: all 4 cells are done" in again.getvalue()


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> dict[str, Path]:
    """Run 02 to 10 by plain papermill, at the same time, each in a fresh checkout of its own."""
    checkouts = {
        name: make_checkout(tmp_path_factory.mktemp("checkouts") / name)
        for name in (*pipeline.NOTEBOOKS[1:], *pipeline.FURTHER_NOTEBOOKS)
    }
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    said = run_notebooks(checkouts, {"02_train": ["-p", "cost_weight", "20"]}, reporter.write_line)
    assert not [name for name, printed in said.items() if "Unable to parse" in printed]
    return checkouts


@for_nine_kernels
def test_plain_papermill_sets_the_cost_weight(alone: dict[str, Path]) -> None:
    router = load_router(alone["02_train"] / "data/router_model.pkl")
    assert router.cost_weight_ == 20


@pytest.mark.parametrize("name", [*pipeline.NOTEBOOKS[1:], *pipeline.FURTHER_NOTEBOOKS])
def test_notebook_refuses_a_log_that_is_not_there(tmp_path: Path, name: str) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    source = checkout / f"notebooks/{name}.ipynb"
    parameters, told = {"log_path": "data/mien.db"}, r"a log at data/mien\.db, found none at"
    if name == "10_agent":
        parameters = {"agent_log_path": "data/mien.db"}
        told = r"a log that `routerlib serve` wrote at \S+data/mien\.db, found none"
    with pytest.raises(NotebookFailed, match=f"expected {told}"):
        run_notebook(source, tmp_path / "out.ipynb", parameters, cwd=checkout, stream=io.StringIO())
    assert not list((checkout / "data").glob("*.pkl"))
    assert not (checkout / "data/mien.db").exists()


@for_nine_kernels
@pytest.mark.parametrize("name", [*pipeline.NOTEBOOKS[2:], *pipeline.FURTHER_NOTEBOOKS])
def test_notebook_runs_alone_in_a_fresh_checkout(alone: dict[str, Path], name: str) -> None:
    shown = (alone[name] / "out.ipynb").read_text()
    is_said = "A router was trained here, and not saved: there is no router_model.pkl yet." in shown
    assert is_said == ("router_path" in known_parameters(alone[name] / f"notebooks/{name}.ipynb"))
    assert not (alone[name] / "data/router_model.pkl").exists()


@for_nine_kernels
def test_what_stands_in_for_own_data_is_said_in_colour(alone: dict[str, Path]) -> None:
    for name, root in alone.items():
        page = to_html(root / "out.ipynb", root / f"{name}.html").read_text()
        said = re.findall(r'<p class="caution" style="color:[^"]+">([^<]+)</p>', page)
        told = "reads the sample log data/sample_logs.db, not"
        if name == "10_agent":
            told = "the sample data/sample_agent.db, not your own"
        assert any(told in each for each in said), name


@pytest.mark.browser
@for_nine_kernels
@pytest.mark.parametrize("name", pipeline.NOTEBOOKS[1:])
def test_page_of_an_executed_notebook_is_for_everybody(
    alone: dict[str, Path], browser: Browser, screenshots: Path, name: str
) -> None:
    page = to_html(alone[name] / "out.ipynb", alone[name] / f"{name}.html")
    assert page.stat().st_size < 5_000_000
    for size, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
        with visiting(browser, page.as_uri(), size, color_scheme=scheme) as visit:
            assert visit.violations() == []
            assert visit.outside() == visit.errors == []
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0]
            visit.page.screenshot(path=screenshots / f"{name}_{size[0]}_{scheme}.png")
