"""Intervals where percentiles alone are too narrow."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.metrics.intervals import Interval, product_interval
from routerlib.metrics.tails import (
    group_products,
    interval_between,
    joint_band,
    lognormal_ends,
    ratio_interval,
    widen_for_few,
)


def test_products_of_groups_stand_at_their_first_prompt():
    groups = np.array([5, 2, 5, 2, 9])
    found = group_products(groups, np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 1, 1, 1, 2]))
    assert found.tolist() == [8, 12, 0, 0, 10]


def test_what_can_not_be_measured_stays_unmeasured():
    unknown = widen_for_few(Interval(0.5, np.nan, np.nan, np.nan), 40)
    assert np.isnan([unknown.low, unknown.high]).all()
    nothing = ratio_interval(np.nan, np.full(9, np.nan), np.nan, np.full(9, np.nan), np.nan, 3)
    assert np.isnan(nothing[:3]).all()


def test_a_ratio_that_never_varies_has_no_width():
    still = ratio_interval(1.0, np.ones(50), 0.0, np.zeros(50), 0.0, 50)
    assert still[:3] == (1, 1, 1)


def test_free_calls_have_an_interval_without_a_logarithm():
    free = ratio_interval(0.0, np.zeros(50), np.nan, np.full(50, np.nan), np.nan, 50)
    assert free[:3] == (0, 0, 0)


def test_the_ratio_of_heavy_tailed_costs_is_covered_where_percentiles_are_not():
    covered, by_percentiles, mean = [], [], np.exp(1.5**2 / 2)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        cost = np.exp(rng.normal(0, 1.5, 100))
        weights = rng.multinomial(100, np.full(100, 0.01), size=200).astype(float)
        drawn = weights @ cost / 100
        squared = weights @ cost**2 / 1e4 / drawn**2 - 1 / 100
        spread = np.sqrt((cost**2).sum() / 1e4 / cost.mean() ** 2 - 1 / 100)
        largest = np.abs(cost / cost.sum() - 0.01).max()
        found = ratio_interval(cost.mean(), drawn, spread, np.sqrt(squared), largest, 100)
        covered.append(found.low <= mean <= found.high)
        low, high = np.quantile(drawn, [0.025, 0.975])
        by_percentiles.append(low <= mean <= high)
    assert np.mean(covered) >= 0.9 > 0.83 > np.mean(by_percentiles)


def test_an_interval_between_two_readings_holds_both():
    low, high = np.linspace(0, 1, 101), np.linspace(2, 3, 101)
    found = interval_between(0.5, low, high, 1000)
    assert (found.low, found.high) == pytest.approx((0.025, 2.975), abs=0.01)


def test_a_joint_band_covers_all_numbers_at_once():
    rng = np.random.default_rng(0)
    missed = {"joint": 0, "apart": 0}
    for _ in range(100):
        seen = rng.normal(size=(200, 12))
        weights = rng.multinomial(200, np.full(200, 1 / 200), size=200) / 200
        drawn, values = weights @ seen, seen.mean(axis=0)
        low, high = joint_band(values, drawn, 200)
        missed["joint"] += bool(((low > 0) | (high < 0)).any())
        apart = np.quantile(drawn, [0.025, 0.975], axis=0)
        missed["apart"] += bool(((apart[0] > 0) | (apart[1] < 0)).any())
    assert missed["joint"] <= 10 < 30 < missed["apart"]


def test_a_band_of_one_replicate_is_unknown():
    low, high = joint_band(np.zeros(3), np.zeros((1, 3)), 5)
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_the_dearest_costs_that_a_sample_lacks_are_allowed_for() -> None:
    true = np.exp(1.5**2 / 2)
    rng = np.random.default_rng(0)
    found = [lognormal_ends(rng.lognormal(0, 1.5, 100), np.arange(100)) for _ in range(400)]
    assert np.mean([low <= true <= high for low, high in found]) > 0.9
    assert np.isnan(lognormal_ends([0.0, 1.0], [0, 1])).all()  # a free answer has no logarithm
    assert np.isnan(lognormal_ends([1.0, 2.0], [0, 0])).all()


@pytest.mark.parametrize("together", [0.0, 0.6])
def test_dollars_saved_have_the_spread_of_what_they_are_made_of(together: float) -> None:
    # Bill and share of 400 samples: what each sample's interval should be is known.
    rng = np.random.default_rng(1)
    bill, share = rng.multivariate_normal(
        [2.0, 0.4], [[0.01, together * 0.005], [together * 0.005, 0.0025]], 4000
    ).T
    ends = Interval(0.4, 0.4 - 1.96 * 0.05, 0.4 + 1.96 * 0.05, 0.05)
    of_bill = Interval(2.0, 2 - 1.96 * 0.1, 2 + 1.96 * 0.1, 0.1)
    saved = product_interval(ends, of_bill, together)
    assert saved.se == pytest.approx((bill * share).std(), rel=0.05)
    assert saved.high - saved.low == pytest.approx(2 * 1.96 * saved.se)


def test_a_router_that_costs_more_costs_the_less_the_smaller_the_bill() -> None:
    dearer = Interval(-0.5, -0.6, -0.4, 0.05)
    bill = Interval(2.0, 1.9, 2.8, 0.2)  # a long tail above
    found = product_interval(dearer, bill, 0.0)
    assert (found.value, found.low) == (-1.0, pytest.approx(-1 - np.hypot(0.2, 0.4)))
    assert found.high == pytest.approx(-1 + np.hypot(0.2, 0.05))
