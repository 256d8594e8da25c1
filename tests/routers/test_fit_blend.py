"""The ladder of levels, difficulty and differences: each is believed as far as it predicts."""

from __future__ import annotations

import numpy as np
import pytest

from routerlib.routers.lightgbm.blend import Blend
from routerlib.routers.lightgbm.fit_blend import begin_out_of_fold, fit_blend

N_MODELS = 3


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def log_odds_of(difference_size: float, n_prompts: int, seed: int) -> np.ndarray:
    """Return true log-odds: levels, a difficulty of each prompt, and who differs on it."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 1, (n_prompts, 1))
    differences = difference_size * rng.normal(0, 1, (n_prompts, N_MODELS))
    return np.array([0.5, 0.2, 0.0]) + difficulty + differences


def fitted(parts: dict[str, np.ndarray], quality: np.ndarray) -> Blend:
    return fit_blend(parts, quality, *marks(len(quality)))


def marks(n_prompts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return folds, groups and labels."""
    numbers = np.arange(n_prompts)
    return numbers % 5, numbers, numbers % 2


def draw(truth: np.ndarray, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(truth.shape) < sigmoid(truth)).astype(float)


def test_with_many_labels_a_part_that_is_right_is_believed() -> None:
    truth = log_odds_of(1.0, 3000, seed=0)
    blend = fitted({"trees": truth}, draw(truth, seed=1))

    assert blend.shares == pytest.approx([1], abs=0.1)
    assert blend.difficulties == pytest.approx([1], abs=0.1)


def test_of_two_parts_the_one_that_is_right_is_believed_more() -> None:
    truth = log_odds_of(1.0, 3000, seed=0)
    noise = truth.mean(axis=1, keepdims=True) + np.random.default_rng(1).normal(0, 1, truth.shape)
    blend = fitted({"trees": truth, "network": noise}, draw(truth, seed=2))

    assert blend.shares[0] > 2 * blend.shares[1] >= 0


def test_differences_that_are_noise_are_worth_little_with_few_labels_and_nothing_with_many() -> (
    None
):
    for n_prompts, most in ((50, 0.25), (2000, 0.06)):
        worth = []
        for seed in range(20):
            truth = log_odds_of(0.0, n_prompts, seed)
            said = truth + np.random.default_rng(seed + 100).normal(0, 1, truth.shape)
            worth.append(fitted({"trees": said}, draw(truth, seed)).shares[0])
        assert np.mean(worth) < most, n_prompts


def test_what_is_expected_of_the_chosen_is_what_comes() -> None:
    # The parts overstate who differs threefold: the best of the estimates would be too high.
    over = []
    for seed in range(40):
        truth = log_odds_of(0.3, 400, seed)
        noise = np.random.default_rng(seed + 100).normal(0, 0.9, truth.shape)
        blend = fitted({"trees": truth + noise}, draw(truth, seed))
        new = log_odds_of(0.3, 400, seed + 1000)
        said = new + np.random.default_rng(seed + 2000).normal(0, 0.9, new.shape)
        expected = blend.quality(blend.final([said]))
        rows, arms = np.arange(len(new)), expected.argmax(axis=1)
        over.append(float((expected - sigmoid(new))[rows, arms].mean()))
    assert abs(np.mean(over)) < 3 * np.std(over) / np.sqrt(len(over)) + 0.005


def test_a_fold_that_is_luckier_than_the_others_does_not_look_like_an_estimate_gone_wrong() -> None:
    # A part that knows the means of the other folds only: the lower, the higher the fold itself.
    rng = np.random.default_rng(0)
    worth = []
    for _ in range(30):
        quality = (rng.random((60, 2)) < 0.5).astype(float)
        folds, groups, labels = marks(60)
        means = np.array([quality[folds != fold].mean(axis=0) for fold in range(5)])
        part = np.log(means / (1 - means))[folds] + rng.normal(0, 0.3, quality.shape)
        worth.append(fit_blend({"trees": part}, quality, folds, groups, labels).difficulties[0])
    assert np.mean(np.array(worth) > 0) > 0.3


def test_equal_means_stay_a_tie() -> None:
    quality = np.tile([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], (30, 1))
    part = np.random.default_rng(0).normal(0, 1, quality.shape).mean(axis=1, keepdims=True)
    blend = fitted({"trees": np.tile(part, (1, 3))}, quality)

    assert len(set(blend.levels)) == 1


def test_prompts_that_repeat_each_other_count_as_one() -> None:
    truth = log_odds_of(0.5, 60, seed=3)
    said, quality = np.repeat(truth, 10, axis=0), np.repeat(draw(truth, 4), 10, axis=0)
    folds, labels = np.repeat(np.arange(60) % 5, 10), np.zeros(600, dtype=int)
    alone = fit_blend({"trees": said}, quality, folds, np.arange(600), labels)
    together = fit_blend({"trees": said}, quality, folds, np.repeat(np.arange(60), 10), labels)

    assert abs(together.shares[0] - 0.25) < abs(alone.shares[0] - 0.25)


def test_missing_cells_and_a_single_candidate_are_no_obstacle() -> None:
    truth = log_odds_of(0.5, 200, seed=5)
    quality = draw(truth, 6)
    quality[np.arange(200) % 3 != 0, 2] = np.nan
    some = fitted({"trees": truth}, quality)
    alone = fitted({"trees": truth[:, :1]}, quality[:, :1])

    assert np.isfinite(some.final([truth])).all()
    assert np.isfinite(alone.final([truth[:, :1]])).all()


def test_out_of_fold_a_prompt_does_not_move_its_own_estimate() -> None:
    truth = log_odds_of(0.5, 100, seed=7)
    quality = draw(truth, 8)
    before = begin_out_of_fold({"trees": truth}, quality, *marks(100))()
    quality[0] = 1 - quality[0]
    after = begin_out_of_fold({"trees": truth}, quality, *marks(100))()

    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


def test_out_of_fold_choices_are_not_told_to_lose_where_nobody_is_better() -> None:
    # Parts know how good candidates were in the other folds, and some noise of each prompt.
    gains = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        quality = (rng.random((50, N_MODELS)) < 0.5).astype(float)
        folds, groups, labels = marks(50)
        others = np.stack([quality[folds != fold].mean(axis=0) for fold in folds])
        part = 2 * np.log(others / (1 - others)) + rng.normal(0, 0.5, quality.shape)
        blended = begin_out_of_fold({"trees": part}, quality, folds, groups, labels)()
        chosen = blended.argmax(axis=1)
        gains.append((quality[np.arange(50), chosen] - quality.mean(axis=1)).mean())

    assert abs(np.mean(gains)) < 2 * np.std(gains) / np.sqrt(len(gains))
