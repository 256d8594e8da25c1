"""Work out what a collection will ask, and what that may cost, before it asks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from routerlib.gather.calls.budget import (
    GUESSED_OUTPUT_TOKENS,
    GUESSED_SHARE_OF_CAP,
    OUTPUT_CAP_UNDER_BUDGET,
    capped,
    expected_cost_usd,
    worst_cost_usd,
)
from routerlib.gather.collection.measured import Measured, Taken
from routerlib.log.call_log import CallLog
from routerlib.log.claims import CellKey, failed_cells, has_answered, in_flight_at_a_kill
from routerlib.log.judging import SOURCE
from routerlib.records.arrays import Floats
from routerlib.records.brief import n_of
from routerlib.records.call import CandidateModel
from routerlib.records.prompt import Prompt, check_names

if TYPE_CHECKING:
    import pandas as pd

# One thread a local server; more of them than cores at once only slow each other down.
LOCAL_AT_ONCE = 2
_LEAST_USD_WITH_FOUR_DECIMALS = 0.01


@dataclass(frozen=True)
class Cell:
    """One (prompt, candidate, repeat) to ask, and the bounds of its cost in US dollars."""

    prompt: Prompt
    candidate: CandidateModel
    repeat: int
    expected_usd: float
    worst_usd: float
    key: CellKey = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", CellKey.of(self.prompt, self.candidate, self.repeat))


class Further(NamedTuple):
    """Cells that are asked beside those that a plan holds, in batches before it, as sums.

    `n_lost, lost_usd`: those in flight when an earlier run was killed, at most in US dollars.
    """

    n: int = 0
    expected_usd: float = 0.0
    worst_usd: float = 0.0
    n_lost: int = 0
    lost_usd: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What a collection will do, before anything is asked.

    `expected_s`: estimated seconds; NaN where nothing is known of a candidate's speed.
    `pace`: what the estimate of seconds rests on.
    `call_s`: seconds that a call of each candidate takes up; NaN where nothing is known.
    `guessed`: candidates to ask whose answers' length nothing is known of.
    `failed_before`: cells to ask that have failed in an earlier run; asked after all others.
    `answered`: candidates that have answered another prompt in this log.
    `further`: cells of batches before, which are no longer among `cells`.
    `drawn_from`: what these are estimates from, such as ``2000 of 90000 prompts``; "" = exact.
    """

    cells: tuple[Cell, ...]
    n_done: dict[str, int]
    expected_s: float
    pace: str = ""
    in_flight: frozenset[CellKey] = frozenset()
    call_s: Mapping[str, float] = field(default_factory=dict)
    guessed: tuple[str, ...] = ()
    failed_before: frozenset[CellKey] = frozenset()
    answered: frozenset[str] = frozenset()
    further: Further = field(default_factory=Further)
    drawn_from: str = ""

    @property
    def n_cells(self) -> int:
        """Number of cells to ask."""
        return len(self.cells) + self.further.n

    @property
    def expected_usd(self) -> float:
        """Expected cost of all cells, US dollars."""
        return self.further.expected_usd + sum(cell.expected_usd for cell in self.cells)

    @property
    def worst_usd(self) -> float:
        """Upper bound of the cost of all cells, US dollars, without retries; may be infinite."""
        return self.further.worst_usd + sum(cell.worst_usd for cell in self.cells)

    def under_budget(self) -> Plan:
        """Return the same with a worst case for every cell: answers without a cap get one."""
        cells = [
            replace(cell, worst_usd=worst_cost_usd(capped(cell.candidate), cell.prompt))
            for cell in self.cells
        ]
        return replace(self, cells=tuple(cells))

    def table(self) -> pd.DataFrame:
        """Return cells to ask and done, with expected and worst-case cost per candidate."""
        import pandas as pd

        rows = []
        for name, n_done in self.n_done.items():
            cells = [cell for cell in self.cells if cell.candidate.name == name]
            rows.append(
                {
                    "candidate": name,
                    "to_ask": len(cells),
                    "done_before": n_done,
                    "expected_usd": sum(cell.expected_usd for cell in cells),
                    "worst_case_usd": sum(cell.worst_usd for cell in cells),
                }
            )
        return pd.DataFrame(rows).set_index("candidate")

    def __str__(self) -> str:
        if not self.n_cells:
            return f"nothing to ask: all {sum(self.n_done.values())} cells are done"
        known_s = ""
        if math.isfinite(self.expected_s):
            known_s = f", about {span(self.expected_s)} (if calls take as long as {self.pace})"
        about, bound, is_bound = "", usd_bound(self.worst_usd), math.isfinite(self.worst_usd)
        if self.drawn_from:
            about, is_bound = "about ", False
            bound = f"{usd_bound(self.worst_usd)}, as {self.drawn_from} tell"
        lines = [
            f"{about}{n_of(self.n_cells, 'calls')} to make, {sum(self.n_done.values())} done "
            f"before; expected cost {usd(self.expected_usd)}, {bound}{known_s}"
        ]
        if self.guessed:
            lines.append(
                f"the answers' length is a guess for {', '.join(self.guessed)}, of whom nothing is "
                f"logged yet: {100 * GUESSED_SHARE_OF_CAP:.0f} % of max_tokens, at most "
                f"{GUESSED_OUTPUT_TOKENS} tokens; the expected cost may be several times off"
                + (", the bound is not" if is_bound else "")
            )
        if uncapped := Counter(c.candidate.name for c in self.cells if _has_no_cap(c.candidate)):
            lines.append(
                f"without max_tokens: {', '.join(uncapped)} (under a budget answers are cut at "
                f"{OUTPUT_CAP_UNDER_BUDGET} tokens)"
            )
        lost = [cell.worst_usd for cell in self.cells if cell.key in self.in_flight]
        if n_lost := len(lost) + self.further.n_lost:
            lines.append(
                f"{n_lost} of them were in flight when an earlier run was killed: their answers "
                f"are lost and may be paid twice, {usd_bound(sum(lost) + self.further.lost_usd)}"
            )
        return "; ".join(lines)


