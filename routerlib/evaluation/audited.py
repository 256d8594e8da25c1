"""Correct what a router is worth by a judge with what a person said of a random part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from routerlib.evaluation.bounds import Chosen
from routerlib.evaluation.contenders import TestedPrompts
from routerlib.evaluation.pseudo_outcomes import Corrected
from routerlib.evaluation.routing import TrainMeans
from routerlib.evaluation.verdict import Verdict
from routerlib.metrics.intervals import Interval
from routerlib.outcomes.audit import Audit
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Arms, Floats

# With fewer groups of drawn prompts a person's scores say too little of the judge.
MIN_DRAWN = 30
_BY_JUDGE = "All this is by this judge, whom no person has checked (routerlib audit)."
# A score from here on says that an answer is right rather than wrong.
_RIGHT = 0.5


class Agreement(NamedTuple):
    """How far a judge and a person say the same of the same answers.

    Attributes
    ----------
    n : int
        Answers that both scored.
    judged, scored : float
        Mean score by the judge and by the person; NaN without any.
    kappa : float
        Cohen's: 1 = always the same, 0 = as often as by chance, on right (0.5 or more) or wrong;
        NaN where both say only one of these.
    n_forgiven, n_blamed : int
        Wrong answers that the judge calls right, and right ones that it calls wrong.
    n_wrong : int
        Wrong answers, as the person says.
    """

    n: int
    judged: float
    scored: float
    kappa: float
    n_forgiven: int
    n_blamed: int
    n_wrong: int


def agreement(judged: Floats, scored: Floats) -> Agreement:
    """Compare the scores of a judge and of a person.

    Parameters
    ----------
    judged, scored : ndarray of any shape
        Of the same answers, in [0, 1]; NaN = none.

    Returns
    -------
    Agreement

    Examples
    --------
    >>> round(agreement(np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])).kappa, 2)
    0.4
    """
    from sklearn.metrics import cohen_kappa_score

    is_both = ~(np.isnan(judged) | np.isnan(scored))
    ours, theirs = judged[is_both], scored[is_both]
    n = len(ours)
    if not n:
        return Agreement(0, math.nan, math.nan, math.nan, 0, 0, 0)
    says, is_right = ours >= _RIGHT, theirs >= _RIGHT
    is_mixed = len(set(says) | set(is_right)) > 1
    return Agreement(
        n=n,
        judged=float(ours.mean()),
        scored=float(theirs.mean()),
        kappa=float(cohen_kappa_score(says, is_right)) if is_mixed else math.nan,
        n_forgiven=int((says & ~is_right).sum()),
        n_blamed=int((~says & is_right).sum()),
        n_wrong=int((~is_right).sum()),
    )


@dataclass(frozen=True)
class Audited:
    """What held-out prompts say once a judge is corrected by a person's random set.

    Parameters
    ----------
    n, n_drawn, n_drawn_groups : int
        Held-out prompts that could be drawn, those that were, and groups among these.
    n_blank : int
        Answers to drawn prompts that the person gave no score; they count at their worst.
    best_single : str
        Candidate model with the highest corrected quality; where none is better than the best
        single one on train, that.
    quality : dict of str to Corrected
        Per candidate model and of ``router``.
    difference : Corrected
        Quality of the router minus that of `best_single`.
    intervals : dict of str to Interval
        Against `best_single`: ``quality_difference``, ``gain_over_zero``, ``zero_difference``,
        ``saving``.
    share_of_best_single : float
        Share of prompts that the router sends to it.
    agreement : dict of str to Agreement
        Per candidate model, and ``all``.
    """

    n: int
    n_drawn: int
    n_drawn_groups: int
    n_blank: int
    best_single: str
    quality: Mapping[str, Corrected]
    difference: Corrected
    intervals: Mapping[str, Interval]
    share_of_best_single: float
    agreement: Mapping[str, Agreement]

    @property
    def sentence(self) -> str:
        """What the audit adds to a verdict, in words."""
        both = self.agreement["all"]
        blank = f", {self.n_blank} answers without a score at their worst" if self.n_blank else ""
        kappa = "" if math.isnan(both.kappa) else f"; kappa {both.kappa:.2f} on {both.n} answers"
        judged, alone = 100 * self.difference.judged, self.difference.alone
        return (
            f"Corrected by a person's scores of {self.n_drawn} of {self.n} held-out prompts, drawn "
            f"at random{blank}: by the judge alone the difference is {judged:.1f} points, by the "
            f"person alone {100 * alone.value:.1f} [{100 * alone.low:.1f}, {100 * alone.high:.1f}]"
            f"{kappa}."
        )


@dataclass(frozen=True, eq=False)
class Auditor:
    """A person's scores of held-out prompts, and what they are to be compared with.

    `audit`: None = there is none, or too little of one.
    `answered` (n_tested, n_models): what the judge said of the tested prompts; NaN = nothing.
    `train`: by which the best single model was chosen; corrected by the audit.
    `n_drawn_groups`: independent held-out prompts that a person scored; None = no audit.
    """

    audit: Audit | None
    tested: TestedPrompts
    answered: Floats
    train: TrainMeans
    n_bootstrap: int
    random_state: int
    n_drawn_groups: int | None = None

    @classmethod
    def of(
        cls,
        audit: Audit | None,
        test: Outcomes,
        everything: Outcomes,
        tested: TestedPrompts,
        train: TrainMeans,
        bootstrap: tuple[int, int],
    ) -> Auditor:
        """Look what of an audit concerns held-out prompts.

        `everything`: the prompts of `test`, failed calls as quality 0 where they are known.
        """
        held = (tested, test.quality[tested.kept], train, *bootstrap)
        if audit is None:
            return cls(None, *held)
        audit = _with_failures(audit, test, everything)
        rows, drawn = audit.beside(tested.outcomes)
        n_groups = len(np.unique(tested.outcomes.groups[rows][drawn.is_drawn]))
        if n_groups < MIN_DRAWN:
            return cls(None, *held, n_groups)
        found = cls(audit, *held, n_groups)
        return replace(found, train=train._replace(strong=found._best_single()))

    @property
    def has_other_best(self) -> bool:
        """Whether a person's scores name another best single model than training did."""
        return self.train.strong != self.tested.outcomes.models[self.tested.strong]

    def told(self, verdict: Verdict, audited: Audited | None) -> Verdict:
        """Say in a verdict by whom it is, and how a person would be heard."""
        if audited is not None:
            numbers = {
                **verdict.numbers,
                "n_drawn": audited.n_drawn,
                "quality_difference_by_judge": audited.difference.judged,
            }
            return replace(verdict, notes=(*verdict.notes, audited.sentence), numbers=numbers)
        notes = [*verdict.notes, _BY_JUDGE]
        if self.n_drawn_groups is not None:
            notes.append(
                f"A person has scored a random part with {self.n_drawn_groups} independent "
                f"held-out prompts, and {MIN_DRAWN} are needed (routerlib audit)."
            )
        return replace(verdict, notes=tuple(notes))

    def _chosen(self, arms: Arms) -> Chosen:
        tested = self.tested
        return Chosen(
            tested.outcomes,
            tested.quality,
            tested.cost_usd,
            arms,
            tested.has_costs,
            self.n_bootstrap,
            self.random_state,
            self.audit,
        )

    def _best_single(self) -> str:
        """Find the candidate whose corrected quality is highest.

        It is chosen on the prompts that it is compared on, which flatters it and not the router.
        """
        models = self.tested.outcomes.models
        single = self._chosen(np.full(len(self.tested), self.tested.strong))
        ahead = [
            single.contrast(_share(len(self.tested), len(models), arm, self.tested.strong)).value
            for arm in range(len(models))
        ]
        return models[self.tested.strong if max(ahead) <= 0 else int(np.argmax(ahead))]

    def measure(self, arms: Arms) -> Audited | None:
        """Correct what some choices are worth; None without an audit.

        `arms` (n_tested,): column chosen on each tested prompt.
        """
        if self.audit is None:
            return None
        chosen, models = self._chosen(arms), self.tested.outcomes.models
        best = self.tested.best_arms
        if self.has_other_best:
            best = np.full(len(self.tested), models.index(self.train.strong))
        rows, drawn = self.audit.beside(self.tested.outcomes)
        n, n_models = self.tested.quality.shape
        shares = np.eye(n_models)[arms]
        singles = {name: _share(n, n_models, arm) for arm, name in enumerate(models)}
        scored = np.where(drawn.is_drawn[:, None], drawn.quality, np.nan)
        judged = self.answered[rows]
        return Audited(
            n=len(rows),
            n_drawn=drawn.n_drawn,
            n_drawn_groups=len(np.unique(self.tested.outcomes.groups[rows][drawn.is_drawn])),
            n_blank=int(np.isnan(drawn.quality[drawn.is_drawn]).sum()),
            best_single=self.train.strong,
            quality={
                name: _joined(*chosen.corrected(each))
                for name, each in {**singles, "router": shares}.items()
            },
            difference=_joined(*chosen.corrected(shares - np.eye(n_models)[best])),
            intervals=chosen.bounds(best, self.train),
            share_of_best_single=float((arms == best).mean()),
            agreement={
                "all": agreement(judged, scored),
                **{
                    name: agreement(judged[:, arm], scored[:, arm])
                    for arm, name in enumerate(models)
                },
            },
        )


def _share(n: int, n_models: int, arm: int, less: int | None = None) -> Floats:
    one = np.eye(n_models)
    return np.tile(one[arm] - (0 if less is None else one[less]), (n, 1))


def _joined(worst: Corrected, best: Corrected) -> Corrected:
    """Reach from the worst that answers without a score can be to the best."""
    return Corrected(
        Interval.from_to(worst.interval, best.interval),
        Interval.from_to(worst.alone, best.alone),
        (worst.judged + best.judged) / 2,
        min(worst.weight, best.weight),
    )


def _with_failures(audit: Audit, test: Outcomes, everything: Outcomes) -> Audit:
    """Count calls that are known to have failed as wrong by the person too."""
    rows, own = audit.beside(test)
    is_failed = np.isnan(test.quality[rows]) & (everything.quality[rows] == 0)
    return replace(own, quality=np.where(is_failed & own.is_drawn[:, None], 0.0, own.quality))
