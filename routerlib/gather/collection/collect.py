"""Ask candidates live and write every attempt to the log."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from routerlib.gather.calls.asking import NotAsked
from routerlib.gather.calls.budget import Budget, capped
from routerlib.gather.calls.client import Clients
from routerlib.gather.calls.interruptible import run_interruptibly
from routerlib.gather.candidates.keys import KeyFault
from routerlib.gather.collection.giving_up import too_dear_for, why_hopeless, why_too_dear
from routerlib.gather.collection.measured import Measured
from routerlib.gather.collection.plan import (
    LOCAL_AT_ONCE,
    Cell,
    is_of_judge,
    plan_collection,
    run_parameters,
)
from routerlib.gather.collection.progress import Progress, standings_of
from routerlib.gather.collection.result import Collection, Tally
from routerlib.gather.collection.scope import Scope, check_scope, shared_by
from routerlib.gather.judges import judge
from routerlib.log.call_log import CallLog
from routerlib.log.claims import Claim, Claims
from routerlib.log.writer import LogWriter
from routerlib.records.answers_inside import refuse_answers_inside
from routerlib.records.call import Call, CandidateModel, Score, Usage
from routerlib.records.prompt import Prompt
from routerlib.records.text_table import text_table

# Looks at a call, and says why its candidate is asked no more; "" = go on.
Watch = Callable[[Call], str]

_logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_BETWEEN_TICKS = 0.5


def collect(
    prompts: Sequence[Prompt],
    candidates: Sequence[CandidateModel],
    log: CallLog,
    *,
    budget_usd: float | None = None,
    budget_scope: Scope = "run",
    concurrency: int | None = None,
    repeats: int = 1,
    limit: int | None = None,
    dry_run: bool = False,
    progress: bool = True,
    kind: Literal["collect", "judge"] = "collect",
    watch: Watch | None = None,
    measured: Measured | None = None,
) -> Collection:
    """Put every prompt to every candidate, log each call, and score the answers.

    A cell (prompt, candidate, parameters, repeat) that the log already holds an answer for is
    not asked again, so a run that was stopped goes on where it was, even after a kill. Several
    runs may work on one log at once: each asks cells that no other is asking. Ctrl-C lets the
    calls in flight finish first.

    Parameters
    ----------
    prompts : sequence of Prompt
        What to ask; the answers of prompts that name a judge are scored at once.
    candidates : sequence of CandidateModel
        Whom to ask.
    log : CallLog
        Where every call is written before its cell counts as done.
    budget_usd : float or None, default=None
        Cap on what this run, not those before it, may spend, US dollars. It holds at any
        concurrency, as long as providers keep to max_tokens and charge what they publish.
    budget_scope : {"run", "log"}, default="run"
        What the cap is on: this run; or all that is logged so far and all runs of this scope on
        this log, also those beside each other.
    concurrency : int or None, default=None
        Calls in flight per candidate; None = what each candidate allows.
    repeats : int, default=1
        How often each prompt is put to each candidate.
    limit : int or None, default=None
        Only so many prompts, from the start.
    dry_run : bool, default=False
        Only plan.
    progress : bool, default=True
        Write the plan and show progress.
    kind : {"collect", "judge"}, default="collect"
        What the run is logged as: a judge's calls describe no candidate.
    watch : callable or None, default=None
        Told of each logged call; where it says why, its candidate is asked no more.
    measured : Measured or None, default=None
        What calls like these took, kept from one batch to the next; None = it is looked up.

    Returns
    -------
    Collection
        What was done and spent.

    Raises
    ------
    ValueError
        If there is nothing to ask with, a prompt ends with the assistant's turn, or the budget is
        negative.
    """
    refuse_answers_inside(prompts[:limit])
    budget = Budget(budget_usd)
    check_scope(budget_scope)
    measured = measured or Measured(log, is_of_judge(prompts))
    plan = plan_collection(
        prompts, candidates, log, repeats=repeats, limit=limit, measured=measured
    )
    if budget_usd is not None and not dry_run:
        plan = plan.under_budget()
    if progress and not dry_run:
        table = f"{text_table(plan.table())}\n" if plan.cells else ""
        sys.stdout.write(f"{table}{plan}\n")
    if dry_run or not plan.cells:
        return Collection(None, plan)
    run_id = log.start_run(kind, run_parameters(candidates, plan, concurrency), budget_usd)
    log.add_prompts(prompts[:limit])
    log.add_prices(candidates, run_id)
    collection = Collection(run_id, plan, budget_usd)
    _start_local_servers(collection)
    started = time.monotonic()
    with (
        Claims(log, run_id) as claims,
        LogWriter(log) as writer,
        shared_by(budget, budget_scope, log, run_id) as shared,
    ):
        shown = Progress(standings_of(plan), progress)
        worker = _Collector(collection, shared, claims, writer, shown, watch)
        run_interruptibly(worker.run(concurrency), worker.stop)
    collection.seconds = time.monotonic() - started
    if collection.missing:
        means = measured.means()
        collection.output_tokens = {name: taken.output_tokens for name, taken in means.items()}
    return collection


def _start_local_servers(collection: Collection) -> None:
    """Fetch weights and load models first: both block, and neither is part of a call's latency."""
    from routerlib.gather.candidates import local_pool

    for name, model in {
        cell.candidate.name: cell.candidate.model
        for cell in collection.plan.cells
        if cell.candidate.provider == "local"
    }.items():
        try:
            local_pool.base_url(model)
        except RuntimeError as error:
            collection.switched_off[name] = str(error)


