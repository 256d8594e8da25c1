"""Routers of one simpler learner each: nearest neighbours, a linear model, a small network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from routerlib.features.encoders import EncoderChoice
from routerlib.features.inputs import log_cost_usd
from routerlib.features.learners.folds import folds_of
from routerlib.features.learners.linear import LinearFit
from routerlib.features.learners.network_learner import NetworkLearner
from routerlib.features.learners.stack import (
    NeighboursLearner,
    QualityLearner,
    WordsLearner,
)
from routerlib.features.learners.targets import Targets
from routerlib.features.learners.topics import topic_labels
from routerlib.features.prompt_columns import PLAIN, PromptColumns
from routerlib.features.text_space import Place
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import pack_array, unpack_array
from routerlib.routers.router import Router


class LearnerRouter(Router):
    """Estimate quality by one simpler learner in the space of `PromptFeatures`, cost linearly.

    Parameters
    ----------
    random_state : int, default=0
        Seed.
    encoder : str, callable or None, default=None
        A neural encoder in addition, as of `PromptFeatures`.
    """

    # Opens the learner of quality of a saved router.
    _learner: ClassVar[type[QualityLearner]]

    def __init__(self, random_state: int = 0, *, encoder: EncoderChoice = None) -> None:
        self.random_state = random_state
        self.encoder = encoder

    @abstractmethod
    def _fit_quality(self, place: Place, outcomes: Outcomes, folds: np.ndarray) -> QualityLearner:
        """Return the fitted learner of quality."""

    def _learn(self, outcomes: Outcomes) -> None:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):
            self._space = PromptColumns(
                groups=PLAIN, encoder=self.encoder, random_state=self.random_state
            )
            self._space.learn(list(outcomes.prompts))
            _, place = self._space.locate(list(outcomes.prompts), None)
            folds = folds_of(outcomes, self.random_state)
            self._quality = self._fit_quality(place, outcomes, folds)
            self._fit_cost(place, outcomes.cost_usd, folds)

    def _fit_cost(self, place: Place, cost_usd: np.ndarray, folds: np.ndarray) -> None:
        logs = log_cost_usd(cost_usd)
        self._log_cost, held_out = LinearFit.fit_out_of_fold(place.coordinates, logs, folds)
        typical = np.exp(held_out)
        known = np.isfinite(cost_usd)
        # exp(mean of logs) lies under the mean: scale to the mean that was paid, out of fold.
        paid = np.where(known, np.exp(logs), 0).sum(axis=0)
        expected = np.where(known, typical, 0).sum(axis=0)
        self._smear = np.where(known.any(axis=0), paid / np.maximum(expected, 1e-300), np.nan)

    def _estimate(
        self, texts: list[str], topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        _, place = self._space.locate(texts, None)
        quality = self._quality.predict(place, topics)[:, : len(self.models_)]
        cost_usd = np.exp(self._log_cost.predict(place.coordinates)) * self._smear
        return np.clip(quality, 0, 1), cost_usd

    def _parameters(self) -> dict[str, Any]:
        return {"random_state": self.random_state}

    def _learned(self) -> dict[str, Any]:
        return {
            "space": self._space.to_state(),
            "quality": self._quality.to_state(),
            "log_cost": self._log_cost.to_state(),
            "smear": pack_array(self._smear),
        }

    def _restore(self, learned: Mapping[str, Any]) -> None:
        self._space = PromptColumns.from_state(learned["space"], self.encoder)
        self.encoder = self._space.encoder
        self._quality = self._learner.from_state(learned["quality"])
        self._log_cost = LinearFit.from_state(learned["log_cost"])
        self._smear = unpack_array(learned["smear"])


class KNNRouter(LearnerRouter):
    """Estimate by the mean of the training prompts that stand nearest.

    Parameters
    ----------
    n_neighbors : int, default=80
        Prompts that have a say, at least 1; all where there are fewer.
    temperature : float, default=0.1
        Neighbours are weighed by ``exp(cosine / temperature)``; above 0.
    random_state : int, default=0
        Seed.
    encoder : str, callable or None, default=None
        A neural encoder in addition, as of `PromptFeatures`.

    Examples
    --------
    >>> outcomes = Outcomes(["cook rice", "boil an egg", "tax law"], ["small", "large"],
    ...                     quality=[[1, 0], [1, 0], [0, 1]])
    >>> KNNRouter(n_neighbors=2).fit(outcomes).route("boil an egg").model
    'small'
    """

    name = "knn"
    _learner = NeighboursLearner

    def __init__(
        self,
        n_neighbors: int = 80,
        temperature: float = 0.1,
        random_state: int = 0,
        *,
        encoder: EncoderChoice = None,
    ) -> None:
        if n_neighbors < 1:
            raise ValueError(f"n_neighbors must be at least 1, got {n_neighbors!r}")
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature!r}")
        super().__init__(random_state, encoder=encoder)
        self.n_neighbors = n_neighbors
        self.temperature = temperature

    def nearest(self, prompts: Sequence[str], k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Find the training prompts nearest in wording, meaning and surface.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Any texts.
        k : int, default=5
            How many for each; fewer when fewer were seen in training.

        Returns
        -------
        tuple of ndarray, both of shape (n_prompts, k)
            Indices into ``train_prompt_ids_``, the nearest first, and cosine similarities.
        """
        self._check_fitted()
        _, place = self._space.locate(list(prompts), None)
        assert isinstance(self._quality, NeighboursLearner)
        return self._quality.nearest(place, k)

    def _fit_quality(self, place: Place, outcomes: Outcomes, folds: np.ndarray) -> QualityLearner:
        return NeighboursLearner.remember(
            place, outcomes.quality, self.n_neighbors, self.temperature
        )

    def _parameters(self) -> dict[str, Any]:
        own = {"n_neighbors": self.n_neighbors, "temperature": self.temperature}
        return {**super()._parameters(), **own}


