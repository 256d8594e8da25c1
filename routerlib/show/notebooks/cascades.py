"""Figures, tables and sentences of the notebook on looking at answers first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from routerlib.evaluation.price_ratios import PairRatios, PriceRatios, price_ratio, price_ratios
from routerlib.features.learners.log_odds import sigmoid
from routerlib.gather.candidates.candidates import default_candidates
from routerlib.gather.collection.collect import collect
from routerlib.log.call_log import CallLog
from routerlib.metrics.intervals import Interval, cluster_weights, percentile_interval
from routerlib.metrics.ranks import auc
from routerlib.outcomes.answers import Answers, Said
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats
from routerlib.routers.cascades.judgement import AnswerJudgement, JudgedTrain, answers_of, of_router
from routerlib.show.plots.price_ratios import ratios_drawn, told_of_ratios
from routerlib.show.tables.rendering import Table, table
from routerlib.show.words.numbers import short
from routerlib.show.words.prose import Prose

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from routerlib.evaluation.cascade_worth import CascadeEvaluation
    from routerlib.routers.router import Router

_N_BOOTSTRAP = 300
_LEAST = "final_least"
_SHOWN_CHARACTERS = 90
_FEWEST = 20  # good or bad answers below which no number is worth showing


@dataclass(frozen=True, eq=False)
class JudgedAnswers:
    """Logged answers, judged out of fold with more and more in sight.

    Parameters
    ----------
    outcomes : Outcomes
        With answers, candidate models in the router's order.
    by_sight : dict of str to ndarray of shape (n_prompts, n_models)
        How good each answer is thought to be, by what was looked at; NaN = no answer, or no such
        number.
    """

    outcomes: Outcomes
    by_sight: dict[str, Floats]

    @property
    def cheap(self) -> int:
        """Column of the best candidate model among those that cost less than the dear one."""
        cost_usd = self.outcomes.mean_cost_usd
        is_cheaper = cost_usd < cost_usd[self.dear]
        if not is_cheaper.any():
            raise ValueError(
                f"{self.outcomes.best_single} is the best and the cheapest candidate model: nobody "
                "cheaper is there to be looked at first"
            )
        return int(np.nanargmax(np.where(is_cheaper, self.outcomes.mean_quality, np.nan)))

    @property
    def dear(self) -> int:
        """Column of the best candidate model."""
        return self.outcomes.models.index(self.outcomes.best_single)


BEFORE = "the prompt alone (router)"
AFTER = "prompt and answer"
AFTER_ALL = "prompt, answer, log-probabilities"
LEAST_WORD = "least log-probability of the last line"


def asked_anew(log: CallLog, n_prompts: int) -> Outcomes:
    """Ask prompts of a log again, of the embedded pool, with log-probabilities; nothing is kept.

    Parameters
    ----------
    log : CallLog
        Where the prompts are from.
    n_prompts : int
        The first so many, at least 1.

    Returns
    -------
    Outcomes
        With answers; in a log of their own, which is gone afterwards.
    """
    prompts = list(islice(log.each_prompt(), n_prompts))
    with TemporaryDirectory() as folder, CallLog(Path(folder) / "live.db") as live:
        collect(prompts, default_candidates(), live)
        outcomes = Outcomes.from_log(live)
        said = answers_of(outcomes).said  # read while the log is there
    return replace(outcomes, answers=Answers(lambda: said, len(said)))


def judged_answers(router: Router, outcomes: Outcomes, random_state: int = 0) -> JudgedAnswers:
    """Judge every logged answer by trees that learnt from other groups of prompts.

    Parameters
    ----------
    router : Router
        A fitted router; it is fitted again without each fold.
    outcomes : Outcomes
        With answers.
    random_state : int, default=0
        Seed of the folds.

    Returns
    -------
    JudgedAnswers
        With log-probabilities where the log holds any.
    """
    outcomes = of_router(router, outcomes)
    said = answers_of(outcomes).said
    least = np.array([[_least(numbers) for numbers in each.logprobs] for each in said])
    silent = Answers(lambda: [_without_numbers(each) for each in said], len(said))
    plain = AnswerJudgement(router, random_state).learn(replace(outcomes, answers=silent))
    by_sight = {BEFORE: plain.held_out.estimates.quality, AFTER: _alone(plain)}
    if np.isfinite(least).any():
        whole = AnswerJudgement(router, random_state).learn(outcomes, plain.held_out)
        by_sight |= {AFTER_ALL: _alone(whole), LEAST_WORD: least}
    return JudgedAnswers(outcomes, by_sight)


def judgement_table(judged: JudgedAnswers) -> Table:
    """Show how well good answers are told from bad ones, by what was looked at.

    Parameters
    ----------
    judged : JudgedAnswers
        From `judged_answers`.

    Returns
    -------
    Table
        AUC with 95 % intervals, whole groups at a time; a row per candidate model that had enough
        good and bad answers.
    """
    import pandas as pd

    rows = []
    for arm, name in enumerate(judged.outcomes.models):
        known = _known(judged, arm)
        good = judged.outcomes.quality[known, arm] >= 0.5
        if min(good.sum(), (~good).sum()) < _FEWEST:
            continue
        row: dict[str, object] = {"model": name, "answers": int(known.sum())}
        for sight, values in judged.by_sight.items():
            found = _auc(values[known, arm], good, judged.outcomes.groups[known])
            row |= found.columns(sight)
        rows.append(row)
    frame = pd.DataFrame(rows, columns=None if rows else ["model"]).set_index("model")
    return table(frame, "AUC: is this answer right? (0.5 = a guess; 95 % intervals, by group)")


def judged_examples(judged: JudgedAnswers, n: int = 4) -> Table:
    """Show the cheap answers of which looking at them changed the estimate most.

    Parameters
    ----------
    judged : JudgedAnswers
        From `judged_answers`.
    n : int, default=4
        Rows.

    Returns
    -------
    Table
        Prompt, answer, what was thought before and after, and its score.
    """
    import pandas as pd

    arm, outcomes = judged.cheap, judged.outcomes
    before, after = judged.by_sight[BEFORE][:, arm], _best_sight(judged)[:, arm]
    moved = np.where(_known(judged, arm), np.abs(after - before), -1.0)
    rows = [
        {
            "prompt": short(outcomes.prompts[row], _SHOWN_CHARACTERS),
            "answer": short((outcomes.answers or ())[row][arm] or "", _SHOWN_CHARACTERS),
            "before": round(float(before[row]), 2),
            "after": round(float(after[row]), 2),
            "score": round(float(outcomes.quality[row, arm]), 2),
        }
        for row in np.argsort(-moved, kind="stable")[:n]
    ]
    caption = f"Answers of {outcomes.models[arm]}: expected quality before and after the look"
    return table(pd.DataFrame(rows).set_index("prompt"), caption)


def ratios_of(judged: JudgedAnswers, random_state: int = 0) -> PriceRatios:
    """Find from which price ratio on a look at the cheap model's answer beats routing.

    Parameters
    ----------
    judged : JudgedAnswers
        From `judged_answers`.
    random_state : int, default=0
        Seed of the replicates.

    Returns
    -------
    PriceRatios
        Cheap against dear model, on prompts that both answered.
    """
    cheap, dear, quality = judged.cheap, judged.dear, judged.outcomes.quality
    known = _known(judged, cheap) & np.isfinite(quality[:, dear])
    before = judged.by_sight[BEFORE]
    return price_ratios(
        quality[known, cheap],
        quality[known, dear],
        (before[:, dear] - before[:, cheap])[known],
        (before[:, dear] - _best_sight(judged)[:, cheap])[known],
        judged.outcomes.groups[known],
        random_state=random_state,
    )


def own_ratio(judged: JudgedAnswers) -> float:
    """Return what a call of the dear model costs, over one of the cheap one.

    Parameters
    ----------
    judged : JudgedAnswers
        From `judged_answers`.

    Returns
    -------
    float
        By mean costs; above 0, endless where the cheap one is free.

    Examples
    --------
    >>> costs = [[0.001, 0.02]] * 2
    >>> own_ratio(JudgedAnswers(Outcomes(["a", "b"], ["small", "large"], [[0, 1]] * 2, costs), {}))
    20.0
    """
    cost_usd = judged.outcomes.mean_cost_usd.tolist()
    return price_ratio(cost_usd[judged.cheap], cost_usd[judged.dear])


def ratios_plot(judged: JudgedAnswers, found: PriceRatios, ax: Axes | None = None) -> Axes:
    """Draw the gain of routing and of looking first, by the ratio of prices.

    Parameters
    ----------
    judged : JudgedAnswers
        From `judged_answers`.
    found : PriceRatios
        From `ratios_of`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
    """
    return ratios_drawn(_pair(judged, found), judged.outcomes.models, ax)


def cascade_lessons(judged: JudgedAnswers, ratios: PriceRatios, found: CascadeEvaluation) -> Prose:
    """Say what the notebook on cascades has taught.

    Parameters
    ----------
    judged : JudgedAnswers
        From `judged_answers`.
    ratios : PriceRatios
        From `ratios_of`.
    found : CascadeEvaluation
        Of a cascade on held-out prompts.

    Returns
    -------
    Prose
        Three points.
    """
    return Prose(
        (),
        (
            f"Right answers of {judged.outcomes.models[judged.cheap]} are ranked before wrong ones "
            f"with an AUC of {_aucs(judged)}.",
            f"{told_of_ratios(_pair(judged, ratios))}.",
            found.sentence,
        ),
    )


def _pair(judged: JudgedAnswers, found: PriceRatios) -> PairRatios:
    models = judged.outcomes.models
    return PairRatios(models[judged.cheap], models[judged.dear], own_ratio(judged), found)


def _aucs(judged: JudgedAnswers) -> str:
    return ", ".join(f"{_own_auc(judged, sight):.2f} by {sight}" for sight in judged.by_sight)


def _own_auc(judged: JudgedAnswers, sight: str) -> float:
    known = _known(judged, judged.cheap)
    good = judged.outcomes.quality[known, judged.cheap] >= 0.5
    return auc(judged.by_sight[sight][known, judged.cheap], good)


def _best_sight(judged: JudgedAnswers) -> Floats:
    return judged.by_sight.get(AFTER_ALL, judged.by_sight[AFTER])


def _known(judged: JudgedAnswers, arm: int) -> np.ndarray:
    """Return which answers have a score and every number that is compared."""
    values = [each[:, arm] for each in judged.by_sight.values() if np.isfinite(each[:, arm]).any()]
    return np.isfinite(np.column_stack([*values, judged.outcomes.quality[:, arm]])).all(axis=1)


def _auc(scores: Floats, good: np.ndarray, groups: np.ndarray) -> Interval:
    drawn = [
        auc(scores, good, weights)
        for block in cluster_weights(groups, _N_BOOTSTRAP, 0)
        for weights in block
    ]
    return percentile_interval(auc(scores, good), drawn)


def _alone(found: JudgedTrain) -> Floats:
    """Return how good each answer is thought to be with no other beside it."""
    n_models = found.judged.is_there.shape[1]
    odds = np.column_stack([found.judged.odds((arm,))[:, arm] for arm in range(n_models)])
    return np.where(np.isnan(odds), np.nan, sigmoid(np.nan_to_num(odds)))


def _least(numbers: object) -> float:
    told = numbers.get(_LEAST) if isinstance(numbers, dict) else None
    return float(told) if told is not None else np.nan


def _without_numbers(said: Said) -> Said:
    return said._replace(logprobs=(None,) * len(said.logprobs))
