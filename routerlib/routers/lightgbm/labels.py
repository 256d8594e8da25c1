"""Which candidate models have labels enough to learn from, and which is best by them."""

from __future__ import annotations

import numpy as np

from routerlib.outcomes.outcomes import Outcomes

# A candidate with fewer labels, and fewer than half of the most labelled one's, is estimated from
# what is expected of the others.
_FEW_LABELS = 100


def have_few_labels(quality: np.ndarray) -> np.ndarray:
    """Return which candidates have too few labels for trees of their own, shape (n_models,)."""
    n_labels = np.isfinite(quality).sum(axis=0)
    return np.asarray((n_labels < _FEW_LABELS) & (n_labels < n_labels.max() / 2))


def best_labels(outcomes: Outcomes) -> tuple[np.ndarray, list[str]]:
    """Return the rows that can be compared, and the best candidate's name on each."""
    n_seen = np.isfinite(outcomes.quality).sum(axis=1)
    rows = np.flatnonzero(n_seen == len(outcomes.models))
    if len(rows) == 0:
        rows = np.flatnonzero(n_seen == n_seen.max())
    quality = np.nan_to_num(outcomes.quality[rows], nan=-1.0)
    cost_usd = np.nan_to_num(outcomes.mean_cost_usd, nan=np.inf)
    best = np.lexsort((np.broadcast_to(cost_usd, quality.shape), -quality), axis=1)[:, 0]
    return rows, [outcomes.models[arm] for arm in best]
