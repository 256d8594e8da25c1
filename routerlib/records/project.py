"""A project: the file that says what its commands and notebooks work on."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

FILE = "routerlib.toml"
HOME = "ROUTERLIB_HOME"

# What is worked on where a project names nothing else; paths are from its folder.
DEFAULTS: dict[str, Any] = {
    "prompts": "data/prompts.jsonl",
    "columns": None,
    "decimal": None,
    "candidates": "local",
    "log": "data/logs.db",
    "model": "data/router_model.pkl",
    "reports": "reports",
    "budget_usd": None,
    "judge": None,
}
# Whoever names one of these has data of their own, which no sample stands in for.
_OWN = frozenset({"prompts", "candidates", "log"})


@dataclass(frozen=True)
class Project:
    """What the commands and notebooks of a folder work on.

    `root`: the folder. `settings`: what its `FILE` names; empty where there is none.
    """

    root: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    has_file: bool = False

    @classmethod
    def at(cls, root: Path) -> Project:
        """Read the project of a folder; one without a file has the usual settings."""
        path = root / FILE
        if not path.is_file():
            return cls(root)
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no valid TOML: {error}") from error
        _check(settings, path)
        return cls(root, settings, has_file=True)

    @classmethod
    def find(cls, start: str | Path | None = None) -> Project | None:
        """Find the project at or above a folder; None where there is none.

        The environment variable ``ROUTERLIB_HOME`` names its folder, if no start is given.
        """
        home = os.environ.get(HOME) if start is None else None
        begin = Path(home or start or Path.cwd()).expanduser().resolve()
        for folder in (begin,) if home else (begin, *begin.parents):
            if (folder / FILE).is_file():
                return cls.at(folder)
        return None

    def value(self, name: str) -> Any:
        """Return a setting: the one that is named, else the usual one."""
        return self.settings.get(name, DEFAULTS[name])

    def path(self, name: str) -> Path:
        """Return where the file or folder of a setting is."""
        return self.root / Path(self.value(name)).expanduser()

    def columns_of(self, prompts: Path) -> str | None:
        """Return what it says of a file's columns; it says it of its own prompts alone."""
        return self.value("columns") if self._is_own_file(prompts) else None

    def decimal_of(self, prompts: Path) -> str | None:
        """Return what it says of decimals in a file; it says it of its own prompts alone."""
        return self.value("decimal") if self._is_own_file(prompts) else None

    def _is_own_file(self, prompts: Path) -> bool:
        return prompts.resolve() == self.path("prompts").resolve()

    @property
    def is_own(self) -> bool:
        """Whether it names data of its own, for which the sample must not stand in."""
        return bool(_OWN & set(self.settings))

    @property
    def told(self) -> str:
        """Say which project this is; "" for a folder without a file."""
        return f"project {self.root.name} ({self.root / FILE})" if self.has_file else ""


def _check(settings: Mapping[str, Any], path: Path) -> None:
    for name, value in settings.items():
        if name not in DEFAULTS:
            near = get_close_matches(name, DEFAULTS, n=1)
            meant = f", did you mean {near[0]!r}?" if near else ";"
            raise ValueError(f"{path} names {name!r}{meant} it may name {', '.join(DEFAULTS)}")
        if name == "budget_usd":
            is_right = isinstance(value, int | float) and 0 <= value < float("inf")
            kind = "a finite number of US dollars from 0"
        else:
            is_right, kind = isinstance(value, str) and bool(value), "a text"
        if not is_right or isinstance(value, bool):
            raise ValueError(f"{path}: {name} must be {kind}, got {value!r}")
