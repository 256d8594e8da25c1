"""The simpler learners whose estimates the trees build upon, each estimating out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from routerlib.features.learners.folds import kept_by_folds
from routerlib.features.learners.linear import LinearFit
from routerlib.features.learners.log_odds import logits, sigmoid
from routerlib.features.learners.neighbours import Nearest, Neighbours
from routerlib.features.learners.network import Labels, Network
from routerlib.features.learners.pulls import Pull, secants
from routerlib.features.learners.targets import Estimated, Targets
from routerlib.features.learners.topics import TopicClassifier, topic_means, topic_membership
from routerlib.features.pieces import each, share
from routerlib.features.text_space import Place
from routerlib.records.arrays import pack_array, unpack_array

NEIGHBOUR_DIMENSIONS = 128
_N_NEIGHBORS, _TEMPERATURE = 80, 0.1
_NETWORK_DIMENSIONS = 48
# A prompt unlike those of a small log lies far out in directions in which these hardly differ:
# directions narrower than a tenth of the widest aren't widened to its width, and nothing counts
# as farther out than four standard deviations.
_SMALLEST_SCALE, _FARTHEST = 0.1, 4.0
# A coordinate nearer to the origin than this lies there.
_AT_ORIGIN = 1e-9


class QualityLearner(Protocol):
    """What is asked of a fitted learner that serves as a router's estimate of quality."""

    def predict(self, place: Place, topics: Sequence[str] | None) -> np.ndarray:
        """Return estimates of shape (n_prompts, n_columns), one for each candidate first."""

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""


