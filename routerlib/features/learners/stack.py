"""The simpler learners whose estimates the trees build upon, each estimating out of fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from routerlib.features.learners.folds import kept_by_folds
from routerlib.features.learners.linear import LinearFit
from routerlib.features.learners.neighbours import Nearest, Neighbours
from routerlib.features.learners.network_learner import NetworkLearner
from routerlib.features.learners.pulls import Pull
from routerlib.features.learners.targets import Estimated, Targets
from routerlib.features.learners.topics import TopicClassifier, topic_means, topic_membership
from routerlib.features.pieces import begin, share
from routerlib.features.text_space import Place
from routerlib.records.arrays import pack_array, unpack_array

NEIGHBOUR_DIMENSIONS = 128
_N_NEIGHBORS, _TEMPERATURE = 80, 0.1


class QualityLearner(Protocol):
    """What is asked of a fitted learner that serves as a router's estimate of quality."""

    def predict(self, place: Place, topics: Sequence[str] | None) -> np.ndarray:
        """Return estimates of shape (n_prompts, n_columns), one for each candidate first."""

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""


class SimplerLearner(QualityLearner, Protocol):
    """What is asked of a learner that the trees build upon."""

    @classmethod
    def begin_out_of_fold(
        cls, place: Place, targets: Targets, folds: np.ndarray, random_state: int
    ) -> Callable[[], tuple[Self, Estimated]]:
        """Begin to fit on all prompts, and to estimate each prompt from the other folds."""


class WordsLearner:
    """Quality and log cost, linear in the coordinates (ridge)."""

    def __init__(self, fit: LinearFit) -> None:
        self.fit = fit

    @classmethod
    def begin_out_of_fold(
        cls, place: Place, targets: Targets, folds: np.ndarray, random_state: int
    ) -> Callable[[], tuple[Self, Estimated]]:
        """Begin to fit on all prompts, and to estimate each prompt from the other folds."""

        def fitted() -> tuple[Self, Estimated]:
            wanted = np.hstack([targets.quality, targets.log_cost])
            fit, held_out = LinearFit.fit_out_of_fold(place.coordinates, wanted, folds)
            return cls(fit), Estimated(held_out, held_out)

        return fitted

    def predict(self, place: Place, topics: Sequence[str] | None) -> np.ndarray:
        """Return estimates of shape (n_prompts, n_models + n_costed)."""
        return self.fit.predict(place.coordinates)

    def pull(self, place: Place, topics: Sequence[str] | None) -> Pull:
        """Return why one prompt is estimated so: exact, as all is linear."""
        nothing = Pull.nothing(self.fit.constants, *place.sizes)
        return nothing._replace(slopes=self.fit.slopes.T.astype(float))

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return self.fit.to_state()

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(LinearFit.from_state(state))


class NeighboursLearner:
    """Mean quality of the 80 nearest prompts."""

    def __init__(self, neighbours: Neighbours) -> None:
        self.neighbours = neighbours

    @classmethod
    def begin_out_of_fold(
        cls, place: Place, targets: Targets, folds: np.ndarray, random_state: int
    ) -> Callable[[], tuple[Self, Estimated]]:
        """Begin to fit on all prompts, and to estimate each prompt from the other folds."""
        learner = cls.remember(place, targets.quality, _N_NEIGHBORS, _TEMPERATURE)
        found = learner.neighbours.begin_out_of_fold(folds)
        return lambda: (learner, Estimated(*[found()] * 2))

    @classmethod
    def remember(
        cls, place: Place, quality: np.ndarray, n_neighbors: int, temperature: float
    ) -> Self:
        """Fit on all prompts."""
        vectors = place.coordinates[:, :NEIGHBOUR_DIMENSIONS]
        return cls(Neighbours.fit(vectors, quality, n_neighbors, temperature))

    def nearest(self, place: Place, k: int) -> Nearest:
        """Return the k nearest training prompts of each prompt."""
        return self.neighbours.nearest(place.coordinates[:, :NEIGHBOUR_DIMENSIONS], k)

    def predict(self, place: Place, topics: Sequence[str] | None) -> np.ndarray:
        """Return estimates of shape (n_prompts, n_models)."""
        return self.neighbours.predict(place.coordinates[:, :NEIGHBOUR_DIMENSIONS])

    def pull(self, place: Place, topics: Sequence[str] | None) -> Pull:
        """Return why one prompt is estimated so: exact, by what each neighbour adds."""
        nothing = Pull.nothing(self.neighbours.means, *place.sizes)
        return nothing._replace(similar=self.shares(place)[1].sum(axis=0))

    def shares(self, place: Place) -> tuple[np.ndarray, np.ndarray]:
        """Return the neighbours of one prompt, and what each adds to the mean of all."""
        return self.neighbours.shares(place.coordinates[0, :NEIGHBOUR_DIMENSIONS])

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return self.neighbours.to_state()

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(Neighbours.from_state(state))


