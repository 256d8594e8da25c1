"""Tell whether what comes in now still looks like what the router was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from routerlib.evaluation.misjudged import MIN_ANSWERS, Misjudged, judge_estimates
from routerlib.evaluation.shifted import (
    drawn_rows,
    look_of_many,
    share_drawn,
    shifted_features,
)
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.brief import n_of
from routerlib.records.canonical import tagged_hash
from routerlib.routers.router import Router

if TYPE_CHECKING:
    import pandas as pd

_LEVEL = 0.05
# Share of the level that is spent on prompts; the rest is the candidates'.
_SHARE_OF_FEATURES = 0.1
# Estimates hold on changed prompts where a larger mean error is excluded.
_TOLERATED = 0.1
_MIN_PROMPTS = MIN_ANSWERS
_N_NAMED = 3


@dataclass(frozen=True)
class Drift:
    """What has changed since the router was trained.

    Parameters
    ----------
    features : DataFrame, index feature
        psi (population stability index), p_value (at all looks together), before and now (means),
        is_shifted; the most shifted first.
    calibration : DataFrame, index model
        expected and observed (mean quality), error (observed - expected) with error_low and
        error_high, which hold at all looks together, n (scored answers since training), n_since
        (those that the error is about: all, or those since it changed), is_misjudged, and to_do:
        ``retrain`` (worse than estimated), ``recalibrate`` (better than estimated), ``nothing``
        or ``judge more``.
    n_before, n_now : int
        Training prompts found, and recent prompts.
    reasons : tuple of str
        Why to retrain or recalibrate; empty when there is no reason.
    notes : tuple of str
        What is worth knowing and no reason.
    """

    features: pd.DataFrame
    calibration: pd.DataFrame
    n_before: int
    n_now: int
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def to_do(self) -> str:
        """In a word: ``retrain``, ``recalibrate``, ``nothing`` or ``wait``."""
        if self.n_now < _MIN_PROMPTS or self.n_before < _MIN_PROMPTS:
            return "wait"
        if not self.reasons:
            return "nothing"
        is_better = self.calibration.to_do == "recalibrate"
        return "recalibrate" if is_better.sum() == len(self.reasons) else "retrain"

    @property
    def sentence(self) -> str:
        """In words, whether to retrain."""
        recent, learnt = n_of(self.n_now, "recent prompts"), n_of(self.n_before, "training prompts")
        compared = f"{recent} against {learnt}"
        told = "".join(f" {note[0].upper()}{note[1:]}." for note in self.notes)
        if not self.n_now:
            return f"Nothing with a score has come in since training ({compared})."
        if self.to_do == "wait":
            return f"Too few prompts to tell ({compared}): {self._lacking}."
        if self.to_do == "nothing":
            return (
                f"No reason to retrain: {compared}, nothing has changed for the worse beyond "
                f"chance.{told}"
            )
        why = f"{self.to_do.capitalize()}: {'; '.join(self.reasons)} ({compared}).{told}"
        if self.to_do == "recalibrate":
            return (
                f"{why} Nothing is lost in quality by that, but a cheaper choice may be missed: "
                "retrain when there is time."
            )
        return why

    @property
    def _lacking(self) -> str:
        """What has to come in before anything can be told."""
        if self.n_before < _MIN_PROMPTS:
            return f"the router has to learn from {_MIN_PROMPTS} at least, so train it again"
        n = n_of(_MIN_PROMPTS - self.n_now, "more prompts")
        return f"ask again once {n} came in and were judged"


def since_training(router: Router, outcomes: Outcomes) -> Outcomes:
    """Leave out what the log held already when a router was trained, and it hasn't learnt from.

    Prompts that were held out of training, asked before the last one that was learnt from, tell
    nothing of a change since.

    `outcomes`: all that was observed, in the order of logging.
    """
    seen = set(router.train_prompt_ids_)
    is_seen = np.array([key in seen for key in outcomes.prompt_ids], dtype=bool)
    if not is_seen.any():
        return outcomes
    return outcomes.take(is_seen | (np.arange(len(outcomes)) > np.flatnonzero(is_seen)[-1]))


def measure_drift(
    router: Router, outcomes: Outcomes, n_recent: int | None = None, alpha: float = _LEVEL
) -> Drift:
    """Compare recent prompts and outcomes with those that a router was trained on.

    Look as often as you like, daily say: the chance of an alarm without a change is that of all
    looks together.

    Parameters
    ----------
    router : Router
        Fitted; it remembers its training prompts, and its errors out of fold.
    outcomes : Outcomes
        All that was observed, in the order of logging, of the router's candidates.
    n_recent : int or None, default=None
        Only the latest so many prompts that the router was not trained on; None = all of them,
        for which alone `alpha` is promised.
    alpha : float, default=0.05
        Chance, over all features, candidates and looks together, of a reason where nothing has
        changed.

    Returns
    -------
    Drift

    Raises
    ------
    ValueError
        If it isn't outcomes that came, but a log.

    Notes
    -----
    Expected of a candidate is what such estimates meant out of fold when the router was trained,
    so that other prompts are no drift of a candidate where estimates account for them. The bound
    of the error holds the uncertainty of that expectation too, and holds at all looks (normal
    mixture of Howard et al. 2021, see `routerlib.metrics.sequences`); a change is looked for from
    every hundredth answer on. Prompts are compared once 40 are there and each time that they have
    doubled: a feature counts as shifted where the index reaches 0.2 and chance explains it with a
    probability under a tenth of ``alpha``, divided by features and looks. That alone is a reason
    only until enough answers show that the estimates hold on the new prompts. Of more than 20,480
    prompts 10,240 to 20,480 are drawn at random, by their ids, to compare features and to find
    near-duplicates; answers count all.

    Examples
    --------
    >>> from routerlib.routers.rivals import KNNRouter
    >>> from routerlib.outcomes.worlds import make_world
    >>> outcomes = make_world(n_prompts=240, seed=2).outcomes
    >>> router = KNNRouter().fit(outcomes.take(range(160)))
    >>> measure_drift(router, outcomes).sentence
    'No reason to retrain: 80 recent prompts against 160 training prompts, nothing has changed ...
    """
    if not isinstance(outcomes, Outcomes):
        raise ValueError(
            f"outcomes must be Outcomes, got {type(outcomes).__name__}; "
            "of a log: rl.Outcomes.from_log(log)"
        )
    seen = set(router.train_prompt_ids_)
    is_seen = np.array([key in seen for key in outcomes.prompt_ids], dtype=bool)
    now = _in_order(is_seen, outcomes)[-n_recent if n_recent else 0 :]
    before, recent = outcomes.take(is_seen), outcomes.take(now)
    del outcomes  # millions of prompts needn't be held twice
    drawn = drawn_rows(recent, share_drawn(len(recent)))
    features = shifted_features(
        before.take(drawn_rows(before, share_drawn(len(before)))),
        recent.take(drawn),
        alpha * _SHARE_OF_FEATURES,
        look_of_many(len(recent), drawn),
    )
    is_part = len(drawn) < len(recent)
    judged = judge_estimates(
        router, recent, alpha * (1 - _SHARE_OF_FEATURES), drawn if is_part else None
    )
    if min(len(before), len(recent)) < _MIN_PROMPTS:
        return Drift(features, _calibration(judged), len(before), len(recent), ())
    shifts = _feature_reasons(features)
    hold = len(judged) == len(router.models_) and all(map(_is_shown_to_hold, judged.values()))
    notes = [f"{shift}, and the estimates hold for them" for shift in shifts] if hold else []
    if is_part:
        notes.append(
            f"features and near-duplicates are those of {len(drawn):,} prompts drawn at random"
        )
    if router.held_out_errors_ is None:
        notes.append(
            "the router keeps no errors out of fold, so wider bounds are assumed: it was fitted "
            "at a given cost weight or by an older version"
        )
    reasons = (*([] if hold else shifts), *_calibration_reasons(judged))
    return Drift(features, _calibration(judged), len(before), len(recent), reasons, tuple(notes))


def _in_order(is_seen: np.ndarray, outcomes: Outcomes) -> np.ndarray:
    """Return the rows not learnt from; those among the learnt ones first, in no order of topics.

    What was held out at random stands in the order of its file, by topic often, which is no
    order of time.
    """
    unseen = np.flatnonzero(~is_seen)
    if not is_seen.any():
        return unseen
    is_among = unseen < np.flatnonzero(is_seen)[-1]
    among = sorted(unseen[is_among], key=lambda row: tagged_hash(outcomes.prompt_ids[row]))
    return np.array([*among, *unseen[~is_among]], dtype=int)


def _is_shown_to_hold(judged: Misjudged) -> bool:
    error = judged.error
    return judged.n >= _MIN_PROMPTS and error.low > -_TOLERATED and error.high < _TOLERATED


def _calibration(judged: Mapping[str, Misjudged]) -> pd.DataFrame:
    import pandas as pd

    rows = {
        name: {
            "expected": each.expected,
            "observed": each.observed,
            **each.error.columns("error"),
            "n": each.n,
            "n_since": each.n_since,
            "is_misjudged": each.is_misjudged,
            "to_do": each.to_do,
        }
        for name, each in judged.items()
    }
    columns = ["expected", "observed", "error", "error_low", "error_high", "n", "n_since"]
    columns += ["is_misjudged", "to_do"]
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


def _calibration_reasons(judged: Mapping[str, Misjudged]) -> list[str]:
    return [
        f"{name} is {'worse' if each.error.value < 0 else 'better'} than estimated by "
        f"{abs(each.error.value):.2f} [{min(abs(each.error.low), abs(each.error.high)):.2f}, "
        f"{max(abs(each.error.low), abs(each.error.high)):.2f}] on {_answers(each)}"
        for name, each in judged.items()
        if each.is_misjudged
    ]


def _answers(judged: Misjudged) -> str:
    if judged.n_since == judged.n:
        return f"{judged.n} prompts"
    return f"the last {judged.n_since} of {judged.n} prompts"
