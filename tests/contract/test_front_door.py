"""The front door: public names, the same for Python and for type checkers, and nothing else."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import routerlib as rl

ROOT = Path(__file__).parents[2]
PACKAGE = Path(rl.__file__).parent
NAMES = sorted(set(rl.__all__) - {"__version__"})
HEAVY = ("numpy", "pandas", "shap", "matplotlib", "duckdb", "lightgbm", "sklearn", "openai")


def listed_for_tools() -> dict[str, str]:
    """Return the module of each name as type checkers read it."""
    found = {}
    for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("routerlib."):
            for name in node.names:
                assert name.asname == name.name, f"{name.name} is not passed on to type checkers"
                found[name.name] = node.module or ""
    return found


def listed_for_run_time() -> dict[str, str]:
    """Return the module of each name as it is imported on first use."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (table,) = (node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    modules = ast.literal_eval(table)
    return {name: f"routerlib.{module}" for module, names in modules.items() for name in names}


def test_type_checkers_and_python_find_the_same_names_in_the_same_places() -> None:
    assert listed_for_tools() == listed_for_run_time()
    assert sorted(listed_for_tools()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_stands_in_the_module_that_is_listed(name: str) -> None:
    found = getattr(rl, name)
    assert found.__module__.startswith(listed_for_run_time()[name])


def test_only_public_names_are_shown() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "import routerlib; print(*dir(routerlib))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split() == NAMES


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nope"):
        rl.nope  # noqa: B018


def test_naming_the_library_imports_nothing_heavy() -> None:
    code = f"import sys, routerlib; dir(routerlib); print(*{set(HEAVY)} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "\n"


def test_records_come_through_the_front_door_without_the_learners() -> None:
    code = (
        "import sys, routerlib as rl; rl.Prompt, rl.Price, rl.Estimates, rl.RouterlibError;"
        f"print(*{set(HEAVY)} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "\n"


def test_a_type_checker_knows_every_public_name(tmp_path: Path) -> None:
    page = tmp_path / "revealed.py"
    lines = ["import routerlib as rl", *(f"reveal_type(rl.{name})" for name in NAMES)]
    page.write_text("\n".join(lines) + "\n")
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", str(page)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    revealed = re.findall(r'Revealed type is "(.*)"', run.stdout)
    assert len(revealed) == len(NAMES)
    unknown = [name for name, kind in zip(NAMES, revealed, strict=True) if kind == "Any"]
    assert unknown == []


def test_a_type_checker_refuses_a_name_that_is_not_there(tmp_path: Path) -> None:
    page = tmp_path / "wrong.py"
    page.write_text("import routerlib as rl\n\nrl.nope\n")
    run = subprocess.run(
        [sys.executable, "-m", "mypy", str(page)], cwd=ROOT, capture_output=True, text=True
    )
    assert 'Module has no attribute "nope"' in run.stdout


def test_the_house_has_thirteen_rooms() -> None:
    found = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    rooms = {name for name in found if (PACKAGE / name).is_dir()}
    assert len(rooms) == 13
    assert found - rooms == {"__init__.py", "__main__.py", "py.typed"}


def own_errors() -> list[type[BaseException]]:
    """Return the errors that routerlib's modules define, private ones left out."""
    found = []
    for info in pkgutil.walk_packages([str(PACKAGE)], "routerlib."):
        if info.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(info.name)).items():
            is_own = inspect.isclass(value) and value.__module__ == info.name
            if is_own and issubclass(value, BaseException) and name[0] != "_":
                found.append(value)
    return found


def test_every_own_error_has_one_root_and_keeps_its_kind() -> None:
    errors = own_errors()
    assert {rl.RouterlibError, rl.LogError, rl.ArtifactError} <= set(errors)
    assert [each for each in errors if not issubclass(each, rl.RouterlibError)] == []
    assert issubclass(rl.LogError, RuntimeError)
    assert issubclass(rl.ArtifactError, ValueError)


def test_what_a_user_meets_is_caught_by_the_root(tmp_path: Path) -> None:
    (tmp_path / "broken.pkl").write_text("no router")
    with pytest.raises(rl.RouterlibError):
        rl.load_router(tmp_path / "broken.pkl")
    (tmp_path / "broken.db").write_text("no log " * 200)
    with pytest.raises(rl.RouterlibError):
        rl.CallLog(tmp_path / "broken.db")
