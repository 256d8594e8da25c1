"""Make up for what wasn't observed: one formula whose mean is right, and its interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from routerlib.metrics.intervals import Interval
from routerlib.outcomes.near_duplicates import grouped_folds
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats
from routerlib.records.decision import Estimates

# A cell seen less often than this would count for more than twenty: too few carry the mean.
LEAST_PROBABILITY = 0.05
_N_FOLDS = 5
# Where fewer cells than this are missing, or observed, no model of who is missing can be learnt.
_MIN_CELLS = 10
# Wins and losses that a sample of even weights may not show, as Agresti and Min (2005) add them.
_HALF = 0.5


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


class Tuned(NamedTuple):
    """A prediction as it tells most of what is observed.

    `predicted`: the same shape as what it was made of.
    `weight`: lambda, in [0, 1]: how far what was predicted is trusted; 0 = not at all.
    """

    predicted: Floats
    weight: float


def tuned(observed: Floats, predicted: Floats, probability: Floats) -> Tuned:
    """Move a prediction to the level of what is observed, and trust it as far as both agree.

    Whatever it comes to, `augmented` stays right in the mean; the weight that is least squares'
    makes its spread the smallest, never larger than with what is observed alone.

    Angelopoulos, Duchi and Zrnic (2023), PPI++: Efficient prediction-powered inference,
    https://arxiv.org/abs/2311.01453

    `observed` (n,): NaN = not observed.
    `predicted` (n,): of the same thing, nothing missing.
    `probability` (n,): of being observed, in (0, 1].

    >>> tuned(np.array([0.0, 1.0, np.nan]), np.array([0.5, 1.0, 0.5]), np.ones(3))
    Tuned(predicted=array([0.25, 0.75, 0.25]), weight=1.0)
    """
    is_known = ~np.isnan(observed)
    weights, ours, told = 1 / probability[is_known], predicted[is_known], observed[is_known]
    middle, level = np.average(ours, weights=weights), np.average(told, weights=weights)
    square = float((weights * (ours - middle) ** 2).sum())
    product = float((weights * (ours - middle) * (told - level)).sum())
    weight = float(np.clip(product / square, 0.0, 1.0)) if square > 0 else 0.0
    return Tuned(level + weight * (predicted - middle), weight)


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


class Rows(NamedTuple):
    """An estimate, and how much each row moves it.

    `influence` (n,): mean 0; the standard error is that of their mean.
    """

    value: float
    influence: Floats


def effective_sample_size(weights: ArrayLike) -> float:
    """Return how many evenly weighed rows would tell as much (Kish).

    Kish (1965), Survey Sampling, section 11.7.

    `weights` (n,): importance weights, at least 0.
    """
    w = _floats(weights)
    squares = float((w**2).sum())
    return float(w.sum() ** 2 / squares) if squares > 0 else 0.0


def interval(
    rows: Rows,
    weights: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    scale: float = 1.0,
    n_unseen: float = 1.0,
    level: float = 0.95,
) -> Interval:
    """Put an interval round a weighted mean that holds what the sample could not show.

    Student's t on the influence of each group of rows, with two cautions without which it covers
    far too seldom where propensities are small (in a world where one choice in twenty explores,
    0.7 instead of 0.95): the degrees of freedom are those of the effective sample size, and one
    win and one loss of the largest weight, off by `scale`, are added to the variance. A good
    policy seldom fails, so that the one failure with a large weight is often not in the sample.

    `weights` (n,): importance weights; 0 = not observed.
    `n_unseen`: wins, and losses, that are added; half of each does where weights are alike.
    `groups` (n,): rows that belong together, such as those of one prompt; None = all
        independent.
    `level`: confidence, in (0, 1).
    """
    from scipy.stats import t

    w = _floats(weights)
    n = len(w)
    keys = np.arange(n) if groups is None else np.asarray(groups)
    _, group_of = np.unique(keys, return_inverse=True)
    sums = np.bincount(group_of.ravel(), weights=rows.influence)
    n_groups = len(sums)
    if n_groups < 2:
        return Interval(rows.value, np.nan, np.nan, np.nan)
    group_weights = np.bincount(group_of.ravel(), weights=w)
    unseen = 2 * n_unseen * (float(group_weights.max()) * scale) ** 2
    squares = (float((sums**2).sum()) + unseen) * n_groups / (n_groups - 1)
    se = float(np.sqrt(squares)) / n
    freedom = max(effective_sample_size(group_weights) - 1, 1.0)
    half = float(t.ppf((1 + level) / 2, freedom)) * se
    return Interval(rows.value, rows.value - half, rows.value + half, se)


class Corrected(NamedTuple):
    """A mean of what a judge says, corrected by what a person said of a random part.

    `interval`: prediction-powered; `alone`: by the person's scores alone; both 95 %.
    `judged`: the mean by the judge alone. `weight`: how far the judge is trusted, in [0, 1].
    """

    interval: Interval
    alone: Interval
    judged: float
    weight: float


def corrected(
    judged: Floats, scored: Floats, probability: Floats, groups: ArrayLike, level: float = 0.95
) -> Corrected:
    """Correct a mean over prompts by a random part of them that a person scored.

    The judge is the model, the person what is observed with a known probability.

    Angelopoulos, Bates, Fannjiang, Jordan and Zrnic (2023), Prediction-powered inference, Science
    382, https://doi.org/10.1126/science.adi6000

    `judged` (n_prompts,): of each prompt in [-1, 1], nothing missing.
    `scored` (n_prompts,): the same by a person; NaN = the prompt was not drawn.
    `probability` (n_prompts,): of being drawn, in (0, 1].
    `groups` (n_prompts,): prompts of one group are no independent evidence.
    """
    weights = np.where(np.isnan(scored), 0.0, 1 / probability)

    def around(predicted: Floats) -> Interval:
        made_up = augmented(scored, predicted, probability)
        value = float(made_up.mean())
        rows = Rows(value, made_up - value)
        return interval(rows, weights, groups, n_unseen=_HALF, level=level)

    predicted, weight = tuned(scored, judged, probability)
    alone = around(tuned(scored, np.zeros(len(judged)), probability).predicted)
    return Corrected(around(predicted), alone, float(judged.mean()), weight)


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
