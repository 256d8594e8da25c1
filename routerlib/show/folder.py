"""Find a project or checkout, and what its files are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from routerlib.gather.candidates.candidates import POOLS, load_candidates, select_candidates
from routerlib.gather.judges.proposing import with_judge
from routerlib.gather.prompts.files import load_prompts
from routerlib.gather.prompts.shapes import parse_columns
from routerlib.records.project import FILE, HOME, Project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routerlib.records.call import CandidateModel
    from routerlib.records.prompt import Prompt

# A checkout is known by the two folders that every notebook needs, a project by its file.
_LANDMARKS = ("notebooks", "data")
_SETTINGS = {"prompts": "prompts", "log": "log", "router": "model", "reports": "reports"}


@dataclass
class Folder:
    """A project or checkout: where its files are, and what it works on.

    `root`: the folder that holds ``routerlib.toml``, or ``notebooks/`` and ``data/``.
    """

    root: Path

    @classmethod
    def find(cls, start: str | Path | None = None) -> Self:
        """Find the nearest project or checkout at or above a folder.

        The environment variable ``ROUTERLIB_HOME`` names one directly, if no start is given.

        Parameters
        ----------
        start : str, Path or None, default=None
            Where to begin; None = the current folder. Thus the same relative paths
            work from JupyterLab, which runs in ``notebooks/``, and from the root.

        Returns
        -------
        Workspace

        Raises
        ------
        FileNotFoundError
            If no folder on the way up holds a ``routerlib.toml``, or ``notebooks/`` and ``data/``.

        Examples
        --------
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp()).resolve()
        >>> for folder in ("notebooks", "data"):
        ...     (root / folder).mkdir()
        >>> Folder.find(root / "notebooks").root == root
        True
        """
        home = os.environ.get(HOME) if start is None else None
        begin = Path(home or start or Path.cwd()).expanduser().resolve()
        for folder in (begin,) if home else (begin, *begin.parents):
            has_folders = all((folder / name).is_dir() for name in _LANDMARKS)
            if has_folders or (folder / FILE).is_file():
                return cls(folder)
        place = f"{HOME}={home}" if home else f"{str(begin)!r} or above"
        raise FileNotFoundError(
            f"expected a folder with notebooks/ and data/ or a {FILE} at {place}, found none; "
            f"start in one, make one with `routerlib init DIR`, or set {HOME} to one"
        )

    def path(
        self,
        relative: str | Path | None,
        role: Literal["prompts", "log", "router", "reports"] | None = None,
    ) -> Path:
        """Return where a file of the checkout is.

        Parameters
        ----------
        relative : str, Path or None
            Path from the root, such as ``"data/logs.db"``; an absolute path stays as it is.
            None = the usual one of its role.
        role : {"prompts", "log", "router", "reports"} or None, default=None
            What the file is for, where it may be left out: then it is the project's own.

        Returns
        -------
        Path
            Absolute; it need not exist.

        Examples
        --------
        >>> Folder(Path("/checkout")).path("data/my_logs.db").as_posix()
        '/checkout/data/my_logs.db'
        >>> Folder(Path("/checkout")).path(None, "log").as_posix()
        '/checkout/data/logs.db'
        """
        if relative is None and role is not None:
            return self.project.path(_SETTINGS[role])
        return self.root / Path(relative or "").expanduser()

    @cached_property
    def project(self) -> Project:
        """What its `routerlib.toml` says, or the usual where there is none."""
        return Project.at(self.root)

    @property
    def told(self) -> str:
        """Which project a notebook works on, and on which of its files, in one sentence."""
        names = ("prompts", "candidates", "log", "model")
        files = ", ".join(f"{name} {self.project.value(name)}" for name in names)
        return f"Of {self.project.told}: {files}." if self.project.has_file else ""

    def prompts(self, path: str | Path | None = None) -> list[Prompt]:
        """Read the prompts to ask.

        Parameters
        ----------
        path : str, Path or None, default=None
            The file, from the root; None = the project's own, or the workload that ships.

        Returns
        -------
        list of Prompt
            Those with a reference and no judge have the project's judge, if it names one.
        """
        file = self.path(path, "prompts")
        known = load_prompts(
            file,
            columns=parse_columns(self.project.columns_of(file)),
            decimal=self.project.decimal_of(file) or ".",
        )
        return with_judge(known, self.project.value("judge"))

    def budget_usd(self, given: float | None = None) -> float | None:
        """Return what a run may spend.

        Parameters
        ----------
        given : float or None, default=None
            US dollars; None = what the project names.

        Returns
        -------
        float or None
            None = no limit.
        """
        return self.project.value("budget_usd") if given is None else given

    def candidates(
        self, source: str | None = None, names: Sequence[str] | None = ()
    ) -> list[CandidateModel]:
        """Read the candidate models of a pool or file.

        Parameters
        ----------
        source : str or None, default=None
            Name of a pool that ships, such as ``"local"``, or path of a candidates.yaml;
            None = the project's own, or the local pool.
        names : Sequence of str or None, default=()
            Which of them, in this order; none of them = all. None = all of a file, and the
            smallest of a pool, for a first try.

        Returns
        -------
        list of CandidateModel

        Examples
        --------
        >>> workspace = Folder(Path.cwd())
        >>> [each.name for each in workspace.candidates("local", ["qwen2.5-coder-0.5b"])]
        ['qwen2.5-coder-0.5b']
        >>> [each.name for each in workspace.candidates(names=None)]
        ['smollm2-135m']
        """
        source = source or str(self.project.value("candidates"))
        is_pool = source in POOLS
        known = load_candidates(source if is_pool else self.path(source))
        if names is None:
            return known[:1] if is_pool else known
        return select_candidates(known, names) if names else known
