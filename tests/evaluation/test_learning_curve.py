"""A learning curve is measured on the same prompts, and drawn on no further than it can be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from routerlib.evaluation.learning_curve import LearningCurve, learning_curve
from routerlib.outcomes.worlds import make_world
from routerlib.routers.baselines import BestSingle
from routerlib.routers.rivals import KNNRouter


def made(slope: float, noise: float, n_seeds: int, seed: int) -> LearningCurve:
    """Return a curve that is a straight line in the logarithm of the size, and noise."""
    rng = np.random.default_rng(seed)
    rows = [
        {"seed": each, "n_train": size, "quality": value}
        for each in range(n_seeds)
        for size, value in zip(
            (100, 200, 400), 0.5 + slope * np.arange(3) + rng.normal(0, noise, 3), strict=True
        )
    ]
    return LearningCurve(pd.DataFrame(rows), is_stopped=False)


def flattening(power: float, seed: int) -> LearningCurve:
    """Return a curve that rises to 0.9 with a power of the size, and noise."""
    rng = np.random.default_rng(seed)
    rows = [
        {"seed": each, "n_train": size, "quality": reached(size, power) + rng.normal(0, 0.003)}
        for each in range(3)
        for size in (50, 100, 200, 400)
    ]
    return LearningCurve(pd.DataFrame(rows), is_stopped=False)


def reached(size: int, power: float) -> float:
    return 0.9 - 0.2 * (size / 50) ** power


def test_a_straight_line_is_the_high_end_of_what_it_is_drawn_on_to():
    value, low, high = made(0.02, 0.0, n_seeds=3, seed=0).extrapolate(800)
    assert high == pytest.approx(0.56)
    assert 0.54 < low < value < high


@pytest.mark.parametrize("power", [-0.25, -0.5, -1.0])
def test_the_interval_holds_what_more_prompts_add_to_a_curve_that_flattens_out(power: float):
    added, hits = reached(800, power) - reached(400, power), 0
    for seed in range(100):
        curve = flattening(power, seed)
        now = curve.points.loc[curve.points.n_train == 400, "quality"].mean()
        _, low, high = curve.extrapolate(800)
        hits += low - now <= added <= high - now
    assert hits >= 93


def test_the_interval_holds_the_gain_of_a_further_split_at_least_as_often_as_it_says():
    hits = 0
    for seed in range(300):
        curve = made(0.02, 0.01, n_seeds=4, seed=seed)
        here, _, _ = curve.extrapolate(400)
        _, low, high = curve.extrapolate(800)
        further = made(0.02, 0.01, n_seeds=1, seed=10_000 + seed).points
        slope, _ = np.polyfit(np.log2(further.n_train), further.quality, 1)
        hits += low <= here + slope <= high
    # 300 repeats at 0.95: a standard error of 0.013.
    assert hits / 300 >= 0.92


def test_splits_that_are_harder_as_a_whole_do_not_widen_the_interval():
    curve = made(0.02, 0.001, n_seeds=3, seed=0)
    shifted = LearningCurve(curve.points.assign(quality=lambda t: t.quality + 0.1 * t.seed), False)
    _, low, high = curve.extrapolate(800)
    _, low_shifted, high_shifted = shifted.extrapolate(800)
    assert high_shifted - low_shifted == pytest.approx(high - low)


def test_further_than_twice_and_from_too_little_it_is_refused():
    with pytest.raises(ValueError, match=r"n_train must be at most 2 times the 400 prompts tried"):
        made(0.02, 0.01, n_seeds=3, seed=0).extrapolate(801)
    with pytest.raises(ValueError, match="drawing on needs 3 sizes and 3 seeds, got 3 and 2"):
        made(0.02, 0.01, n_seeds=2, seed=0).extrapolate(800)
    assert "where more would lead can't be told" in made(0.02, 0, n_seeds=1, seed=0).sentence()


def test_the_sentence_tells_growth_from_no_change():
    assert "which isn't told from no change" in made(0.0, 0.02, n_seeds=3, seed=0).sentence()
    assert made(0.05, 0.001, n_seeds=3, seed=0).sentence().endswith("].")


def test_more_prompts_teach_where_there_is_something_to_learn():
    outcomes = make_world(n_prompts=400, seed=1).outcomes
    curve = learning_curve(KNNRouter, outcomes, sizes=[15, 60, 240])
    quality = curve.points.groupby("n_train").quality.mean()
    assert quality.is_monotonic_increasing
    assert not curve.is_stopped
    assert curve.points.groupby("seed").n_test.nunique().tolist() == [1, 1, 1]


def test_sizes_are_spread_up_to_all_prompts_unless_given():
    curve = learning_curve(BestSingle, make_world(n_prompts=200).outcomes, n_seeds=1)
    assert curve.points.n_train.tolist() == [40, 61, 92, 140]
    with pytest.raises(ValueError, match="sizes must lie between 1 and the 140 training prompts"):
        learning_curve(BestSingle, make_world(n_prompts=200).outcomes, sizes=[500], n_seeds=1)


def test_time_may_run_out_after_the_small_sizes():
    outcomes = make_world(n_prompts=100).outcomes
    curve = learning_curve(BestSingle, outcomes, sizes=[20, 40], max_s=0)
    assert curve.is_stopped
    assert curve.points.n_train.tolist() == [20, 20, 20]  # with every seed
