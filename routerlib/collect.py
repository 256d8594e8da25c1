"""Ask candidates live and write every attempt to the log."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from routerlib.budget import Budget, charged_usd
from routerlib.clients import Clients
from routerlib.judges import judge
from routerlib.log import CallLog
from routerlib.plan import LOCAL_AT_ONCE, Cell, Plan, plan_collection, span
from routerlib.progress import Progress
from routerlib.types import Call, CandidateModel, Prompt, Score

_KEY_REFUSED = ("http_401", "http_403")

Result = TypeVar("Result")


@dataclass
class Collection:
    """What a collection did.

    Parameters
    ----------
    run_id : int or None
        Its number in the log; None for a dry run.
    plan : Plan
        What it set out to do.
    statuses : Counter of str
        Calls made, by status.
    spent_usd : float
        US dollars, calls of unknown outcome counted at their worst case.
    seconds : float
        Wall time.
    switched_off : dict of str to str
        Candidates that were given up, with the reason.
    is_over_budget, is_interrupted : bool
        Whether the budget, or the person, stopped it.
    """

    run_id: int | None
    plan: Plan
    statuses: Counter[str] = field(default_factory=Counter)
    spent_usd: float = 0.0
    seconds: float = 0.0
    switched_off: dict[str, str] = field(default_factory=dict)
    is_over_budget: bool = False
    is_interrupted: bool = False

    @property
    def n_asked(self) -> int:
        """Calls made."""
        return sum(self.statuses.values())

    @property
    def is_complete(self) -> bool:
        """Whether every planned cell is done or typed."""
        return self.n_asked == len(self.plan.cells)

    def __str__(self) -> str:
        counts = ", ".join(f"{n} {status}" for status, n in self.statuses.most_common())
        lines = [
            f"{self.n_asked} calls in {span(self.seconds)} for ${self.spent_usd:.4f}"
            + (f": {counts}" if counts else "")
        ]
        lines += [f"switched off {name}: {why}" for name, why in self.switched_off.items()]
        if self.is_over_budget:
            lines.append("the budget stopped the run")
        if self.is_interrupted:
            lines.append("interrupted; run the same command again to go on")
        if missing := len(self.plan.cells) - self.n_asked:
            lines.append(f"{missing} cells are still missing")
        return "; ".join(lines)


def collect(
    prompts: Sequence[Prompt],
    candidates: Sequence[CandidateModel],
    log: CallLog,
    *,
    budget_usd: float | None = None,
    concurrency: int | None = None,
    repeats: int = 1,
    limit: int | None = None,
    dry_run: bool = False,
    progress: bool = True,
) -> Collection:
    """Put every prompt to every candidate, log each call, and score the answers.

    A cell (prompt, candidate, parameters, repeat) that the log already holds an answer for is
    not asked again, so a run that was stopped goes on where it was. Ctrl-C lets the calls in
    flight finish first.

    Parameters
    ----------
    prompts : sequence of Prompt
        What to ask; the answers of prompts that name a judge are scored at once.
    candidates : sequence of CandidateModel
        Whom to ask.
    log : CallLog
        Where every attempt is written before its cell counts as done.
    budget_usd : float or None, default=None
        Cap on what this run may spend, US dollars.
    concurrency : int or None, default=None
        Calls in flight per candidate; None = what each candidate allows.
    repeats : int, default=1
        How often each prompt is put to each candidate.
    limit : int or None, default=None
        Only so many prompts, from the start.
    dry_run : bool, default=False
        Only plan.
    progress : bool, default=True
        Show progress.

    Returns
    -------
    Collection
        What was done and spent.

    Raises
    ------
    ValueError
        If there is nothing to ask with, or the budget is negative.
    """
    budget = Budget(budget_usd)
    plan = plan_collection(prompts, candidates, log, repeats=repeats, limit=limit)
    if dry_run or not plan.cells:
        return Collection(None, plan)
    run_id = log.start_run("collect", _run_parameters(candidates, plan, concurrency), budget_usd)
    log.add_prompts(prompts[:limit])
    log.add_prices(candidates, run_id)
    collection = Collection(run_id, plan)
    _start_local_servers(collection)
    totals = Counter(cell.candidate.name for cell in plan.cells)
    worker = _Collector(log, collection, budget, Progress(totals, progress))
    started = time.monotonic()
    run_interruptibly(worker.run(concurrency), worker.stop)
    collection.seconds = time.monotonic() - started
    collection.spent_usd = budget.spent_usd
    return collection


def _start_local_servers(collection: Collection) -> None:
    """Fetch weights and load models first: both block, and neither is part of a call's latency."""
    from routerlib import local

    for name, model in {
        cell.candidate.name: cell.candidate.model
        for cell in collection.plan.cells
        if cell.candidate.provider == "local"
    }.items():
        try:
            local.base_url(model)
        except RuntimeError as error:
            collection.switched_off[name] = str(error)


