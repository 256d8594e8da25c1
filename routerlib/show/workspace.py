"""Open the files of a project or checkout that a notebook builds on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from routerlib.log.call_log import CallLog
from routerlib.log.dataset import open_log
from routerlib.log.shortage import MIN_CANDIDATES, MIN_SCORED_PROMPTS, shortage_of
from routerlib.routers import archive, artifact
from routerlib.show.folder import Folder
from routerlib.show.words.prose import Caution

if TYPE_CHECKING:
    from routerlib.evaluation.evaluate import Evaluation
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.router import Router

SAMPLE_LOG = "data/sample_logs.db"
SAMPLE_SERVED = "data/sample_served.db"


@dataclass
class Workspace(Folder):
    """A project or checkout: its folder, and which files were opened from it.

    Parameters
    ----------
    root : Path
        Folder that holds ``routerlib.toml``, or ``notebooks/`` and ``data/``.

    Attributes
    ----------
    log_origin, router_origin : str
        What was opened last and why, in one sentence; empty before. A `Caution`, which shows in
        colour, where it isn't what one would expect.
    is_sample : bool
        Whether the log that was opened last is the sample, standing in for an own one.
    """

    log_origin: str = field(default="", init=False)
    router_origin: str = field(default="", init=False)
    is_sample: bool = field(default=False, init=False)

    def open_log(self, path: str | Path | None = None) -> CallLog:
        """Open a log that can teach a router.

        A log that was asked for is read or refused. Only where none was asked for, and the own
        one can't teach a router yet, the sample log that ships stands in for it.

        Parameters
        ----------
        path : str, Path or None, default=None
            The log, or the folder of a sealed dataset, from the root; it is not made if absent.
            None = ``data/logs.db``.

        Returns
        -------
        CallLog
            Read-only. `log_origin` says in words which one it is, `is_sample` whether it is
            the sample standing in.

        Raises
        ------
        FileNotFoundError
            If the log that was asked for is not there, or no sample either.
        ValueError
            If the log that was asked for holds too little; the message says what is missing.
        """
        live = self.path(path, "log")
        shown = _shown(path or self.project.value("log"))
        self.is_sample = False
        shortage = self.log_shortage(path)
        if not shortage:
            self.log_origin = f"This run reads the live log {shown}{self._of_project}."
            return open_log(live)
        if self._is_named(path):
            if not live.exists():
                raise FileNotFoundError(
                    f"expected a log at {shown}{self._of_project}, found none at {live}; correct "
                    "the path, or write one with notebooks/01_collect.ipynb or `routerlib collect`"
                )
            raise ValueError(f"{shown}{self._of_project} can't teach a router yet: {shortage}")
        return self._open_sample(shown, shortage)

    def log_shortage(self, path: str | Path | None = None) -> str:
        """Say what a log lacks to be read by notebooks; empty when nothing.

        Parameters
        ----------
        path : str, Path or None, default=None
            As of `open_log`: one that was named needs no more than commands do.

        Returns
        -------
        str
        """
        least = 1 if self._is_named(path) else MIN_SCORED_PROMPTS
        return shortage_of(self.path(path, "log"), least)

    def _is_named(self, path: str | Path | None) -> bool:
        return path is not None or self.project.is_own

    @property
    def _of_project(self) -> str:
        return f" of {self.project.told}" if self.project.has_file else ""

    def _open_sample(self, instead_of: str, shortage: str) -> CallLog:
        sample = self.path(SAMPLE_LOG)
        if not sample.is_file():
            raise FileNotFoundError(
                f"expected calls to learn from in {instead_of}, but {shortage}, and there is no "
                f"{SAMPLE_LOG} either; run notebooks/01_collect.ipynb with at least "
                f"{MIN_CANDIDATES} candidate models and {MIN_SCORED_PROMPTS} prompts"
            )
        self.is_sample = True
        self.log_origin = Caution(
            f"This run reads the sample log {SAMPLE_LOG}, not {instead_of}{self._of_project}: "
            f"{shortage}. "
            "What it finds holds for the sample, not for prompts of your own."
        )
        return CallLog(sample, read_only=True)

    def open_served(self, path: str | Path | None = None, sample: str = SAMPLE_SERVED) -> CallLog:
        """Open a log of served traffic.

        Parameters
        ----------
        path : str, Path or None, default=None
            A log that ``routerlib serve`` wrote, from the root; None = the sample that ships.
        sample : str
            Which sample; default the one of prompts from people.

        Returns
        -------
        CallLog
            Read-only. `log_origin` says in words which one it is.

        Raises
        ------
        FileNotFoundError
            If there is no such log.
        """
        served = self.path(path or sample)
        if not served.exists():
            raise FileNotFoundError(
                f"expected a log that `routerlib serve` wrote at {served}, found none"
            )
        self.log_origin = (
            f"The served traffic is read from {_shown(path)}."
            if path
            else Caution(f"The served traffic is the sample {sample}, not your own.")
        )
        return open_log(served)

    def open_outcomes(
        self, log_path: str | Path | None = None, table_path: str | Path = ""
    ) -> Outcomes:
        """Read the outcomes of a table of scores, or of a log.

        Parameters
        ----------
        log_path : str, Path or None, default=None
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

    def open_router(self, path: str | Path | None, train: Outcomes) -> Router:
        """Load a router that fits the outcomes.

        One that was asked for is used or refused. Only where none was asked for, and there is
        none that fits, one is trained on the outcomes.

        Parameters
        ----------
        path : str, Path or None
            The router file, from the root; None = ``data/router_model.pkl``.
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
        FileNotFoundError
            If the router that was asked for is not there.
        ValueError
            If the router that was asked for chooses among other candidate models.
        """
        from routerlib.routers.loading import load_router  # LightGBM takes its time to import
        from routerlib.routers.training.train import train_router

        file = self.path(path, "router")
        shortage = f"there is no {file.name} yet"
        if path is not None and not file.is_file():
            raise FileNotFoundError(
                f"expected a router at {_shown(path)}, found none at {file}; correct the path, or "
                "train one with notebooks/02_train.ipynb or `routerlib train`"
            )
        if file.is_file():
            router = load_router(file)
            if set(router.models_) == set(train.models):
                self.router_origin = f"The router was loaded from {file.name}."
                return router
            shortage = (
                f"{file.name} chooses among {', '.join(router.models_)}, "
                f"the log holds {', '.join(train.models)}"
            )
        if path is not None or (file.is_file() and "model" in self.project.settings):
            raise ValueError(f"{shortage}; give the log that it was trained on, or train another")
        self.router_origin = Caution(f"A router was trained here, and not saved: {shortage}.")
        return train_router(train)

    def install_router(self, path: str | Path | None, router: Router) -> str:
        """Put a router in use; it and the one before are archived.

        One that was learned from the sample log, standing in, never replaces one that wasn't.

        Parameters
        ----------
        path : str, Path or None
            The router file, from the root; None = ``data/router_model.pkl``.
        router : Router
            Fitted.

        Returns
        -------
        str
            What was done, in one sentence.
        """
        file = self.path(path, "router")
        learned_from = {"learned_from": SAMPLE_LOG} if self.is_sample else {}
        if self.is_sample and not may_hold_sample(file):
            return Caution(
                f"Not saved: {file.name} holds a router that was not learned from the sample log, "
                "and stays in use."
            )
        archive.install(router, file, learned_from)
        return f"Saved and archived, identity {router.router_hash_}."

    def record_test(self, path: str | Path | None, router: Router, evaluation: Evaluation) -> str:
        """Write what a router is worth into its description, if the file is this router's.

        What the sample log, standing in, says of a router that was learned elsewhere is not.

        Parameters
        ----------
        path : str, Path or None
            The router file, from the root; None = ``data/router_model.pkl``.
        router : Router
            The router that was judged.
        evaluation : Evaluation
            What it is worth.

        Returns
        -------
        str
            What was done, in one sentence.
        """
        from routerlib.evaluation.new_topics import recalled_of_new_topics
        from routerlib.routers.loading import load_router

        file = self.path(path, "router")
        description = artifact.json_path(file)
        # Of the content: a description of an older version says another kind of hash.
        if not file.is_file() or load_router(file).router_hash_ != router.router_hash_:
            return "Nothing was written: this router is in no file."
        if self.is_sample and not may_hold_sample(file):
            return Caution(
                f"Nothing was written: this was measured on the sample log, and {file.name} was "
                "learned from another."
            )
        told = recalled_of_new_topics(evaluation, artifact.load(file).metadata)
        artifact.update_metadata(file, test=told.as_dict())
        return f"Written to {description.name}: {evaluation.verdict.kind}."


def _shown(path: str | Path) -> str:
    return Path(path).as_posix()


def may_hold_sample(file: Path) -> bool:
    """Tell whether a router of the sample log may go there: nothing else would be lost."""
    return not file.exists() or archive.learned_from(file) == SAMPLE_LOG
