"""Log loss of what routers expect, and the interval of a mean over prompts."""

from __future__ import annotations

import numpy as np

from routerlib.metrics.intervals import cluster_weights

N_DRAWS = 1000


def log_losses(expected: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Return the log loss of each prompt, the mean over candidates that were observed.

    `expected, quality` (n_prompts, n_models): in [0, 1]; quality NaN where it was not observed.
    """
    kept = np.clip(expected, 1e-6, 1 - 1e-6)
    losses = -(quality * np.log(kept) + (1 - quality) * np.log(1 - kept))
    return np.asarray(np.nanmean(losses, axis=1))


def with_interval(values: np.ndarray, groups: np.ndarray) -> str:
    """Return a mean in words with its 95 % bootstrap interval, groups drawn whole."""
    means = [block @ values / block.sum(axis=1) for block in cluster_weights(groups, N_DRAWS, 0)]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return f"{values.mean():+.5f} [{low:+.5f}, {high:+.5f}]"
