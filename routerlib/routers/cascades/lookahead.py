"""Work out what asking a candidate is worth, looking at the answers that it may give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from routerlib.features.learners.log_odds import sigmoid
from routerlib.records.arrays import Arms, Floats
from routerlib.routers.cascades.deep import MOST_MODELS, Deep
from routerlib.routers.cascades.evidence import Evidence, exact_logits, normal_points, possible
from routerlib.routers.cascades.limits import Room

# Points at which a judgement that hasn't been made is looked at: of the next answer, and of the
# one after it. Even numbers: a judgement that is sure is near 0 or 1, and not in the middle.
_NODES, _INNER_NODES = 8, 6
# A call that is expected to bring less quality isn't made, however little money counts: estimates
# aren't that exact.
_LEAST_GAIN = 0.005
_CHUNK = 500


OUTER, _INNER = normal_points(_NODES), normal_points(_INNER_NODES)


@dataclass(frozen=True, eq=False)
class Situation:
    """What a further answer is expected to bring to prompts with the same answers at hand.

    `held`: columns of the candidates whose answers are at hand.
    `best` (n_prompts,): quality believed of the best answer at hand; 0 = none is at hand.
    `expected` (n_prompts, n_models): quality expected of each candidate by now.
    `gain` (n_prompts, n_models): what asking it would add to `best`.
    `after` (n_prompts, n_models, n_nodes, n_models): what asking another one then would add, at
        each possible judgement.
    `deep`: what two further ones would add; None = two answers ahead have to do.
    """

    held: tuple[int, ...]
    best: Floats
    expected: Floats
    gain: Floats
    after: Floats
    deep: Deep | None = None

    @classmethod
    def of(
        cls, quality: Floats, judged: Floats | None, held: tuple[int, ...], evidence: Evidence
    ) -> Self:
        """Look ahead by two answers, or by three where none is at hand.

        `quality` (n_prompts, n_models): what the router expects.
        `judged` (n_prompts, n_models): judged log-odds of the answers at hand, else NaN; None =
            no answer is at hand.
        """
        parts = []
        for start in range(0, max(len(quality), 1), _CHUNK):
            rows = slice(start, start + _CHUNK)
            own = None if judged is None else judged[rows]
            parts.append(_looked(quality[rows], own, held, evidence))
        best, expected, gain, after = (np.concatenate(each) for each in zip(*parts, strict=True))
        deep = None
        if not held and 2 < quality.shape[1] <= MOST_MODELS:
            deep = Deep.of(quality, evidence)
        return cls(held, best, expected, gain, after, deep)

    def take(self, rows: Arms | slice) -> Situation:
        """Return the same of some prompts."""
        deep = None if self.deep is None else self.deep.take(rows)
        best, expected = self.best[rows], self.expected[rows]
        return Situation(self.held, best, expected, self.gain[rows], self.after[rows], deep)

    def choose(
        self,
        cost_usd: Floats,
        cost_weight: float,
        boldness: float,
        further: int,
        barred: Sequence[int] = (),
        room: Room | None = None,
    ) -> tuple[Arms, Floats]:
        """Return the candidate to ask next, -1 = none, and what is expected of asking it.

        `cost_usd` (n_prompts, n_models): expected US dollars of a call.
        `boldness`: share of the gain of further answers that is believed; 0 = the router alone.
        `further`: calls that may follow the next one.
        `barred`: columns of candidates that can't be asked.
        `room`: what the further calls may take together; None = anything. What doesn't fit isn't
            looked forward to either.
        """
        closed = [*self.held, *barred]
        price = cost_weight * cost_usd if cost_weight else np.zeros(cost_usd.shape)
        value = (self.gain if self.held else self.expected) - price
        if self.held:
            value = boldness * self.gain - np.maximum(price, _LEAST_GAIN)
        if further > 0 and boldness > 0:
            least = np.maximum(price, _LEAST_GAIN)
            if self.deep is not None and further > 1:
                value = value + self.deep.worth(least, boldness, closed, room)
            else:
                value = value + self._later(least, boldness, closed, room)
        value[:, closed] = -np.inf
        if room is not None:
            value = np.where(room.fits(), value, -np.inf)
        # Among equals the cheaper, as the router does.
        is_best = value == value.max(axis=1, keepdims=True)
        known = np.where(np.isnan(cost_usd) | ~is_best, np.inf, cost_usd)
        arms = np.lexsort((known, ~is_best), axis=1)[:, 0]
        worth = value[np.arange(len(arms)), arms]
        arms = np.where(~(worth > 0) if self.held else worth == -np.inf, -1, arms)
        return arms, worth

    def _later(
        self, least: Floats, boldness: float, closed: Sequence[int], room: Room | None
    ) -> Floats:
        """Return what asking on after the next answer is worth, shape (n_prompts, n_models)."""
        net = boldness * self.after - least[:, None, None, :]
        net[:, :, :, closed] = -np.inf
        if room is not None:
            net = np.where(room.fits_after()[:, :, None, :], net, -np.inf)
        return np.asarray(np.maximum(net.max(axis=3), 0) @ OUTER[1])


class Ahead(NamedTuple):
    """What the next answer may be judged, and what would be expected of the others then.

    `held`: columns of the candidates whose answers are at hand.
    `best` (n_prompts,): quality believed of the best answer at hand; 0 = none is at hand.
    `expected` (n_prompts, n_models): quality believed of each candidate by now.
    `seen` (n_prompts, n_models, n_nodes): log-odds that its answer may be judged.
    `then` (n_prompts, n_models, n_nodes, n_models): log-odds of the others after that.
    """

    held: tuple[int, ...]
    best: Floats
    expected: Floats
    seen: Floats
    then: Floats

    @classmethod
    def of(
        cls, quality: Floats, judged: Floats | None, held: tuple[int, ...], evidence: Evidence
    ) -> Self:
        """Look ahead by one answer; arguments as of `Situation.of`."""
        base = exact_logits(quality)
        surprises = np.zeros(base.shape)
        expected, best = quality, np.zeros(len(quality))
        if judged is not None:
            surprises = np.nan_to_num(judged - base)
            expected = sigmoid(evidence.moved(base, surprises))
            own = np.where(np.isnan(judged), 0.0, sigmoid(np.nan_to_num(judged)))
            best = own.max(axis=1)
            expected[:, list(held)] = own[:, list(held)]
        spread = evidence.later if held else evidence.first
        seen = possible(exact_logits(expected), spread, OUTER[0])
        # The surprise that each possible judgement would be, and where it would move the others.
        pulled = (
            evidence.sum_of(surprises)[:, None, None, :]
            + (seen - base[:, :, None])[..., None] * evidence.pull[:, None, :]
        )
        then = base[:, None, None, :] + pulled / evidence.sharing(len(held) + 1)
        return cls(held, best, expected, seen, then)


def _looked(
    quality: Floats, judged: Floats | None, held: tuple[int, ...], evidence: Evidence
) -> tuple[Floats, Floats, Floats, Floats]:
    ahead = Ahead.of(quality, judged, held, evidence)
    better = np.maximum(ahead.best[:, None, None], sigmoid(ahead.seen))
    gain = better @ OUTER[1] - ahead.best[:, None]
    next_odds = possible(ahead.then, evidence.later, _INNER[0])
    reached = np.maximum(better[..., None, None], sigmoid(next_odds)) @ _INNER[1]
    after = np.maximum(reached - better[..., None], 0)
    own = np.arange(quality.shape[1])
    after[:, own, :, own] = 0.0
    return ahead.best, ahead.expected, gain, after
