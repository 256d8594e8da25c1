"""The pipeline is strict, and publishes only what a whole good run made."""

from __future__ import annotations

import io
import itertools
import json
import sys
from pathlib import Path

import nbformat
import pytest

from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.archive import kept_models, rollback
from routerlib.routers.baselines import BestSingle
from routerlib.routers.loading import load_router
from routerlib.show.notebooks import pipeline, still
from routerlib.show.notebooks.run import NotebookFailed, PipelineError, run_notebook
from routerlib.show.pages.notebook import to_html


def write_notebook(path: Path, *sources: str, tags: tuple[str, ...] = ("parameters",)) -> Path:
    """Write a notebook whose first code cell carries the tags."""
    cells = [nbformat.v4.new_markdown_cell("# A question?")]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    cells[1].metadata["tags"] = list(tags)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Five tiny notebooks, and the good products of an earlier run."""
    for name in pipeline.NOTEBOOKS:
        write_notebook(
            tmp_path / "notebooks" / f"{name}.ipynb",
            'router_path = "data/router_model.pkl"  # path\nlevel = 1  # none',
            "from pathlib import Path",
            "Path(router_path).write_text(f'new {level}')",
        )
    (tmp_path / "data").mkdir()
    (tmp_path / "reports").mkdir()
    (tmp_path / "data/router_model.pkl").write_text("old")
    (tmp_path / "reports/index.html").write_text("old")
    return tmp_path


def test_unknown_parameter_is_refused_and_the_known_ones_are_listed(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "cost_weight = 1\nlimit = None")
    with pytest.raises(PipelineError, match=r"n has no parameter 'nope'; it has cost_weight, lim"):
        run_notebook(notebook, tmp_path / "out.ipynb", {"nope": 1})
    assert not (tmp_path / "out.ipynb").exists()


def test_notebook_without_parameters_tag_is_refused(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "cost_weight = 1", tags=())
    with pytest.raises(PipelineError, match="n needs one code cell tagged 'parameters', got 0"):
        run_notebook(notebook, tmp_path / "out.ipynb", {"cost_weight": 2})


def test_parameters_cell_with_code_is_refused(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "import os\nhome = os.environ['HOME']")
    with pytest.raises(PipelineError, match="n must assign only literals"):
        run_notebook(notebook, tmp_path / "out.ipynb")


def test_missing_notebook_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"expected a notebook at .*none\.ipynb, found none"):
        run_notebook(tmp_path / "none.ipynb", tmp_path / "out.ipynb")


def test_file_that_is_no_notebook_is_named(tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").write_text("not json")
    with pytest.raises(PipelineError, match=r"expected a notebook at .*n\.ipynb, got"):
        run_notebook(tmp_path / "n.ipynb", tmp_path / "out.ipynb")


def test_failing_cell_leaves_the_executed_notebook_and_one_clear_line(tmp_path: Path) -> None:
    notebook = write_notebook(
        tmp_path / "n.ipynb", "level = 1", "1 + 1", "raise ValueError('no\\nluck')", "3"
    )
    with pytest.raises(
        NotebookFailed, match=r"n failed in cell \[3\] with ValueError: no;"
    ) as caught:
        run_notebook(notebook, tmp_path / "out.ipynb")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "out.ipynb") in str(caught.value)
    assert '"text/plain": [\n       "2"' in (tmp_path / "out.ipynb").read_text()


def test_kernel_that_never_begins_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"argv": [sys.executable, "-c", ""], "display_name": "ends", "language": "python"}
    (tmp_path / "kernels/python3").mkdir(parents=True)
    (tmp_path / "kernels/python3/kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    notebook = write_notebook(tmp_path / "n.ipynb", "level = 1")
    with pytest.raises(NotebookFailed, match="n stopped: Kernel died before replying"):
        run_notebook(notebook, tmp_path / "out.ipynb")


def test_a_cell_that_stands_still_is_named(tmp_path: Path) -> None:
    waits = "import time\ntime.sleep(4)"
    notebook = write_notebook(tmp_path / "n.ipynb", "level = 1", waits)
    stream = io.StringIO()
    run_notebook(notebook, tmp_path / "out.ipynb", stream=stream, still_s=1)
    (told,) = stream.getvalue().splitlines()
    assert told.startswith("out stands still: cell [2] (import time time.sleep(4)) has not worked")


def test_a_cell_that_works_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked = itertools.count(step=still.WORKED_S)
    monkeypatch.setattr(still, "processor_s", lambda processes: next(worked))
    notebook = write_notebook(tmp_path / "n.ipynb", "level = 1", "import time\ntime.sleep(3)")
    stream = io.StringIO()
    run_notebook(notebook, tmp_path / "out.ipynb", stream=stream, still_s=0.4)
    assert not stream.getvalue()
    assert next(worked) > 10 * still.WORKED_S, "it was looked at"


def test_a_cell_beyond_its_limit_ends_the_run_and_is_named(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "level = 1", "while True:\n    pass")
    with pytest.raises(
        NotebookFailed, match=r"n stopped: cell \[2\] \(while True: pass\) took longer than its l"
    ):
        run_notebook(notebook, tmp_path / "out.ipynb", cell_limit_s=2)
    with pytest.raises(PipelineError, match="at least 1 second, got 0"):
        run_notebook(notebook, tmp_path / "out.ipynb", cell_limit_s=0)


def test_given_parameters_reach_the_notebook_and_its_output_is_streamed(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "level = 1", "print('level', level)")
    stream = io.StringIO()
    run_notebook(notebook, tmp_path / "out.ipynb", {"level": 7}, cwd=tmp_path, stream=stream)
    assert stream.getvalue() == "level 7\n"


def test_good_run_publishes_router_and_pages_and_leaves_no_staging(checkout: Path) -> None:
    stream = io.StringIO()
    result = pipeline.run(
        only=["02", "explain"], root=checkout, parameters={"level": 3}, stream=stream
    )
    assert (checkout / "data/router_model.pkl").read_text() == "new 3"
    assert sorted(path.name for path in (checkout / "reports").iterdir()) == [
        "02_train.html",
        "02_train.ipynb",
        "04_explain.html",
        "04_explain.ipynb",
        "index.html",
    ]
    assert [path.name for path in (checkout / "data").iterdir()] == ["router_model.pkl"]
    assert list(result.seconds) == ["02_train", "04_explain"]
    assert "[2/2] 04_explain done in" in stream.getvalue()


def test_router_that_a_run_replaces_is_archived(checkout: Path, outcomes: Outcomes) -> None:
    before = BestSingle().fit(outcomes)
    before.save(checkout / "data/router_model.pkl")
    write_notebook(
        checkout / "notebooks/02_train.ipynb",
        'router_path = "data/router_model.pkl"',
        "import routerlib as rl\nfrom routerlib.outcomes.worlds import make_world",
        "router = rl.BestSingle().fit(make_world(n_prompts=20).outcomes)",
        "rl.Workspace.find().install_router(router_path, router)",
    )
    for _ in range(2):  # the second run makes the same router again
        pipeline.run(only=["02"], root=checkout, stream=io.StringIO())
    path = checkout / "data/router_model.pkl"
    assert [kept.is_in_use for kept in kept_models(path)] == [False, True]
    rollback(path)
    assert load_router(path).router_hash_ == before.router_hash_
    assert not (checkout / "data/.staging").exists()


def test_router_of_the_sample_is_not_published_over_one_that_was_learned_elsewhere(
    checkout: Path, outcomes: Outcomes
) -> None:
    BestSingle().fit(outcomes).save(checkout / "data/router_model.pkl")
    before = (checkout / "data/router_model.pkl").read_bytes()
    write_notebook(
        checkout / "notebooks/02_train.ipynb",
        'router_path = "data/router_model.pkl"',
        "import routerlib as rl\nfrom routerlib.outcomes.worlds import make_world",
        "router = rl.BestSingle().fit(make_world(n_prompts=20).outcomes)",
        "workspace = rl.Workspace.find()\nworkspace.is_sample = True",
        "workspace.install_router(router_path, router)",
    )
    with pytest.raises(PipelineError, match=r"stay as they are: .*sample_logs\.db, since it does"):
        pipeline.run(only=["02", "04"], root=checkout, stream=io.StringIO())
    assert (checkout / "data/router_model.pkl").read_bytes() == before
    assert (checkout / "reports/index.html").read_text() == "old"


def test_failed_run_keeps_the_old_products_and_says_where_to_look(checkout: Path) -> None:
    write_notebook(checkout / "notebooks/04_explain.ipynb", "level = 1", "1 / 0")
    with pytest.raises(NotebookFailed, match=r"04_explain failed in cell \[2\] with ZeroDiv"):
        pipeline.run(only=["02", "04"], root=checkout, stream=io.StringIO())
    assert (checkout / "data/router_model.pkl").read_text() == "old"
    assert (checkout / "reports/index.html").read_text() == "old"
    assert [path.name for path in (checkout / "data").iterdir()] == ["router_model.pkl"]
    failed = checkout / "reports/failed/04_explain.ipynb"
    assert "ZeroDivisionError" in failed.read_text()
    assert {path.name for path in (checkout / "reports").iterdir()} == {"index.html", "failed"}


def test_run_refuses_an_unknown_parameter_before_anything_runs(checkout: Path) -> None:
    with pytest.raises(PipelineError, match=r"pipeline has no parameter 'leevl'; it has level, r"):
        pipeline.run(only=["02"], root=checkout, parameters={"leevl": 3}, stream=io.StringIO())
    assert (checkout / "data/router_model.pkl").read_text() == "old"


def test_run_refuses_an_unknown_notebook(checkout: Path) -> None:
    with pytest.raises(PipelineError, match=r"expected notebooks among 01_collect.*got '9'"):
        pipeline.run(only=["9"], root=checkout)


def test_page_needs_no_network_and_folds_code_away(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("Next: [02_train](02_train.ipynb)."),
            nbformat.v4.new_markdown_cell("# Does *it* pay?"),
            nbformat.v4.new_code_cell(
                "show('<b>')",
                outputs=[
                    nbformat.v4.new_output("stream", text="1 of 2\r2 of 2\n<script>alert(1)"),
                    nbformat.v4.new_output(
                        "display_data",
                        data={
                            "application/vnd.jupyter.widget-view+json": {"model_id": "x"},
                            "text/plain": "VBox()",
                        },
                    ),
                    nbformat.v4.new_output("display_data", data={"image/png": "aGVsbG8="}),
                ],
            ),
        ]
    )
    nbformat.write(notebook, tmp_path / "n.ipynb")
    page = to_html(tmp_path / "n.ipynb", tmp_path / "n.html").read_text()
    again = to_html(tmp_path / "n.ipynb", tmp_path / "n2.html").read_text()
    assert page == again
    assert "<title>Does it pay?</title>" in page
    assert "<details><summary>Code</summary>" in page
    assert "2 of 2\n&lt;script&gt;alert(1)" in page
    assert "1 of 2" not in page
    assert '<a href="02_train.html">02_train</a>' in page
    assert "VBox" not in page
    assert 'alt="Does it pay?"' in page
    for forbidden in ("http://", "https://", "<script>alert", "@import", 'src="//'):
        assert forbidden not in page


def test_interrupted_staging_of_an_earlier_run_does_not_leak(checkout: Path) -> None:
    (checkout / "reports/.staging").mkdir()
    (checkout / "reports/.staging/99_old.html").write_text("old")
    pipeline.run(only=["04"], root=checkout, stream=io.StringIO())
    assert not (checkout / "reports/99_old.html").exists()


def test_notebook_run_alone_builds_on_the_published_router(checkout: Path) -> None:
    write_notebook(
        checkout / "notebooks/04_explain.ipynb",
        'router_path = "data/router_model.pkl"',
        "from pathlib import Path",
        "Path(router_path).read_text()",
    )
    pipeline.run(only=["04"], root=checkout, stream=io.StringIO())
    executed = json.loads((checkout / "reports/04_explain.ipynb").read_text())
    assert executed["cells"][-1]["outputs"][0]["data"]["text/plain"] == ["'old'"]
    assert (checkout / "data/router_model.pkl").read_text() == "old"
