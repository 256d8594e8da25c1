"""The notebooks keep their conventions, and each runs as users run it."""

from __future__ import annotations

import ast
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from routerlib import pipeline
from routerlib.routers import load_router
from routerlib.runner import known_parameters, run_notebook

ROOT = Path(__file__).parent.parent
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FORBIDDEN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Try, ast.Lambda)


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_numbered_notebooks_are_those_that_the_pipeline_runs() -> None:
    assert tuple(path.stem for path in PATHS) == pipeline.NOTEBOOKS


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
        assert "router_path" in known_parameters(path) or path.stem == "01_collect"

    def test_third_cell_imports_everything(self, path: Path) -> None:
        cells = nbformat.read(path, as_version=4).cells
        imports = (ast.Import, ast.ImportFrom)
        assert all(isinstance(node, imports) for node in ast.parse(cells[2].source).body)
        later = [node for cell in cells[3:] if cell.cell_type == "code" for node in _nodes(cell)]
        assert not any(isinstance(node, imports) for node in later)

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
    """A fresh checkout: notebooks and the data that ship, no run yet."""
    monkeypatch.delenv("ROUTERLIB_HOME", raising=False)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "data").mkdir()
    for name in ("prompts.jsonl", "sample_logs.db"):
        shutil.copy2(ROOT / "data" / name, tmp_path / "data" / name)
    return tmp_path


@pytest.mark.live
def test_whole_pipeline_runs_on_live_calls_and_publishes(checkout: Path) -> None:
    stream = io.StringIO()
    small = {"n_prompts": 4, "candidate_names": ["smollm2-135m"], "n_bootstrap": 100}
    result = pipeline.run(root=checkout, parameters=small, stream=stream)
    assert {path.name for path in result.published} == {
        "router_model.pkl",
        "router_model.json",
        "index.html",
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


@pytest.mark.parametrize("name", ["03_evaluate", "04_explain", "05_playground"])
def test_notebook_runs_alone_in_a_fresh_checkout(checkout: Path, name: str) -> None:
    executed = run_notebook(
        checkout / "notebooks" / f"{name}.ipynb", checkout / "out.ipynb", cwd=checkout
    )
    assert "A router was trained here, and not saved" in executed.read_text()
    assert "sample log data/sample_logs.db, not data/logs.db" in executed.read_text() or (
        name == "05_playground"
    )
    assert not (checkout / "data/router_model.pkl").exists()


def test_plain_papermill_sets_the_cost_weight(checkout: Path) -> None:
    command = [sys.executable, "-m", "papermill", "notebooks/02_train.ipynb", "out.ipynb"]
    done = subprocess.run(
        [*command, "-p", "cost_weight", "20"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Unable to parse" not in done.stderr
    assert load_router(checkout / "data/router_model.pkl").cost_weight_ == 20
