"""Lay out a project: its file, the notebooks, and samples to try them on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from routerlib.records.files import write_atomically
from routerlib.records.project import FILE

# What a project begins with; paths are the same in a checkout, in the wheel and in the project.
_LAID_OUT = (
    "notebooks/*.ipynb",
    "voila.json",
    "data/prompts.jsonl",
    "data/sample_logs.db",
    "data/sample_served.db",
    "data/sample_agent.db",
)
_HEAD = """\
# What this project works on. Every command and notebook that is started in this folder, or in one
# below it, reads this file; a flag or a notebook's parameter goes before it. Paths are from here.
"""
# Each setting with what it says, and an example for where it is left out.
_SETTINGS = {
    "prompts": ("Prompts to ask: .jsonl, .csv or .parquet.", "my_prompts.jsonl"),
    "columns": (
        "What the prompts' file calls our columns, where neither is a usual name.",
        "prompt=question,reference=answer",
    ),
    "decimal": ("What parts off decimals in their numbers; a comma: points part thousands.", ","),
    "candidates": ("Whom to ask: a candidates.yaml, or a pool (local, openai).", "candidates.yaml"),
    "log": ("Where every call is written.", "data/my_logs.db"),
    "model": ("Where the router is.", "data/my_router.pkl"),
    "reports": ("The folder of all pages.", "reports"),
    "budget_usd": ("What one run may spend at most, US dollars.", 2.0),
    "judge": (
        "Who scores answers to prompts with a reference and no judge; auto: what fits each.",
        "auto",
    ),
}


def starter_folder() -> Path:
    """Return the folder that holds notebooks and samples: of the installed package, or a checkout.

    Raises
    ------
    FileNotFoundError
        If the package was installed without them.
    """
    package = Path(str(files("routerlib")))
    for folder in (package / "starter", package.parent):
        if (folder / "notebooks" / "01_collect.ipynb").is_file():
            return folder
    raise FileNotFoundError(
        f"expected notebooks and samples in {package / 'starter'} or {package.parent}, found none; "
        "install routerlib again"
    )


def lay_out(folder: Path, settings: Mapping[str, Any]) -> list[Path]:
    """Write a project: its file with these settings, notebooks and samples.

    Files that are there already stay as they are; a project is never written over.

    Returns
    -------
    list of Path
        What was written, the project's file first.
    """
    file = folder / FILE
    if file.exists():
        raise FileExistsError(f"{file} is there already: change it, or name another folder")
    source = starter_folder()
    folder.mkdir(parents=True, exist_ok=True)
    written = [file]
    for pattern in _LAID_OUT:
        for sample in sorted(source.glob(pattern)):
            target = folder / sample.relative_to(source)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(sample, target)
                written.append(target)
    write_atomically(file, file_text(settings).encode())
    return written


def file_text(settings: Mapping[str, Any]) -> str:
    """Return a project's file: what is set, and an example of each that isn't, as a comment.

    >>> print(file_text({"judge": "auto"}).splitlines()[-1])
    judge = "auto"
    >>> '# log = "data/my_logs.db"' in file_text({})
    True
    """
    parts = [_HEAD]
    for name, (what, example) in _SETTINGS.items():
        value = settings.get(name)
        line = f"# {name} = {_literal(example)}" if value is None else f"{name} = {_literal(value)}"
        parts.append(f"# {what}\n{line}\n")
    return "\n".join(parts)


def _literal(value: Any) -> str:
    """Write a text or number so that TOML reads it back; its strings are JSON's."""
    return json.dumps(value, ensure_ascii=False)
