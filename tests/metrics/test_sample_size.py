"""The planned number of prompts has the power that was wished for."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.metrics.intervals import paired_bootstrap
from routerlib.metrics.sample_size import plan_sample_size, sd_of


@pytest.mark.parametrize(("margin", "disagreement"), [(0.05, 0.2), (0.1, 0.4)])
@pytest.mark.parametrize("power", [0.5, 0.8])
def test_a_difference_of_the_margin_is_seen_as_often_as_planned(
    margin: float, disagreement: float, power: float
) -> None:
    n = plan_sample_size(margin, disagreement=disagreement, power=power)
    better = (disagreement + margin) / 2
    shares = [better, disagreement - better, 1 - disagreement]
    rng = np.random.default_rng(0)
    drawn = rng.choice([1.0, -1.0, 0.0], size=(2000, n), p=shares)
    z = drawn.mean(axis=1) / (drawn.std(axis=1, ddof=1) / np.sqrt(n))
    # 2000 repeats: a share of 0.8 has a standard error of 0.009.
    assert (z > 1.96).mean() == pytest.approx(power, abs=0.04)


def test_the_spread_is_read_back_from_a_bootstrap_interval() -> None:
    differences = np.random.default_rng(0).choice([1.0, -1.0, 0.0], 900, p=[0.1, 0.1, 0.8])
    found = paired_bootstrap(
        lambda weights: {"d": weights @ differences / weights.sum(axis=1)}, np.arange(900)
    )["d"]
    assert sd_of(found, 900) == pytest.approx(differences.std(), rel=0.08)


def test_copies_make_the_spread_larger() -> None:
    differences = np.random.default_rng(0).choice([1.0, -1.0, 0.0], 300, p=[0.1, 0.1, 0.8])
    copied = np.repeat(differences, 4)
    found = paired_bootstrap(
        lambda weights: {"d": weights @ copied / weights.sum(axis=1)}, np.repeat(np.arange(300), 4)
    )["d"]
    assert sd_of(found, 1200) == pytest.approx(2 * differences.std(), rel=0.1)


def test_a_smaller_margin_needs_more_prompts_and_a_half_needs_four_times_as_many() -> None:
    assert plan_sample_size(0.01, sd=0.4) == pytest.approx(
        4 * plan_sample_size(0.02, sd=0.4), abs=4
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin": 0, "sd": 0.1}, r"margin must lie in \(0, 1\], got 0"),
        ({"margin": 0.1}, "give disagreement or sd, exactly one"),
        ({"margin": 0.1, "sd": 0.1, "disagreement": 0.1}, "give disagreement or sd, exactly one"),
        ({"margin": 0.1, "disagreement": 2}, r"disagreement must lie in \(0, 1\], got 2"),
        ({"margin": 0.1, "sd": 0.1, "power": 1}, r"power must lie in \(0, 1\), got 1"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_sample_size(**arguments)  # type: ignore[arg-type]
