"""An installed package starts a project by itself: notebooks and samples are in the wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FOLDERS = ("routerlib", "notebooks", "data")
_FILES = ("voila.json", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel from a copy of the checkout, and unpack it where it can be imported."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in (*_FOLDERS, *_FILES):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, source / name)
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", *build, "--wheel-dir", str(folder), str(source)],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(source)
    (wheel,) = folder.glob("routerlib-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a folder."""
    environment = {key: value for key, value in os.environ.items() if key != "ROUTERLIB_HOME"}
    code = "from routerlib.cli import entry; entry()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_a_wheel_holds_what_a_project_begins_with_and_nothing_of_the_checkout(
    installed: Path,
) -> None:
    starter = installed / "routerlib/starter"
    for name in ("notebooks", "data"):
        for path in (starter / name).iterdir():
            assert path.read_bytes() == (ROOT / name / path.name).read_bytes()
    assert (starter / "voila.json").read_bytes() == (ROOT / "voila.json").read_bytes()
    notebooks = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {path.name for path in (starter / "notebooks").iterdir()} == notebooks
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {
        "routerlib"
    }


def test_a_project_of_an_installed_package_runs_a_notebook(installed: Path, tmp_path: Path) -> None:
    started = run(installed, tmp_path, "init", "my-project")
    assert started.returncode == 0, started.stderr
    assert "next: cd my-project && routerlib pipeline --quick" in started.stdout
    project = tmp_path / "my-project"
    done = run(installed, project, "pipeline", "--only", "05")
    assert done.returncode == 0, done.stderr
    page = (project / "reports/05_playground.html").read_text()
    assert "This run reads the sample log data/sample_logs.db, not data/logs.db of project" in page


def test_outside_a_project_the_pipeline_says_how_to_make_one(
    installed: Path, tmp_path: Path
) -> None:
    done = run(installed, tmp_path, "pipeline")
    assert done.returncode == 1
    assert "found none; start in one, make one with `routerlib init DIR`" in done.stderr
