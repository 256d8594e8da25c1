"""Routers that any learned one must beat: the best single model, chance, a table of topics."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from routerlib.features.learners.topics import TopicClassifier, main_topics
from routerlib.features.prompt_columns import PLAIN, PromptColumns
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.router import Router
from routerlib.routers.rules import BlindChoice, BlindRouter


class BestSingle(Router):
    """Expect of every prompt what the training prompts had on average.

    At cost weight 0 it always chooses the best single candidate model.

    Examples
    --------
    >>> outcomes = Outcomes(["a", "b"], ["small", "large"], quality=[[0, 1], [1, 1]])
    >>> BestSingle().fit(outcomes).route("c").model
    'large'
    """

    name = "best_single"

    def _learn(self, outcomes: Outcomes) -> None:
        """Nothing beyond the means."""

    def _estimate(
        self, texts: list[str], topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        return (
            np.tile(self.mean_quality_, (len(texts), 1)),
            np.tile(self.mean_cost_usd_, (len(texts), 1)),
        )


class RandomRouter(BlindRouter):
    """Choose by chance: the baseline that shows what routing without knowledge does.

    `route` chooses every candidate with equal propensity, whatever the cost weight; the seed and
    the text decide, so that the same prompt always goes to the same one. `predict` gives NaN for
    quality, because chance estimates nothing, and mean costs.

    Parameters
    ----------
    random_state : int, default=0
        Seed.

    Examples
    --------
    >>> outcomes = Outcomes(["a", "b"], ["small", "large"], quality=[[0, 1], [1, 1]])
    >>> RandomRouter(random_state=0).fit(outcomes).route("c").propensity
    0.5
    """

    name = "random"

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def _choose(self, prompt: str, task: str | None, models: tuple[str, ...]) -> BlindChoice:
        drawn = dict(zip(self.models_, self.draws([prompt])[0], strict=True))
        return BlindChoice(max(models, key=drawn.__getitem__), 1 / len(models), "chosen by chance")

    def draws(self, prompts: Sequence[str]) -> np.ndarray:
        """Draw uniform random numbers; the candidate with the largest is chosen.

        Parameters
        ----------
        prompts : sequence of str, length n_prompts
            Prompt texts.

        Returns
        -------
        ndarray of shape (n_prompts, n_models)
            In [0, 1), the same for the same seed and text.
        """
        self._check_fitted()
        seeds = [zlib.crc32(text.encode("utf-8", "replace")) for text in prompts]
        rows = [
            np.random.default_rng([self.random_state, seed]).random(len(self.models_))
            for seed in seeds
        ]
        return np.array(rows).reshape(len(rows), len(self.models_))

    @property
    def chooses_by_estimates(self) -> bool:
        """Whether `route` weighs its own estimates: never, there are none."""
        return False

    def _learn(self, outcomes: Outcomes) -> None:
        """Nothing beyond the means."""

    def _estimate(
        self, texts: list[str], topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        cost_usd = np.tile(self.mean_cost_usd_, (len(texts), 1))
        return np.full(cost_usd.shape, np.nan), cost_usd

    def _parameters(self) -> dict[str, Any]:
        return {"random_state": self.random_state}


class TopicTable(Router):
    """Expect the training mean of the prompt's topic: a lookup, no learning.

    What is looked up is ``topic_means_``, the table that every router keeps to be compared with. A
    topic that isn't told is detected by a classifier learnt from the log's own topics; where the
    log has no topics, the overall means are all there is.

    Parameters
    ----------
    random_state : int, default=0
        Seed.

    Examples
    --------
    >>> outcomes = Outcomes(["cook rice", "tax law"] * 20, ["small", "large"],
    ...                     quality=[[1, 0], [0, 1]] * 20, topics=["food", "law"] * 20)
    >>> TopicTable().fit(outcomes).route("boil an egg", task="food").model
    'small'
    """

    name = "topic_table"

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def _learn(self, outcomes: Outcomes) -> None:
        from threadpoolctl import threadpool_limits

        self._detector: TopicDetector | None = None
        if outcomes.topics is not None:
            with threadpool_limits(limits=1):
                self._detector = TopicDetector.fit(
                    list(outcomes.prompts), outcomes.topics, self.random_state
                )

    def _estimate(
        self, texts: list[str], topics: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.topic_means_ is None or self._detector is None:
            shape = (len(texts), 1)
            return np.tile(self.mean_quality_, shape), np.tile(self.mean_cost_usd_, shape)
        found = self.topic_means_.estimates(self._detector.topics(texts, topics))
        return found.quality, found.cost_usd

    def _parameters(self) -> dict[str, Any]:
        return {"random_state": self.random_state}

    def _learned(self) -> dict[str, Any]:
        return {"detector": None if self._detector is None else self._detector.to_state()}

    def _restore(self, learned: Mapping[str, Any]) -> None:
        known = learned["detector"]
        self._detector = None if known is None else TopicDetector.from_state(known)


class TopicDetector:
    """Name the topic of a prompt."""

    def __init__(self, space: PromptColumns, classifier: TopicClassifier) -> None:
        self.space = space
        self.classifier = classifier

    @classmethod
    def fit(cls, texts: list[str], topics: Sequence[str], random_state: int) -> Self:
        """Learn from prompts and their topics."""
        space = PromptColumns(groups=PLAIN, random_state=random_state)
        space.learn(texts)
        names, is_main = main_topics(topics)
        _, place = space.locate(texts, None)
        labels = np.array(topics, dtype=str)
        kept = is_main if is_main.any() else ~is_main
        classifier = TopicClassifier.fit(place.coordinates[kept], labels[kept], names)
        return cls(space, classifier)

    def topics(self, texts: list[str], told: Sequence[str] | None) -> list[str]:
        """Return told topics as they are, and the most probable one where none is told."""
        if told is not None or not self.classifier.topics:
            return list(told or [""] * len(texts))
        _, place = self.space.locate(texts, None)
        best = self.classifier.probabilities(place.coordinates).argmax(axis=1)
        return [self.classifier.topics[at] for at in best]

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {"space": self.space.to_state(), "classifier": self.classifier.to_state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(
            PromptColumns.from_state(state["space"]),
            TopicClassifier.from_state(state["classifier"]),
        )
