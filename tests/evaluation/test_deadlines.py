"""What a deadline gives and costs is measured on held-out prompts, as money is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from routerlib.evaluation.deadlines import NoTimes, measure_deadlines
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.rivals import KNNRouter
from routerlib.show.tables.deadlines import deadlines_table

WORDS = ["river", "moon", "paper", "chair", "cloud", "stone", "apple", "glass", "train", "sea"]


def world(n_prompts: int, seed: int) -> Outcomes:
    """Quick takes 1 s, good 5 s, both with spread; good is better by 0.4."""
    rng = np.random.default_rng(seed)
    return Outcomes(
        [" ".join(rng.choice(WORDS, 6)) + f" {seed} {i}" for i in range(n_prompts)],
        ["quick", "good"],
        (rng.random((n_prompts, 2)) < [0.5, 0.9]).astype(float),
        np.tile([0.001, 0.002], (n_prompts, 1)),
        latency_s=rng.lognormal(0, 0.3, (n_prompts, 2)) * [1.0, 5.0],
    )


def test_a_cap_holds_and_its_price_is_told_with_intervals() -> None:
    router = KNNRouter().fit(world(100, seed=0))
    found = measure_deadlines(router, world(200, seed=1), [2.0], n_bootstrap=200)
    assert list(found.index) == ["no cap", "cap 2 s", "quick alone", "good alone"]
    free, capped = found.loc["no cap"], found.loc["cap 2 s"]
    assert capped.latency_p90_s_high < 2.0 < 5.0 < free.latency_p90_s_low
    assert capped.in_time_low > 0.9
    assert capped.quality_high < free.quality_low
    assert capped.quality == found.loc["quick alone"].quality
    new = world(200, seed=1)
    assert found.loc["good alone"].latency_p90_s == pytest.approx(
        np.quantile(new.latency_s[:, 1], 0.9, method="inverted_cdf")
    )
    assert measure_deadlines(router, new, n_bootstrap=20).index[1].startswith("cap 1.")


def test_nothing_is_shown_where_times_are_unknown_or_prompts_were_trained_on() -> None:
    known, new = world(60, seed=0), world(30, seed=1)
    untimed = KNNRouter().fit(replace(known, latency_s=None))
    assert "nothing is known of how long" in str(deadlines_table(untimed, new))
    router = KNNRouter().fit(known)
    with pytest.raises(NoTimes, match="only 5 held-out prompts"):
        measure_deadlines(router, new.take(range(5)))
    with pytest.raises(ValueError, match="60 of the prompts were trained on"):
        measure_deadlines(router, known)
    shown = deadlines_table(router, new, n_bootstrap=50)
    assert "on 30 held-out prompts" in shown.caption
    assert "90th percentile seconds" in shown.heads


def test_no_cost_or_time_of_few_prompts_is_said_to_be_below_zero() -> None:
    """The spread of twenty prompts, widened for so few, would reach below."""
    few = world(20, seed=1)
    cost_usd, latency_s = np.zeros((20, 2)), np.full((20, 2), 0.1)
    cost_usd[0], latency_s[17:] = 0.02, 9.0
    few = replace(few, cost_usd=cost_usd, latency_s=latency_s)
    found = measure_deadlines(KNNRouter().fit(world(100, seed=0)), few, [5.0], n_bootstrap=200)
    for name in ("cost_usd", "latency_p90_s"):
        assert (found[f"{name}_low"] >= 0).all(), name
        assert (found[f"{name}_high"] >= found[name]).all(), name
