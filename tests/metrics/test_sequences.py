"""E-values and bounds hold at every look, and agree with another implementation."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.metrics.sequences import (
    draws_needed,
    level_of_test,
    log_e_values,
    log_shift_evidence,
)

DRAWS = np.array([0.2, -0.5, 1.0, 0.0, -1.0, 0.4, 0.3, 0.7, -0.1, 1.0]) + 0.02


def test_the_coin_grows_as_that_of_another_implementation() -> None:
    # confseq 0.0.11: log(confseq.betting.diversified_betting_mart((DRAWS + 0.98) / 1.96, 0.5, [
    # constant lambda s / 0.5 for s in 0.9 * 0.5**arange(8)], theta=1, trunc_scale=1)), rescaled so
    # that -0.98 is 0; it has no wheel, needs Boost and NumPy 1, and so is no dependency.
    known = [0.04908811844, -0.07720970192, 0.10415155234, 0.10926168785, -0.18233204354]
    known += [-0.12919730032, -0.08459269113, 0.02040473568, 0.00586491147, 0.17119311030]
    assert log_e_values(DRAWS, -0.98) == pytest.approx(known, abs=1e-9)


def test_the_evidence_for_a_fall_is_a_one_sided_normal_mixture() -> None:
    # confseq 0.0.11, uniform_boundaries.h: normal_log_mixture(s, v, 600, 0.05, true) in units of
    # one draw's sd, rho = OneSidedNormalMixture::best_rho(600, 0.05); the mean of v draws is s / v,
    # and its variance 1 / v.
    rho = 94.803809441103
    cases = [(10, 30, 0.751301753647), (40, 120, 4.005338926056), (70, 600, 3.219446554051)]
    cases += [(-20, 600, -1.511016691562), (200, 5000, 2.624089324598)]
    for total, n, known in cases:
        found = log_shift_evidence(-total / n, 1 / n, expected=rho**-0.5)
        assert float(found) == pytest.approx(known, abs=1e-9)


def test_a_coin_seldom_grows_large_where_the_mean_is_zero_however_often_one_looks() -> None:
    rng = np.random.default_rng(0)
    # Nineteen small gains, one large loss: what a normal interval of few draws never sees.
    draws = np.where(rng.random((2000, 300)) < 0.05, -0.95, 0.05)
    most = np.array([log_e_values(row, -1.0).max() for row in draws])
    assert np.mean(most >= np.log(20)) <= 0.05
    assert np.mean(most >= np.log(4)) <= 0.25


def test_a_gain_is_shown_by_about_as_many_draws_as_were_announced() -> None:
    rng = np.random.default_rng(1)
    draws = rng.choice([-1.0, 0.0, 1.0], p=[0.03, 0.87, 0.1], size=(200, 1500)) + 0.0
    needed = draws_needed(0.07, draws.var(), 0.025)
    grown = np.array([log_e_values(row, -1.0) for row in draws]) >= np.log(40)
    found = np.where(grown.any(axis=1), grown.argmax(axis=1), 1500)
    assert np.median(found) == pytest.approx(needed, rel=0.25)
    assert draws_needed(0.0, 0.1, 0.025) == np.inf


def test_hardly_varying_draws_need_what_the_largest_stake_needs() -> None:
    steady = log_e_values(np.full(400, 0.05), -1.0)
    assert draws_needed(0.05, 0.0, 0.025) == pytest.approx(np.argmax(steady >= np.log(40)), rel=0.2)
    assert draws_needed(0.05, 0.0, 0.025, lowest=-2.0) > 1.9 * draws_needed(0.05, 0.0, 0.025)


def test_all_tests_together_spend_the_level() -> None:
    assert sum(level_of_test(k, 0.05) for k in range(1, 5000)) == pytest.approx(0.05, rel=1e-3)


def test_a_draw_below_its_lowest_value_is_refused() -> None:
    with pytest.raises(ValueError, match="at least its lowest value"):
        log_e_values([0.1, -0.6], -0.5)
