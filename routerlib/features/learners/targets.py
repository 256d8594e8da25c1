"""What the simpler learners learn, and what they say of the training prompts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Targets(NamedTuple):
    """What the simpler learners learn.

    `quality` (n_prompts, n_models): in [0, 1]; NaN = not observed.
    `log_cost` (n_prompts, n_costed): of the candidates with known cost; NaN = unknown.
    `labels` (n_prompts,): topic or cluster.
    `start`: the topic learner's estimates of quality, which the network adds to; None = there
        are none.
    """

    quality: np.ndarray
    log_cost: np.ndarray
    labels: np.ndarray
    are_topics: bool
    start: Estimated | None = None


class Estimated(NamedTuple):
    """Estimates of training prompts, out of fold.

    Attributes
    ----------
    detected, told : ndarray of shape (n_prompts, n_columns)
        With the topic detected, and with the topic told where it is known.
    """

    detected: np.ndarray
    told: np.ndarray
