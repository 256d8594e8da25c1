"""Ridge regressions by sums of folds are those of all rows, whatever was observed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from routerlib.features.learners.linear import LinearFit, observed_means

PENALTIES = np.geomspace(0.05, 100, 10)


def table(missing: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw columns far from the origin, targets of which some are missing, and folds."""
    rng = np.random.default_rng(1)
    columns = (rng.standard_normal((600, 12)) * 0.2 + 3).astype(np.float32)
    targets = columns @ rng.standard_normal((12, 4)) + rng.standard_normal((600, 4))
    targets[rng.random(600) < missing, 1:3] = np.nan
    return columns, targets, rng.integers(4, size=600)


def expected(columns: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return predictions out of fold by scikit-learn, shape (n_penalties, n_rows, n_targets)."""
    found = np.zeros((len(PENALTIES), *targets.shape))
    for column, wanted in enumerate(targets.T):
        seen = np.isfinite(wanted)
        for fold in np.unique(folds):
            out = folds == fold
            drift = wanted[seen].mean() - wanted[seen & ~out].mean()
            for at, penalty in enumerate(PENALTIES):
                fit = Ridge(penalty).fit(columns[seen & ~out].astype(float), wanted[seen & ~out])
                found[at, out, column] = fit.predict(columns[out].astype(float)) + drift
    return found


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_predictions_out_of_fold_are_those_of_fits_without_the_fold(missing: float) -> None:
    columns, targets, folds = table(missing)
    by_penalty = expected(columns, targets, folds)
    best = int(np.argmin(np.nansum((by_penalty - targets) ** 2, axis=(1, 2))))
    fit, held_out = LinearFit.fit_out_of_fold(columns, targets, folds)
    np.testing.assert_allclose(held_out, by_penalty[best], rtol=0, atol=1e-9)
    for column, wanted in enumerate(targets.T):
        seen = np.isfinite(wanted)
        whole = Ridge(PENALTIES[best]).fit(columns[seen].astype(float), wanted[seen])
        np.testing.assert_allclose(fit.slopes[:, column], whole.coef_, rtol=0, atol=1e-6)


def test_a_target_that_was_hardly_observed_is_its_mean() -> None:
    columns, targets, folds = table(0.0)
    targets[1:, 0], targets[:, 3] = np.nan, np.nan
    fit, held_out = LinearFit.fit_out_of_fold(columns, targets, folds)
    assert fit.slopes[:, [0, 3]].tolist() == [[0.0, 0.0]] * 12
    np.testing.assert_allclose(fit.constants[[0, 3]], observed_means(targets)[[0, 3]])
    assert np.isfinite(held_out).all()