class _Collector:
    """The running collection: workers per candidate that share one budget and one log."""

    def __init__(
        self,
        collection: Collection,
        budget: Budget,
        claims: Claims,
        writer: LogWriter,
        progress: Progress,
        watch: Watch | None,
    ) -> None:
        self.collection = collection
        self.budget = budget
        self._claims = claims
        self._writer = writer
        self._progress = progress
        self._watch = watch
        self._most_usd: dict[str, float] = {}
        self._n_in_flight = 0
        self._stopping = asyncio.Event()
        self._clients = Clients(self._stopping)
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Start no further call, nor wait to try one again; called from another thread."""
        self.collection.is_interrupted = True
        self._progress.say(
            f"stopping: {self._n_in_flight} calls in flight finish first; Ctrl-C again doesn't wait"
        )
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def run(self, concurrency: int | None) -> None:
        self._loop = asyncio.get_running_loop()
        by_candidate: dict[str, list[Cell]] = {}
        for cell in self.collection.plan.cells:
            by_candidate.setdefault(cell.candidate.name, []).append(cell)
        remote = [each for each in by_candidate.values() if not _is_local(each)]
        local = deque(sorted(filter(_is_local, by_candidate.values()), key=self._expected_s))
        # One takes the longest first, so that nobody waits for it at the end; the others take the
        # shortest first, so that these don't wait behind long ones.
        takes = [local.pop, *[local.popleft] * (LOCAL_AT_ONCE - 1)]
        ticking = asyncio.create_task(self._tick())
        try:
            async with self._clients:
                await asyncio.gather(
                    *(self._work(cells, concurrency) for cells in remote),
                    *(self._work_off(local, take, concurrency) for take in takes),
                )
        finally:
            ticking.cancel()
            self._progress.close()

    def _expected_s(self, cells: list[Cell]) -> float:
        """Return how long a candidate's cells take, as far as known: unknown ones come first."""
        call_s = self.collection.plan.call_s[cells[0].candidate.name]
        return 0.0 if math.isnan(call_s) else len(cells) * call_s

    async def _tick(self) -> None:
        """Show that time goes by, also while nothing comes back."""
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_TICKS)
            self._progress.refresh()

    async def _work_off(
        self, left: deque[list[Cell]], take: Callable[[], list[Cell]], concurrency: int | None
    ) -> None:
        """Ask one candidate after the other: more servers at once than cores slow each other."""
        while left:
            await self._work(take(), concurrency)

    async def _work(self, cells: list[Cell], concurrency: int | None) -> None:
        candidate = cells[0].candidate
        if candidate.name in self.collection.switched_off:
            self._progress.switch_off(candidate.name)
            return
        try:
            await self._clients.client(candidate)
        except KeyFault as fault:
            self._switch_off(candidate, fault.reason)
            return
        except (ValueError, RuntimeError) as error:
            self._switch_off(candidate, str(error))
            return
        self.tally(candidate).started = time.monotonic()
        self._most_usd[candidate.name] = sum(cell.worst_usd for cell in cells)
        self._progress.start(candidate.name)
        n_workers = min(candidate.max_concurrency, concurrency or candidate.max_concurrency)
        queue, elsewhere = iter(cells), list[Cell]()
        await asyncio.gather(*(self._worker(queue, elsewhere) for _ in range(n_workers)))
        await self._see_to(elsewhere)

    async def _worker(self, queue: Iterator[Cell], elsewhere: list[Cell]) -> None:
        for cell in queue:
            if self.must_stop(cell.candidate):
                return
            if await self._ask(cell) == "elsewhere":
                elsewhere.append(cell)

    async def _see_to(self, elsewhere: list[Cell]) -> None:
        """Wait for cells that another run is asking, and ask those that it does not finish."""
        while elsewhere and not self.must_stop(elsewhere[0].candidate):
            elsewhere = [cell for cell in elsewhere if await self._ask(cell) == "elsewhere"]
            if elsewhere:
                await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)

    def must_stop(self, candidate: CandidateModel) -> bool:
        state = self.collection
        return state.is_interrupted or state.is_over_budget or candidate.name in state.switched_off

    async def _ask(self, cell: Cell) -> Claim | None:
        permit = _CellPermit(self, cell)
        with self._clients.large.kept():
            self._n_in_flight += 1
            try:
                call = await self._logged(cell, permit)
            except NotAsked:
                if permit.claim == "finished":
                    self.collection.note_elsewhere(cell)
                return permit.claim
            finally:
                self._n_in_flight -= 1
            self.collection.note_call(cell, call)
            self._give_up_if_hopeless(cell, call)
            self._show(cell.candidate)
            return permit.claim

    async def _logged(self, cell: Cell, permit: _CellPermit) -> Call:
        """Ask, judge the answer, and log it."""
        asked = cell.candidate if self.budget.cap_usd is None else capped(cell.candidate)
        call = await self._clients.call(asked, cell.prompt, repeat=cell.repeat, permit=permit)
        # The cap of a budget is no other way of asking: with or without it the cell is done.
        call = replace(call, params_hash=cell.candidate.params_hash)
        scores = await _scores(cell.prompt, call)
        run_id = self.collection.run_id
        await asyncio.wrap_future(
            self._writer.submit(lambda log: log.add_call(call, run_id, scores))
        )
        return call

    async def claim(self, cell: Cell) -> Claim:
        """Write that a cell is asked now, before it is."""
        return await asyncio.wrap_future(
            self._writer.submit(lambda _: self._claims.claim(cell.key))
        )

    def tally(self, candidate: CandidateModel) -> Tally:
        return self.collection.tallies[candidate.name]

    def _give_up_if_hopeless(self, cell: Cell, call: Call) -> None:
        is_old = self.collection.is_old_fault(cell, call)
        why = why_hopeless(self.tally(cell.candidate), call, is_old)
        why = why or why_too_dear(self.tally(cell.candidate), self._most_usd[cell.candidate.name])
        if not why and self._watch is not None:
            why = self._watch(call)
        if why:
            self._switch_off(cell.candidate, why)

    def end_of_budget(self, cell: Cell, worst_usd: float) -> None:
        """Stop where the worst case of a cell doesn't fit; whoever is too dear stops alone."""
        left_usd = self.budget.left_usd
        if self.tally(cell.candidate).n_dearer and left_usd > 0:
            self._switch_off(cell.candidate, too_dear_for(left_usd, worst_usd))
        else:
            self.collection.note_budget_end(cell, left_usd, worst_usd)

    def _switch_off(self, candidate: CandidateModel, why: str) -> None:
        given_up = self.collection.switched_off
        if candidate.name not in given_up:
            shown = "for the same reason" if why in given_up.values() else why
            given_up[candidate.name] = why
            self._progress.switch_off(candidate.name)
            self._progress.say(f"switched off {candidate.name}: {shown}")

    def _show(self, candidate: CandidateModel) -> None:
        tally = self.tally(candidate)
        tally.seconds = time.monotonic() - tally.started
        n_done = tally.n_asked + tally.n_elsewhere
        self._progress.show(
            candidate.name, n_done, spent_usd=tally.spent_usd, statuses=tally.statuses
        )


