"""What a collection did: its calls, its money, and what is left to do."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from routerlib.gather.calls.budget import expected_cost_usd
from routerlib.gather.collection.plan import Cell, Plan, span, usd, usd_bound
from routerlib.log.claims import CellKey
from routerlib.records.brief import n_of
from routerlib.records.call import CALL_STATUSES, FINISHED_STATUSES, Call
from routerlib.records.endings import UNKNOWN_END, broken_by

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Tally:
    """What came of one candidate's calls in a run.

    `broken`: answers that were broken off, but not at their cap, by the word that they ended with.
    `spent_usd`: US dollars, attempts of unknown outcome counted at their worst case.
    `n_dearer, beyond_usd`: attempts dearer than their worst case, and by how many US dollars.
    `times_worst`: how many times its worst case an attempt has cost, at most; at least 1.
    `old_faults`: types of error of prompts that had failed in an earlier run, while others had not.
    `started`: when it was first asked, by the monotonic clock, in seconds.
    `seconds`: from then to its last call.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    error_types: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    old_faults: Counter[str] = field(default_factory=Counter)
    first_error: str = ""
    spent_usd: float = 0.0
    n_dearer: int = 0
    beyond_usd: float = 0.0
    times_worst: float = 1.0
    n_unknown: int = 0
    n_elsewhere: int = 0
    started: float = 0.0
    seconds: float = 0.0

    def note(self, call: Call, is_old_fault: bool = False) -> None:
        """Take note of a logged call."""
        self.statuses[call.status] += 1
        if is_old_fault:
            self.old_faults[call.error_type or call.status] += 1
        if call.error_type:
            self.error_types[call.error_type] += 1
        if call.status == "truncated" and (word := broken_by(call.finish_reason, call.error_type)):
            self.broken[word] += 1
        self.first_error = self.first_error or call.error or ""
        for name in ("left_out", "renamed"):
            for parameter in (call.extra or {}).get(name, ()):
                self.left_out[parameter] += 1

    def note_cost(self, cost_usd: float, worst_usd: float) -> None:
        """Take note of what an attempt cost, and of what it was to cost at most."""
        self.spent_usd += cost_usd if math.isfinite(cost_usd) else 0.0
        if 0 < worst_usd < cost_usd < math.inf:
            self.n_dearer += 1
            self.beyond_usd += cost_usd - worst_usd
            self.times_worst = max(self.times_worst, cost_usd / worst_usd)

    def beyond_told(self, name: str) -> str:
        """Say that calls cost more than they were to cost at most; "" where none did."""
        if not self.n_dearer:
            return ""
        return (
            f"{n_of(self.n_dearer, 'calls')} of {name} cost {usd(self.beyond_usd)} more than at "
            "most, since its provider charges more tokens than a prompt's bytes and max_tokens, "
            f"such as hidden thoughts: one cost {self.times_worst:.1f} times as much, so expect "
            "that of its bounds"
        )

    @property
    def n_asked(self) -> int:
        """Calls made."""
        return self.statuses.total()

    @property
    def n_same_faults(self) -> int:
        """How many calls failed, where all did and in the same way, old faults apart; else 0."""
        faults = self.error_types - self.old_faults
        kinds = [kind for kind in faults if kind != UNKNOWN_END]
        n_new = self.n_asked - self.old_faults.total()
        is_same = len(kinds) == 1 and faults[kinds[0]] == n_new
        return n_new if is_same and not self.has_answers else 0

    @property
    def has_answers(self) -> bool:
        """Whether anything but faults came back."""
        return any(self.statuses[status] for status in ("ok", "truncated", "refused"))

    def old_faults_told(self, name: str) -> str:
        """Say which prompts failed as in an earlier run, and what to do; "" where none did."""
        if not self.old_faults:
            return ""
        kinds = ", ".join(f"{n} {kind}" for kind, n in self.old_faults.most_common())
        return (
            f"{n_of(self.old_faults.total(), 'cells')} of {name} failed again, as in an earlier "
            f"run ({kinds}): where that is the prompt's fault, go on without them, since "
            "`routerlib train` counts what is missing within its bounds; else ask again later, or "
            "with a higher max_attempts"
        )

    def cuts_told(self, name: str) -> list[str]:
        """Say which answers were cut off, and whether a larger cap would help."""
        lines = []
        if n_capped := self.statuses["truncated"] - self.broken.total():
            lines.append(
                f"{n_capped} of {self.n_asked} answers of {name} were cut off, and "
                "none of these is ever scored: raise its max_tokens, which asks it anew"
            )
        if self.broken:
            words = ", ".join(map(repr, sorted(self.broken)))
            lines.append(
                f"{self.broken.total()} of {self.n_asked} answers of {name} ended by {words}, "
                "which is no word for a whole answer nor for a cap (docs/providers.md): none of "
                "these is ever scored, and a larger max_tokens would not help"
            )
        return lines