def usd(amount: float) -> str:
    """Write US dollars as a person would, such as ``$1.2500`` or ``$0.000023``."""
    if amount == 0 or amount >= _LEAST_USD_WITH_FOUR_DECIMALS:
        return f"${amount:.4f}"
    return f"${Decimal(f'{amount:.2g}'):f}"


def _has_no_cap(candidate: CandidateModel) -> bool:
    return candidate.output_cap is None and candidate.price.output_usd_per_mtok > 0


def usd_bound(worst_usd: float) -> str:
    """Write an upper bound of costs in US dollars as a person would."""
    return f"at most {usd(worst_usd)}" if math.isfinite(worst_usd) else "without an upper bound"


def plan_collection(
    prompts: Sequence[Prompt],
    candidates: Sequence[CandidateModel],
    log: CallLog | None,
    *,
    repeats: int = 1,
    limit: int | None = None,
    measured: Measured | None = None,
) -> Plan:
    """Work out which cells are left to ask, and what asking them may cost.

    `log`: cells that it holds an answer for are not asked again; None = there is none yet.
    `repeats`: how often each prompt is put to each candidate, at least 1.
    `measured`: what calls like these took, where it was looked up before.
    """
    if not prompts or not candidates:
        raise ValueError(
            f"a collection needs prompts and candidates, got {len(prompts)} and {len(candidates)}"
        )
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats!r}")
    check_names([candidate.name for candidate in candidates], "candidate")
    by_id = {prompt.prompt_id: prompt for prompt in prompts[:limit]}
    finished = log.finished_cells(by_id) if log else set()
    failed = failed_cells(log, by_id) if log else set()
    if measured is None and log:
        measured = Measured(log, is_of_judge(prompts))
    means = measured.means() if measured else {}
    cells: list[Cell] = []
    n_done: dict[str, int] = {}
    for candidate in candidates:
        left = _left_to_ask(candidate, by_id, repeats, finished, means.get(candidate.name))
        n_done[candidate.name] = repeats * len(by_id) - len(left)
        cells += sorted(left, key=lambda cell: cell.key in failed)  # a stable sort
    lost = in_flight_at_a_kill(log, by_id) if log else set()
    call_s, pace = _call_s(cells, means)
    asked = dict.fromkeys(cell.candidate.name for cell in cells)
    failed_before = frozenset(cell.key for cell in cells if cell.key in failed)
    # It is looked at where something failed before, and nowhere else.
    tried = candidates if log and failed_before else ()
    return Plan(
        cells=tuple(cells),
        n_done=n_done,
        expected_s=_expected_s(cells, call_s),
        pace=pace,
        in_flight=frozenset(cell.key for cell in cells if cell.key in lost),
        call_s=call_s,
        guessed=tuple(name for name in asked if name not in means),
        failed_before=failed_before,
        answered=frozenset(each.name for each in tried if log and has_answered(log, each)),
    )


