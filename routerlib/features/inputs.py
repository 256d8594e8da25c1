"""Check and lay out what features are learnt from: prompts, outcomes, costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from routerlib.outcomes.outcomes import Outcomes

# Zero and near-zero costs have no useful logarithm.
_SMALLEST_COST_SHARE = 1e-3


def log_cost_usd(cost_usd: np.ndarray) -> np.ndarray:
    """Return natural logarithms of costs, finite for zero costs too.

    `cost_usd` (n_prompts, n_models): US dollars, at least 0; NaN = unknown.
    Returns shape (n_prompts, n_models): costs under a thousandth of the candidate's mean count
        as that; NaN stays NaN.

    >>> log_cost_usd(np.array([[1.0], [0.0], [np.nan]])).round(3).ravel()
    array([ 0.   , -7.601,    nan])
    """
    known = np.isfinite(cost_usd)
    means = np.where(known, cost_usd, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    floor = np.where(means > 0, means * _SMALLEST_COST_SHARE, 1.0)
    return np.log(np.maximum(cost_usd, floor))


def texts_of(prompts: Iterable[str]) -> list[str]:
    """Return prompts as a list of str, or say which one isn't.

    >>> texts_of(("a", "b"))
    ['a', 'b']
    """
    if isinstance(prompts, str):
        raise ValueError(f"prompts must be a list of texts, got one text {prompts[:40]!r}")
    texts = list(prompts)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"each prompt must be text, got {text!r} at position {position}; "
                "pass Prompt.text, and drop missing values"
            )
    return texts


def topics_of(topics: Sequence[str] | None, n_prompts: int) -> list[str] | None:
    """Return told topics as a list, one for each prompt; None = none are told."""
    if topics is None:
        return None
    if len(topics) != n_prompts:
        raise ValueError(f"topics must have one entry per prompt ({n_prompts}), got {len(topics)}")
    return list(topics)


def as_outcomes(texts: list[str], y: Any) -> Outcomes:
    """Take outcomes, or a table of qualities, as what is to be learnt of these prompts."""
    if isinstance(y, Outcomes):
        if len(y) != len(texts):
            raise ValueError(f"y must have one row per prompt ({len(texts)}), got {len(y)}")
        return y
    quality = np.asarray(y, dtype=float)
    quality = quality[:, np.newaxis] if quality.ndim == 1 else quality
    models = [f"m{arm}" for arm in range(quality.shape[1])]
    return Outcomes(texts, models, quality)
