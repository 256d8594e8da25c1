"""Metrics agree with hand computations, independent computations and their own definitions."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_metrics import aiq, regret, zero_router_quality

from routerlib.metrics import intervals, pairs
from routerlib.metrics.calibration import brier, ece, ece_by_chance, mean_brier_interval
from routerlib.metrics.curves import cost_quality_curve, hull, oracle
from routerlib.metrics.intervals import (
    MOST_UNITS,
    cluster_weights,
    paired_bootstrap,
    percentile_interval,
    resampled_sums,
)
from routerlib.policies.utility import choose_arms
from routerlib.records.decision import Estimates

# Three prompts, two models: the weak one costs 1, the strong one 3.
QUALITY = np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
COST_USD = np.array([[1.0, 3.0], [1.0, 3.0], [1.0, 3.0]])
SCORE = np.array([0.1, 0.9, 0.5])
WEAK, STRONG = QUALITY.T

bits = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.integers(-3, 3)), min_size=4, max_size=40
)


def pair_of(rows):
    """Make a pair with a gap of at least one prompt from drawn rows."""
    weak, strong, score = np.array([[0, 1, 0], *rows], dtype=float).T
    if strong.mean() <= weak.mean():
        weak, strong = np.minimum(weak, strong), np.maximum(weak, strong)
    return weak, strong, score


def routellm_apgr(weak, strong, score, n_bins=10):
    """Compute APGR a second way: threshold loop, areas against constant routers."""
    thresholds = np.unique(np.percentile(score, np.linspace(0, 100, n_bins + 1)))
    rows = []
    for number, threshold in enumerate(thresholds):
        is_last = number == len(thresholds) - 1
        calls_strong = score > threshold if is_last else score >= threshold
        quality = sum(s if c else w for w, s, c in zip(weak, strong, calls_strong, strict=True))
        rows.append((calls_strong.mean(), quality / len(weak)))
    share, quality = np.array(sorted(rows)).T
    area = sum(
        (share[i + 1] - share[i]) * (quality[i + 1] + quality[i]) / 2 for i in range(len(share) - 1)
    )
    return (area - np.mean(weak)) / (np.mean(strong) - np.mean(weak))


def every_cut_apgr(weak, strong, score):
    """Compute APGR a third way: one prompt at a time moves to the strong model."""
    order = np.argsort(-score)
    heights = [
        (np.mean(np.r_[strong[order[:k]], weak[order[k:]]]) - weak.mean())
        / (strong.mean() - weak.mean())
        for k in range(len(weak) + 1)
    ]
    return sum((a + b) / 2 for a, b in pairwise(heights)) / len(weak)


def test_three_prompts_by_hand():
    # Weak answers 1 of 3, strong 2 of 3. By score: prompt 2 (gain 1), prompt 3 (0), prompt 1 (0).
    share, quality = pairs.share_quality_curve(WEAK, STRONG, SCORE)
    np.testing.assert_allclose(share, [[0, 1 / 3, 2 / 3, 1]])
    np.testing.assert_allclose(quality, [[1 / 3, 2 / 3, 2 / 3, 2 / 3]])
    assert pairs.apgr(WEAK, STRONG, SCORE) == pytest.approx([5 / 6])
    assert pairs.cpt(0.5, WEAK, STRONG, SCORE) == pytest.approx([1 / 6])
    assert pairs.cpt(1.0, WEAK, STRONG, SCORE) == pytest.approx([1 / 3])


def test_oracle_takes_the_cheapest_among_ties_and_regret_is_measured_against_it():
    assert oracle(QUALITY, COST_USD).tolist() == [0, 1, 0]
    assert regret(QUALITY, COST_USD, [0, 0, 0]) == pytest.approx(1 / 3)
    # At 0.6 quality per dollar the strong model's 2 dollars more outweigh its answer.
    assert regret(QUALITY, COST_USD, [0, 0, 0], cost_weight=0.6) == 0


def test_oracle_ignores_what_was_not_observed():
    quality = [[np.nan, 0.0], [np.nan, np.nan]]
    assert oracle(quality, [[1.0, 2.0]] * 2).tolist() == [1, -1]
    assert oracle([[1.0, 1.0]], [[np.nan, 2.0]]).tolist() == [1]


def test_curve_of_three_prompts_by_hand():
    estimates = Estimates(
        ("weak", "strong"), np.array([[0.9, 0.9], [0.1, 0.9], [0.1, 0.3]]), COST_USD
    )
    weights = [0, 0.2, 1]
    choices = [choose_arms(estimates, weight) for weight in weights]
    curve = cost_quality_curve(QUALITY, COST_USD, choices, weights)
    # Weight 0: weak on prompt 1 (a tie goes to the cheaper), strong on 2 and 3.
    np.testing.assert_allclose(curve.cost_usd, [1, 5 / 3, 7 / 3])
    np.testing.assert_allclose(curve.quality, [1 / 3, 2 / 3, 2 / 3])
    assert curve.cost_weights.tolist() == [1, 0.2, 0]


def test_rows_with_a_missing_value_are_skipped_and_counted():
    quality = QUALITY.copy()
    quality[2, 1] = np.nan
    curve = cost_quality_curve(quality, COST_USD, [np.array([0, 1, 1])], [0])
    assert (curve.n, curve.n_skipped) == (2, 1)
    assert curve.quality.tolist() == [1.0]
    assert pairs.apgr([*WEAK, np.nan], [*STRONG, 1], [*SCORE, 9]) == pairs.apgr(WEAK, STRONG, SCORE)
    assert brier([0.5, 0.5], [1, np.nan]) == 0.25


def test_nothing_measured_is_nan_and_never_zero():
    nothing = np.full((2, 2), np.nan)
    assert np.isnan(pairs.apgr(nothing[:, 0], nothing[:, 1], [1, 2])).all()
    assert np.isnan(pairs.apgr(nothing[:, 0], nothing[:, 1], [1, 2], n_bins=10)).all()
    assert np.isnan(cost_quality_curve(nothing, nothing, [np.zeros(2, int)], [0]).quality)
    assert np.isnan(regret(nothing, nothing, [0, 0]))
    assert np.isnan(ece([0.1], [np.nan]))
    assert np.isnan(aiq([np.nan], [np.nan], (0, 1)))
    assert np.isnan(zero_router_quality(1.0, [np.nan], [np.nan]))


def test_a_replicate_that_drew_no_prompt_has_no_curve_and_leaves_the_others_alone():
    drawn = np.array([[1.0] * len(SCORE), [0.0] * len(SCORE)])
    found = pairs.pair_metrics(WEAK, STRONG, SCORE, drawn)
    alone = pairs.pair_metrics(WEAK, STRONG, SCORE)
    for both, one in zip(found, alone, strict=True):
        np.testing.assert_array_equal(both, [one[0], np.nan])
    np.testing.assert_array_equal(pairs.apgr(WEAK, STRONG, SCORE, 10, drawn)[1], np.nan)


def test_apgr_of_a_strong_model_that_is_not_better_is_undefined():
    assert np.isnan(pairs.apgr([1, 1], [0, 1], [0, 1])).all()
    assert np.isnan(pairs.cpt(0.5, [1, 1], [0, 1], [0, 1])).all()


@pytest.mark.parametrize("seed", range(5))
def test_apgr_agrees_with_independent_computations(seed):
    rng = np.random.default_rng(seed)
    weak = (rng.random(137) < 0.5).astype(float)
    strong = (rng.random(137) < 0.8).astype(float)
    score = rng.random(137)
    ten_bins = pairs.apgr(weak, strong, score, n_bins=10)[0]
    assert ten_bins == pytest.approx(routellm_apgr(weak, strong, score), abs=1e-9)
    rounded = score.round(1)
    ten_bins = pairs.apgr(weak, strong, rounded, n_bins=10)[0]
    assert ten_bins == pytest.approx(routellm_apgr(weak, strong, rounded), abs=1e-9)
    exact = pairs.apgr(weak, strong, score)[0]
    assert exact == pytest.approx(every_cut_apgr(weak, strong, score), abs=1e-9)


@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("seed", range(5))
def test_weights_of_binned_apgr_are_repeated_prompts(seed, decimals):
    rng = np.random.default_rng(seed)
    weak, strong = (rng.random((2, 61)) < [[0.4], [0.8]]).astype(float)
    score = rng.random(61).round(decimals)
    weights = rng.multinomial(61, np.full(61, 1 / 61), size=20)
    rows = [np.repeat(np.arange(61), row) for row in weights]
    repeated = [routellm_apgr(weak[each], strong[each], score[each]) for each in rows]
    weighted = pairs.apgr(weak, strong, score, n_bins=10, weights=weights)
    assert weighted == pytest.approx(np.array(repeated), abs=1e-12)


@given(bits)
def test_pgr_is_0_for_weak_1_for_strong_and_the_oracle_is_not_under_1(rows):
    weak, strong, _ = pair_of(rows)
    best = np.maximum(weak, strong).mean()
    assert pairs.pgr(weak.mean(), weak.mean(), strong.mean()) == 0
    assert pairs.pgr(strong.mean(), weak.mean(), strong.mean()) == 1
    assert pairs.pgr(best, weak.mean(), strong.mean()) >= 1


@given(bits)
def test_cpt_never_falls_as_the_level_grows(rows):
    weak, strong, score = pair_of(rows)
    shares = [pairs.cpt(level, weak, strong, score)[0] for level in np.linspace(0, 1, 21)]
    assert (np.diff(shares) >= -1e-12).all()
    assert shares[0] == 0
    assert shares[-1] <= 1


@given(bits, st.randoms(use_true_random=False))
def test_pair_metrics_do_not_depend_on_the_order_of_rows(rows, random):
    weak, strong, score = pair_of(rows)
    order = list(range(len(weak)))
    random.shuffle(order)
    for metric in (pairs.apgr, lambda *pair: pairs.cpt(0.5, *pair)):
        np.testing.assert_allclose(
            metric(weak, strong, score), metric(weak[order], strong[order], score[order])
        )


@given(bits)
def test_bootstrap_weights_equal_repeated_rows(rows):
    weak, strong, score = pair_of(rows)
    times = np.arange(len(weak)) % 3 + 1
    repeated = np.repeat(np.arange(len(weak)), times)
    np.testing.assert_allclose(
        pairs.apgr(weak, strong, score, weights=times[None]),
        pairs.apgr(weak[repeated], strong[repeated], score[repeated]),
    )


points = st.lists(
    st.tuples(st.floats(0.01, 10), st.floats(0, 1)),
    min_size=1,
    max_size=20,
    unique_by=lambda p: p[0],
)


@given(points, st.floats(0.001, 1000), st.randoms(use_true_random=False))
def test_aiq_is_unchanged_by_row_order_and_by_a_change_of_currency(drawn, rate, random):
    cost, quality = np.array(drawn).T
    cost_range = (cost.min(), cost.max() * 1.5)
    expected = aiq(cost, quality, cost_range)
    order = list(range(len(cost)))
    random.shuffle(order)
    assert aiq(cost[order], quality[order], cost_range) == pytest.approx(expected)
    foreign = (cost_range[0] * rate, cost_range[1] * rate)
    assert aiq(cost * rate, quality, foreign) == pytest.approx(expected, abs=1e-9)


@given(points)
def test_the_hull_lies_on_or_above_every_point_and_only_rises(drawn):
    cost, quality = np.array(drawn).T
    corner_cost, corner_quality = hull(cost, quality)
    assert (np.diff(corner_cost) > 0).all()
    assert (np.diff(corner_quality) > 0).all()
    assert (np.interp(cost, corner_cost, corner_quality) >= quality - 1e-9).all()


def test_aiq_by_hand_and_its_refusal():
    # Rises from 0.2 at 1 to 0.8 at 3, then flat to 5: (0.5 * 2 + 0.8 * 2) / 4.
    assert aiq([3, 1, 2], [0.8, 0.2, 0.3], (1, 5)) == pytest.approx(0.65)
    assert aiq([1, 1], [0.2, 0.5], (1, 1)) == 0.5
    with pytest.raises(ValueError, match="add the cheapest candidate model"):
        aiq([2, 3], [0.2, 0.8], (1, 5))


def test_a_constant_guess_is_calibrated_but_its_brier_score_tells():
    observed = np.tile([0.0, 1.0], 50)
    assert ece(np.full(100, 0.5), observed) == 0
    assert brier(np.full(100, 0.5), observed) == 0.25
    assert brier(observed, observed) == 0


def test_prompts_of_a_group_are_drawn_together():
    (block,) = cluster_weights([7, 7, 3, 3], n_bootstrap=20, random_state=0)
    np.testing.assert_array_equal(block[:, 0], block[:, 1])
    np.testing.assert_array_equal(block.sum(axis=1), 4)


def test_the_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for repeat in range(200):
        gain = rng.random(80) < 0.3
        interval = paired_bootstrap(
            lambda w, gain=gain: {"gain": w @ gain / w.sum(axis=1)},
            np.arange(80),
            n_bootstrap=200,
            random_state=repeat,
        )["gain"]
        covered += interval.low <= 0.3 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_an_interval_of_mostly_undefined_replicates_is_undefined():
    interval = percentile_interval(0.5, [0.4, 0.6, np.nan, np.nan])
    assert interval.value == 0.5
    assert np.isnan([interval.low, interval.high, interval.se]).all()


def test_honest_estimates_are_off_by_luck_and_promising_ones_by_more():
    rng = np.random.default_rng(0)
    honest = rng.uniform(0.2, 0.8, (40, 150))
    eces = [ece(each, rng.random(150) < each) for each in honest]
    by_luck = [ece_by_chance(each, np.zeros(150)) for each in honest]
    assert np.mean(eces) == pytest.approx(np.mean(by_luck), abs=0.01)
    assert ece(honest[0] + 0.2, rng.random(150) < honest[0]) > 2 * by_luck[0]
    assert np.isnan(ece_by_chance([np.nan], [1.0]))


def test_prompts_of_a_group_share_the_luck_of_an_ece():
    rng = np.random.default_rng(0)
    groups, chance = np.repeat(np.arange(30), 10), np.repeat(rng.uniform(0.2, 0.8, 30), 10)
    drawn = [(np.repeat(rng.random(30), 10) < chance).astype(float) for _ in range(40)]
    eces = [ece(chance, each) for each in drawn]
    by_luck = [ece_by_chance(chance, each, groups=groups, n_draws=50) for each in drawn]
    assert np.mean(eces) == pytest.approx(np.mean(by_luck), abs=0.02)
    assert np.mean(eces) > ece_by_chance(chance, drawn[0]) + 0.1  # as if each were alone
    observed = [np.nan, *drawn[0]]
    with_a_gap = ece_by_chance([0.5, *chance], observed, groups=[99, *groups], n_draws=50)
    assert with_a_gap == pytest.approx(by_luck[0])


def test_interval_of_the_brier_score_draws_groups_and_holds_the_truth():
    rng = np.random.default_rng(1)
    truth, n_held = rng.uniform(0.1, 0.9, (200, 2)), 0
    expected_score = float((truth * (1 - truth)).mean())  # of honest estimates
    for seed in range(60):
        observed = (rng.random(truth.shape) < truth).astype(float)
        found = mean_brier_interval(truth, observed, range(200), n_bootstrap=200, random_state=seed)
        n_held += found.low <= expected_score <= found.high
    assert n_held >= 52  # 95 % of 60 is 57; fewer than 52 has a probability of 1 in 200
    observed[::3, 0] = np.nan
    found = mean_brier_interval(truth, observed, range(200), n_bootstrap=200)
    columns = [brier(truth[:, arm], observed[:, arm]) for arm in range(2)]
    assert found.value == pytest.approx(np.mean(columns))
    copies = mean_brier_interval(truth, observed, np.arange(200) // 20, n_bootstrap=200)
    assert copies.high - copies.low != found.high - found.low
    assert np.isnan(mean_brier_interval(truth, np.full(truth.shape, np.nan), range(200)).value)


@pytest.mark.parametrize("most_kept", [0, 20_000_000])
def test_multiplicities_are_those_of_one_stream_kept_or_drawn_anew(
    most_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intervals, "_MOST_KEPT_CELLS", most_kept)
    groups = np.arange(10_000) // 20
    drawn = np.random.default_rng(7).multinomial(500, np.full(500, 1 / 500), size=900)
    start = 0
    for block in cluster_weights(groups, n_bootstrap=900, random_state=7):
        expected = drawn[start : start + len(block)][:, groups]
        np.testing.assert_array_equal(block, expected)
        start += len(block)
    assert start == 900


def test_of_very_many_groups_bundles_are_drawn_and_no_group_is_torn() -> None:
    groups = np.arange(40_000) // 2
    (block,) = cluster_weights(groups, n_bootstrap=50, random_state=0)
    np.testing.assert_array_equal(block[:, ::2], block[:, 1::2])
    assert len(np.unique(block, axis=1).T) <= MOST_UNITS


def test_sums_over_bundles_are_those_of_the_prompts_that_were_drawn() -> None:
    rng = np.random.default_rng(0)
    groups, columns = rng.integers(0, 30_000, 50_000), rng.random((50_000, 2))
    sums = resampled_sums(columns, groups, n_bootstrap=40, random_state=1)
    of_prompts = [weights @ columns for weights in cluster_weights(groups, 40, random_state=1)]
    np.testing.assert_allclose(sums, np.vstack(of_prompts), rtol=1e-12)


def test_means_over_bundles_spread_as_far_as_over_groups() -> None:
    rng = np.random.default_rng(3)
    values, groups = rng.exponential(size=60_000), np.arange(60_000)
    columns = np.column_stack([values, np.ones(60_000)])
    sums, counts = resampled_sums(columns, groups, n_bootstrap=2_000, random_state=0).T
    expected = values.std() / np.sqrt(len(values))
    # The spread of 2,000 draws is known to within 1.6 %, that of the bundles to within 1 %.
    assert (sums / counts).std() == pytest.approx(expected, rel=0.06)
