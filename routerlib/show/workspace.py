"""Find the files of a checkout, and open those that a notebook builds on."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from routerlib.gather.candidates.candidates import POOLS, load_candidates, select_candidates
from routerlib.log.call_log import CallLog
from routerlib.routers import archive, artifact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routerlib.evaluation.evaluate import Evaluation
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.records.call import CandidateModel
    from routerlib.routers.router import Router

SAMPLE_LOG = "data/sample_logs.db"
# A checkout is known by the two folders that every notebook needs.
_LANDMARKS = ("notebooks", "data")
# With fewer scored prompts a third held out says nothing, and one candidate leaves no choice.
_MIN_CANDIDATES = 2
_MIN_SCORED_PROMPTS = 60


@dataclass
class Workspace:
    """A checkout of the workbench: its folder, and which files were opened from it.

    Parameters
    ----------
    root : Path
        Folder that holds ``notebooks/`` and ``data/``.

    Attributes
    ----------
    log_origin, router_origin : str
        What was opened last and why, in one sentence; empty before.
    """

    root: Path
    log_origin: str = field(default="", init=False)
    router_origin: str = field(default="", init=False)

    @classmethod
    def find(cls, start: str | Path | None = None) -> Workspace:
        """Find the nearest checkout at or above a folder.

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
            If no folder on the way up holds ``notebooks/`` and ``data/``.

        Examples
        --------
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp()).resolve()
        >>> for folder in ("notebooks", "data"):
        ...     (root / folder).mkdir()
        >>> Workspace.find(root / "notebooks").root == root
        True
        """
        home = os.environ.get("ROUTERLIB_HOME") if start is None else None
        begin = Path(home or start or Path.cwd()).expanduser().resolve()
        for folder in (begin,) if home else (begin, *begin.parents):
            if all((folder / name).is_dir() for name in _LANDMARKS):
                return cls(folder)
        place = f"ROUTERLIB_HOME={home}" if home else f"{str(begin)!r} or above"
        raise FileNotFoundError(
            f"expected a folder with notebooks/ and data/ at {place}, found none; "
            "start in a checkout or set ROUTERLIB_HOME to one"
        )

    def path(self, relative: str | Path) -> Path:
        """Return where a file of the checkout is.

        Parameters
        ----------
        relative : str or Path
            Path from the root, such as ``"data/logs.db"``; an absolute path stays as it is.

        Returns
        -------
        Path
            Absolute; it need not exist.

        Examples
        --------
        >>> Workspace(Path("/checkout")).path("data/logs.db").as_posix()
        '/checkout/data/logs.db'
        """
        return self.root / Path(relative).expanduser()

    def candidates(self, source: str, names: Sequence[str] = ()) -> list[CandidateModel]:
        """Read the candidate models of a pool or file.

        Parameters
        ----------
        source : str
            Name of a pool that ships, such as ``"local"``, or path of a candidates.yaml.
        names : Sequence of str, default=()
            Which of them, in this order; none = all.

        Returns
        -------
        list of CandidateModel

        Examples
        --------
        >>> [each.name for each in Workspace(Path.cwd()).candidates("local", ["smollm2-135m"])]
        ['smollm2-135m']
        """
        known = load_candidates(source if source in POOLS else self.path(source))
        return select_candidates(known, names) if names else known

    def open_log(self, path: str | Path) -> CallLog:
        """Open the log if it can teach a router, else the sample log that ships.

        Parameters
        ----------
        path : str or Path
            The live log, from the root; it is not made if absent.

        Returns
        -------
        CallLog
            Read-only. `log_origin` says in words which one it is.

        Raises
        ------
        FileNotFoundError
            If neither the live log nor the sample can be used.
        """
        live = self.path(path)
        shortage = "it does not exist yet"
        if live.is_file():
            log = CallLog(live, read_only=True)
            shortage = _shortage(log)
            if not shortage:
                self.log_origin = f"This run reads the live log {_shown(path)}."
                return log
        sample = self.path(SAMPLE_LOG)
        if not sample.is_file():
            raise FileNotFoundError(
                f"expected calls to learn from in {_shown(path)}, but {shortage}, and there is no "
                f"{SAMPLE_LOG} either; run notebooks/01_collect.ipynb with at least "
                f"{_MIN_CANDIDATES} candidate models and {_MIN_SCORED_PROMPTS} prompts"
            )
        self.log_origin = (
            f"This run reads the sample log {SAMPLE_LOG}, not {_shown(path)}: {shortage}."
        )
        return CallLog(sample, read_only=True)

    def open_outcomes(self, log_path: str | Path, table_path: str | Path = "") -> Outcomes:
        """Read the outcomes of a table of scores, or of a log.

        Parameters
        ----------
        log_path : str or Path
            As of `open_log`; it plays no part where a table is given.
        table_path : str or Path, default=""
            A .parquet or .csv file with a score column per candidate model, from the root, as
            ``routerlib import table`` reads it; empty = there is none.

        Returns
        -------
        Outcomes
            `log_origin` says in words where they come from.

        Raises
        ------
        FileNotFoundError
            If there is no such table, or no log that can be used.
        ValueError
            If the table can't be read, naming column and row.
        """
        from routerlib.outcomes.outcomes import Outcomes

        if not str(table_path):
            with self.open_log(log_path) as log:
                return Outcomes.from_log(log)
        from routerlib.gather.importers import import_log

        with TemporaryDirectory() as folder, CallLog(Path(folder) / "logs.db") as log:
            report = import_log("table", self.path(table_path), log)
            self.log_origin = f"This run reads {_shown(table_path)}: {report}."
            return Outcomes.from_log(log)

    def open_router(self, path: str | Path, train: Outcomes) -> Router:
        """Load the router if it fits the outcomes, else train one on them.

        Parameters
        ----------
        path : str or Path
            The router file, from the root.
        train : Outcomes
            Training prompts; they say which candidate models there are, and they train
            the router when there is no file that fits.

        Returns
        -------
        Router
            `router_origin` says in words where it comes from.

        Raises
        ------
        ArtifactError
            If the file is there and can't be trusted or read.
        """
        from routerlib.routers.loading import load_router  # LightGBM takes its time to import
        from routerlib.routers.training.train import train_router

        file = self.path(path)
        shortage = f"there is no {file.name} yet"
        if file.is_file():
            router = load_router(file)
            if set(router.models_) == set(train.models):
                self.router_origin = f"The router was loaded from {file.name}."
                return router
            shortage = (
                f"{file.name} chooses among {', '.join(router.models_)}, "
                f"the log holds {', '.join(train.models)}"
            )
        self.router_origin = f"A router was trained here, and not saved: {shortage}."
        return train_router(train)

    def install_router(self, path: str | Path, router: Router) -> str:
        """Put a router in use; it and the one before are archived.

        Parameters
        ----------
        path : str or Path
            The router file, from the root.
        router : Router
            Fitted.

        Returns
        -------
        str
            What was done, in one sentence.
        """
        archive.install(router, self.path(path))
        return f"Saved and archived, identity {router.router_hash_}."

    def record_test(self, path: str | Path, router: Router, evaluation: Evaluation) -> str:
        """Write what a router is worth into its description, if the file is this router's.

        Parameters
        ----------
        path : str or Path
            The router file, from the root.
        router : Router
            The router that was judged.
        evaluation : Evaluation
            What it is worth.

        Returns
        -------
        str
            What was done, in one sentence.
        """
        file = self.path(path)
        description = artifact.json_path(file)
        if not file.is_file() or artifact.load(file).metadata.get("router_hash") != (
            router.router_hash_
        ):
            return "Nothing was written: this router is in no file."
        artifact.update_metadata(file, test=evaluation.as_dict())
        return f"Written to {description.name}: {evaluation.verdict.kind}."


class SeenAndUnseen(NamedTuple):
    """Outcomes as one router divides them.

    Attributes
    ----------
    train : Outcomes
        Prompts that the router was trained on, as far as these outcomes hold them.
    test : Outcomes
        Prompts on which it may be judged.
    """

    train: Outcomes
    test: Outcomes


def split_as_trained(outcomes: Outcomes, router: Router) -> SeenAndUnseen:
    """Divide outcomes into what a router has seen, and what it may be judged on.

    Near-duplicates of training prompts are in neither part, so that the judgement stays
    honest when the log has grown, or was split otherwise, since the training.

    Parameters
    ----------
    outcomes : Outcomes
        All that was observed.
    router : Router
        A fitted router; it remembers its training prompts.

    Returns
    -------
    SeenAndUnseen

    Raises
    ------
    ValueError
        If the router has seen every prompt.
    """
    seen = set(router.train_prompt_ids_)
    is_seen = [prompt_id in seen for prompt_id in outcomes.prompt_ids]
    seen_groups = {group for group, known in zip(outcomes.groups, is_seen, strict=True) if known}
    unseen = [index for index, group in enumerate(outcomes.groups) if group not in seen_groups]
    if not unseen:
        raise ValueError(
            f"expected prompts that the router has not seen, got {len(outcomes)} that it was all "
            "trained on; train on a part (outcomes.split) or collect more prompts"
        )
    trained = [index for index, known in enumerate(is_seen) if known]
    return SeenAndUnseen(train=outcomes.take(trained), test=outcomes.take(unseen))


def failures_as_wrong(log: CallLog, test: Outcomes, judge: str | None = None) -> Outcomes:
    """Read the outcomes of the very same prompts with failed calls as quality 0.

    Parameters
    ----------
    log : CallLog
        The log that `test` was read from.
    test : Outcomes
        What a router is judged on, such as `split_as_trained` gives.
    judge : str or None, default=None
        The judge that `test` was read by; None = the mean over judges.

    Returns
    -------
    Outcomes
        Of the same prompts and candidate models, for `routerlib.evaluation.evaluate.evaluate`.
    """
    from routerlib.outcomes.outcomes import Outcomes

    wrong = Outcomes.from_log(log, failures="wrong", judge=judge, models=test.models)
    rows = {prompt_id: row for row, prompt_id in enumerate(wrong.prompt_ids)}
    return wrong.take([rows[prompt_id] for prompt_id in test.prompt_ids if prompt_id in rows])


def _shortage(log: CallLog) -> str:
    """Say what a log lacks to teach a router; empty when nothing."""
    n_scored = log.summary()["scored"]
    n_taught = int((n_scored >= _MIN_SCORED_PROMPTS).sum())
    if n_taught >= _MIN_CANDIDATES:
        return ""
    return (
        f"it has {n_taught} candidate models with at least {_MIN_SCORED_PROMPTS} scored answers, "
        f"and {_MIN_CANDIDATES} are needed"
    )


def _shown(path: str | Path) -> str:
    return Path(path).as_posix()