class LinearRouter(LearnerRouter):
    """Estimate by ridge regression on meaning, wording and surface.

    Parameters
    ----------
    random_state : int, default=0
        Seed of training.
    encoder : str, callable or None, default=None
        A neural encoder in addition, as of `PromptFeatures`.

    Examples
    --------
    >>> outcomes = Outcomes(["cook rice", "boil an egg", "tax law", "tax forms"] * 3,
    ...                     ["small", "large"], quality=[[1, 0], [1, 0], [0, 1], [0, 1]] * 3)
    >>> LinearRouter().fit(outcomes).route("tax law").model
    'large'
    """

    name = "linear"
    _learner = WordsLearner

    def _fit_quality(self, place: Place, outcomes: Outcomes, folds: np.ndarray) -> QualityLearner:
        fit = LinearFit.fit_out_of_fold(place.coordinates, outcomes.quality, folds)[0]
        return WordsLearner(fit)


class MLPRouter(LearnerRouter):
    """Estimate by a small neural network (multilayer perceptron) that learns the topic as well.

    Parameters
    ----------
    random_state : int, default=0
        Seed of training.
    encoder : str, callable or None, default=None
        A neural encoder in addition, as of `PromptFeatures`.

    Examples
    --------
    >>> outcomes = Outcomes(["cook rice", "boil an egg", "tax law", "tax forms"] * 3,
    ...                     ["small", "large"], quality=[[1, 0], [1, 0], [0, 1], [0, 1]] * 3)
    >>> MLPRouter().fit(outcomes).route("tax law").model
    'large'
    """

    name = "mlp"
    _learner = NetworkLearner

    def _fit_quality(self, place: Place, outcomes: Outcomes, folds: np.ndarray) -> QualityLearner:
        labels, are_topics = topic_labels(place, outcomes.topics, self.random_state)
        nothing = np.zeros((len(outcomes), 0))
        targets = Targets(outcomes.quality, nothing, labels, are_topics)
        return NetworkLearner.fit(place, targets, self.random_state)
