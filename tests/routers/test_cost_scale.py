"""Differences between costs are believed as far as they hold; who is chosen costs what is said."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.routers.lightgbm.cost_scale import CostScale

N, LEVELS = 2000, np.array([0.0, 0.1, 0.3])


def drawn(seed: int, n: int = N, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Return log costs that are said, and what is paid: what is common is right, the rest noise."""
    rng = np.random.default_rng(seed)
    common = 0.6 * rng.normal(size=(n, 1))
    said = LEVELS + common + noise * rng.normal(size=(n, 3))
    return said, np.exp(LEVELS + common + 0.4 * rng.normal(size=(n, 3)))


def fitted(said: np.ndarray, paid: np.ndarray) -> CostScale:
    numbers = np.arange(len(said))
    return CostScale.fit(said, paid, numbers % 5, numbers)


def test_what_is_common_is_believed_and_noise_is_not() -> None:
    scale = fitted(*drawn(0))

    assert scale.own == pytest.approx(0, abs=0.05)
    # The mean of three is noisier than what they have in common.
    assert scale.common + scale.own[0] == pytest.approx(0.36 / (0.36 + 0.25 / 3), abs=0.05)


def test_whoever_is_chosen_for_being_cheap_costs_what_is_expected() -> None:
    said, paid = drawn(1)
    scale = fitted(*drawn(2))
    new, rows = scale.cost_usd(said), np.arange(N)
    trusting = np.exp(said) * paid.mean(axis=0) / np.exp(said).mean(axis=0)

    def off(expected: np.ndarray) -> float:
        """Return how much less is expected of the cheapest ones than they cost, as a share."""
        chosen = np.argmin(expected, axis=1)
        return float(1 - expected[rows, chosen].mean() / paid[rows, chosen].mean())

    assert off(trusting) > 0.2
    assert abs(off(new)) < 0.03


def test_real_differences_are_believed() -> None:
    rng = np.random.default_rng(3)
    said = LEVELS + rng.normal(size=(N, 3))
    scale = fitted(said, np.exp(said + 0.2 * rng.normal(size=said.shape)))

    assert scale.own == pytest.approx(1, abs=0.05)
    assert scale.common == pytest.approx(0, abs=0.05)


def test_each_candidates_mean_is_what_was_paid_where_it_is_known() -> None:
    said, paid = drawn(4, n=200)
    paid[:150, 1] = np.nan
    paid[:, 2] = 0.0
    expected = fitted(said, paid).cost_usd(said)

    np.testing.assert_allclose(expected[:, 0].mean(), paid[:, 0].mean())
    np.testing.assert_allclose(expected[150:, 1].mean(), paid[150:, 1].mean())
    assert not expected[:, 2].any()


def test_few_prompts_leave_differences_at_about_half() -> None:
    scale = fitted(*drawn(5, n=8))

    assert 0 <= scale.own[0] < 0.6


def test_files_of_before_believe_each_candidate_alone() -> None:
    scale = fitted(*drawn(6, n=50))
    state = scale.to_state()
    assert CostScale.from_state(state).common == scale.common != 0
    assert "shares" not in state  # older versions would read it, and expect other costs
    before = {"levels": state["levels"], "shares": state["own"], "smear": state["smear"]}

    older = CostScale.from_state(before)
    said = drawn(7, n=5)[0]
    alone = np.exp(scale.levels + scale.own * (said - scale.levels)) * scale.smear
    np.testing.assert_allclose(older.cost_usd(said), alone)