class SimplerLearner(QualityLearner, Protocol):
    """What is asked of a learner that the trees build upon."""

    @classmethod
    def fit_out_of_fold(
        cls, place: Place, targets: Targets, folds: np.ndarray, random_state: int
    ) -> tuple[Self, Estimated]:
        """Fit on all prompts, and estimate each prompt from the other folds."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""


class WordsLearner:
    """Quality and log cost, linear in the coordinates (ridge)."""

    def __init__(self, fit: LinearFit) -> None:
        self.fit = fit

    @classmethod
    def fit_out_of_fold(
        cls, place: Place, targets: Targets, folds: np.ndarray, random_state: int
    ) -> tuple[Self, Estimated]:
        """Fit on all prompts, and estimate each prompt from the other folds."""
        wanted = np.hstack([targets.quality, targets.log_cost])
        fit, held_out = LinearFit.fit_out_of_fold(place.coordinates, wanted, folds)
        return cls(fit), Estimated(held_out, held_out)

    def predict(self, place: Place, topics: Sequence[str] | None) -> np.ndarray:
        """Return estimates of shape (n_prompts, n_models + n_costed)."""
        return self.fit.predict(place.coordinates)

    def pull(self, place: Place, topics: Sequence[str] | None) -> Pull:
        """Return why one prompt is estimated so: exact, as all is linear."""
        nothing = Pull.nothing(self.fit.constants, *_sizes(place))
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
    def fit_out_of_fold(
        cls, place: Place, targets: Targets, folds: np.ndarray, random_state: int
    ) -> tuple[Self, Estimated]:
        """Fit on all prompts, and estimate each prompt from the other folds."""
        learner = cls.remember(place, targets.quality, _N_NEIGHBORS, _TEMPERATURE)
        held_out = learner.neighbours.predict_out_of_fold(folds)
        return learner, Estimated(held_out, held_out)

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
        nothing = Pull.nothing(self.neighbours.means, *_sizes(place))
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
    def fit_out_of_fold(
        cls, place: Place, targets: Targets, folds: np.ndarray, random_state: int
    ) -> tuple[Self, Estimated]:
        """Fit on all prompts, and estimate each prompt from the other folds."""
        topics, _ = topic_membership(targets.labels)
        given = share(place.coordinates), targets.quality, targets.labels, topics
        every, *kept = kept_by_folds(folds)
        fitted, *of_folds = each(cls._fit, [(*given, rows) for rows in (every, *kept)], "topics")
        detected = np.empty(targets.quality.shape)
        told = detected.copy()
        for rows, held in zip(kept, of_folds, strict=True):
            detected[~rows] = held.predict(place.take(~rows), None)
            told[~rows] = held.predict(place.take(~rows), list(targets.labels[~rows]))
        return fitted, Estimated(detected, told if targets.are_topics else detected)

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
        nothing = Pull.nothing(usual, *_sizes(place))
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


class NetworkLearner:
    """Quality, by a small network that learns the topic as a second task.

    Given the topic's estimates, it learns what to add to their log-odds: so a told topic counts.

    `scales` (n_coordinates,): standard deviations of those coordinates that it reads.
    """

    def __init__(self, network: Network, scales: np.ndarray, adds_to_topic: bool) -> None:
        self.network = network
        self.scales = scales
        self.adds_to_topic = adds_to_topic

    @classmethod
    def fit_out_of_fold(
        cls, place: Place, targets: Targets, folds: np.ndarray, random_state: int
    ) -> tuple[Self, Estimated]:
        """Fit on all prompts, and estimate each prompt from the other folds."""
        scales = _network_scales(place)
        inputs = _network_columns(place, scales)
        given = share(inputs), share(_network_labels(targets, random_state)), random_state
        every, *kept = kept_by_folds(folds)
        pieces = [(*given, rows) for rows in (every, *kept)]
        network, *of_folds = each(_network_of, pieces, "networks")
        fitted = cls(network, scales, targets.start is not None)
        detected = np.empty(targets.quality.shape)
        told = detected.copy()
        for rows, held in zip(kept, of_folds, strict=True):
            out = ~rows
            if targets.start is None:
                detected[out] = told[out] = held.predict(inputs[out])
            else:
                detected[out] = held.predict(inputs[out], logits(targets.start.detected[out]))
                told[out] = held.predict(inputs[out], logits(targets.start.told[out]))
        return fitted, Estimated(detected, told)

    @classmethod
    def fit(cls, place: Place, targets: Targets, random_state: int) -> Self:
        """Fit on all prompts."""
        scales = _network_scales(place)
        labels = _network_labels(targets, random_state)
        network = Network.fit(_network_columns(place, scales), labels, random_state)
        return cls(network, scales, targets.start is not None)

    def predict(
        self, place: Place, topics: Sequence[str] | None, start: np.ndarray | None = None
    ) -> np.ndarray:
        """Return estimates of shape (n_prompts, n_models); `start` are the topic's."""
        log_odds = logits(start) if start is not None and self.adds_to_topic else None
        return self.network.predict(_network_columns(place, self.scales), log_odds)

    def pull_beside(self, place: Place, topic: Pull | None) -> Pull:
        """Return why one prompt is estimated so: by integrated gradients, and its topic's pull."""
        columns = _network_columns(place, self.scales)[0]
        slopes = self.network.slopes_from_origin(columns)
        usual = self.network.log_odds(np.zeros((1, len(columns))))[0]
        here = self.network.log_odds(columns[np.newaxis])[0]
        n_read, read = len(self.scales), place.coordinates[0, : len(self.scales)]
        is_off = np.abs(read) > _AT_ORIGIN
        units = np.where(is_off, columns[:n_read], 1.0) / np.where(is_off, read, self.scales)
        found = Pull.nothing(usual, *_sizes(place))._replace(count_slopes=slopes[:, n_read:])
        found.slopes[:, :n_read] = slopes[:, :n_read] * units
        if topic is not None and self.adds_to_topic:
            at = topic.here(place.coordinates[0], place.counts[0])
            factors = secants(topic.usual, at, logits(topic.usual), logits(at))
            found += topic.scaled(factors, logits(topic.usual))
            usual, here = found.usual, here + logits(at)
        return found.scaled(secants(usual, here, sigmoid(usual), sigmoid(here)), sigmoid(usual))

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {
            "network": self.network.to_state(),
            "scales": pack_array(self.scales),
            "adds_to_topic": self.adds_to_topic,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        network = Network.from_state(state["network"])
        return cls(network, unpack_array(state["scales"]), state["adds_to_topic"])


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
        learners: dict[str, SimplerLearner] = {}
        found: dict[str, Estimated] = {}
        for name in names:
            begun = targets._replace(start=found.get("topic"))
            learners[name], found[name] = cls.kinds[name].fit_out_of_fold(
                place, begun, folds, random_state
            )
        nothing = np.zeros((len(targets.quality), 0))
        detected = np.hstack([nothing, *(estimated.detected for estimated in found.values())])
        told = np.hstack([nothing, *(estimated.told for estimated in found.values())])
        return cls(learners), Estimated(detected, told)

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


def _sizes(place: Place) -> tuple[int, int]:
    return place.coordinates.shape[1], place.counts.shape[1]


def _network_labels(targets: Targets, random_state: int) -> Labels:
    """Return what the network learns; half the prompts start with their topic told."""
    topics = topic_membership(targets.labels)[1]
    if targets.start is None:
        return Labels(targets.quality, topics)
    is_told = np.random.default_rng(random_state).random((len(topics), 1)) < 0.5
    start = np.where(is_told, targets.start.told, targets.start.detected)
    return Labels(targets.quality, topics, logits(start).astype(np.float32))


def _network_scales(place: Place) -> np.ndarray:
    scales = place.coordinates[:, :_NETWORK_DIMENSIONS].std(axis=0)
    return np.asarray(np.maximum(scales, max(scales.max(), 1e-6) * _SMALLEST_SCALE), np.float32)


def _network_of(inputs: np.ndarray, labels: Labels, random_state: int, kept: np.ndarray) -> Network:
    """Train on the rows that a mask keeps."""
    return Network.fit(inputs[kept], labels.take(kept), random_state)


def _network_columns(place: Place, scales: np.ndarray) -> np.ndarray:
    directions = np.clip(place.coordinates[:, : len(scales)] / scales, -_FARTHEST, _FARTHEST)
    return np.hstack([directions, place.counts])
