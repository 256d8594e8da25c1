"""Make up for cells that weren't observed: one formula whose mean is right."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.records.arrays import Floats

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
