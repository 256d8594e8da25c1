"""Allow for decisions without a verdict: who has one, since when, and what the others could be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from routerlib.evaluation.pseudo_outcomes import probability_observed
from routerlib.log.choices import LoggedChoices
from routerlib.records.arrays import Floats

# How decisions without a verdict are taken: at their worst and best, or like others that have one.
Silent = Literal["worst", "like others"]

# The log is looked at in so many parts to find where verdicts are still coming in.
_N_PARTS = 10
# A part with a rate so many standard errors below that of all before it is still open.
_STILL_OPEN = 3.0
_THIRDS = ("low", "middle", "high")


class Feedback(NamedTuple):
    """How many decisions have a verdict.

    Attributes
    ----------
    n : int
        Decisions.
    rate : float
        Share with a verdict, in [0, 1]; a conversation counts by its turns.
    by_arm : dict of str to float
        The same by the candidate that was chosen.
    by_estimate : dict of str to float
        The same where the chosen candidate's expected quality was low, middle and high (thirds);
        empty where nothing was estimated, or everywhere the same.
    """

    n: int
    rate: float
    by_arm: Mapping[str, float]
    by_estimate: Mapping[str, float]

    @classmethod
    def of(cls, logged: LoggedChoices) -> Feedback:
        """Count verdicts by arm and by what was expected."""
        heard = heard_share(logged)
        counts = np.bincount(logged.arms, minlength=len(logged.models))
        by_arm = np.bincount(logged.arms, weights=heard, minlength=len(logged.models))
        return cls(
            n=len(logged),
            rate=float(heard.mean()) if len(heard) else 0.0,
            by_arm={
                name: float(by_arm[arm] / counts[arm])
                for arm, name in enumerate(logged.models)
                if counts[arm]
            },
            by_estimate=_by_estimate(logged, heard),
        )

    def told(self) -> str:
        """Say how many have a verdict, by arm and by estimate.

        >>> Feedback(200, 0.5, {"small": 0.4, "large": 0.6}, {"low": 0.9, "high": 0.1}).told()
        'Verdicts on 50 % of 200 decisions (small 40 %, large 60 %; where the estimate was low 90 %,
         high 10 %)'
        """
        arms = ", ".join(f"{name} {100 * rate:.0f} %" for name, rate in self.by_arm.items())
        thirds = ", ".join(f"{name} {100 * rate:.0f} %" for name, rate in self.by_estimate.items())
        where = f"; where the estimate was {thirds}" if thirds else ""
        return f"Verdicts on {100 * self.rate:.0f} % of {self.n} decisions ({arms}{where})"


def heard_share(logged: LoggedChoices) -> Floats:
    """Return the share of each decision's turns that have a verdict, shape (n,)."""
    unheard = np.zeros(len(logged)) if logged.unheard is None else logged.unheard
    return np.where(np.isnan(logged.quality), 0.0, 1 - unheard)


def _by_estimate(logged: LoggedChoices, heard: Floats) -> dict[str, float]:
    if logged.estimates is None or len(heard) < len(_THIRDS):
        return {}
    expected = logged.estimates.quality[np.arange(len(logged)), logged.arms]
    edges = np.quantile(expected, [1 / 3, 2 / 3])
    third = np.searchsorted(edges, expected, side="left")
    return {
        name: float(heard[third == number].mean())
        for number, name in enumerate(_THIRDS)
        if (third == number).any() and (third != number).any()
    }


def ripe(logged: LoggedChoices) -> LoggedChoices:
    """Leave out the latest decisions where verdicts are still coming in.

    When a decision was made says nothing of how good the answer was, whether a verdict came early
    may well: an angry user is quick.
    """
    heard = heard_share(logged)
    parts = np.array_split(np.arange(len(logged)), _N_PARTS)
    n_kept = len(parts)
    while n_kept > _N_PARTS // 2:
        before, last = heard[: parts[n_kept - 1][0]], heard[parts[n_kept - 1]]
        spread = np.sqrt(before.mean() * (1 - before.mean()) / max(len(last), 1))
        if not len(last) or before.mean() - last.mean() <= _STILL_OPEN * max(spread, 1e-9):
            break
        n_kept -= 1
    if n_kept == len(parts):
        return logged
    rows = np.concatenate(parts[:n_kept])
    return logged.take(rows, left_out={"verdicts are still coming in": len(logged) - len(rows)})


class Ends(NamedTuple):
    """What each decision's quality may have been, shape (n,) each, in [0, 1]."""

    lowest: Floats
    highest: Floats


def ends_of(logged: LoggedChoices) -> Ends:
    """Bound the quality of each decision by what its missing verdicts can be.

    Manski (1990), Nonparametric bounds on treatment effects, American Economic Review 80.
    """
    heard = heard_share(logged)
    known = np.where(heard > 0, logged.quality, 0.0) * heard
    return Ends(known, known + 1 - heard)


def probability_of_verdict(logged: LoggedChoices, groups: np.ndarray) -> Floats:
    """Estimate from candidate and estimate how likely a verdict was, out of fold, shape (n,)."""
    is_arm = (logged.arms[:, None] == np.arange(len(logged.models))).astype(float)
    columns = [is_arm, np.log1p([[len(prompt)] for prompt in logged.prompts])]
    if logged.estimates is not None:
        quality = logged.estimates.quality  # 0.5 of whom a decision wasn't between: nothing known
        columns.append(np.where(np.isnan(quality), 0.5, quality))
    seen = probability_observed(logged.quality[:, None], np.hstack(columns), groups)
    return seen.probability[:, 0]
