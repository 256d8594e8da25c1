"""Run the numbered notebooks strictly, headless, and publish what they made all at once."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from routerlib.log.call_log import CallLog
from routerlib.log.dataset import open_log
from routerlib.routers import archive
from routerlib.show.notebooks.run import (
    NotebookFailed,
    PipelineError,
    check_parameters,
    known_parameters,
    run_notebook,
)
from routerlib.show.pages.belonging import mark_of, pages_of
from routerlib.show.pages.notebook import to_html
from routerlib.show.workspace import SAMPLE_LOG, Workspace, may_hold_sample

NOTEBOOKS = ("01_collect", "02_train", "03_evaluate", "04_explain", "05_playground")
# These build on what the five above leave, and run where they are asked for.
FURTHER_NOTEBOOKS = (
    "06_active_learning",
    "07_off_policy",
    "08_benchmarks",
    "09_cascade",
    "10_agent",
)

# Beside the final place, so that publishing is a rename on one file system.
_STAGING = ".staging"

# The small variant: the two small models of the pool, about two minutes on two cores.
_QUICK_PARAMETERS = {
    "n_prompts": 120,
    "candidate_names": ["smollm2-135m", "qwen2.5-coder-0.5b"],
}
# Everything: all prompts of the file, all candidates of the pool.
_FULL_PARAMETERS: dict[str, Any] = {"n_prompts": None, "candidate_names": []}


@dataclass(frozen=True)
class PipelineResult:
    """What a run of the pipeline left behind.

    `seconds`: wall-clock seconds of each notebook.
    """

    verdict: str
    published: tuple[Path, ...]
    seconds: Mapping[str, float]


def run(
    quick: bool = False,
    only: Sequence[str] | None = None,
    root: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    stream: TextIO | None = None,
    cell_limit_s: float | None = None,
) -> PipelineResult:
    """Run the notebooks, then publish router and reports, each file whole.

    The log is written live and only grows. Router and reports are made in staging folders:
    when anything fails, those of the last good run are untouched, and the notebook that
    failed is left in ``reports/failed/``. The router that is replaced is archived.

    `only`: notebooks to run, such as ``["02", "07_off_policy"]``; None = 01 to 05.
    `root`: the project or checkout; None = found from the current folder.
    `stream`: where progress goes; None = standard output.
    `cell_limit_s`: seconds that a cell of a notebook may take at most; None = any number.
    """
    workspace = Workspace.find(root)
    stream = stream or sys.stdout
    names = _selected(only)
    if workspace.project.has_file:
        _say(stream, workspace.project.told)
    given = _plan_parameters(workspace, names, quick, dict(parameters or {}))
    with _staging(workspace, given) as staged:
        if "01_collect" in names:
            _prepare_collection(workspace, given["01_collect"], stream)
        seconds = {}
        for number, name in enumerate(names, start=1):
            _say(stream, f"[{number}/{len(names)}] {name} ...")
            started = time.monotonic()
            _run_staged(workspace, name, given[name], staged, stream, cell_limit_s)
            _check_learned_from(workspace, staged)
            seconds[name] = time.monotonic() - started
            _say(stream, f"[{number}/{len(names)}] {name} done in {seconds[name]:.0f} s")
        verdict = ""
        if "03_evaluate" in names:
            verdict = _write_index(workspace, staged, given["03_evaluate"])
        published = _publish(staged)
    for line in filter(None, (verdict, f"Read {published[-1]}")):
        _say(stream, line)
    return PipelineResult(verdict=verdict, published=published, seconds=seconds)


@dataclass(frozen=True)
class _Staged:
    """Where a run makes its products, and where they go when all is well."""

    router: Path
    final_router: Path
    reports: Path
    final_reports: Path
    log_path: str | None


def _selected(only: Sequence[str] | None) -> tuple[str, ...]:
    """Return full notebook names, in their order."""
    if only is None:
        return NOTEBOOKS
    known = (*NOTEBOOKS, *FURTHER_NOTEBOOKS)
    for wanted in only:
        if not any(_is_meant(wanted, name) for name in known):
            raise PipelineError(f"expected notebooks among {', '.join(known)}, got {wanted!r}")
    return tuple(name for name in known if any(_is_meant(wanted, name) for wanted in only))


def _is_meant(wanted: str, name: str) -> bool:
    return wanted in (name, name.split("_")[0], name.split("_", 1)[1], f"{name}.ipynb")


def _plan_parameters(
    workspace: Workspace, names: Sequence[str], quick: bool, wanted: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Give each notebook the parameters that it declares, before anything runs."""
    known = {name: known_parameters(_source(workspace, name)) for name in names}
    everywhere = {parameter for declared in known.values() for parameter in declared}
    check_parameters("pipeline", wanted, everywhere)
    size = dict(_QUICK_PARAMETERS if quick else _FULL_PARAMETERS)
    if (wanted.get("candidates_path") or workspace.project.value("candidates")) != "local":
        size["candidate_names"] = []  # all of one's own
    return {
        name: {
            parameter: value
            for parameter, value in {**size, **wanted}.items()
            if parameter in declared
        }
        for name, declared in known.items()
    }


