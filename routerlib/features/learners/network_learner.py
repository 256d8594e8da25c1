"""A small network as one of the simpler learners, beside the topics that it builds upon."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from routerlib.features.learners.folds import kept_by_folds
from routerlib.features.learners.log_odds import logits, sigmoid
from routerlib.features.learners.network import Labels, Network
from routerlib.features.learners.pulls import Pull, secants
from routerlib.features.learners.targets import Estimated, Targets
from routerlib.features.learners.topics import topic_membership
from routerlib.features.pieces import begin, share
from routerlib.features.text_space import Place
from routerlib.records.arrays import pack_array, unpack_array

_NETWORK_DIMENSIONS = 48
# A prompt unlike those of a small log lies far out in directions in which these hardly differ:
# directions narrower than a tenth of the widest aren't widened to its width, and nothing counts
# as farther out than four standard deviations.
_SMALLEST_SCALE, _FARTHEST = 0.1, 4.0
# A coordinate nearer to the origin than this lies there.
_AT_ORIGIN = 1e-9


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
    def begin_out_of_fold(
        cls, place: Place, targets: Targets, folds: np.ndarray, random_state: int
    ) -> Callable[[], tuple[Self, Estimated]]:
        """Begin to fit on all prompts, and to estimate each prompt from the other folds."""
        scales = _network_scales(place)
        inputs = _network_columns(place, scales)
        given = share(inputs), share(_network_labels(targets, random_state)), random_state
        every, *kept = kept_by_folds(folds)
        pieces = [(*given, rows) for rows in (every, *kept)]
        networks = begin(_network_of, pieces, "networks")

        def found() -> tuple[Self, Estimated]:
            network, *of_folds = networks()
            detected = np.empty(targets.quality.shape)
            told = detected.copy()
            for rows, held in zip(kept, of_folds, strict=True):
                out = ~rows
                if targets.start is None:
                    detected[out] = told[out] = held.predict(inputs[out])
                else:
                    detected[out] = held.predict(inputs[out], logits(targets.start.detected[out]))
                    told[out] = held.predict(inputs[out], logits(targets.start.told[out]))
            return cls(network, scales, targets.start is not None), Estimated(detected, told)

        return found

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
        found = Pull.nothing(usual, *place.sizes)._replace(count_slopes=slopes[:, n_read:])
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
    directions = place.coordinates[:, : len(scales)] / scales
    np.maximum(directions, -_FARTHEST, out=directions)
    np.minimum(directions, _FARTHEST, out=directions)
    return np.concatenate([directions, place.counts], axis=1)
