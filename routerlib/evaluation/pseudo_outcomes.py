"""Make up for cells that weren't observed: one formula whose mean is right."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats
from routerlib.records.decision import Estimates

# A cell seen less often than this would count for more than twenty: too few carry the mean.
LEAST_PROBABILITY = 0.05
_N_FOLDS = 5
# Where fewer cells than this are missing, or observed, no model of who is missing can be learnt.
_MIN_CELLS = 10


def augmented(observed: Floats, predicted: Floats, probability: Floats) -> Floats:
    """Return per cell a number whose mean is the mean quality, also where cells are missing.

    What a model predicts, and where the cell was observed, the model's error in the weight of all
    cells like it: right if either the prediction or the probability is. It may leave [0, 1].

    Robins, Rotnitzky and Zhao (1994), Estimation of regression coefficients when some regressors
    are not always observed, JASA 89, https://doi.org/10.1080/01621459.1994.10476818

    `observed` (n_prompts, n_models): quality; NaN = not observed.
    `predicted` (n_prompts, n_models): quality expected by somebody who hasn't seen it.
    `probability` (n_prompts, n_models): of being observed, in (0, 1].

    >>> augmented(np.array([1.0, np.nan]), np.array([0.5, 0.4]), np.array([0.5, 0.5])).tolist()
    [1.5, 0.4]
    """
    error = np.where(np.isnan(observed), 0.0, observed - predicted)
    return predicted + error / probability


class Filled(NamedTuple):
    """Outcomes in which cells that were left out by design are made up for.

    `quality, cost_usd` (n_prompts, n_models): NaN = missing for no known reason. Means are right;
        single cells may leave the range of qualities and costs.
    """

    quality: Floats
    cost_usd: Floats


def left_out(outcomes: Outcomes) -> np.ndarray:
    """Tell which cells have no quality because they weren't bought, (n_prompts, n_models)."""
    if outcomes.inclusion is None:
        return np.zeros(outcomes.quality.shape, dtype=bool)
    return np.isnan(outcomes.quality) & (outcomes.inclusion < 1)


def filled(outcomes: Outcomes, expected: Estimates | None = None) -> Filled:
    """Make up for cells that weren't bought, by the chance that each had.

    Prompts of which nothing was bought don't stand in outcomes of a log. Where none stands there,
    those that do stand for as many as had the same chance to be bought from.

    Kossen, Farquhar, Gal and Rainforth (2021), Active testing: sample-efficient model evaluation,
    ICML, https://arxiv.org/abs/2103.05331

    `expected`: by somebody who hasn't seen these outcomes; None, and where it isn't finite, the
        mean of each candidate is expected.
    """
    inclusion = outcomes.inclusion
    if inclusion is None or (inclusion == 1).all():
        return Filled(outcomes.quality, outcomes.cost_usd)
    by_design = left_out(outcomes)
    is_whole = bool(by_design.all(axis=1).any())
    stands = np.ones(len(outcomes)) if is_whole else 1 - np.prod(1 - inclusion, axis=1)
    weights = len(outcomes) * (1 / stands) / (1 / stands).sum()
    probability = inclusion / stands[:, None]

    def table(values: Floats, means: Floats, guess: Floats | None) -> Floats:
        predicted = np.broadcast_to(means, values.shape)
        if guess is not None:
            predicted = np.where(np.isfinite(guess), guess, predicted)
        found = np.where(inclusion == 1, values, augmented(values, predicted, probability))
        found = np.where(np.isnan(values) & ~by_design, np.nan, found)
        if is_whole:
            return found
        centre = float(np.nanmean(means)) if np.isfinite(means).any() else 0.0
        return np.asarray(centre + weights[:, None] * (found - centre))

    of_quality, of_cost = (
        (None, None) if expected is None else (expected.quality, expected.cost_usd)
    )
    return Filled(
        table(outcomes.quality, outcomes.mean_quality, of_quality),
        table(outcomes.cost_usd, outcomes.mean_cost_usd, of_cost),
    )


class Observed(NamedTuple):
    """How likely each cell was to be observed.

    `probability` (n_prompts, n_models): in [LEAST_PROBABILITY, 1].
    `n_out_of_reach`: cells like which next to none was observed, so that only the prediction
        speaks for them.
    """

    probability: Floats
    n_out_of_reach: int


def probability_observed(observed: Floats, columns: Floats, groups: Floats) -> Observed:
    """Estimate from what is known of the prompts which cells are observed, out of fold.

    `observed` (n_prompts, n_models): quality; NaN = not observed.
    `columns` (n_prompts, n_columns): what is known of each prompt, nothing missing.
    `groups` (n_prompts,): prompts of one group are in the same fold.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probability = np.ones(observed.shape)
    n_folds = min(_N_FOLDS, len(np.unique(groups)))
    if n_folds < 2:
        return Observed(np.clip(probability, LEAST_PROBABILITY, 1.0), 0)
    folds = grouped_folds(groups, n_folds, 0)
    parts = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in set(folds)]
    for arm, is_there in enumerate((~np.isnan(observed)).T):
        if is_there.all():
            continue
        both_everywhere = all(len(set(is_there[train])) == 2 for train, _ in parts)
        if min(is_there.sum(), (~is_there).sum()) < _MIN_CELLS or not both_everywhere:
            probability[:, arm] = is_there.mean()
            continue
        learner = make_pipeline(StandardScaler(), LogisticRegression())
        found = cross_val_predict(learner, columns, is_there, cv=parts, method="predict_proba")
        probability[:, arm] = found[:, 1]
    is_out = (probability < LEAST_PROBABILITY) & np.isnan(observed)
    return Observed(np.clip(probability, LEAST_PROBABILITY, 1.0), int(is_out.sum()))