@contextmanager
def _staging(workspace: Workspace, given: Mapping[str, dict[str, Any]]) -> Iterator[_Staged]:
    """Make the staging folders, and remove them however the run ends."""
    settings = {name: value for each in given.values() for name, value in each.items()}
    final_router = workspace.path(settings.get("router_path"), "router")
    final_reports = _reports_of(workspace, settings.get("log_path"))
    staged = _Staged(
        router=final_router.parent / _STAGING / final_router.name,
        final_router=final_router,
        reports=final_reports / _STAGING,
        final_reports=final_reports,
        log_path=settings.get("log_path"),
    )
    folders = (staged.router.parent, staged.reports)
    try:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        if "02_train" not in given:  # the notebooks then build on the published router
            for final, new in _router_files(staged):
                if final.is_file():
                    shutil.copy2(final, new)
        yield staged
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _run_staged(
    workspace: Workspace,
    name: str,
    given: Mapping[str, Any],
    staged: _Staged,
    stream: TextIO,
    cell_limit_s: float | None,
) -> None:
    """Run one notebook into the staging folder; keep it apart when it fails."""
    source = _source(workspace, name)
    makes_router = name == "02_train"
    if "router_path" in known_parameters(source) and (makes_router or staged.router.is_file()):
        given = {**given, "router_path": _from_root(workspace, staged.router)}
    failed = staged.final_reports / "failed" / f"{name}.ipynb"
    failed.unlink(missing_ok=True)
    out = staged.reports / f"{name}.ipynb"
    try:
        run_notebook(
            source, out, given, cwd=workspace.root, stream=stream, cell_limit_s=cell_limit_s
        )
    except NotebookFailed as error:
        failed.parent.mkdir(exist_ok=True)
        error.executed.replace(failed)
        raise NotebookFailed(error.reason, failed) from error
    to_html(out, out.with_suffix(".html"), _mark(workspace, name, staged))


def _reports_of(workspace: Workspace, log_path: str | None) -> Path:
    """Return where pages go: those of another log than the project's own into a folder apart."""
    reports, log = workspace.path(None, "reports"), workspace.path(log_path, "log")
    return reports if log == workspace.path(None, "log") else reports / log.stem


def _mark(workspace: Workspace, name: str, staged: _Staged) -> str:
    """Return which log a notebook's page is of."""
    own = workspace.path(staged.log_path, "log")
    is_own = name == "01_collect" or not workspace.log_shortage(staged.log_path)
    read = own if is_own else workspace.path(SAMPLE_LOG)
    if not read.exists():
        return ""
    with open_log(read) as log:
        return mark_of(log)


def _check_learned_from(workspace: Workspace, staged: _Staged) -> None:
    """Raise before a router of the sample log would replace one that was learned elsewhere."""
    is_of_sample = staged.router.is_file() and archive.learned_from(staged.router) == SAMPLE_LOG
    if is_of_sample and not may_hold_sample(staged.final_router):
        raise PipelineError(
            f"{staged.final_router.name} and its reports stay as they are: this run learned from "
            f"{SAMPLE_LOG}, since {workspace.log_shortage(staged.log_path)}"
        )


def _prepare_collection(workspace: Workspace, given: Mapping[str, Any], stream: TextIO) -> None:
    """Say what will be asked, how long and dear that may be; then fetch the weights it needs."""
    from routerlib.gather.collection.plan import plan_collection
    from routerlib.weights.cache import ensure

    chosen = {**known_parameters(_source(workspace, "01_collect")), **given}
    prompts = workspace.prompts(chosen["prompts_path"])[: chosen["n_prompts"]]
    candidates = workspace.candidates(chosen["candidates_path"], chosen["candidate_names"])
    with CallLog(workspace.path(chosen["log_path"], "log")) as log:
        plan = plan_collection(prompts, candidates, log)
    names = ", ".join(each.name for each in candidates)
    _say(stream, f"{len(prompts)} prompts, {len(candidates)} candidate models ({names}): {plan}")
    asked = {cell.candidate.name: cell.candidate for cell in plan.cells}
    for candidate in asked.values():
        if candidate.provider == "local":
            ensure(candidate.model)


def _write_index(workspace: Workspace, staged: _Staged, given: Mapping[str, Any]) -> str:
    """Write the index of all results, measured as the notebook did; return the verdict."""
    from routerlib.show.pages.index import write_report

    if not staged.router.is_file():
        return ""
    settings = {**known_parameters(_source(workspace, "03_evaluate")), **given}
    with workspace.open_log(staged.log_path) as log:
        mark = mark_of(log)
        pages = {page.name for page in staged.reports.glob("[0-9]*.html")}
        pages |= set(pages_of(staged.final_reports, mark))
        finding = write_report(
            staged.reports / "index.html",
            log,
            staged.router,
            log_origin=workspace.log_origin,
            notebooks=sorted(pages),
            n_bootstrap=settings["n_bootstrap"],
            random_state=settings["random_state"],
        )
    return finding.sentence


def _publish(staged: _Staged) -> tuple[Path, ...]:
    """Put what was made where it is expected, each file whole, the index last."""
    published = [final for final, new in _router_files(staged) if new.is_file()]
    if staged.router.is_file():
        archive.install_file(staged.router, staged.final_router)
    made = sorted(staged.reports.iterdir(), key=lambda file: (file.stem == "index", file.name))
    for new in made:
        published.append(new.replace(staged.final_reports / new.name))
    return tuple(published)


def _router_files(staged: _Staged) -> list[tuple[Path, Path]]:
    """Pair the published router file and its description with the staged ones."""
    return [
        (staged.final_router.with_suffix(suffix), staged.router.with_suffix(suffix))
        for suffix in (staged.router.suffix, ".json")
    ]


def _source(workspace: Workspace, name: str) -> Path:
    return workspace.path(f"notebooks/{name}.ipynb")


def _from_root(workspace: Workspace, path: Path) -> str:
    inside = path.is_relative_to(workspace.root)
    return (path.relative_to(workspace.root) if inside else path).as_posix()


def _say(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()