class _Collector:
    """The running collection: workers per candidate that share one budget and one log."""

    def __init__(
        self, log: CallLog, collection: Collection, budget: Budget, progress: Progress
    ) -> None:
        self.collection = collection
        self._log = log
        self._budget = budget
        self._progress = progress
        self._local_slots = asyncio.Semaphore(LOCAL_AT_ONCE)
        self._clients = Clients()

    def stop(self) -> None:
        """Start no further call."""
        self.collection.is_interrupted = True

    async def run(self, concurrency: int | None) -> None:
        by_candidate: dict[str, list[Cell]] = {}
        for cell in self.collection.plan.cells:
            by_candidate.setdefault(cell.candidate.name, []).append(cell)
        slowest_first = sorted(
            by_candidate.values(),
            key=lambda cells: -len(cells) * (cells[0].candidate.expected_s or 0),
        )
        try:
            async with self._clients:
                await asyncio.gather(*(self._ask_all(c, concurrency) for c in slowest_first))
        finally:
            self._progress.close()

    async def _ask_all(self, cells: list[Cell], concurrency: int | None) -> None:
        candidate = cells[0].candidate
        if candidate.provider == "local":
            async with self._local_slots:
                await self._work(cells, concurrency)
        else:
            await self._work(cells, concurrency)

    async def _work(self, cells: list[Cell], concurrency: int | None) -> None:
        candidate = cells[0].candidate
        if candidate.name in self.collection.switched_off:
            return
        try:
            await self._clients.client(candidate)
        except (ValueError, RuntimeError) as error:
            self.collection.switched_off[candidate.name] = str(error)
            return
        n_workers = min(candidate.max_concurrency, concurrency or candidate.max_concurrency)
        pace = _Pace(candidate.requests_per_minute)
        queue = iter(cells)
        await asyncio.gather(*(self._worker(queue, pace) for _ in range(n_workers)))

    async def _worker(self, queue: Any, pace: _Pace) -> None:
        for cell in queue:
            if self._must_stop(cell.candidate):
                return
            if not self._budget.reserve(cell.worst_usd):
                self.collection.is_over_budget = True
                return
            await pace.wait()
            await self._ask(cell)

    def _must_stop(self, candidate: CandidateModel) -> bool:
        state = self.collection
        return state.is_interrupted or state.is_over_budget or candidate.name in state.switched_off

    async def _ask(self, cell: Cell) -> None:
        worst_usd = cell.worst_usd
        n_unknown = 0  # attempts that may have cost money and gave no answer

        def reserve_retry() -> bool:
            nonlocal n_unknown
            is_reserved = self._budget.reserve(worst_usd)
            n_unknown += is_reserved
            return is_reserved

        call = await self._clients.call(
            cell.candidate, cell.prompt, repeat=cell.repeat, reserve_retry=reserve_retry
        )
        self._log.add_call(call, self.collection.run_id, _scores(cell.prompt, call))
        self._budget.settle(
            worst_usd * (1 + n_unknown),
            charged_usd(cell.candidate, call, worst_usd) + worst_usd * n_unknown,
        )
        self.collection.statuses[call.status] += 1
        if call.error_type in _KEY_REFUSED:
            self.collection.switched_off[cell.candidate.name] = (
                f"its key was refused ({call.error_type}: {call.error})"
            )
        self._progress.step(cell.candidate.name, f"${self._budget.spent_usd:.4f} spent")


class _Pace:
    """Space requests evenly under a limit of requests per minute."""

    def __init__(self, requests_per_minute: float | None) -> None:
        self._gap_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0

    async def wait(self) -> None:
        now = time.monotonic()
        start = max(now, self._next)
        self._next = start + self._gap_s
        await asyncio.sleep(start - now)


def _scores(prompt: Prompt, call: Call) -> list[Score]:
    if not (call.is_ok and prompt.judge and call.response):
        return []
    return [judge(prompt, call.response)]


def run_interruptibly(work: Coroutine[Any, Any, Result], on_interrupt: Any = None) -> Result:
    """Run a coroutine to its end from plain code, also where an event loop is running already.

    Parameters
    ----------
    work : coroutine
        What to run, in a thread with a loop of its own, so that it works in a notebook too.
    on_interrupt : callable or None, default=None
        Called at the first Ctrl-C to make the work end early and in order; the second
        Ctrl-C is raised at once.

    Returns
    -------
    object
        What the coroutine returns.
    """
    outcome: list[Result] = []
    failure: list[BaseException] = []
    is_done = threading.Event()

    def run() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # handed to the caller below
            failure.append(error)
        finally:
            is_done.set()

    threading.Thread(target=run, daemon=True).start()
    try:
        _wait(is_done)
    except KeyboardInterrupt:
        if on_interrupt is None:
            raise
        on_interrupt()
        _wait(is_done)
    if failure:
        raise failure[0]
    return outcome[0]


def _wait(is_done: threading.Event) -> None:
    # Short waits, so that Ctrl-C is noticed on every platform; not Thread.join, which an
    # interrupt can leave believing that the thread has ended.
    while not is_done.wait(timeout=0.2):
        pass


def _run_parameters(
    candidates: Sequence[CandidateModel], plan: Plan, concurrency: int | None
) -> dict[str, Any]:
    return {
        "candidates": {
            candidate.name: {
                "model": candidate.model,
                "provider": candidate.provider,
                "params_hash": candidate.params_hash,
                "system": candidate.system,
                "parameters": dict(candidate.parameters),
            }
            for candidate in candidates
        },
        "n_cells": len(plan.cells),
        "n_done_before": sum(plan.n_done.values()),
        "concurrency": concurrency,
    }
