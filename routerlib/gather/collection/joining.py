"""Tell of collections that were made one after the other, in batches, as of one."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from routerlib.gather.collection.plan import Further, Plan
from routerlib.gather.collection.result import Collection, Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routerlib.gather.collection.plan import Cell


def joined(first: Collection, second: Collection, budget_usd: float | None) -> Collection:
    """Return what two collections did together; of the first, cells that are done are let go.

    `budget_usd`: cap on the spending of both, US dollars.
    """
    is_planned = first.run_id is None and second.run_id is None
    left = [] if is_planned else first.missing
    kept = {cell.key for cell in left}
    gone = [cell for cell in first.plan.cells if cell.key not in kept]
    tallies = {
        name: _added(first.tallies.get(name, Tally()), tally)
        for name, tally in second.tallies.items()
    }
    return Collection(
        run_id=second.run_id if first.run_id is None else first.run_id,
        plan=_planned(first.plan, second.plan, left, gone),
        budget_usd=budget_usd,
        tallies=tallies,
        seconds=first.seconds + second.seconds,
        switched_off=first.switched_off | second.switched_off,
        budget_stop=second.budget_stop,
        is_interrupted=second.is_interrupted,
        output_tokens=second.output_tokens,
        done=set(second.done),
        failed=(first.failed & kept) | second.failed,
    )


def _planned(first: Plan, second: Plan, left: Sequence[Cell], gone: Sequence[Cell]) -> Plan:
    lost = [cell for cell in gone if cell.key in first.in_flight]
    before, own = first.further, second.further
    further = Further(
        n=before.n + own.n + len(gone),
        expected_usd=before.expected_usd + own.expected_usd + sum(c.expected_usd for c in gone),
        worst_usd=before.worst_usd + own.worst_usd + sum(c.worst_usd for c in gone),
        n_lost=before.n_lost + own.n_lost + len(lost),
        lost_usd=before.lost_usd + own.lost_usd + sum(c.worst_usd for c in lost),
    )
    kept = {cell.key for cell in left}
    names = first.n_done | second.n_done
    return replace(
        second,
        cells=(*left, *second.cells),
        n_done={name: first.n_done.get(name, 0) + second.n_done.get(name, 0) for name in names},
        expected_s=first.expected_s + second.expected_s,
        pace=first.pace or second.pace,
        in_flight=(first.in_flight & kept) | second.in_flight,
        call_s={**first.call_s, **second.call_s},
        guessed=tuple(dict.fromkeys((*first.guessed, *second.guessed))),
        failed_before=(first.failed_before & kept) | second.failed_before,
        answered=first.answered | second.answered,
        further=further,
    )


def _added(first: Tally, second: Tally) -> Tally:
    """Add counts and amounts; of texts and of times the first that is there stands."""
    added = {}
    for each in fields(Tally):
        one, other = getattr(first, each.name), getattr(second, each.name)
        is_first = each.name in ("first_error", "started")
        added[each.name] = (one or other) if is_first else one + other
    return Tally(**added)