class _CellPermit:
    """Reserve each attempt's worst case, claim the cell before the first, and keep the accounts."""

    def __init__(self, collector: _Collector, cell: Cell) -> None:
        self.claim: Claim | None = None
        self._collector = collector
        self._cell = cell
        self._reserved_usd = cell.worst_usd

    async def take(self) -> bool:
        """Return whether the next attempt may be made."""
        collector, cell = self._collector, self._cell
        if collector.must_stop(cell.candidate):
            return False
        # Whoever charges more than was thought possible may do so again.
        self._reserved_usd = cell.worst_usd * collector.tally(cell.candidate).times_worst
        if not await collector.budget.reserve_when_free(self._reserved_usd):
            collector.end_of_budget(cell, self._reserved_usd)
            return False
        if not collector.must_stop(cell.candidate):
            self.claim = self.claim or await collector.claim(cell)
            if self.claim == "mine":
                return True
        collector.budget.settle(self._reserved_usd, 0.0)
        return False

    def settle(self, usage: Usage | None, is_turned_away: bool) -> None:
        """Count what an attempt cost, or the worst case where nobody knows."""
        cell, tally = self._cell, self._collector.tally(self._cell.candidate)
        if usage is not None:
            cost_usd = cell.candidate.price.cost_usd(usage)
        else:
            cost_usd = 0.0 if is_turned_away else self._reserved_usd
            tally.n_unknown += not is_turned_away
        self._collector.budget.settle(self._reserved_usd, cost_usd)
        # Where the cost is a guess, it is no surprise.
        tally.note_cost(cost_usd, math.inf if usage is None else cell.worst_usd)


def _is_local(cells: list[Cell]) -> bool:
    return cells[0].candidate.provider == "local"


async def _scores(prompt: Prompt, call: Call) -> list[Score]:
    """Judge an answer; in a thread, so that a slow judge doesn't hold up other answers."""
    if not (call.is_ok and prompt.judge and call.response):
        return []
    try:
        return [await asyncio.to_thread(judge, prompt, call.response)]
    except Exception:  # the answer was paid for: it is logged, and can be judged again later
        _logger.exception("judge %r failed on prompt %s", prompt.judge, prompt.prompt_id)
        return []
