"""What else the field does once an answer is there, with the same `replay`.

All but one go from a cheap model to a dear one: they ask the cheap one, look at one number that
tells how good its answer is, and ask the dear one where that lies under a threshold. The threshold
is chosen on train, for each cost weight anew.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np

from routerlib.features.answers.results import result_of
from routerlib.features.learners.log_odds import sigmoid
from routerlib.outcomes.answers import Said
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.utility import utility
from routerlib.records.arrays import Floats
from routerlib.routers.cascades.cascade import Cascade
from routerlib.routers.cascades.judgement import AnswerJudgement, answers_of, of_router
from routerlib.routers.cascades.planned import PlannedBench
from routerlib.routers.cascades.replay import NOBODY, Bench, Followed, Replay, replay_of

# Thresholds that are tried: quantiles of the training scores.
_N_THRESHOLDS = 64


class CheapThenDear(ABC):
    """Ask the cheap model, and the dear one where the cheap answer's score is low.

    Parameters
    ----------
    cheap, dear : str
        Candidate models.

    Attributes
    ----------
    models_ : tuple of str
        Candidate names, as of the outcomes that it was fitted on.
    """

    name: ClassVar[str]
    # The prompts looked at last: at each cost weight their scores are the same.
    _looked_at: Outcomes | None = None
    _seen: Floats

    def __init__(self, cheap: str, dear: str) -> None:
        self.cheap, self.dear = cheap, dear

    @abstractmethod
    def _score(self, outcomes: Outcomes) -> Floats:
        """Return how good each cheap answer seems, shape (n_prompts,); NaN = not known."""

    def _further_usd(self, outcomes: Outcomes) -> Floats:
        """Return what finding out the score costs beside the cheap call, US dollars."""
        return np.zeros(len(outcomes))

    def _learn(self, outcomes: Outcomes) -> Floats:
        """Learn the score, and return that of the training prompts, out of fold."""
        return self._score(outcomes)

    def fit(self, outcomes: Outcomes) -> Self:
        """Keep what thresholds gave on train.

        Parameters
        ----------
        outcomes : Outcomes
            With `answers`.

        Returns
        -------
        CheapThenDear
            This object.
        """
        self.models_ = tuple(outcomes.models)
        self._looked_at = None
        scores = self._learn(outcomes)
        cells = self._pair(outcomes)
        known = np.isfinite(np.column_stack([*cells, scores])).all(axis=1)
        quality, cheap_usd, dear_quality, dear_usd = (each[known] for each in cells)
        further = self._further_usd(outcomes)[known]
        scores = scores[known]
        shares = np.linspace(0, 1, _N_THRESHOLDS)
        inner = np.quantile(scores, shares) if len(scores) else np.zeros(0)
        self._thresholds = np.unique(np.concatenate([[-np.inf], inner, [np.inf]]))
        goes_on = scores[None, :] < self._thresholds[:, None]
        self._quality = np.where(goes_on, dear_quality, quality).mean(axis=1)
        usd = cheap_usd + further + np.where(goes_on, dear_usd, 0.0)
        self._cost_usd = usd.mean(axis=1)
        return self

    def replay(self, outcomes: Outcomes, *, cost_weight: float) -> Replay:
        """Follow the rule over prompts whose answers were logged, all calls paid.

        Parameters
        ----------
        outcomes : Outcomes
            With `answers`.
        cost_weight : float
            Quality given up per US dollar saved, at least 0; it chooses the threshold.

        Returns
        -------
        Replay
            ``quality``, ``cost_usd``, ``asked`` and ``given`` of each prompt.
        """
        best = int(np.argmax(utility(self._quality, self._cost_usd, cost_weight)))
        return self.replay_at(outcomes, float(self._thresholds[best]), cost_weight)

    def replay_at(self, outcomes: Outcomes, threshold: float, cost_weight: float = 0.0) -> Replay:
        """Follow the rule at a threshold of the score.

        Parameters
        ----------
        outcomes : Outcomes
            With `answers`.
        threshold : float
            The dear model is asked where the score lies under it, or isn't known.
        cost_weight : float, default=0.0
            Told in the replay, no more.

        Returns
        -------
        Replay
            As of `replay`.
        """
        if self._looked_at is not outcomes:
            self._looked_at, self._seen = outcomes, self._score(outcomes)
        scores = self._seen
        goes_on = ~(scores >= threshold) if threshold > -np.inf else np.zeros(len(scores), bool)
        cheap, dear = (outcomes.models.index(name) for name in (self.cheap, self.dear))
        order = np.column_stack(
            [np.full(len(scores), cheap), np.where(goes_on, dear, NOBODY)]
        ).astype(np.intp)
        followed = Followed(order, np.where(goes_on, dear, cheap).astype(np.intp))
        replay = replay_of(followed, outcomes, cost_weight)
        return replay.with_further(self._further_usd(outcomes))

    def _pair(self, outcomes: Outcomes) -> tuple[Floats, Floats, Floats, Floats]:
        cheap, dear = (outcomes.models.index(name) for name in (self.cheap, self.dear))
        quality, cost_usd = outcomes.quality, outcomes.cost_usd
        return quality[:, cheap], cost_usd[:, cheap], quality[:, dear], cost_usd[:, dear]


class AlwaysDear(CheapThenDear):
    """Ask the cheap model, then the dear one, always: what a cascade costs that never looks."""

    name = "always cheap, then dear"

    def _score(self, outcomes: Outcomes) -> Floats:
        return np.zeros(len(outcomes))

    def replay(self, outcomes: Outcomes, *, cost_weight: float) -> Replay:
        """Ask both, whatever money is worth.

        Parameters
        ----------
        outcomes : Outcomes
            With `answers`.
        cost_weight : float
            Told in the replay, no more.

        Returns
        -------
        Replay
            The dear model's answers.
        """
        return self.replay_at(outcomes, np.inf, cost_weight)


class LogprobThreshold(CheapThenDear):
    """Look at the mean log-probability of the cheap answer, or another number of it.

    Parameters
    ----------
    cheap, dear : str
        Candidate models.
    number : str, default="mean"
        Which of the kept numbers.
    """

    name = "log-probability"

    def __init__(self, cheap: str, dear: str, number: str = "mean") -> None:
        super().__init__(cheap, dear)
        self.number = number

    def _score(self, outcomes: Outcomes) -> Floats:
        return numbers_of(outcomes, self.cheap, self.number)


class CalibratedMargin(CheapThenDear):
    """Look at the margin between the first two tokens, made a probability by isotonic regression.

    Its order is that of the margin; the threshold is where the dear model's mean quality lies
    above, so nothing but calibration is learnt (UCCI, arXiv:2605.18796).
    """

    name = "token margin, isotonic"

    def _learn(self, outcomes: Outcomes) -> Floats:
        from sklearn.isotonic import IsotonicRegression

        margins = numbers_of(outcomes, self.cheap, "margin")
        quality = outcomes.quality[:, outcomes.models.index(self.cheap)]
        known = np.isfinite(margins) & np.isfinite(quality)
        if not known.any():
            raise ValueError(
                f"the answers of {self.cheap!r} have no log-probabilities; ask for them with "
                "logprobs: true in candidates.yaml"
            )
        self._scale = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        self._scale.fit(margins[known], quality[known])
        return self._score(outcomes)

    def _score(self, outcomes: Outcomes) -> Floats:
        margins = numbers_of(outcomes, self.cheap, "margin")
        known = np.isfinite(margins)
        scores = np.full(len(margins), np.nan)
        if known.any():
            scores[known] = self._scale.predict(margins[known])
        return scores


class Repeats(CheapThenDear):
    """Ask the cheap model several times, and look how many repeats agree with its answer.

    Parameters
    ----------
    cheap, dear : str
        Candidate models.
    repeats : mapping of str to sequence of str
        By prompt id, further answers of the cheap model; each costs what its first one did.
    """

    name = "agreement of repeats"

    def __init__(self, cheap: str, dear: str, repeats: Mapping[str, Sequence[str]]) -> None:
        super().__init__(cheap, dear)
        self.repeats = repeats

    def _score(self, outcomes: Outcomes) -> Floats:
        arm = outcomes.models.index(self.cheap)
        scores = np.full(len(outcomes), np.nan)
        for row, (key, said) in enumerate(
            zip(outcomes.prompt_ids, answers_of(outcomes), strict=True)
        ):
            others = [result_of(each) for each in self.repeats.get(key, ())]
            if others and said[arm] is not None:
                own = result_of(said[arm] or "")
                scores[row] = sum(each == own for each in others) / len(others)
        return scores

    def _further_usd(self, outcomes: Outcomes) -> Floats:
        cost_usd = outcomes.cost_usd[:, outcomes.models.index(self.cheap)]
        n_more = np.array([len(self.repeats.get(key, ())) for key in outcomes.prompt_ids])
        return np.asarray(n_more * cost_usd)


class StatedConfidence(CheapThenDear):
    """Look at what the cheap model says when it is asked how sure it is, 0 to 100.

    Parameters
    ----------
    cheap, dear : str
        Candidate models.
    stated : mapping of str to float
        By prompt id, what it said.
    asking_usd : float, default=0.0
        US dollars of asking once.
    """

    name = "stated confidence"

    def __init__(
        self, cheap: str, dear: str, stated: Mapping[str, float], asking_usd: float = 0.0
    ) -> None:
        super().__init__(cheap, dear)
        self.stated, self.asking_usd = stated, asking_usd

    def _score(self, outcomes: Outcomes) -> Floats:
        return np.array([float(self.stated.get(key, np.nan)) for key in outcomes.prompt_ids])

    def _further_usd(self, outcomes: Outcomes) -> Floats:
        return np.full(len(outcomes), self.asking_usd)


class LearnedThreshold(CheapThenDear):
    """Learn a score of the cheap answer, and a threshold of it.

    As FrugalGPT (arXiv:2305.05176) does, with the judgement of this library in place of a
    fine-tuned language model as the scorer.

    Parameters
    ----------
    cheap, dear : str
        Candidate models.
    judgement : AnswerJudgement
        Not fitted yet.
    """

    name = "learned threshold"

    def __init__(self, cheap: str, dear: str, judgement: AnswerJudgement) -> None:
        super().__init__(cheap, dear)
        self.judgement = judgement

    def _learn(self, outcomes: Outcomes) -> Floats:
        own = of_router(self.judgement.router, outcomes)
        judged, _ = self.judgement.learn(own)
        arm = own.models.index(self.cheap)
        return np.asarray(sigmoid(judged.odds((arm,))[:, arm]))

    def _score(self, outcomes: Outcomes) -> Floats:
        own = of_router(self.judgement.router, outcomes)
        arm = own.models.index(self.cheap)
        expected = self.judgement.router.predict(own.prompts).quality
        said: Sequence[Said] = answers_of(own).said
        odds = self.judgement.judged(own.prompts, said, expected).odds((arm,))
        return np.asarray(sigmoid(odds[:, arm]))


class PlannedCascade:
    """Cascade routing of arXiv:2410.10347, on the estimates of a fitted cascade.

    Before each call every set of candidates that may yet be asked is valued: the expected quality
    of the best answer in it less its cost. The cheapest one of the best set that wasn't asked is
    asked next; where the best set is what is at hand, it stops. It plans a set, where `Cascade`
    plans what to do after each answer.

    Parameters
    ----------
    cascade : Cascade
        Fitted.
    """

    name = "cascade routing"

    def __init__(self, cascade: Cascade) -> None:
        self.cascade = cascade

    def replay(self, outcomes: Outcomes, *, cost_weight: float) -> Replay:
        """Follow the strategy over prompts whose answers were logged, all calls paid.

        Parameters
        ----------
        outcomes : Outcomes
            With `answers`.
        cost_weight : float
            Quality given up per US dollar saved, at least 0.

        Returns
        -------
        Replay
            ``quality``, ``cost_usd``, ``asked`` and ``given`` of each prompt.
        """
        own = of_router(self.cascade.router, outcomes)
        followed = self.follow(self.cascade.bench(own), cost_weight)
        return replay_of(followed, own, cost_weight)

    def follow(self, bench: Bench, cost_weight: float) -> Followed:
        """Follow the strategy at a cost weight.

        Parameters
        ----------
        bench : Bench
            From ``cascade.bench``.
        cost_weight : float
            Quality given up per US dollar saved, at least 0.

        Returns
        -------
        Followed
            Who was asked, and whose answer was given back.
        """
        planned = PlannedBench(bench)
        return planned.follow(cost_weight, 1.0, self.cascade.most_calls)


def numbers_of(outcomes: Outcomes, model: str, number: str) -> Floats:
    """Return one number of the log-probabilities of a candidate's answers; NaN = not told."""
    arm = outcomes.models.index(model)
    told = [said.logprobs[arm] or {} for said in answers_of(outcomes).said]
    return np.array([float(each.get(number, np.nan)) for each in told])
