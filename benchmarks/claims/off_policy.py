"""Ask whether off-policy values are wrong where feedback, time or conversations mislead them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

import routerlib as rl
from claims.study import Claim, Study
from routerlib.evaluation.off_policy.bench import Bench
from routerlib.evaluation.off_policy.targets import ThinOverlap
from routerlib.evaluation.off_policy.value import estimate_value
from routerlib.log.choices import LoggedChoices
from routerlib.outcomes.worlds import World, make_world
from routerlib.policies.exploration import EpsilonGreedy, Greedy
from routerlib.records.arrays import Floats
from routerlib.records.call import Call, Score
from routerlib.records.decision import CONVERSATION, Decision, Estimates
from routerlib.records.prompt import Prompt

_EPSILON = 0.6
_TARGET = Greedy()


@cache
def _prompts(n: int) -> World:
    return make_world(n, 3, 0)


def _draw(n: int, seed: int, after: Floats | None = None) -> tuple[LoggedChoices, float]:
    """Log choices, and tell what the greedy policy is worth at the end of the log.

    `after` (n,): by how much the quality of every candidate but the cheapest has fallen.
    """
    outcomes, expected = _prompts(n)
    rng = np.random.default_rng([seed, 1])
    fallen = expected.copy()
    if after is not None:
        fallen[:, 1:] -= after[:, None]
    rows = np.arange(n)
    usual = expected.argsort(axis=1, kind="stable")[:, -2]
    chances = np.full(expected.shape, _EPSILON / 3)
    chances[rows, usual] += 1 - _EPSILON
    arms = (chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=2)
    quality = (rng.random(n) < fallen[rows, arms]).astype(float)
    logged = LoggedChoices(
        outcomes.prompts,
        outcomes.prompt_ids,
        tuple(outcomes.models),
        arms,
        chances[rows, arms],
        quality,
        outcomes.cost_usd[rows, arms],
        Estimates(tuple(outcomes.models), expected, outcomes.cost_usd),
    )
    best = expected.argmax(axis=1)
    end = np.full(expected.shape, 0.0)
    if after is not None:
        end[:, 1:] = after[-1]
    return logged, float((expected - end)[rows, best].mean())


def _seen(logged: LoggedChoices, truth: float) -> dict[str, float]:
    """Value the greedy policy by what has a verdict alone, and with what is checked now."""
    scored = logged.take(~np.isnan(logged.quality))
    target = _TARGET.probabilities(scored.estimates)
    weights = target[np.arange(len(scored)), scored.arms] / scored.propensities
    rows = Bench.of(scored, "snips", 0)
    before = rows.value(scored.quality, weights, target, 0.95)
    found = {"before": float(before.low <= truth <= before.high)}
    try:
        value = estimate_value(_TARGET, logged).quality
    except ThinOverlap:
        return found | {"wrong": 0.0, "refused": 1.0, "width": np.nan}
    covers = value.low <= truth <= value.high
    width = (value.high - value.low) / (before.high - before.low)
    return found | {"wrong": float(not covers), "refused": 0.0, "width": width}


def feedback(seed: int, n: int, if_right: float, if_wrong: float) -> dict[str, float]:
    """Draw a log in which a wrong answer gets a verdict more often than a right one."""
    logged, truth = _draw(n, seed)
    heard = np.random.default_rng([seed, 2]).random(n) < np.where(
        logged.quality == 1, if_right, if_wrong
    )
    logged.quality[~heard] = np.nan
    return _seen(logged, truth)


def late(seed: int, n: int, share: float) -> dict[str, float]:
    """Draw a log in which wrong answers are told at once, right ones after a while."""
    logged, truth = _draw(n, seed)
    delay = np.random.default_rng([seed, 3]).exponential(share * n, n)
    is_open = (logged.quality == 1) & (np.arange(n) + delay > n)
    logged.quality[is_open] = np.nan
    return _seen(logged, truth)


def drifting(seed: int, n: int, fall: float) -> dict[str, float]:
    """Draw a log in whose middle the dearer candidates get worse."""
    return _seen(*_draw(n, seed, np.where(np.arange(n) < n // 2, 0.0, fall)))


def honest(seed: int, n: int) -> dict[str, float]:
    """Draw a log without any of this."""
    return _seen(*_draw(n, seed))


def conversations(seed: int, n: int) -> dict[str, float]:
    """Log conversations that stay with a model; the small one is worse from the second turn on."""
    rng = np.random.default_rng(seed)
    policy = EpsilonGreedy(epsilon=0.8, random_state=seed)
    models = ("small", "large")
    estimates = Estimates(models, np.array([[0.8, 0.79]]), np.array([[1.0, 1.0]]))
    known = {
        name: {"quality": 0.8 - 0.01 * arm, "cost_usd": 1.0} for arm, name in enumerate(models)
    }
    first, later = (0.8, 0.79), (0.3, 0.79)
    with tempfile.TemporaryDirectory() as folder, rl.CallLog(Path(folder) / "logs.db") as log:
        with log.transaction():
            for number in range(n):
                choice = policy.choose(estimates)
                arm, chance = int(choice.arms[0]), float(choice.propensities[0])
                before = None
                for turn in range(int(rng.integers(1, 4))):
                    prompt = Prompt.from_text(f"Conversation {number}, turn {turn}?")
                    log.add_prompts([prompt])
                    reason = f"it stays, as under decision {before};" if before else "drawn"
                    how = (1.0, CONVERSATION) if before else (chance, "b2:router")
                    decision = Decision(models[arm], 0.8, 1.0, how[0], reason, 0.0, known, how[1])
                    before = log.add_decision(prompt.prompt_id, decision)
                    right = rng.random() < (later if turn else first)[arm]
                    call = Call(prompt.prompt_id, models[arm], "h", "ok", "x", decision_id=before)
                    log.add_call(call, scores=[Score("exact", float(right))])
        logged = LoggedChoices.from_log(log)
        rows = log.lookup(
            "select avg(score) from scores join calls using (call_id) join decisions "
            "using (decision_id) where router_hash <> ? and decisions.candidate = 'small'",
            CONVERSATION,
        )
    # One, two or three turns: the mean over a conversation's turns.
    truth = float(np.mean([(first[0] + turns * later[0]) / (turns + 1) for turns in range(3)]))
    n_small = int((logged.arms == 0).sum())
    alone, half = float(rows[0][0]), 1.96 * np.sqrt(first[0] * (1 - first[0]) / n_small)
    found = {"before": float(abs(alone - truth) <= half)}
    try:
        value = estimate_value(_TARGET, logged).quality
    except ThinOverlap:
        return found | {"wrong": 0.0, "refused": 1.0, "width": np.nan}
    covers = value.low <= truth <= value.high
    return found | {"wrong": float(not covers), "refused": 0.0, "width": np.nan}


def turns(seed: int, n: int, longest: int) -> dict[str, float]:
    """Log conversations whose every turn is drawn; an answer of the small model spoils the next.

    A right answer ends a conversation in half of the cases, so that its length is decided by the
    choices, too. Always the small model: found by drawing its conversations.
    """
    rng = np.random.default_rng([seed, 5])
    quality, arms, starts = _spoilt(rng, n, longest, lambda size: rng.integers(2, size=size))
    at = np.flatnonzero(starts)
    unit = np.cumsum(starts) - 1
    estimates = np.tile([0.9, 0.8], (len(arms), 1))
    texts = [f"Conversation {unit[row]}, turn {row - at[unit[row]]}?" for row in range(len(arms))]
    logged = LoggedChoices(
        texts,
        texts,
        ("small", "large"),
        arms,
        np.full(len(arms), 0.5),
        quality,
        np.ones(len(arms)),
        Estimates(("small", "large"), estimates, np.ones(estimates.shape)),
        conversations=unit,
    )
    truth = _always_small(longest)
    alone = estimate_value(_TARGET, replace(logged, conversations=None), "snips").quality
    found = {"before": float(alone.low <= truth <= alone.high), "width": np.nan}
    try:
        value = estimate_value(_TARGET, logged).quality
    except ThinOverlap:
        return found | {"wrong": 0.0, "refused": 1.0}
    return found | {"wrong": float(not value.low <= truth <= value.high), "refused": 0.0}


def _spoilt(
    rng: np.random.Generator, n: int, longest: int, choose: Callable[[int], np.ndarray]
) -> tuple[Floats, np.ndarray, np.ndarray]:
    """Draw conversations; tell quality, arm, and whether it is a first turn, turn by turn."""
    quality, arms = np.full((n, longest), np.nan), np.zeros((n, longest), dtype=int)
    goes_on, is_spoilt = np.ones(n, dtype=bool), np.zeros(n, dtype=bool)
    for turn in range(longest):
        arms[:, turn] = choose(n)
        right = rng.random(n) < np.where(is_spoilt, 0.2, 0.8)
        quality[goes_on, turn] = right[goes_on]
        goes_on = goes_on & ~(right & (rng.random(n) < 0.5))
        is_spoilt = arms[:, turn] == 0
    there = ~np.isnan(quality)
    starts = np.broadcast_to(np.arange(longest) == 0, there.shape)
    return quality[there], arms[there], starts[there]


@cache
def _always_small(longest: int) -> float:
    """Return the mean over conversations of the mean quality of their turns."""
    rng = np.random.default_rng(0)
    quality, _, starts = _spoilt(rng, 400_000, longest, lambda size: np.zeros(size, dtype=int))
    unit = np.cumsum(starts) - 1
    return float((np.bincount(unit, weights=quality) / np.bincount(unit)).mean())


_CLAIMS = {
    "before": Claim("before: the interval of what has a verdict holds the truth"),
    "wrong": Claim("a value is told whose 95 % interval misses the truth", at_most=0.07),
    "refused": Claim("no value is told, with the reason"),
    "width": Claim("width, as a share of that by what has a verdict alone"),
}
_HONEST = _CLAIMS | {"refused": Claim("refused, with nothing wrong", at_most=0.07)}


def _study(world: str, draw: partial, quick: int = 60, claims: dict[str, Claim] = _CLAIMS) -> Study:
    return Study(world, draw, claims, n_quick=quick, n_full=10 * quick)


STUDIES = {
    "honest": _study(
        "1,000 decisions among three models, 60 % by chance, all with a verdict",
        partial(honest, n=1000),
        100,
        _HONEST,
    ),
    "feedback": _study(
        "The same; a wrong answer gets a verdict in 95 %, a right one in 30 %",
        partial(feedback, n=1000, if_right=0.3, if_wrong=0.95),
    ),
    "feedback mild": _study(
        "The same; a wrong answer gets a verdict always, a right one in 85 %",
        partial(feedback, n=1000, if_right=0.85, if_wrong=1.0),
    ),
    "late": _study(
        "The same; a wrong answer is told at once, a right one after an exponential delay of a "
        "twentieth of the log",
        partial(late, n=1000, share=0.05),
    ),
    "very late": _study("The same; after a fifth of the log", partial(late, n=1000, share=0.2)),
    "drift": _study(
        "The same; in the middle the dearer models lose 25 points; the truth is that at the end",
        partial(drifting, n=1000, fall=0.25),
    ),
    "conversations": _study(
        "600 conversations of one to three turns that stay with their model; the small one is as "
        "good in the first turn and 50 points worse later",
        partial(conversations, n=600),
        30,
    ),
    "turns": _study(
        "900 conversations of one to three turns, each of which a coin drew; what the small model "
        "answers spoils the next turn, and how long one lasts is decided by the answers",
        partial(turns, n=900, longest=3),
    ),
    "long turns": _study(
        "The same with up to ten turns: too few go as the target would have had them",
        partial(turns, n=900, longest=10),
        30,
    ),
}
