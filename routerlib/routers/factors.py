"""Routers that explain all candidates by few factors of the prompt."""

from __future__ import annotations

from typing import Any

import numpy as np

from routerlib.features.encoders import EncoderChoice
from routerlib.features.learners.factors import Factorisation, OneFactor, reduced_rank
from routerlib.features.learners.linear import LinearFit
from routerlib.features.learners.stack import QualityLearner, WordsLearner
from routerlib.features.text_space import Place
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.rivals import LearnerRouter


class OneFactorRouter(LearnerRouter):
    """Explain all candidates by how hard a prompt is: log-odds = ability x ease + offset.

    Ease is one number of a prompt, linear in the coordinates of `PromptFeatures`: a ridge
    regression of how much better than usual the candidates that answered it were. Each candidate
    turns it into quality by a slope (ability to use an easy prompt, and to be thrown by a hard
    one) and an offset of its own, fitted out of fold. So every answer of any candidate teaches how
    hard prompts are: it needs few labels, and cells may be missing. Where candidates differ in
    kind (one for code, one for law), it can't tell.

    Parameters
    ----------
    random_state : int, default=0
        Seed of the folds.
    encoder : str, callable or None, default=None
        A neural encoder in addition, as of `PromptFeatures`.

    References
    ----------
    A. Birnbaum, in Lord and Novick, Statistical theories of mental test scores, 1968 (two
    parameters an item); P. De Boeck and M. Wilson, Explanatory item response models, 2004
    (difficulty predicted from what is known of an item).

    Examples
    --------
    >>> outcomes = Outcomes(["add two", "add three", "prove this", "prove that"] * 10,
    ...                     ["small", "large"], quality=[[1, 1], [1, 1], [0, 1], [0, 0]] * 10)
    >>> quality = OneFactorRouter().fit(outcomes).predict(["add two", "prove this"]).quality
    >>> bool((quality[0] > quality[1]).all())
    True
    """

    name = "one_factor"
    _learner = OneFactor

    def _fit_quality(self, place: Place, outcomes: Outcomes, folds: np.ndarray) -> QualityLearner:
        return OneFactor.fit(place, outcomes.quality, folds)


class LowRankRouter(LearnerRouter):
    """Explain all candidates by a few factors of the prompt: reduced-rank regression.

    A ridge regression of every candidate's quality on the coordinates of `PromptFeatures`, of
    which only the main directions across candidates are kept: candidates that do well on the
    same prompts share what is learnt, and what one of them seems to do alone counts as noise.
    With no more candidates than factors it is `LinearRouter`.

    Parameters
    ----------
    n_factors : int, default=3
        Directions kept, at least 1.
    random_state : int, default=0
        Seed of the folds.
    encoder : str, callable or None, default=None
        A neural encoder in addition, as of `PromptFeatures`.

    References
    ----------
    A. Izenman, Reduced-rank regression for the multivariate linear model, Journal of
    Multivariate Analysis 5, 1975; A. Mukherjee and J. Zhu, Reduced rank ridge regression,
    Statistical Analysis and Data Mining 4, 2011.

    Examples
    --------
    >>> outcomes = Outcomes(["cook rice", "boil an egg", "tax law", "tax forms"] * 3,
    ...                     ["small", "large"], quality=[[1, 0], [1, 0], [0, 1], [0, 1]] * 3)
    >>> LowRankRouter(n_factors=1).fit(outcomes).route("tax law").model
    'large'
    """

    name = "low_rank"
    _learner = WordsLearner

    def __init__(
        self, n_factors: int = 3, random_state: int = 0, *, encoder: EncoderChoice = None
    ) -> None:
        if n_factors < 1:
            raise ValueError(f"n_factors must be at least 1, got {n_factors!r}")
        super().__init__(random_state, encoder=encoder)
        self.n_factors = n_factors

    def _fit_quality(self, place: Place, outcomes: Outcomes, folds: np.ndarray) -> QualityLearner:
        fit = LinearFit.fit_out_of_fold(place.coordinates, outcomes.quality, folds)[0]
        return WordsLearner(reduced_rank(fit, place.coordinates, self.n_factors))

    def _parameters(self) -> dict[str, Any]:
        return {**super()._parameters(), "n_factors": self.n_factors}


class MFRouter(LearnerRouter):
    """Multiply an embedding of the candidate with a projected embedding of the prompt.

    Log-odds of quality are ``w . (v * (W q)) + b``, with q the coordinates of `PromptFeatures`, W
    a learnt projection to 32 dimensions, v a learnt vector of unit length and b a constant for
    each candidate: the matrix factorisation of RouteLLM. That one learns from which of two answers
    people prefer; this one from quality itself, so that it serves any number of candidates and
    cells may be missing, and has the constant so that a candidate can be better everywhere.

    Parameters
    ----------
    random_state : int, default=0
        Seed of training.
    encoder : str, callable or None, default=None
        A neural encoder in addition, as of `PromptFeatures`.

    References
    ----------
    I. Ong et al., RouteLLM: Learning to route LLMs with preference data, arXiv 2406.18665, 2024,
    section 4.2; Y. Koren, R. Bell, C. Volinsky, Matrix factorization techniques for recommender
    systems, Computer 42, 2009.

    Examples
    --------
    >>> outcomes = Outcomes(["cook rice", "boil an egg", "tax law", "tax forms"] * 3,
    ...                     ["small", "large"], quality=[[1, 0], [1, 0], [0, 1], [0, 1]] * 3)
    >>> MFRouter().fit(outcomes).route("tax law").model
    'large'
    """

    name = "mf"
    _learner = Factorisation

    def _fit_quality(self, place: Place, outcomes: Outcomes, folds: np.ndarray) -> QualityLearner:
        return Factorisation.fit(place, outcomes.quality, self.random_state)