class BudgetStop(NamedTuple):
    """Why a budget let nothing more be asked.

    `left_usd`: US dollars of it that were not spent.
    `worst_usd`: US dollars that the next call could cost, which are reserved before it is asked.
    """

    candidate: str
    left_usd: float
    worst_usd: float

    def told(self, budget_usd: float) -> str:
        """Say what was left, what the next call would have reserved, and what to do."""
        left_usd, spent_usd = max(self.left_usd, 0.0), budget_usd - self.left_usd
        return (
            f"the budget of {usd(budget_usd)} stopped the run: {usd(spent_usd)} is "
            f"spent and {usd(left_usd)} left, and the next call, of {self.candidate}, could cost "
            f"{usd(self.worst_usd)}: so much is reserved before a call is made, a token for each "
            "byte of its prompt and all of its max_tokens; what it didn't need is free again. "
            "To go on, run the same command again with a higher budget, or with a lower max_tokens"
        )


@dataclass
class Collection:
    """What a collection did.

    Parameters
    ----------
    run_id : int or None
        Its number in the log; None for a dry run.
    plan : Plan
        What it set out to do.
    budget_usd : float or None
        Its cap on spending, US dollars.
    tallies : dict of str to Tally
        Calls and money of each candidate.
    seconds : float
        Wall time.
    switched_off : dict of str to str
        Candidates that were given up, with the reason.
    budget_stop : BudgetStop or None
        Where the budget stopped it: what was left, and what the next call could have cost.
    is_interrupted : bool
        Whether the person stopped it.
    output_tokens : dict of str to float
        Mean length of each candidate's answers in the log once it had ended, if cells are missing.
    done, failed : set of CellKey
        Cells that are finished, here or by another run meanwhile, and those that failed.
    """

    run_id: int | None
    plan: Plan
    budget_usd: float | None = None
    tallies: dict[str, Tally] = field(default_factory=dict)
    seconds: float = 0.0
    switched_off: dict[str, str] = field(default_factory=dict)
    budget_stop: BudgetStop | None = None
    is_interrupted: bool = False
    output_tokens: dict[str, float] = field(default_factory=dict)
    done: set[CellKey] = field(default_factory=set, repr=False)
    failed: set[CellKey] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        for name in self.plan.n_done:
            self.tallies.setdefault(name, Tally())

    def note_call(self, cell: Cell, call: Call) -> None:
        """Take note of a logged call."""
        self.tallies[cell.candidate.name].note(call, self.is_old_fault(cell, call))
        (self.done if call.status in FINISHED_STATUSES else self.failed).add(cell.key)

    def is_old_fault(self, cell: Cell, call: Call) -> bool:
        """Tell whether a prompt failed again, of a candidate that has answered others."""
        plan = self.plan
        is_old = cell.key in plan.failed_before and cell.candidate.name in plan.answered
        return is_old and call.status not in FINISHED_STATUSES

    def note_elsewhere(self, cell: Cell) -> None:
        """Take note that another run has finished a cell."""
        self.tallies[cell.candidate.name].n_elsewhere += 1
        self.done.add(cell.key)

    def note_budget_end(self, cell: Cell, left_usd: float, worst_usd: float) -> None:
        """Take note that the first cell did not fit into what is left of the budget."""
        if self.budget_stop is None:
            self.budget_stop = BudgetStop(cell.candidate.name, left_usd, worst_usd)

    @property
    def is_over_budget(self) -> bool:
        """Whether the budget stopped it."""
        return self.budget_stop is not None

    @property
    def statuses(self) -> Counter[str]:
        """Calls made, by status."""
        return sum((tally.statuses for tally in self.tallies.values()), Counter())

    @property
    def complaint(self) -> str:
        """Why no call succeeded, of all or of some candidate, now or earlier; "" where one did."""
        if not self.n_asked:
            return ""
        if not (self.statuses["ok"] or any(self.plan.n_done.values())):
            tallies = list(self.tallies.values())
            return f"no call succeeded: {_all_failed(tallies)}"
        hopeless = {
            name: tally
            for name, tally in self.tallies.items()
            if tally.n_asked and not tally.has_answers and not self.plan.n_done[name]
        }
        return "; ".join(f"no call of {name}: {_all_failed([t])}" for name, t in hopeless.items())

    @property
    def spent_usd(self) -> float:
        """US dollars, attempts of unknown outcome counted at their worst case."""
        return sum(tally.spent_usd for tally in self.tallies.values())

    @property
    def n_asked(self) -> int:
        """Calls made."""
        return self.statuses.total()

    @property
    def missing(self) -> list[Cell]:
        """Planned cells that the same command would ask: never asked, or without an answer."""
        return [cell for cell in self.plan.cells if cell.key not in self.done]

    @property
    def is_complete(self) -> bool:
        """Whether every planned cell is done, or was asked and failed."""
        return all(cell.key in self.failed for cell in self.missing)

    def table(self) -> pd.DataFrame:
        """Return what was asked, answered and spent, one row per candidate.

        Returns
        -------
        DataFrame, index candidate
            Counts of calls ``asked`` and of each status that occurred, ``elsewhere`` (finished by
            another run, if any), ``missing`` (to ask yet, or again), ``spent_usd`` (US dollars),
            ``calls_per_s`` (while it was asked, not while it waited for a slot).
        """
        import pandas as pd

        missing = Counter(cell.candidate.name for cell in self.missing)
        rows = []
        for name, tally in self.tallies.items():
            row = {"candidate": name, "asked": tally.n_asked}
            row |= {s: tally.statuses[s] for s in CALL_STATUSES if s == "ok" or self.statuses[s]}
            if any(each.n_elsewhere for each in self.tallies.values()):
                row["elsewhere"] = tally.n_elsewhere
            per_s = tally.n_asked / tally.seconds if tally.seconds else 0.0
            money = {"spent_usd": float(f"{tally.spent_usd:.6g}"), "calls_per_s": round(per_s, 2)}
            rows.append({**row, "missing": missing[name], **money})
        return pd.DataFrame(rows).set_index("candidate")

    def __str__(self) -> str:
        if not self.plan.n_cells:
            return str(self.plan)
        counts = ", ".join(f"{n} {status}" for status, n in self.statuses.most_common())
        lines = [
            f"{n_of(self.n_asked, 'calls')} in {span(self.seconds)} for {usd(self.spent_usd)}"
            + (f": {counts}" if counts else "")
        ]
        if n_unknown := sum(tally.n_unknown for tally in self.tallies.values()):
            lines.append(
                n_of(
                    n_unknown,
                    "attempts of unknown cost are counted at their worst case",
                    "attempt of unknown cost is counted at its worst case",
                )
            )
        if n_elsewhere := sum(tally.n_elsewhere for tally in self.tallies.values()):
            lines.append(
                f"{n_of(n_elsewhere, 'cells were', 'cell was')} finished by another run meanwhile"
            )
        names: dict[str, list[str]] = {}
        for name, why in self.switched_off.items():
            names.setdefault(why, []).append(name)
        lines += [f"switched off {', '.join(off)}: {why}" for why, off in names.items()]
        lines += [
            f"{name} was asked without, or under another name: {', '.join(tally.left_out)}"
            for name, tally in self.tallies.items()
            if tally.left_out
        ]
        lines += [told for name, tally in self.tallies.items() for told in tally.cuts_told(name)]
        lines += filter(None, [each.beyond_told(name) for name, each in self.tallies.items()])
        lines += filter(None, [each.old_faults_told(name) for name, each in self.tallies.items()])
        if self.budget_stop is not None and self.budget_usd is not None:
            lines.append(self.budget_stop.told(self.budget_usd))
        if self.is_interrupted:
            lines.append("interrupted; run the same command again to go on")
        if missing := self.missing:
            n_failed = sum(cell.key in self.failed for cell in missing)
            lines.append(_what_is_left(missing, n_failed, self.output_tokens))
        return "; ".join(lines)


def _all_failed(tallies: list[Tally]) -> str:
    kinds = sum((tally.statuses + tally.error_types for tally in tallies), Counter[str]())
    counts = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    first = next((tally.first_error for tally in tallies if tally.first_error), "")
    what = "came to no whole answer" if any(t.has_answers for t in tallies) else "failed"
    told = f"all {sum(tally.n_asked for tally in tallies)} {what} ({counts})"
    return f"{told}; the first said: {first}" if first else told


def _what_is_left(missing: list[Cell], n_failed: int, output_tokens: Mapping[str, float]) -> str:
    counts = Counter(cell.candidate.name for cell in missing)
    expected_usd = sum(
        expected_cost_usd(cell.candidate, cell.prompt, output_tokens[cell.candidate.name])
        if cell.candidate.name in output_tokens
        else cell.expected_usd
        for cell in missing
    )
    failed = f", {n_failed} of them failed, which the same command asks again" if n_failed else ""
    return (
        f"{n_of(len(missing), 'cells are', 'cell is')} still missing "
        f"({', '.join(f'{name} {n}' for name, n in counts.items())}){failed}: finishing "
        "would cost about "
        f"{usd(expected_usd)}, {usd_bound(sum(cell.worst_usd for cell in missing))}"
    )
