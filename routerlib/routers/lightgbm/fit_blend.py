"""Learn how far each step of a `Blend` is to be believed, from what was seen out of fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from routerlib.features.learners.log_odds import log_odds, shrunk_mean, sigmoid
from routerlib.features.pieces import begin, share
from routerlib.routers.lightgbm.blend import Blend, weighed

# How much each part has to say before anything was seen: of the difficulty, and of differences.
_WEIGHTS = {"trees": 0.3, "network": 0.3, "topic": 0.15, "neighbours": 0.15, "words": 0.1}
PARTS = tuple(_WEIGHTS)
# Differences before anything was seen: a quarter of what the parts say, give or take a half (on
# real tables of 50 to 500 prompts they are worth between nothing and all of it), and hardly one
# part more than another: a part that is learnt anew from all prompts is worth more than it shows.
_SHARE, _SHARE_SPREAD, _PART_SPREAD = 0.25, 0.5, 0.03
# A candidate's level before anything was seen: this variance around the mean of all, in log-odds,
# and so many candidates that say so.
_LEVEL_VARIANCE, _LEVEL_COUNT = 0.5, 2.0
# The slope of the difficulty is drawn towards 0 as if by so many prompts.
_SLOPE_COUNT = 5.0
_MAX_STEPS = 30
# The steps are fitted in turn, so often: each was fitted as if the ones after it were nothing.
_N_ROUNDS = 3


class Seen(NamedTuple):
    """What was observed, cell by cell.

    Attributes
    ----------
    rows, arms : ndarray of shape (n_cells,)
        Prompt and candidate.
    quality : ndarray of shape (n_cells,)
        In [0, 1].
    groups : ndarray of shape (n_cells,)
        Prompts of one group are one draw.
    """

    rows: np.ndarray
    arms: np.ndarray
    quality: np.ndarray
    groups: np.ndarray


def fit_blend(
    parts: Mapping[str, np.ndarray],
    quality: np.ndarray,
    folds: np.ndarray,
    groups: np.ndarray,
    labels: np.ndarray,
) -> Blend:
    """Fit levels, difficulty and differences on out-of-fold log-odds.

    Each step is a penalised logistic regression on what the others leave open. What is
    expected before anything was seen gives way to the cells that speak against it, and cells of
    one group count as one where they err together; so a real difference is never thrown away
    because it couldn't be proved, and noise is worth little.

    `parts`: log-odds of shape (n_prompts, n_models) by name, of `PARTS`.
    `quality` (n_prompts, n_models): observed; NaN = not observed.
    `folds` (n_prompts,): by which the parts were learnt.
    `groups` (n_prompts,): near-duplicates and the like.
    `labels` (n_prompts,): topic or cluster, by which shared errors are measured.

    Sources
    -------
    W. James, C. Stein, Estimation with quadratic loss, 1961, and B. Efron, C. Morris, Data analysis
    using Stein's estimator and its generalizations, 1975: levels drawn together by the noise in
    them. D. H. Wolpert, Stacked generalization, 1992: learners weighed by their out-of-fold
    estimates.
    """
    rows, arms = np.nonzero(np.isfinite(quality))
    numbers = np.unique(groups, return_inverse=True)[1].ravel()
    seen = Seen(rows, arms, quality[rows, arms], numbers[rows])
    level_parts = [level_between_folds(part, folds) for part in parts.values()]
    weights = np.array([_WEIGHTS[name] for name in parts])
    weights /= weights.sum()
    common = weighed(weights, [part.mean(axis=1) for part in level_parts])
    centre = common.mean()
    differences, typical = zip(*(_differences(part) for part in level_parts), strict=True)
    cells = np.column_stack([each[rows, arms] for each in differences])
    shares = np.zeros(len(parts))
    for _ in range(_N_ROUNDS):
        levels, slope = _levels_and_slope(common - centre, cells @ shares, seen, quality.shape[1])
        start = levels[arms] + slope * (common - centre)[rows]
        shares = _shares(cells, start, seen, weights)
    blend = Blend(
        levels=levels - slope * centre - weighed(shares, typical),
        difficulties=slope * weights,
        shares=shares,
        centres=np.array([part.mean(axis=0) for part in parts.values()]),
        pooled=shrunk_mean(quality, 0.5),
        doubt=0.0,
        n_labels=len(np.unique(labels)),
    )
    final = blend.final(list(parts.values()))
    return replace(blend, doubt=_doubt(blend.quality(final), quality, labels))


def begin_out_of_fold(
    parts: Mapping[str, np.ndarray],
    quality: np.ndarray,
    folds: np.ndarray,
    groups: np.ndarray,
    labels: np.ndarray,
) -> Callable[[], np.ndarray]:
    """Begin to blend training prompts, each as the other folds would; gives final log-odds.

    Parts of the other folds were learnt from this one too: left where they are, its own would lie
    the lower under their level, the higher its quality was, and its gains would pass for losses.

    Shape (n_prompts, n_models); arguments as of `fit_blend`.
    """
    parts = {name: level_between_folds(part, folds) for name, part in parts.items()}
    given = [share(each) for each in (parts, quality, folds, groups, labels)]
    numbers = np.unique(folds).tolist()
    blends = begin(_blend_without, [(*given, fold) for fold in numbers], "blends")

    def found() -> np.ndarray:
        final = np.empty(quality.shape)
        for fold, blend in zip(numbers, blends(), strict=True):
            out = folds == fold
            final[out] = blend.final([part[out] for part in parts.values()])
        return final

    return found


def _blend_without(
    parts: Mapping[str, np.ndarray],
    quality: np.ndarray,
    folds: np.ndarray,
    groups: np.ndarray,
    labels: np.ndarray,
    fold: int,
) -> Blend:
    """Fit to the other folds, or to the only one."""
    out = folds == fold
    kept = ~out if not out.all() else out
    kept_parts = {name: part[kept] for name, part in parts.items()}
    return fit_blend(kept_parts, quality[kept], folds[kept], groups[kept], labels[kept])


def level_between_folds(part: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Move each fold's means to the overall ones.

    What was learnt without a fold lies the lower, the higher the fold itself is; left in, that
    would pass for a part that says the opposite of what is true.
    """
    moved = part.astype(float)
    overall = part.mean(axis=0)
    for fold in np.unique(folds):
        moved[folds == fold] += overall - moved[folds == fold].mean(axis=0)
    return moved


