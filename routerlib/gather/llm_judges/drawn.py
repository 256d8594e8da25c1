"""Tell what judging a large log would take by some of it, drawn at random."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from routerlib.gather.collection.plan import Further, Plan
from routerlib.log.judging import SOURCE

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog
    from routerlib.log.unjudged import UnjudgedCalls
    from routerlib.records.prompt import Prompt


class Draw(NamedTuple):
    """Of how many at most all are looked at, about how many are drawn of more, and of what."""

    most: int
    n_drawn: int
    noun: str


# A question takes a tenth of a millisecond, and a prompt has dozens of pairs of answers.
ANSWERS = Draw(100_000, 20_000, "answers, all those to prompts drawn at random,")
PROMPTS = Draw(10_000, 2_000, "prompts drawn at random")

_OF_CANDIDATES = f"select prompt_id from prompts where source not like '{SOURCE}%'"


def drawn_answers(unjudged: UnjudgedCalls) -> UnjudgedCalls:
    """Return the calls that a plan looks at: all of them, or those of some prompts.

    Answers to one prompt that are the same are one question.
    """
    return unjudged if len(unjudged) <= ANSWERS.most else unjudged.drawn(ANSWERS.n_drawn)


def drawn_prompts(log: CallLog, n_all: int) -> list[Prompt] | None:
    """Return the prompts that a plan looks at where a log has many; None = all of them."""
    if n_all <= PROMPTS.most:
        return None
    ids = [prompt_id for (prompt_id,) in log.lookup(_OF_CANDIDATES)]
    return list(log.known_prompts(Random(0).sample(ids, PROMPTS.n_drawn)).values())


def of_all(plan: Plan, n_drawn: int, n_all: int, noun: str) -> Plan:
    """Return what a plan for things that were drawn tells of all of them; `noun`: of what."""
    times, before = n_all / n_drawn, plan.further
    lost = [cell.worst_usd for cell in plan.cells if cell.key in plan.in_flight]
    further = Further(
        n=round(times * plan.n_cells) - len(plan.cells),
        expected_usd=before.expected_usd + (times - 1) * plan.expected_usd,
        worst_usd=before.worst_usd + (times - 1) * plan.worst_usd,
        n_lost=round(times * (before.n_lost + len(lost))) - len(lost),
        lost_usd=times * (before.lost_usd + sum(lost)) - sum(lost),
    )
    return replace(
        plan,
        further=further,
        n_done={name: round(times * n) for name, n in plan.n_done.items()},
        expected_s=times * plan.expected_s,
        drawn_from=f"{n_drawn} of {n_all} {noun}",
    )