class TopicLearner:
    """Mean quality on each topic, weighed by the topic's probability; a told one's own mean."""

    def __init__(self, classifier: TopicClassifier, means: np.ndarray) -> None:
        self.classifier = classifier
        self.means = means

    @classmethod
    def begin_out_of_fold(
        cls, place: Place, targets: Targets, folds: np.ndarray, random_state: int
    ) -> Callable[[], tuple[Self, Estimated]]:
        """Begin to fit on all prompts, and to estimate each prompt from the other folds."""
        topics, _ = topic_membership(targets.labels)
        given = share(place.coordinates), targets.quality, targets.labels, topics
        every, *kept = kept_by_folds(folds)
        fits = begin(cls._fit, [(*given, rows) for rows in (every, *kept)], "topics")

        def found() -> tuple[Self, Estimated]:
            fitted, *of_folds = fits()
            detected = np.empty(targets.quality.shape)
            told = detected.copy()
            for rows, held in zip(kept, of_folds, strict=True):
                detected[~rows] = held.predict(place.take(~rows), None)
                told[~rows] = held.predict(place.take(~rows), list(targets.labels[~rows]))
            return fitted, Estimated(detected, told if targets.are_topics else detected)

        return found

    @classmethod
    def _fit(
        cls,
        coordinates: np.ndarray,
        quality: np.ndarray,
        labels: np.ndarray,
        topics: Sequence[str],
        kept: np.ndarray,
    ) -> Self:
        coordinates, quality, labels = coordinates[kept], quality[kept], labels[kept]
        is_main = np.isin(labels, list(topics))
        if not is_main.any():
            is_main[:] = True
        classifier = TopicClassifier.fit(coordinates[is_main], labels[is_main], topics)
        member = (labels[:, np.newaxis] == np.array(topics, dtype=str)).astype(float)
        return cls(classifier, topic_means(member, quality))

    def predict(self, place: Place, topics: Sequence[str] | None) -> np.ndarray:
        """Return estimates of shape (n_prompts, n_models)."""
        return np.asarray(self.classifier.probabilities(place.coordinates, topics) @ self.means)

    def pull(self, place: Place, topics: Sequence[str] | None) -> Pull:
        """Return why one prompt is estimated so: by its topic, or by what puts it in a cluster."""
        usual = self.predict(Place(*map(np.zeros_like, place)), None)[0]
        nothing = Pull.nothing(usual, *place.sizes)
        if self.classifier.has_names or topics is not None:
            return nothing._replace(topic=self.predict(place, topics)[0] - usual)
        slopes = self.classifier.slopes_from_origin(place.coordinates[0].astype(float), self.means)
        return nothing._replace(slopes=slopes)

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {"classifier": self.classifier.to_state(), "means": pack_array(self.means)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(TopicClassifier.from_state(state["classifier"]), unpack_array(state["means"]))


class SimplerLearners:
    """Several simpler learners, their estimates side by side."""

    kinds: ClassVar[Mapping[str, type[SimplerLearner]]] = {
        "words": WordsLearner,
        "neighbours": NeighboursLearner,
        "topic": TopicLearner,
        "network": NetworkLearner,
    }

    def __init__(self, learners: Mapping[str, SimplerLearner]) -> None:
        self.learners = dict(learners)

    @classmethod
    def fit_out_of_fold(
        cls,
        names: Sequence[str],
        place: Place,
        targets: Targets,
        folds: np.ndarray,
        random_state: int,
    ) -> tuple[Self, Estimated]:
        """Fit on all prompts, and estimate each prompt from the other folds.

        `folds` (n_prompts,): at least two folds; near-duplicates share one.
        """
        given, done = (folds, random_state), dict[str, tuple[SimplerLearner, Estimated]]()
        # Workers begin what they can; this process does the words meanwhile.
        begun = {
            name: cls.kinds[name].begin_out_of_fold(place, targets, *given)
            for name in ("topic", "neighbours", "words")
            if name in names
        }
        done |= {name: begun.pop(name)() for name in ("words", "topic") if name in names}
        if "network" in names:  # it builds upon the topics
            start = done["topic"][1] if "topic" in done else None
            beside = targets._replace(start=start)
            begun["network"] = NetworkLearner.begin_out_of_fold(place, beside, *given)
        done |= {name: result() for name, result in begun.items()}
        nothing = np.zeros((len(targets.quality), 0))
        detected = np.hstack([nothing, *(done[name][1].detected for name in names)])
        told = np.hstack([nothing, *(done[name][1].told for name in names)])
        return cls({name: done[name][0] for name in names}), Estimated(detected, told)

    def predict(self, place: Place, topics: Sequence[str] | None = None) -> list[np.ndarray]:
        """Return each learner's estimates, shape (n_prompts, its columns)."""
        found: dict[str, np.ndarray] = {}
        for name, learner in self.learners.items():
            if isinstance(learner, NetworkLearner):
                found[name] = learner.predict(place, topics, found.get("topic"))
            else:
                found[name] = learner.predict(place, topics)
        return list(found.values())

    def pulls(self, place: Place, topics: Sequence[str] | None) -> dict[str, Pull]:
        """Return why one prompt is estimated so, by learner."""
        found: dict[str, Pull] = {}
        for name, learner in self.learners.items():
            if isinstance(learner, NetworkLearner):
                found[name] = learner.pull_beside(place, found.get("topic"))
            elif isinstance(learner, (WordsLearner, NeighboursLearner, TopicLearner)):
                found[name] = learner.pull(place, topics)
        return found

    def names(self, models: Sequence[str], costed: Sequence[str]) -> list[str]:
        """Return the columns' names."""
        names: list[str] = []
        for name in self.learners:
            names += [f"{name}_quality_{model}" for model in models]
            if name == "words":
                names += [f"{name}_cost_{model}" for model in costed]
        return names

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {name: learner.to_state() for name, learner in self.learners.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls({name: cls.kinds[name].from_state(part) for name, part in state.items()})
