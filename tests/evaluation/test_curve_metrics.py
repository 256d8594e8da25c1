"""What is read off a curve is measured on prompts that didn't choose it."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.evaluation import contenders as laid
from routerlib.evaluation.curve_metrics import CURVE_METRICS, folds_of, mixtures_of
from routerlib.evaluation.replicates import measure
from routerlib.metrics.curves import hull
from routerlib.metrics.mixtures import deal
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.decision import Estimates

N = 120


def made_of(quality, cost_usd, models=("small", "large")):
    """Return tested prompts, no two of them alike."""
    names = [" ".join(f"{(7 * at + k) ** 3 % 99991:x}" for k in range(6)) for at in range(N)]
    return laid.TestedPrompts.of(Outcomes(names, models, quality, cost_usd), "large", "small")


@pytest.fixture(scope="module")
def tested():
    rng = np.random.default_rng(0)
    quality = (rng.random((N, 2)) < [0.5, 0.6]).astype(float)
    return made_of(quality, rng.lognormal(size=(N, 2)) * [1, 5])


@pytest.fixture(scope="module")
def guessing(tested):
    """A router whose estimates are noise: whatever its curve gains was luck."""
    rng = np.random.default_rng(1)
    noise = Estimates(("small", "large"), rng.random((N, 2)), np.add(rng.random((N, 2)), [0, 3]))
    return laid.estimates_contender(tested, noise, np.ones(N, dtype=int))


def test_a_mixture_is_the_hull_of_the_other_folds_at_its_share_of_the_costs(tested, guessing):
    folds = folds_of(tested)
    mixtures = mixtures_of(tested, guessing, folds)
    for fold in (0, 7):
        others = folds != fold
        singles_usd, singles = (
            values[others].mean(axis=0) for values in (tested.cost_usd, tested.quality)
        )
        curve_usd = np.append(guessing.curve_cost_usd[others].mean(axis=0), singles_usd[0])
        curve = np.append(guessing.curve_quality[others].mean(axis=0), singles[0])
        corners_usd, corners = hull(curve_usd, curve)
        columns = [
            np.flatnonzero((curve_usd == usd) & (curve == height))[0]
            for usd, height in zip(corners_usd, corners, strict=True)
        ]
        points = np.column_stack([guessing.curve_quality, tested.quality[:, 0]])
        # The first mixture is the cheapest corner alone, the last one the best.
        for knot, corner in ((0, columns[0]), (-1, columns[-1])):
            fixed = mixtures.quality[folds == fold, knot]
            assert fixed == pytest.approx(points[folds == fold, corner])


def test_the_hull_that_prompts_choose_for_themselves_lies_above(tested, guessing):
    mixtures = mixtures_of(tested, guessing, folds_of(tested))
    assert (mixtures.excess >= 0).all()
    assert mixtures.excess.max() > 0.01
    measured = measure(tested, {"guessing": guessing}, n_bootstrap=0, random_state=0)
    for name in ("AIQ", "quality_at_equal_cost"):
        low, high = (float(end[0]) for end in measured.once["guessing"].curve[name])
        assert measured.values["guessing"][name] == low < high


def test_an_interval_reaches_from_the_fixed_mixtures_to_the_fitted_hull(tested, guessing):
    measured = measure(tested, {"guessing": guessing}, n_bootstrap=200, random_state=0)
    found, drawn = measured.intervals("guessing"), measured.drawn["guessing"]
    for name in CURVE_METRICS:
        low, high = drawn.curve[name]
        assert found[name].low <= np.quantile(low, 0.025)
        assert found[name].high >= np.quantile(high, 0.975) or found[name].high == 1
    assert found["cost_at_equal_quality"].high == 1


def test_one_prompt_that_lost_nothing_elsewhere_is_no_proof_of_equal_quality(tested):
    # Large is called but for every tenth prompt, where by chance the answer is as good or better.
    quality = tested.quality * [0.0, 1.0]
    quality[::10] = 1.0
    quality[0, 1] = 0.0
    same = made_of(quality, tested.cost_usd)
    arms = np.where(np.arange(N) % 10, 1, 0)
    router = laid.arms_contender(same, arms)
    found = measure(same, {"router": router}, n_bootstrap=200, random_state=0).intervals("router")
    assert found["cost_at_equal_quality"].value < 1
    assert found["cost_at_equal_quality"].high == 1


def test_folds_keep_groups_and_know_no_order_of_rows():
    groups = np.arange(40) // 2
    names = [f"{at * 7919 % 997:03d}" for at in range(40)]
    folds = deal(groups, names)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in range(20))
    assert np.bincount(folds).tolist() == [4] * 10
    order = np.random.default_rng(0).permutation(40)
    assert deal(groups[order], [names[at] for at in order]).tolist() == folds[order].tolist()


def test_too_few_groups_choose_for_themselves():
    assert deal(np.array([3, 1, 1]), ["a", "b", "c"]).tolist() == [0, 0, 0]


def test_a_curve_that_a_currency_scales_keeps_its_metrics(tested, guessing):
    in_cents = made_of(tested.quality, 100 * tested.cost_usd)
    contender = laid.Contender(
        guessing.quality,
        100 * guessing.cost_usd,
        guessing.curve_quality,
        100 * guessing.curve_cost_usd,
        guessing.score,
    )
    ours = measure(tested, {"a": guessing}, n_bootstrap=20, random_state=0).intervals("a")
    scaled = measure(in_cents, {"a": contender}, n_bootstrap=20, random_state=0).intervals("a")
    for name in (*CURVE_METRICS, "saving", "cost_share"):
        assert scaled[name] == pytest.approx(ours[name], abs=1e-9)