def _left_to_ask(
    candidate: CandidateModel,
    by_id: Mapping[str, Prompt],
    repeats: int,
    finished: Collection[tuple[str, str, str, int]],
    taken: Taken | None,
) -> list[Cell]:
    """Return the cells of a candidate that no answer is known of."""
    return [
        Cell(
            prompt,
            candidate,
            repeat,
            expected_cost_usd(candidate, prompt, taken and taken.output_tokens),
            worst_cost_usd(candidate, prompt),
        )
        for repeat in range(repeats)
        for key, prompt in by_id.items()
        if (key, candidate.name, candidate.params_hash, repeat) not in finished
    ]


def run_parameters(
    candidates: Sequence[CandidateModel], plan: Plan, concurrency: int | None
) -> dict[str, Any]:
    """Return what the log keeps of how a run was started."""
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


def expected_costs_usd(
    prompts: Sequence[Prompt], candidates: Sequence[CandidateModel], measured: Measured
) -> Floats:
    """Return what each cell is expected to cost, asked or not, shape (n_prompts, n_candidates).

    `measured`: what calls of candidates took.
    """
    means = measured.means()
    known = [(candidate, means.get(candidate.name)) for candidate in candidates]
    return np.array(
        [
            [
                expected_cost_usd(candidate, prompt, taken and taken.output_tokens)
                for candidate, taken in known
            ]
            for prompt in prompts
        ]
    )


def is_of_judge(prompts: Sequence[Prompt]) -> bool:
    """Tell whether a judge puts all of these prompts."""
    return all(prompt.source.startswith(SOURCE) for prompt in prompts)


def _call_s(cells: Sequence[Cell], means: Mapping[str, Taken]) -> tuple[dict[str, float], str]:
    """Return how long a call of each candidate takes up, and what that was taken from.

    What was measured in this log comes first; the pool's own figures are of another machine.
    """
    call_s: dict[str, float] = {}
    paces: dict[str, None] = {}
    for candidate in {cell.candidate.name: cell.candidate for cell in cells}.values():
        taken = means.get(candidate.name)
        if taken is not None and taken.seconds is not None:
            call_s[candidate.name] = taken.seconds / candidate.max_concurrency
            paces["earlier ones of the log"] = None
        elif candidate.expected_s is not None:
            call_s[candidate.name] = candidate.expected_s
            paces[
                "on two free cores" if candidate.provider == "local" else "candidates.yaml expects"
            ] = None
        else:
            call_s[candidate.name] = math.nan
    return call_s, " and ".join(paces)


def _expected_s(cells: Sequence[Cell], call_s: Mapping[str, float]) -> float:
    """Estimate the wall time: remote candidates are asked side by side, local ones share."""
    remote_s, local_s = list[float](), list[float]()
    n_cells = Counter(cell.candidate.name for cell in cells)
    for name, candidate in {cell.candidate.name: cell.candidate for cell in cells}.items():
        seconds = n_cells[name] * call_s[name]
        (local_s if candidate.provider == "local" else remote_s).append(seconds)
    return wall_s(remote_s, local_s)


def wall_s(remote_s: Sequence[float], local_s: Sequence[float]) -> float:
    """Return the seconds that all take: remote ones side by side, local ones so many at once.

    NaN where one is.
    """
    every = [*remote_s, *local_s, sum(local_s) / LOCAL_AT_ONCE, 0.0]
    return math.nan if any(map(math.isnan, every)) else max(every)


def span(seconds: float) -> str:
    """Write seconds as a person would, such as ``45 s`` or ``12 min``."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
