"""AnswerJudgement: was this answer good, by what was asked, who answered and what was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from routerlib.outcomes.answers import Answers, Logprobs, Said
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Arms, Floats
from routerlib.routers.cascades.answer_table import AnswerColumns, ReadTable
from routerlib.routers.cascades.answer_trees import MIN_ANSWERS, AnswerTrees
from routerlib.routers.cascades.evidence import exact_logits
from routerlib.routers.cascades.expectations import expected_without
from routerlib.routers.cascades.judged import JudgedPrompts
from routerlib.routers.cascades.judged_odds import JudgedOdds, sigmoid
from routerlib.routers.held_out import HeldOut
from routerlib.routers.router import Router

# A label is learnt from twice: with the answer alone, and with others beside it.
_WEIGHT = 0.5
_MOST_BESIDE = 3


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
        self._alone, self._beside = JudgedOdds(), JudgedOdds()
        self._trees: AnswerTrees | None = None
        self._columns: AnswerColumns | None = None
        if not self.is_learnt_:
            odds = exact_logits(expected)
            judged = JudgedPrompts(lambda cells, _: odds[cells[:, 0], cells[:, 1]], table.is_there)
            return JudgedTrain(judged, held_out)
        return JudgedTrain(self._learn(table, quality, expected, held_out.folds), held_out)

    def _learn(
        self, table: ReadTable, quality: Floats, expected: Floats, folds: Arms
    ) -> JudgedPrompts:
        self._columns, said = AnswerColumns.fit(table, quality, folds, self.random_state)
        cells, held = self._cells(table, quality)
        labels = quality[cells[:, 0], cells[:, 1]]
        weights = np.full(len(cells), _WEIGHT)
        columns = self._columns.rows(table, said, expected, cells, held)
        base = exact_logits(expected)[cells[:, 0], cells[:, 1]]
        scores = np.zeros(len(cells))
        by_fold: dict[int, AnswerTrees] = {}
        for fold in np.unique(folds):
            out = folds[cells[:, 0]] == fold
            kept = ~out
            trees = AnswerTrees.fit(
                columns[kept], labels[kept], base[kept], weights[kept], self.random_state
            )
            scores[out] = trees.scores(columns[out])
            by_fold[int(fold)] = trees
        self._trees = AnswerTrees.fit(columns, labels, base, weights, self.random_state)
        is_alone = held.sum(axis=1) == 1
        self._alone = JudgedOdds.fit(
            base[is_alone], scores[is_alone], labels[is_alone], np.ones(int(is_alone.sum()))
        )
        beside = ~is_alone
        self._beside = (
            JudgedOdds.fit(base[beside], scores[beside], labels[beside], np.ones(int(beside.sum())))
            if beside.any()
            else self._alone
        )
        of_columns = self._columns

        def judge(cells: np.ndarray, held: np.ndarray) -> Floats:
            rows = of_columns.rows(table, said, expected, cells, held)
            found = np.zeros(len(cells))
            for fold, trees in by_fold.items():
                mine = folds[cells[:, 0]] == fold
                found[mine] = trees.scores(rows[mine])
            return self._odds(exact_logits(expected)[cells[:, 0], cells[:, 1]], found, held)

        return JudgedPrompts(judge, table.is_there)

    def _cells(self, table: ReadTable, quality: Floats) -> tuple[np.ndarray, np.ndarray]:
        """Return labelled answers, once alone and once with some others drawn beside them."""
        rng = np.random.default_rng(self.random_state)
        cells = np.argwhere(table.is_there & np.isfinite(quality))
        n_models = quality.shape[1]
        alone = np.zeros((len(cells), n_models), dtype=bool)
        alone[np.arange(len(cells)), cells[:, 1]] = True
        drawn = rng.random((len(cells), n_models))
        others = table.is_there[cells[:, 0]] & ~alone
        drawn = np.where(others, drawn, 2.0)
        n_beside = rng.integers(1, _MOST_BESIDE, size=len(cells))
        ranks = np.argsort(np.argsort(drawn, axis=1), axis=1)
        beside = alone | (others & (ranks < n_beside[:, None]))
        has_others = others.any(axis=1)
        return (
            np.concatenate([cells, cells[has_others]]),
            np.concatenate([alone, beside[has_others]]),
        )

    def _odds(self, base: Floats, scores: Floats, held: np.ndarray) -> Floats:
        is_alone = held.sum(axis=1) == 1
        return np.where(is_alone, self._alone.odds(base, scores), self._beside.odds(base, scores))

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
        odds = exact_logits(expected)
        columns, trees = self._columns, self._trees
        if columns is None or trees is None:
            return JudgedPrompts(lambda cells, _: odds[cells[:, 0], cells[:, 1]], table.is_there)
        texts = columns.said(table)

        def judge(cells: np.ndarray, held: np.ndarray) -> Floats:
            scores = trees.scores(columns.rows(table, texts, expected, cells, held))
            return self._odds(odds[cells[:, 0], cells[:, 1]], scores, held)

        return JudgedPrompts(judge, table.is_there)

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
        columns, trees = self._columns, self._trees
        return {
            "models": list(self.models_),
            "n_answers": self.n_answers_,
            "columns": None if columns is None else columns.to_state(),
            "trees": None if trees is None else trees.text,
            "alone": self._alone.to_state(),
            "beside": self._beside.to_state(),
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
        judgement._alone = JudgedOdds.from_state(state["alone"])
        judgement._beside = JudgedOdds.from_state(state["beside"])
        judgement._columns, judgement._trees = None, None
        if state["columns"] is not None:
            judgement._columns = AnswerColumns.from_state(state["columns"])
            judgement._trees = AnswerTrees(state["trees"], len(judgement._columns.names()))
        judgement.is_learnt_ = judgement._trees is not None
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