def _differences(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return deviations from the prompt's mean and the candidate's, and the candidates' own."""
    centred = part - part.mean(axis=1, keepdims=True)
    typical = centred.mean(axis=0)
    return centred - typical, typical


def _levels_and_slope(
    common: np.ndarray, beyond: np.ndarray, seen: Seen, n_models: int
) -> tuple[np.ndarray, float]:
    """Return levels, shape (n_models,), drawn together by the noise in them, and the slope.

    `common` (n_prompts,): difficulty, with mean 0.
    `beyond` (n_cells,): log-odds of the steps after.
    """
    at = common[seen.rows]
    usual = log_odds(shrunk_mean(seen.quality, 0.5))
    pull = _SLOPE_COUNT * float(common.var()) / 4 + 1e-12
    levels, slope = np.full(n_models, usual), 0.0
    for _ in range(_MAX_STEPS):
        expected = sigmoid(levels[seen.arms] + slope * at + beyond)
        errors, weights = expected - seen.quality, expected * (1 - expected)
        own = np.bincount(seen.arms, weights, n_models) + 1e-6
        shared = np.bincount(seen.arms, weights * at, n_models)
        # The curvature is diagonal but for the slope's row: eliminate the levels.
        level_errors = np.bincount(seen.arms, errors, n_models) + 1e-6 * (levels - usual)
        slope_error = float(errors @ at) + pull * slope - float(shared @ (level_errors / own))
        left = float(weights @ at**2) + pull - float(shared @ (shared / own))
        slope_step = float(np.clip(slope_error / left, -2, 2))
        level_steps = np.clip((level_errors - shared * slope_step) / own, -2, 2)
        levels, slope = np.clip(levels - level_steps, -6, 6), slope - slope_step
        if max(np.abs(level_steps).max(), abs(slope_step)) < 1e-10:
            break
    # Candidates with the same mean have the same level, to the last digit: a tie stays one.
    levels, slope = levels.round(8), max(slope, 0.0)
    return _drawn_together(levels, slope * at + beyond, seen), slope


def _drawn_together(levels: np.ndarray, above: np.ndarray, seen: Seen) -> np.ndarray:
    """Draw levels towards their mean by what noise alone would spread them.

    `above` (n_cells,): log-odds of all other steps.
    """
    n_models = len(levels)
    expected = sigmoid(levels[seen.arms] + above)
    information = np.bincount(seen.arms, expected * (1 - expected), n_models)
    influence = np.zeros((int(seen.groups.max(initial=0)) + 1, n_models))
    at_stake = (seen.quality - expected) / np.maximum(information, 1e-9)[seen.arms]
    np.add.at(influence, (seen.groups, seen.arms), at_stake)
    noise = ((influence - influence.mean(axis=1, keepdims=True)) ** 2).sum(axis=0)
    deviations = levels - levels.mean()
    excess = max(float((deviations**2).sum() - noise.sum()), 0.0)
    usual = _LEVEL_COUNT * _LEVEL_VARIANCE
    variance = (excess + usual) / (n_models - 1 + _LEVEL_COUNT)
    return np.asarray(levels.mean() + deviations * variance / (variance + noise))


def _shares(cells: np.ndarray, start: np.ndarray, seen: Seen, weights: np.ndarray) -> np.ndarray:
    """Return how much of each part's differences to believe, shape (n_parts,), at least 0.

    Penalised logistic regression by iterated non-negative least squares.

    `cells` (n_cells, n_parts): differences.
    `start` (n_cells,): log-odds of the steps before.
    `weights` (n_parts,): how much each part has to say before anything was seen.
    """
    from scipy.optimize import nnls

    usual = _SHARE * weights
    spread = _SHARE_SPREAD**2 * np.outer(weights, weights) + _PART_SPREAD**2 * np.eye(len(weights))
    precision = np.linalg.inv(spread) * _inflation(cells @ weights, start, seen)
    shares = usual
    for _ in range(_MAX_STEPS):
        expected = sigmoid(start + cells @ shares)
        slopes = expected * (1 - expected)
        curvature = (cells * slopes[:, np.newaxis]).T @ cells + precision
        target = (
            curvature @ shares + cells.T @ (seen.quality - expected) - precision @ (shares - usual)
        )
        factor = np.linalg.cholesky(curvature)
        before, shares = shares, nnls(factor.T, np.linalg.solve(factor, target))[0]
        if np.abs(shares - before).max() < 1e-7:
            break
    return np.asarray(shares)


def _inflation(differences: np.ndarray, start: np.ndarray, seen: Seen) -> float:
    """Return by how much cells of one group err together, at least 1."""
    expected = sigmoid(start)
    alone = float((expected * (1 - expected) * differences**2).sum())
    scores = np.bincount(seen.groups, differences * (seen.quality - expected))
    return max(float((scores**2).sum()) / max(alone, 1e-12), 1.0)


def _doubt(expected: np.ndarray, quality: np.ndarray, labels: np.ndarray) -> float:
    """Return the standard deviation of log-odds errors that prompts of one label share.

    What was seen out of fold beyond noise, and what so few labels can't settle anyway.
    """
    excess, sampling, counts = [], [], []
    for label in np.unique(labels):
        rows = labels == label
        for guess, truth in zip(expected[rows].T, quality[rows].T, strict=True):
            seen = np.isfinite(truth)
            if seen.sum() < 5:
                continue
            errors = truth[seen] - guess[seen]
            slope = float((guess[seen] * (1 - guess[seen])).mean())
            excess.append((errors.mean() ** 2 - errors.var() / len(errors)) / slope**2)
            sampling.append(1 / (len(errors) * slope))
            counts.append(len(errors))
    if not excess:
        return 1.0
    shared = max(float(np.average(excess, weights=counts)), 0.0)
    return float(np.sqrt(shared + np.average(sampling, weights=counts)))
