"""Lay several ways of choosing beside each other: what each obtains on the same prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routerlib.evaluation.pseudo_outcomes import filled
from routerlib.metrics.curves import oracle
from routerlib.metrics.pairs import is_complete
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import choose_arms, sweep_cost_weights
from routerlib.records.arrays import Floats
from routerlib.records.decision import Estimates


@dataclass(frozen=True)
class TestedPrompts:
    """What every way of choosing is measured on: prompts that all candidate models answered.

    Cells that weren't bought are made up for, see `filled`; then there is no oracle.

    `quality` (n_prompts, n_models): observed, or made up for.
    `cost_usd` (n_prompts, n_models): US dollars; NaN when costs aren't known.
    `kept` (n_prompts,): which prompts of the tested outcomes these are.
    `n_bought`: prompts of which some cell had a chance to be left out.
    `best` (n_prompts,): column of the best single model that other prompts than this one chose;
        None = `strong` on each.
    """

    __test__ = False  # pytest takes the name for a test

    outcomes: Outcomes
    quality: Floats
    cost_usd: Floats
    n_skipped: int
    has_costs: bool
    strong: int
    weak: int
    kept: NDArray[np.intp]
    n_bought: int = 0
    best: NDArray[np.intp] | None = None

    @classmethod
    def of(
        cls,
        test: Outcomes,
        strong: str,
        weak: str,
        best: NDArray[np.intp] | None = None,
        expected: Estimates | None = None,
    ) -> TestedPrompts:
        """Keep the prompts of `test` that can be measured.

        `expected`: by a router that hasn't seen them, in the columns of `test`.
        """
        table = filled(test, expected)
        has_costs = bool((~np.isnan(test.cost_usd)).any(axis=0).all())
        needed = (table.quality, table.cost_usd) if has_costs else (table.quality,)
        keep = np.flatnonzero(is_complete(*needed))
        unknown = np.full(test.cost_usd.shape, np.nan)
        outcomes = test.take(keep)
        return cls(
            outcomes=outcomes,
            quality=table.quality[keep],
            cost_usd=(table.cost_usd if has_costs else unknown)[keep],
            n_skipped=len(test) - len(keep),
            has_costs=has_costs,
            strong=test.models.index(strong),
            weak=test.models.index(weak),
            kept=keep,
            n_bought=_n_bought(outcomes),
            best=None if best is None else best[keep],
        )

    @property
    def best_arms(self) -> NDArray[np.intp]:
        """Column of the best single model, shape (n_prompts,)."""
        return np.full(len(self), self.strong) if self.best is None else self.best

    @property
    def best_quality(self) -> Floats:
        """Observed quality of the best single model, shape (n_prompts,)."""
        return take_arms(self.quality, self.best_arms)

    @property
    def best_cost_usd(self) -> Floats:
        """Observed US dollars of the best single model, shape (n_prompts,)."""
        return take_arms(self.cost_usd, self.best_arms)

    def is_single(self, arms: NDArray[np.intp]) -> bool:
        """Tell whether choices are one and the same model throughout, or the best single one."""
        is_one = bool((arms == arms[:1]).all()) or bool((arms == self.best_arms).all())
        return bool(len(arms)) and is_one

    def __len__(self) -> int:
        return len(self.quality)


def _n_bought(outcomes: Outcomes) -> int:
    if outcomes.inclusion is None:
        return 0
    return int((outcomes.inclusion < 1).any(axis=1).sum())


@dataclass(frozen=True)
class Contender:
    """One way of choosing, as what it obtains on each prompt of a tested.

    `quality, cost_usd` (n_prompts,): obtained at the operating point.
    `curve_quality, curve_cost_usd` (n_prompts, n_points): obtained at each cost weight of a
        sweep.
    `cost_weights` (n_points,): that sweep; None = there is none.
    `score` (n_prompts,): how much the strong model is wanted; NaN = this way estimates nothing.
    """

    quality: Floats
    cost_usd: Floats
    curve_quality: Floats
    curve_cost_usd: Floats
    score: Floats
    cost_weights: Floats | None = None
    is_zero_router: bool = False
    is_single: bool = False


def take_arms(values: Floats, arms: NDArray[np.intp]) -> Floats:
    """Pick one column per row.

    `values` (n_prompts, n_models): observed.
    `arms` (n_prompts,): columns.

    >>> take_arms(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 0])).tolist()
    [2.0, 3.0]
    """
    columns = arms if arms.ndim == 2 else arms[:, None]
    return np.take_along_axis(values, columns, axis=1).reshape(arms.shape)


def estimates_contender(
    tested: TestedPrompts, estimates: Estimates, arms: NDArray[np.intp], n_points: int = 64
) -> Contender:
    """Follow a router's estimates along its cost weights.

    `arms` (n_prompts,): column chosen at the operating point.
    """
    swept, cost_weights = _sweep(estimates, arms, n_points)
    with np.errstate(invalid="ignore"):
        score = estimates.quality[:, tested.strong] - estimates.quality[:, tested.weak]
    return Contender(
        quality=take_arms(tested.quality, arms),
        cost_usd=take_arms(tested.cost_usd, arms),
        curve_quality=take_arms(tested.quality, swept),
        curve_cost_usd=take_arms(tested.cost_usd, swept),
        score=np.where(np.isfinite(score), score, np.nan),
        cost_weights=cost_weights,
        is_single=tested.is_single(arms),
    )


def _sweep(
    estimates: Estimates, arms: NDArray[np.intp], n_points: int
) -> tuple[NDArray[np.intp], Floats | None]:
    if not is_complete(estimates.quality).all():
        return arms[:, None], None
    if not is_complete(estimates.cost_usd).all():
        return choose_arms(estimates, 0.0)[:, None], np.zeros(1)
    weights = sweep_cost_weights(estimates, n_points)
    return np.stack([choose_arms(estimates, weight) for weight in weights], axis=1), weights


def arms_contender(tested: TestedPrompts, arms: NDArray[np.intp]) -> Contender:
    """Measure one fixed choice per prompt, without a curve.

    `arms` (n_prompts,): column of each choice.
    """
    quality, cost = take_arms(tested.quality, arms), take_arms(tested.cost_usd, arms)
    unknown = np.full(len(tested), np.nan)
    return Contender(
        quality, cost, quality[:, None], cost[:, None], unknown, is_single=tested.is_single(arms)
    )


def baseline_contenders(
    tested: TestedPrompts,
    train_quality: Floats,
    train_cost_usd: Floats,
    at_cost_usd: Floats,
    topic_table: Estimates | None = None,
    cost_weight: float = 0.0,
) -> dict[str, Contender]:
    """Lay the baselines that stand in every table.

    `train_quality, train_cost_usd` (n_models,): means on train, all that the best single model
        is chosen by.
    `at_cost_usd` (n_prompts,): costs whose mean the zero router is to match.
    """
    n, shape = len(tested), tested.quality.shape
    singles = tested.best_arms
    means = Estimates(
        tuple(tested.outcomes.models),
        np.broadcast_to(train_quality, shape),
        np.broadcast_to(train_cost_usd, shape),
    )
    even_quality, even_cost = tested.quality.mean(axis=1), tested.cost_usd.mean(axis=1)
    no_score = np.zeros(n)
    return {
        "best single": estimates_contender(tested, means, singles),
        "random": Contender(
            even_quality, even_cost, even_quality[:, None], even_cost[:, None], no_score
        ),
        "zero router": Contender(
            at_cost_usd, at_cost_usd, tested.quality, tested.cost_usd, no_score, is_zero_router=True
        ),
        **_topic_contender(tested, topic_table, cost_weight),
        "oracle": _oracle(tested),
    }


def _oracle(tested: TestedPrompts) -> Contender:
    """Choose what was best; where cells are made up for, nobody knows what that was."""
    if tested.n_bought:
        unknown = np.full(len(tested), np.nan)
        return Contender(unknown, unknown, unknown[:, None], unknown[:, None], unknown)
    truth = Estimates(tuple(tested.outcomes.models), tested.quality, tested.cost_usd)
    return estimates_contender(tested, truth, oracle(tested.quality, tested.cost_usd))


def _topic_contender(
    tested: TestedPrompts, topic_table: Estimates | None, cost_weight: float
) -> dict[str, Contender]:
    if topic_table is None:
        return {}
    weight = cost_weight if is_complete(topic_table.cost_usd).all() else 0.0
    arms = choose_arms(topic_table, weight)
    return {"topic table": estimates_contender(tested, topic_table, arms)}
