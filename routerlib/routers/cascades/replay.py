"""Follow a cascade over prompts whose answers are known already."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.policies import QualityFloor
from routerlib.records.arrays import Arms, Floats
from routerlib.records.decision import Estimates
from routerlib.routers.cascades.evidence import Evidence
from routerlib.routers.cascades.floors import NOBODY, cheapest_way
from routerlib.routers.cascades.judged import JudgedPrompts
from routerlib.routers.cascades.limits import Room
from routerlib.routers.cascades.lookahead import Ahead, Situation


@dataclass(frozen=True, eq=False)
class Followed:
    """What a cascade asked and gave back, prompt by prompt.

    `order` (n_prompts, most_calls): columns of the candidates asked, in order; `NOBODY` = no more.
    `given` (n_prompts,): column of the answer that was given back.
    """

    order: Arms
    given: Arms

    def is_asked(self, n_models: int) -> np.ndarray:
        """Return which candidates were asked, shape (n_prompts, n_models)."""
        asked = np.zeros((len(self.order), n_models), dtype=bool)
        rows, steps = np.nonzero(self.order != NOBODY)
        asked[rows, self.order[rows, steps]] = True
        return asked

    def cost_usd(self, costs: Floats) -> Floats:
        """Return what all calls of each prompt cost, US dollars; NaN where one is unknown."""
        return np.where(self.is_asked(costs.shape[1]), costs, 0.0).sum(axis=1)

    def quality(self, qualities: Floats) -> Floats:
        """Return the quality of the answers given back, shape (n_prompts,)."""
        return np.asarray(qualities[np.arange(len(self.given)), self.given])


@dataclass(frozen=True, eq=False)
class Replay:
    """What a cascade obtained on prompts whose answers were logged.

    Parameters
    ----------
    models : tuple of str
        Candidate names.
    quality : ndarray of shape (n_prompts,)
        Of the answer given back; NaN where it wasn't scored.
    cost_usd : ndarray of shape (n_prompts,)
        US dollars of all calls; NaN where one is unknown.
    asked : list of tuple of str
        Candidate models asked, in order.
    given : list of str
        The candidate model whose answer was given back.
    cost_weight : float
        At which the cascade stood.
    """

    models: tuple[str, ...]
    quality: np.ndarray
    cost_usd: np.ndarray
    asked: list[tuple[str, ...]]
    given: list[str]
    cost_weight: float

    def with_further(self, further_usd: np.ndarray) -> Replay:
        """Return the same with what else was paid, US dollars of shape (n_prompts,)."""
        return replace(self, cost_usd=self.cost_usd + further_usd)

    @property
    def n_calls(self) -> np.ndarray:
        """Calls made for each prompt, shape (n_prompts,)."""
        return np.array([len(each) for each in self.asked], dtype=int)


def replay_of(followed: Followed, outcomes: Outcomes, cost_weight: float) -> Replay:
    """Say what was obtained on prompts whose answers were logged."""
    names = tuple(outcomes.models)
    return Replay(
        models=names,
        quality=followed.quality(outcomes.quality),
        cost_usd=followed.cost_usd(outcomes.cost_usd),
        asked=[tuple(names[arm] for arm in row if arm != NOBODY) for row in followed.order],
        given=[names[arm] for arm in followed.given],
        cost_weight=float(cost_weight),
    )


class Way(NamedTuple):
    """How a cascade is followed; see `Bench.follow`."""

    cost_weight: float
    boldness: float
    floor: QualityFloor | None = None
    latency_s: Floats | None = None
    most_s: float = math.inf


class Bench:
    """Prompts on which a cascade is followed at one cost weight after the other.

    What is worked out for a set of answers at hand is remembered, as it doesn't depend on money.

    `estimates`: what the router expects of the prompts.
    """

    def __init__(self, estimates: Estimates, judged: JudgedPrompts, evidence: Evidence) -> None:
        self.estimates, self.judged, self.evidence = estimates, judged, evidence
        self._situations: dict[tuple[int, ...], Situation] = {}

    def __len__(self) -> int:
        return len(self.estimates)

    def situation(self, held: tuple[int, ...]) -> Situation:
        """Return what may be expected with these answers at hand, for all prompts."""
        if held not in self._situations:
            odds = self.judged.odds(held) if held else None
            self._situations[held] = Situation.of(self.estimates.quality, odds, held, self.evidence)
        return self._situations[held]

    def follow(
        self,
        cost_weight: float,
        boldness: float,
        most_calls: int,
        first: Arms | None = None,
        *,
        floor: QualityFloor | None = None,
        latency_s: Floats | None = None,
        most_s: float = math.inf,
    ) -> Followed:
        """Ask, judge and go on, until no further answer is worth its price.

        `first` (n_prompts,): columns of the candidates to begin with; None = the best ones.
        `floor`: the rule by which an answer is good enough, in place of the cost weight.
        `latency_s` (n_models,): seconds that a call takes; NaN = not known.
        `most_s`: seconds that the calls of a prompt may take together.
        """
        way = Way(cost_weight, boldness, floor, latency_s, most_s)
        n_prompts = len(self)
        order = np.full((n_prompts, most_calls), NOBODY, dtype=np.intp)
        if n_prompts == 0:
            return Followed(order, np.zeros(0, dtype=np.intp))
        arms = first
        if arms is None:
            arms = self._choose((), slice(None), way, most_calls - 1)
        order[:, 0] = arms
        going = np.ones(n_prompts, dtype=bool)
        for step in range(1, most_calls if boldness > 0 else 1):
            for held, rows in _by_held(order[:, :step], going):
                order[rows, step] = self._choose(held, rows, way, most_calls - step - 1)
            going &= order[:, step] != NOBODY
        return Followed(order, self._given(order))

    def _choose(self, held: tuple[int, ...], rows: Arms | slice, way: Way, further: int) -> Arms:
        """Return whom to ask next on some prompts with the same answers at hand, -1 = nobody."""
        cost_usd = self.estimates.cost_usd[rows]
        room = None
        if way.latency_s is not None:
            gone_s = float(np.nansum(way.latency_s[list(held)]))
            room = Room.of(cost_usd, math.inf, way.latency_s, way.most_s - gone_s)
        if way.floor is None:
            part = self.situation(held).take(rows)
            return part.choose(cost_usd, way.cost_weight, way.boldness, further, (), room)[0]
        odds = self.judged.odds(held)[rows] if held else None
        ahead = Ahead.of(self.estimates.quality[rows], odds, held, self.evidence)
        return cheapest_way(ahead, cost_usd, way.floor, self.estimates.models, further, room)

    def _given(self, order: Arms) -> Arms:
        """Return per prompt the answer believed best of those asked for."""
        given = order[:, 0].copy()
        everyone = np.ones(len(order), dtype=bool)
        for held, rows in _by_held(order, everyone):
            if len(held) > 1:
                odds = self.judged.odds(held)[rows]
                odds = np.where(np.isnan(odds), -np.inf, odds)
                given[rows] = odds.argmax(axis=1)
        return given


def _by_held(order: Arms, going: np.ndarray) -> Iterable[tuple[tuple[int, ...], Arms]]:
    """Return the prompts that go on, by which answers are at hand."""
    rows = np.flatnonzero(going)
    ranked = np.sort(order[rows], axis=1)
    kinds, which = np.unique(ranked, axis=0, return_inverse=True)
    for number, kind in enumerate(kinds):
        held = tuple(int(arm) for arm in kind if arm != NOBODY)
        yield held, rows[which.ravel() == number]
