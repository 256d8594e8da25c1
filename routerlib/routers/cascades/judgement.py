"""AnswerJudgement: was this answer good, by what was asked, who answered and what was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from routerlib.features.learners.log_odds import sigmoid
from routerlib.outcomes.answers import Answers, Logprobs, Said
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats
from routerlib.routers.cascades.answer_table import ReadTable
from routerlib.routers.cascades.answer_trees import MIN_ANSWERS
from routerlib.routers.cascades.expectations import expected_without
from routerlib.routers.cascades.judged import JudgedPrompts
from routerlib.routers.cascades.learnt import LearntJudgement, as_expected
from routerlib.routers.cascades.reasons import Reason
from routerlib.routers.held_out import HeldOut
from routerlib.routers.router import Router


class JudgedTrain(NamedTuple):
    """Training answers judged by trees that didn't learn from them.

    Attributes
    ----------
    judged : JudgedPrompts
        Judgements out of fold, whichever answers are at hand.
    held_out : HeldOut
        What the router expected of the same prompts without them.
    """

    judged: JudgedPrompts
    held_out: HeldOut


class AnswerJudgement:
    """Estimate how good an answer is, once it is there.

    The field calls it a post-hoc quality estimator, or a scorer of answers. Trees (LightGBM) learn
    from the log what an answer shows beyond what the router expected: its length and shape against
    the prompt and against this candidate's usual, whether the asked format was kept, hedges,
    refusals, repetition, sums that don't add up, whether the result follows from the last line,
    words and meaning, answers like it that were right or wrong, agreement with the other answers at
    hand, and log-probabilities where there are some. They start from the router's log-odds and are
    believed as far as they held up out of fold: after few labels it says what the router says.

    Parameters
    ----------
    router : Router
        A fitted router of the same candidate models.
    random_state : int, default=0
        Seed.

    Attributes
    ----------
    models_ : tuple of str
        Candidate names.
    n_answers_ : int
        Labelled answers that it learnt from.
    is_learnt_ : bool
        False where these were too few: then it says what the router says.

    Examples
    --------
    >>> from routerlib.routers.baselines import BestSingle
    >>> prompts = [f"What is {i} + {i}?" for i in range(80)]
    >>> right, wrong = ([f"{i} + {i} = {2 * i + off}" for i in range(80)] for off in (0, 1))
    >>> answers = [[r if i % 2 else w] for i, (r, w) in enumerate(zip(right, wrong))]
    >>> outcomes = Outcomes(prompts, ["small"], [[i % 2] for i in range(80)], answers=answers)
    >>> judgement = AnswerJudgement(BestSingle().fit(outcomes)).fit(outcomes)
    >>> good, bad = (judgement.judge("What is 7 + 7?", {"small": each})["small"]
    ...              for each in ("7 + 7 = 14", "7 + 7 = 15"))
    >>> good > 0.5 > bad
    True
    """

    def __init__(self, router: Router, random_state: int = 0) -> None:
        self.router = router
        self.random_state = random_state

    def fit(self, outcomes: Outcomes) -> Self:
        """Learn from labelled answers.

        Parameters
        ----------
        outcomes : Outcomes
            With `answers`; those of the router's training prompts serve as well as others.

        Returns
        -------
        AnswerJudgement
            This object.

        Raises
        ------
        ValueError
            If no answers were kept, or candidates differ from the router's.
        """
        self.learn(outcomes)
        return self

    def learn(self, outcomes: Outcomes, held_out: HeldOut | None = None) -> JudgedTrain:
        """Learn, and return what those trees say of training answers that didn't see them.

        Parameters
        ----------
        outcomes : Outcomes
            With `answers`, of the router's candidate models in its order or any other.
        held_out : HeldOut or None, default=None
            What a router without each prompt expects of it; None = found out.

        Returns
        -------
        JudgedTrain
            Judgements out of fold.
        """
        outcomes = of_router(self.router, outcomes)
        if held_out is None:
            held_out = expected_without(self.router, outcomes, self.random_state)
        self.models_ = tuple(outcomes.models)
        table = ReadTable.of(outcomes.prompts, answers_of(outcomes).said)
        quality, expected = outcomes.quality, held_out.estimates.quality
        has_label = table.is_there & np.isfinite(quality)
        self.n_answers_ = int(has_label.sum())
        labels = quality[has_label]
        self.is_learnt_ = self.n_answers_ >= MIN_ANSWERS and bool(np.ptp(labels) > 0)
        self._learnt: LearntJudgement | None = None
        if not self.is_learnt_:
            return JudgedTrain(as_expected(expected, table.is_there), held_out)
        self._learnt, judged = LearntJudgement.fit(
            table, quality, expected, held_out.folds, self.random_state
        )
        return JudgedTrain(judged, held_out)

    def judged(
        self, prompts: Sequence[str], said: Sequence[Said], expected: Floats
    ) -> JudgedPrompts:
        """Get ready to judge answers to prompts.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            What was asked.
        said : sequence of Said, length n_prompts
            Answers, a place for each of `models_`.
        expected : ndarray of shape (n_prompts, n_models)
            Quality that the router expects.

        Returns
        -------
        JudgedPrompts
            Judged log-odds, whichever answers are at hand.
        """
        table = ReadTable.of(prompts, said)
        if self._learnt is None:
            return as_expected(expected, table.is_there)
        return self._learnt.judged(table, expected)

    def judge(
        self,
        prompt: str,
        answers: Mapping[str, str | None],
        *,
        logprobs: Mapping[str, Logprobs] | None = None,
        task: str | None = None,
    ) -> dict[str, float]:
        """Judge the answers to one prompt, each in the light of the others.

        Parameters
        ----------
        prompt : str
            What was asked.
        answers : mapping of str to (str or None)
            What each candidate model said; None counts as an empty answer.
        logprobs : mapping of str to mapping of str to float, or None, default=None
            By candidate model, the numbers of its log-probabilities.
        task : str or None, default=None
            Known task label, for the router.

        Returns
        -------
        dict of str to float
            Probability in [0, 1] that each answer is good (its expected quality).

        Raises
        ------
        ValueError
            If a candidate is unknown, no answer is given or an answer isn't text.
        """
        said = self.said_by(answers, logprobs)
        expected = self.router.predict([prompt], None if task is None else [task]).quality
        held = tuple(sorted(self.models_.index(name) for name in answers))
        odds = self.judged([prompt], [said], expected).odds(held)
        return {self.models_[arm]: float(sigmoid(odds[0, arm])) for arm in held}

    def explain(
        self,
        prompt: str,
        answers: Mapping[str, str | None],
        model: str,
        *,
        logprobs: Mapping[str, Logprobs] | None = None,
        task: str | None = None,
    ) -> list[Reason]:
        """Say why one of the answers at hand was judged as it was.

        TreeSHAP of the trees, beside what the router expected.

        Parameters
        ----------
        prompt : str
            What was asked.
        answers : mapping of str to (str or None)
            What each candidate model said.
        model : str
            Whose answer to explain.
        logprobs : mapping of str to mapping of str to float, or None, default=None
            By candidate model, the numbers of its log-probabilities.
        task : str or None, default=None
            Known task label, for the router.

        Returns
        -------
        list of Reason
            Words and points, the largest first; one reason where nothing was learnt.

        Raises
        ------
        ValueError
            If this model's answer isn't among those given.
        """
        said = self.said_by(answers, logprobs)
        if model not in answers:
            raise ValueError(f"model must be one of {', '.join(answers)}, got {model!r}")
        expected = self.router.predict([prompt], None if task is None else [task]).quality
        arm = self.models_.index(model)
        if self._learnt is None:
            return [Reason("what the router expected, as too few answers have labels", 0.0)]
        held = np.array([[name in answers for name in self.models_]])
        table = ReadTable.of([prompt], [said])
        return self._learnt.reasons(table, expected, arm, held)

    def said_by(
        self, answers: Mapping[str, str | None], logprobs: Mapping[str, Logprobs] | None
    ) -> Said:
        """Lay answers of some candidates in the order of `models_`.

        Parameters
        ----------
        answers : mapping of str to (str or None)
            What each candidate model said.
        logprobs : mapping of str to mapping of str to float, or None
            By candidate model, the numbers of its log-probabilities.

        Returns
        -------
        Said
            None for who didn't answer.

        Raises
        ------
        ValueError
            If a candidate is unknown, no answer is given or an answer isn't text.
        """
        if not answers:
            raise ValueError("at least one answer is needed, got none")
        for name, answer in answers.items():
            if name not in self.models_:
                raise ValueError(f"answers must be of {', '.join(self.models_)}, got {name!r}")
            if not (answer is None or isinstance(answer, str)):
                raise ValueError(f"the answer of {name!r} must be text or None, got {answer!r}")
        numbers = logprobs or {}
        texts = tuple((answers[name] or "") if name in answers else None for name in self.models_)
        return Said(texts, tuple(numbers.get(name) for name in self.models_))

    def to_state(self) -> dict[str, Any]:
        """Return what was learnt as plain builtins; the router stands elsewhere.

        Returns
        -------
        dict
            What `from_state` takes.
        """
        return {
            "models": list(self.models_),
            "n_answers": self.n_answers_,
            "learnt": None if self._learnt is None else self._learnt.to_state(),
            "random_state": self.random_state,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], router: Router) -> Self:
        """Rebuild from `to_state`, for the same router.

        Parameters
        ----------
        state : mapping
            From `to_state`.
        router : Router
            The router that stood beside it.

        Returns
        -------
        AnswerJudgement
            It judges exactly as the saved one did.
        """
        judgement = cls(router, state["random_state"])
        judgement.models_ = tuple(state["models"])
        judgement.n_answers_ = state["n_answers"]
        learnt = state["learnt"]
        judgement._learnt = None if learnt is None else LearntJudgement.from_state(learnt)
        judgement.is_learnt_ = judgement._learnt is not None
        return judgement


def answers_of(outcomes: Outcomes) -> Answers:
    """Return the answers that outcomes hold, or say that none were kept."""
    answers = outcomes.answers
    if not isinstance(answers, Answers):
        raise ValueError(
            "these outcomes hold no answers, and a cascade learns from them; give "
            "Outcomes(..., answers=[[text or None per model] per prompt]), or read a log that "
            "keeps its answers"
        )
    return answers


def of_router(router: Router, outcomes: Outcomes) -> Outcomes:
    """Return outcomes in the order of a router's candidate models."""
    missing = [name for name in router.models_ if name not in outcomes.models]
    if missing:
        raise ValueError(
            f"the router may choose {missing[0]!r}, but the outcomes only have "
            f"{', '.join(outcomes.models)}; use outcomes of the router's candidate models"
        )
    return outcomes.of_models(router.models_)
