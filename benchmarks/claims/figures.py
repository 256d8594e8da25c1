"""Ask whether the intervals of single figures and tables hold what they say."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import pandas as pd

from claims.cross_fit import WORLDS, Ridge, drawn
from claims.study import Claim, Study, in_groups
from routerlib.evaluation.learning_curve import learning_curve
from routerlib.evaluation.price_ratios import price_ratios
from routerlib.evaluation.replay.replay import mean_interval
from routerlib.gather.agents.trajectories import DUES
from routerlib.metrics.calibration import ece, ece_by_chance, mean_brier_interval
from routerlib.outcomes.outcomes import Outcomes
from routerlib.outcomes.worlds import make_world
from routerlib.policies.utility import choose_arms
from routerlib.records.arrays import Floats
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.router import Router
from routerlib.show.notebooks.agents import due_frame
from routerlib.show.plots.outcomes import quality_intervals

_MODELS = ("small", "middle", "large")
_CHANCES = np.array([0.55, 0.7, 0.9])


def _alike(shape: tuple[int, int], groups: np.ndarray, share: float, seed: int) -> Floats:
    """Draw numbers in [0, 1], of which a share is that of the whole group."""
    rng = np.random.default_rng(seed)
    own, shared = rng.random(shape), rng.random((groups.max() + 1, shape[1]))[groups]
    return np.where(rng.random(shape) < share, shared, own)


def models(seed: int, sizes: tuple[int, int], share: float) -> dict[str, float]:
    """Put intervals round each candidate model's mean quality.

    `sizes`: groups, and prompts of each.
    """
    groups = np.repeat(np.arange(sizes[0]), sizes[1])
    quality = (_alike((len(groups), 3), groups, share, seed) < _CHANCES).astype(float)
    names = [f"{row}" for row in range(len(groups))]
    outcomes = in_groups(Outcomes(names, _MODELS, quality, prompt_ids=names), groups)
    ends = np.array(quality_intervals(outcomes))
    return {"covers": float(np.mean((ends[:, 0] <= _CHANCES) & (ends[:, 1] >= _CHANCES)))}


def calibrated(seed: int, sizes: tuple[int, int]) -> dict[str, float]:
    """Measure estimates that are honest, and others that claim too much."""
    rng = np.random.default_rng([seed, 1])
    groups = np.repeat(np.arange(sizes[0]), sizes[1])
    shape = (len(groups), len(_MODELS))
    chance = rng.beta(2, 1, (sizes[0], shape[1]))[groups]
    observed = (_alike(shape, groups, 0.3, seed) < chance).astype(float)
    bold = np.clip(1.5 * chance - 0.3, 0, 1)
    found = mean_brier_interval(bold, observed, groups, n_bootstrap=300, random_state=seed)
    x = np.random.default_rng(0).beta(2, 1, 1_000_000)
    true = float(np.mean((np.clip(1.5 * x - 0.3, 0, 1) - x) ** 2 + x * (1 - x)))
    luck = ece_by_chance(chance[:, 0], observed[:, 0], groups=groups, n_draws=50, random_state=seed)
    return {
        "brier": float(found.low <= true <= found.high),
        "luck": ece(chance[:, 0], observed[:, 0]) - luck,
    }


def _topics(n: int, seed: int) -> tuple[Outcomes, Floats]:
    world = make_world(n, 3, seed)
    return in_groups(world.outcomes, np.arange(n)), world.expected_quality


def _traits(n: int, seed: int) -> tuple[Outcomes, Floats]:
    return drawn(WORLDS["many"][1], n, np.random.default_rng([seed, n]))


_LEARNT: dict[str, tuple[Callable[..., tuple[Outcomes, Floats]], Callable[[], Router]]] = {
    "topics": (_topics, KNNRouter),
    "traits": (_traits, Ridge),
}


def drawn_on(seed: int, n_first: int, world_of: str) -> dict[str, float]:
    """Draw a learning curve on to twice its prompts, then collect these and look."""
    draw, make_router = _LEARNT[world_of]
    n_more = 2 * round(0.7 * n_first)
    known, expected = draw(n_more + 2000, seed)
    curve = learning_curve(make_router, known.take(np.arange(n_first)), random_state=seed)
    largest = int(curve.points["n_train"].max())
    value, low, high = curve.extrapolate(2 * largest)
    at_largest = curve.points.loc[curve.points["n_train"] == largest, "quality"].mean()
    new = known.take(np.arange(n_more, len(known)))
    truth = expected[n_more:]

    def reached(n: int) -> float:
        rows = np.random.default_rng([seed, 2]).permutation(n_more)[:n]
        router = make_router().fit(known.take(rows))
        arms = choose_arms(router.predict(new.prompts), 0.0)
        return float(truth[np.arange(len(arms)), arms].mean())

    added = reached(2 * largest) - reached(largest)
    return {
        "covers": float(low - at_largest <= added <= high - at_largest),
        "off": value - at_largest - added,
    }


def _pair(n: int, rng: np.random.Generator) -> tuple[Floats, ...]:
    """Draw answers of a cheap and a dear model, and what is expected before and after a look."""
    odds = rng.normal(0.3, 1.2, n)
    cheap = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(float)
    dear = (rng.random(n) < 1 / (1 + np.exp(-odds - 1))).astype(float)
    seen = odds + rng.normal(0, 0.8, n)
    looked = seen + 1.8 * (2 * cheap - 1) + rng.normal(0, 1.5, n)
    return cheap, dear, -seen, -looked


@lru_cache
def _true_ratios() -> tuple[Floats, float]:
    """Return what looking first gains at each ratio, and from which one on it gains."""
    pair = _pair(200_000, np.random.default_rng(12345))
    found = price_ratios(*pair, np.arange(200_000), n_bootstrap=1)
    return found.cascade - found.router, found.breaks_even_at


def looked_first(seed: int, n: int) -> dict[str, float]:
    """Follow router and cascade over few prompts, at many ratios of prices."""
    true, breaks_even_at = _true_ratios()
    pair = _pair(n, np.random.default_rng(seed))
    found = price_ratios(*pair, np.arange(n), n_bootstrap=200, random_state=seed)
    shown = found.is_shown_from
    return {
        "covers": float(np.mean((found.low <= true) & (true <= found.high))),
        "too soon": float(shown < breaks_even_at),
    }


def steps_led_on(seed: int, n_tasks: int) -> dict[str, float]:
    """Put intervals round how often steps lead on, tasks of one to six steps drawn whole."""
    rng = np.random.default_rng([seed, n_tasks])
    tasks = np.repeat(np.arange(n_tasks), rng.integers(1, 7, n_tasks))
    luck = _alike((len(tasks), 1), tasks, 0.5, seed)[:, 0]
    steps = pd.DataFrame({"due": DUES[0], "model": "m", "task": tasks, "is_right": luck < 0.8})
    found = due_frame(steps, random_state=seed).iloc[0]
    return {"covers": float(found.quality_low <= 0.8 <= found.quality_high)}


def over_seeds(seed: int, n_seeds: int) -> dict[str, float]:
    """Put an interval round the mean over few repeats, each a mean of 200 prompts with tails."""
    means = np.random.default_rng(seed).lognormal(0, 1, (n_seeds, 200)).mean(axis=1)
    found = mean_interval(means)
    return {"covers": float(found.low <= np.exp(0.5) <= found.high)}


def _covers(says: str) -> dict[str, Claim]:
    return {"covers": Claim(says, at_least=0.93)}


_OFF = Claim("honest estimates exceed the luck that is told beside, on average", -0.01, 0.01)
_GROUPS = (("alone", (120, 1), 0.0), ("templates", (30, 15), 0.4), ("few", (12, 10), 0.4))
_MEANS = _covers("intervals of candidate models' mean quality hold it")

STUDIES = (
    {
        f"models {name}": Study(
            f"three models, {sizes[0]} groups of {sizes[1]} prompts; a share of {share} of answers "
            "is that of the group",
            partial(models, sizes=sizes, share=share),
            _MEANS,
            n_quick=200,
            n_full=2000,
        )
        for name, sizes, share in _GROUPS
    }
    | {
        f"reliability {name}": Study(
            f"three models, {sizes[0]} groups of {sizes[1]} prompts",
            partial(calibrated, sizes=sizes),
            {
                "brier": Claim("the interval of the Brier score holds it", at_least=0.93),
                "luck": _OFF,
            },
            n_quick=60,
            n_full=400,
        )
        for name, sizes in (("alone", (120, 1)), ("families", (30, 4)))
    }
    | {
        **{
            name: Study(
                f"{words}; {n} prompts, drawn on to {2 * round(0.7 * n)}",
                partial(drawn_on, n_first=n, world_of=world_of),
                {
                    **_covers("what twice as many prompts add lies where the curve is drawn on to"),
                    "off": Claim("what is drawn on is off by, on average (no promise)"),
                },
                n_quick=20,
                n_full=200,
            )
            for name, world_of, n, words in (
                ("learning", "topics", 400, "three models, each the best one of some topics"),
                ("learning traits", "traits", 1200, "nine models, a ridge regression of traits"),
            )
        },
        **{
            f"ratios {n}": Study(
                f"a cheap and a dear model whose answers tell something; {n} prompts",
                partial(looked_first, n=n),
                {
                    **_covers("the band over the ratios of prices holds the truth, over ratios"),
                    "too soon": Claim("looking first is shown where it doesn't pay", at_most=0.05),
                },
                n_quick=30,
                n_full=400,
            )
            for n in (120, 400)
        },
        **{
            f"steps {n}": Study(
                f"{n} tasks of one to six steps, half of which lead on as the others of their task",
                partial(steps_led_on, n_tasks=n),
                _covers("the interval of the share of steps that lead on holds it"),
                n_quick=60,
                n_full=400,
            )
            for n in (20, 60)
        },
        **{
            f"seeds {n}": Study(
                f"{n} repeats, each a mean over 200 prompts with lognormal tails",
                partial(over_seeds, n_seeds=n),
                _covers("the interval of a mean over seeds holds it"),
                n_quick=400,
                n_full=4000,
            )
            for n in (5, 10)
        },
    }
)
