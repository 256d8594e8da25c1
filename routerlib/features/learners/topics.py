"""Learn the topics of a log: which one a prompt has, and what each candidate does on it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from routerlib.features.learners.linear import observed_means
from routerlib.features.text_space import Place
from routerlib.records.arrays import pack_array, some_rows, unpack_array

# A topic with fewer prompts is not told apart from the others.
_MIN_PROMPTS = 4
_MAX_TOPICS = 128
# More prompts hardly move the classifier, or the clusters.
MOST_CLASSIFIED = 16_384
# Penalty of the classifier (scikit-learn's C), for coordinates of total variance about 3.
_INVERSE_PENALTY = 10.0
_MAX_STEPS = 200
# Steps below this slope fit the training prompts alone: new ones' topics are told no better.
_TOLERANCE = 1e-3
# Without topics in the log, clusters of prompts stand in for them.
_CLUSTER_DIMENSIONS = 32
_FEWEST_CLUSTERS, _MOST_CLUSTERS = 2, 24
_CLUSTER = "cluster "
# Points of the straight way at which slopes are looked at (Gauss and Legendre).
_POINTS = 16
# Bounds of how many prompts of its own a topic needs to weigh as much as the overall mean.
_PRIOR_COUNTS = (3.0, 60.0)


class TopicClassifier:
    """Probability of each topic, by multinomial logistic regression.

    `topics` (length n_topics): names.
    `slopes` (n_columns, n_topics): log-odds that a unit of each column adds.
    `constants` (n_topics,): log-odds at the origin.
    """

    def __init__(self, topics: Sequence[str], slopes: np.ndarray, constants: np.ndarray) -> None:
        self.topics = tuple(topics)
        self.slopes = slopes
        self.constants = constants
        self._row_of = {topic: row for row, topic in enumerate(self.topics)}

    @classmethod
    def fit(cls, columns: np.ndarray, labels: np.ndarray, topics: Sequence[str]) -> Self:
        """Fit on labels, of which some of the topics may be missing; on 16,384 prompts at most."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        rows = some_rows(len(labels), MOST_CLASSIFIED)
        columns, labels = columns[rows], labels[rows]
        slopes = np.zeros((columns.shape[1], len(topics)))
        constants = np.full(len(topics), -30.0)  # a topic that was not seen has no probability
        seen = [topic for topic in topics if (labels == topic).any()]
        at = [list(topics).index(topic) for topic in seen]
        if len(seen) < 2:
            constants[at] = 0.0
            return cls(topics, slopes.astype(np.float32), constants)
        regression = LogisticRegression(C=_INVERSE_PENALTY, max_iter=_MAX_STEPS, tol=_TOLERANCE)
        with warnings.catch_warnings():
            # The last steps change nothing that a prediction would show.
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.fit(columns.astype(np.float32), np.searchsorted(np.array(seen), labels))
        weights, level = regression.coef_.T.astype(float), regression.intercept_.astype(float)
        if len(seen) == 2:  # scikit-learn keeps the log-odds of the second only
            weights, level = np.hstack([-weights, weights]) / 2, np.array([-level[0], level[0]]) / 2
        slopes[:, at], constants[at] = weights, level
        return cls(topics, slopes.astype(np.float32), constants)

    def probabilities(self, columns: np.ndarray, told: Sequence[str] | None = None) -> np.ndarray:
        """Return probabilities of shape (n_prompts, n_topics).

        A told topic that is known has probability 1; any other is detected.
        """
        logits = columns @ self.slopes + self.constants
        shares = np.exp(logits - np.maximum.reduce(logits, axis=1, keepdims=True))
        shares /= np.add.reduce(shares, axis=1, keepdims=True)
        for row, topic in enumerate(() if told is None else told):
            if topic in self._row_of:
                shares[row] = 0.0
                shares[row, self._row_of[topic]] = 1.0
        return np.asarray(shares)

    @property
    def has_names(self) -> bool:
        """Whether the topics are the log's own, not clusters without a name."""
        return not all(topic.startswith(_CLUSTER) for topic in self.topics)

    def slopes_from_origin(self, columns: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Return what a unit of each column adds on the straight way from the origin to a prompt.

        Integrated gradients (M. Sundararajan, A. Taly, Q. Yan, ICML 2017) of the topics' means,
        weighed by their probabilities; by quadrature.

        `columns` (n_columns,): of one prompt.
        `means` (n_topics, n_models): what is averaged.
        Returns shape (n_models, n_columns).
        """
        points, weights = np.polynomial.legendre.leggauss(_POINTS)
        shares = self.probabilities((points[:, np.newaxis] + 1) / 2 * columns)
        expected = shares @ means
        # Of each topic, what a unit of its log-odds adds to each mean, averaged along the way.
        by_topic = np.einsum("p,pt,ptm->tm", weights / 2, shares, means - expected[:, np.newaxis])
        return np.asarray((self.slopes @ by_topic).T)

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {
            "topics": list(self.topics),
            "slopes": pack_array(self.slopes),
            "constants": pack_array(self.constants),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(state["topics"], unpack_array(state["slopes"]), unpack_array(state["constants"]))


def topic_means(
    shares: np.ndarray, quality: np.ndarray, overall: np.ndarray | None = None
) -> np.ndarray:
    """Return mean quality of each topic, drawn towards the overall mean.

    The prior weighs noise variance / variance between topics prompts (empirical Bayes), at least
    3 and at most 60; estimated by the method of moments over all candidates.

    `shares` (n_prompts, n_topics): how much a prompt belongs to each topic; 0 or 1 where topics
        are known.
    `quality` (n_prompts, n_models): NaN = not observed. Anything else will do, such as cost.
    `overall` (n_models,): what to draw towards; None = the mean of all that was observed.

    >>> topic_means(np.eye(2), np.array([[0.0], [1.0]])).ravel().round(3)
    array([0.492, 0.508])
    """
    is_observed = ~np.isnan(quality)
    overall = observed_means(quality) if overall is None else overall
    counts = shares.T @ is_observed
    sums = shares.T @ np.where(is_observed, quality, 0.0)
    prior = _prior_count(sums, counts, overall, quality)
    return np.asarray((sums + prior * overall) / (counts + prior))


def main_topics(labels: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Return the topics that are told apart, and which prompts have one of them.

    `labels` (length n_prompts): topics.

    >>> main_topics(["a"] * 4 + ["b"])
    (['a'], array([ True,  True,  True,  True, False]))
    """
    names, counts = np.unique(np.array(labels, dtype=str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MAX_TOPICS]
    kept = sorted(str(names[at]) for at in order if counts[at] >= _MIN_PROMPTS)
    return kept, np.isin(np.array(labels, dtype=str), kept)


def topic_labels(
    place: Place, topics: Sequence[str] | None, random_state: int
) -> tuple[np.ndarray, bool]:
    """Return the topic of each prompt, or its cluster where no topics can be learnt.

    Returns shape (n_prompts,): topic or cluster.
    """
    if topics is not None and len(main_topics(topics)[0]) > 1:
        return np.array(topics, dtype=str), True
    from sklearn.cluster import KMeans

    n_clusters = int(np.clip(np.sqrt(len(place.counts)) / 2, _FEWEST_CLUSTERS, _MOST_CLUSTERS))
    points = place.coordinates[:, :_CLUSTER_DIMENSIONS].astype(float)
    some = points[some_rows(len(points), MOST_CLASSIFIED)]
    n_clusters = min(n_clusters, len(np.unique(some, axis=0)))
    # Labels of all by the same rule as of some: where there are few, those of the fit itself.
    clusters = KMeans(n_clusters, n_init=4, random_state=random_state).fit(some)
    found = clusters.labels_ if len(some) == len(points) else clusters.predict(points)
    return np.array([f"{_CLUSTER}{number}" for number in found]), False


def topic_membership(labels: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the main topics, and 1 where a prompt has one, shape (n_prompts, n_topics)."""
    topics, _ = main_topics(list(labels))
    topics = topics or sorted(set(labels.tolist()))[:1]
    return topics, (labels[:, np.newaxis] == np.array(topics, dtype=str)).astype(float)


def _prior_count(
    sums: np.ndarray, counts: np.ndarray, overall: np.ndarray, quality: np.ndarray
) -> float:
    """Estimate noise variance / variance between topics, over all candidates."""
    known = counts >= 2
    if not known.any():
        return _PRIOR_COUNTS[1]
    deviations = np.where(known, sums / np.maximum(counts, 1) - overall, 0.0)
    total = np.nanmean((quality - overall) ** 2, axis=0)
    # E[deviation^2] = between + noise / count; noise = total - between.
    weights = np.where(known, counts, 0.0)
    squares = (weights * deviations**2).sum()
    noise_part = (known * total).sum()
    between = max((squares - noise_part) / max((weights - known).sum(), 1e-9), 0.0)
    noise = max(float(total.mean()) - between, 0.0)
    return float(np.clip(noise / between if between > 0 else np.inf, *_PRIOR_COUNTS))
