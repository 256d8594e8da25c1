"""What a user can call is documented in full, and shown running where a reader finds it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from numpydoc.validate import validate

import routerlib as rl

ROOT = Path(__file__).parents[2]
FACES = {
    name: import_module(f"routerlib.show.{name}")
    for name in (
        "notebooks",
        "plots",
        "tables",
        "words",
    )
}
# Left out: a summary longer than its line (ES01) and "See Also" (SA01), which would be filled for
# the sake of the check, what a "Table" or "Prose" is (RT03), and how a frame's columns begin (RT04,
# RT05). Examples (EX01) are looked for in notebooks and pages, too.
LEFT_OUT = {"ES01", "EX01", "RT03", "RT04", "RT05", "SA01"}


def public() -> Iterator[tuple[str, Any]]:
    """Yield what users name: the front door and the faces of `show`."""
    for prefix, face in {"rl": rl, **FACES}.items():
        for name in face.__all__:
            if callable(value := getattr(face, name)):
                yield f"{prefix}.{name}", value


def documented() -> set[str]:
    """Name those, and the methods that their classes define, by where they are defined."""
    names = set()
    for _, value in public():
        name = f"{value.__module__}.{value.__qualname__}"
        names.add(name)
        if inspect.isclass(value):
            names |= {f"{name}.{member}" for member in _members(value)}
    return names


def _members(owner: type) -> Iterator[str]:
    for name, member in vars(owner).items():
        kinds = (classmethod, staticmethod, property)
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, kinds)):
            yield name


@pytest.mark.parametrize("name", sorted(documented()))
def test_a_public_docstring_is_whole(name: str) -> None:
    errors = validate(name)["errors"]
    assert [each for each in errors if each[0] not in LEFT_OUT] == []


@cache
def shown() -> str:
    """Return the code of all notebooks and pages, which the tests run."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    blocks = [
        block
        for page in pages
        for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.S)
    ]
    cells = [
        "".join(cell["source"])
        for path in (ROOT / "notebooks").glob("*.ipynb")
        for cell in json.loads(path.read_text())["cells"]
        if cell["cell_type"] == "code"
    ]
    return "\n".join([*blocks, *cells])


@pytest.mark.parametrize(
    ("name", "function"), [each for each in public() if inspect.isfunction(each[1])]
)
def test_a_public_function_is_shown_running(name: str, function: Any) -> None:
    has_example = ">>> " in (function.__doc__ or "")
    assert has_example or re.search(rf"\b{re.escape(name)}\(", shown())
