"""Tell whether what comes in now still looks like what the router was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from routerlib.features.names import readable_name
from routerlib.features.surface import SURFACE_NAMES, surface_features
from routerlib.features.tasks import detect_task
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats
from routerlib.records.prompt import TASKS
from routerlib.routers.router import Router

if TYPE_CHECKING:
    import pandas as pd

_N_BINS = 10
# The usual reading of the index: under 0.1 stable, from 0.2 on another population.
_SHIFTED = 0.2
_LEVEL = 0.05
# A mean error of the estimates that can change decisions.
_MISJUDGED = 0.05
_MIN_PROMPTS = 30
_EMPTY_COUNT = 0.5
_N_NAMED = 3


@dataclass(frozen=True)
class Drift:
    """What has changed since the router was trained.

    Parameters
    ----------
    features : DataFrame, index feature
        psi (population stability index), p_value, before and now (means), is_shifted; the most
        shifted first.
    calibration : DataFrame, index model
        expected and observed (mean quality), error (observed - expected) with error_low and
        error_high (95 %), n, is_misjudged.
    n_before, n_now : int
        Training prompts found, and recent prompts.
    reasons : tuple of str
        Why to retrain; empty when there is no reason.
    """

    features: pd.DataFrame
    calibration: pd.DataFrame
    n_before: int
    n_now: int
    reasons: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """In words, whether to retrain."""
        compared = f"{self.n_now} recent prompts against {self.n_before} training prompts"
        if self.n_now < _MIN_PROMPTS or self.n_before < _MIN_PROMPTS:
            return f"Too few prompts to tell ({compared}; {_MIN_PROMPTS} of each are needed)."
        if not self.reasons:
            return f"No reason to retrain: {compared}, nothing has shifted beyond chance."
        return f"Retrain: {'; '.join(self.reasons)} ({compared})."


def measure_drift(
    router: Router, outcomes: Outcomes, n_recent: int | None = None, alpha: float = _LEVEL
) -> Drift:
    """Compare recent prompts and outcomes with those that a router was trained on.

    Parameters
    ----------
    router : Router
        Fitted; it remembers its training prompts.
    outcomes : Outcomes
        All that was observed, in the order of logging, of the router's candidates.
    n_recent : int or None, default=None
        Only the latest so many prompts that the router was not trained on; None = all of them.
    alpha : float, default=0.05
        Chance, over all features or candidates together, of seeing a shift where there is none.

    Returns
    -------
    Drift

    Notes
    -----
    The index of two samples of one population isn't 0: scaled by ``n m / (n + m)`` it is nearly
    chi-squared with one degree of freedom fewer than bins. A feature counts as shifted where the
    index reaches 0.2 and chance explains it with a probability under ``alpha`` over the number of
    features (Bonferroni).

    Examples
    --------
    >>> from routerlib.routers.rivals import KNNRouter
    >>> from routerlib.outcomes.worlds import make_world
    >>> outcomes = make_world(n_prompts=240, seed=2).outcomes
    >>> router = KNNRouter().fit(outcomes.take(range(160)))
    >>> measure_drift(router, outcomes).sentence
    'No reason to retrain: 80 recent prompts against 160 training prompts, nothing has shifted ...
    """
    seen = set(router.train_prompt_ids_)
    is_seen = np.array([key in seen for key in outcomes.prompt_ids], dtype=bool)
    now = np.flatnonzero(~is_seen)[-n_recent if n_recent else 0 :]
    before = outcomes.take(is_seen)
    recent = outcomes.take(now)
    features = _features(before.prompts, recent.prompts, alpha)
    calibration = _calibration(router, recent, alpha)
    enough = min(len(before), len(recent)) >= _MIN_PROMPTS
    reasons = (*_feature_reasons(features), *_calibration_reasons(calibration)) if enough else ()
    return Drift(features, calibration, len(before), len(recent), reasons)


def _stability(before: Floats, now: Floats, n_bins: int) -> tuple[float, float]:
    """Return the index, and the probability of one as large by chance."""
    from scipy.stats import chi2

    inner = np.unique(
        np.quantile(before, np.linspace(0, 1, n_bins + 1)[1:-1], method="inverted_cdf")
    )
    counts = [
        np.bincount(np.searchsorted(inner, sample, side="left"), minlength=len(inner) + 1)
        + _EMPTY_COUNT
        for sample in (before, now)
    ]
    p, q = (count / count.sum() for count in counts)
    index = float(((q - p) * np.log(q / p)).sum())
    scaled = index * len(before) * len(now) / (len(before) + len(now))
    return index, float(chi2.sf(scaled, max(len(inner), 1)))


def _features(before: Sequence[str], now: Sequence[str], alpha: float) -> pd.DataFrame:
    import pandas as pd

    columns = ["psi", "p_value", "before", "now", "is_shifted"]
    if not before or not now:
        return pd.DataFrame(columns=columns, index=pd.Index([], name="feature"))
    old, new = _numbers(before), _numbers(now)
    names = [*SURFACE_NAMES, *(f"task_{task}" for task in TASKS)]
    varying = [i for i in range(len(names)) if np.ptp(np.concatenate([old[:, i], new[:, i]])) > 0]
    rows = {}
    for column in varying:
        index, p_value = _stability(old[:, column], new[:, column], _N_BINS)
        rows[readable_name(names[column])] = {
            "psi": index,
            "p_value": p_value,
            "before": float(old[:, column].mean()),
            "now": float(new[:, column].mean()),
            "is_shifted": bool(index >= _SHIFTED and p_value < alpha / len(varying)),
        }
    frame = pd.DataFrame(rows, index=columns).T.infer_objects()
    frame.index.name = "feature"
    return frame.sort_values(["is_shifted", "psi"], ascending=False)


def _numbers(prompts: Sequence[str]) -> Floats:
    tasks = np.array([TASKS.index(detect_task(text)) for text in prompts])
    is_task = (tasks[:, None] == np.arange(len(TASKS))).astype(float)
    return np.hstack([surface_features(list(prompts)), is_task])


def _calibration(router: Router, recent: Outcomes, alpha: float) -> pd.DataFrame:
    import pandas as pd
    from scipy.stats import t

    rows = {}
    expected = router.predict(recent.prompts).quality
    for arm, name in enumerate(router.models_):
        observed = recent.quality[:, recent.models.index(name)]
        known = np.isfinite(observed) & np.isfinite(expected[:, arm])
        if known.sum() < 2:
            continue
        errors = observed[known] - expected[known, arm]
        n = len(errors)
        # One unseen surprise, as in `intervals.widen_for_unseen`.
        se = float(np.sqrt((((errors - errors.mean()) ** 2).sum() + 1) / n / (n - 1)))
        half, wide = (
            float(t.ppf(1 - a / 2, n - 1)) * se for a in (_LEVEL, alpha / expected.shape[1])
        )
        error = float(errors.mean())
        rows[name] = {
            "expected": float(expected[known, arm].mean()),
            "observed": float(observed[known].mean()),
            **Interval(error, error - half, error + half, se).columns("error"),
            "n": n,
            "is_misjudged": bool(
                n >= _MIN_PROMPTS and abs(error) >= _MISJUDGED and abs(error) > wide
            ),
        }
    columns = ["expected", "observed", "error", "error_low", "error_high", "n", "is_misjudged"]
    frame = pd.DataFrame(rows, index=columns).T.infer_objects()
    frame.index.name = "model"
    return frame


def _feature_reasons(features: pd.DataFrame) -> list[str]:
    shifted = features[features.is_shifted.astype(bool)]
    if shifted.empty:
        return []
    named = [
        f"{name} (index {row.psi:.2f}, mean {row.before:.3g} then, {row.now:.3g} now)"
        for name, row in shifted.head(_N_NAMED).iterrows()
    ]
    more = f" and {len(shifted) - _N_NAMED} more" if len(shifted) > _N_NAMED else ""
    return [f"prompts have changed in {', '.join(named)}{more}"]


def _calibration_reasons(calibration: pd.DataFrame) -> list[str]:
    return [
        f"{name} is {'worse' if row.error < 0 else 'better'} than estimated by "
        f"{abs(row.error):.2f} [{min(abs(row.error_low), abs(row.error_high)):.2f}, "
        f"{max(abs(row.error_low), abs(row.error_high)):.2f}] on {int(row.n)} prompts"
        for name, row in calibration[calibration.is_misjudged.astype(bool)].iterrows()
    ]
