"""Clusters of prompts, and what each candidate does on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from routerlib.features.learners.stack import NEIGHBOUR_DIMENSIONS
from routerlib.features.learners.topics import topic_means
from routerlib.features.text_space import Place
from routerlib.records.arrays import pack_array, unpack_array
from routerlib.weights.embedding import unit_rows

# Numbers of clusters tried, with this many prompts a cluster on average.
_TRIED, _FEWEST_A_CLUSTER = (4, 8, 16, 32, 64), 5
_STARTS = 4


class Clusters:
    """Centres of clusters, and what each candidate does near them.

    `centres` (n_clusters, n_dimensions): of points at length 1.
    `means` (n_clusters, n_models): quality, drawn towards the overall mean.
    """

    def __init__(self, centres: np.ndarray, means: np.ndarray) -> None:
        self.centres = centres
        self.means = means

    @classmethod
    def fit(
        cls,
        place: Place,
        quality: np.ndarray,
        folds: np.ndarray,
        n_clusters: int | None,
        random_state: int,
    ) -> Self:
        """Fit with so many clusters, or as many as predict best out of fold."""
        points = _points(place)
        most = len(np.unique(points, axis=0))
        if n_clusters is None:
            most = min(most, max(len(points) // _FEWEST_A_CLUSTER, 1))
        sizes = sorted(
            {min(size, most) for size in (_TRIED if n_clusters is None else [n_clusters])}
        )
        tried = [_centres(points, size, random_state) for size in sizes]
        members = [_member(points, centres) for centres in tried]
        errors = [_error_out_of_fold(member, quality, folds) for member in members]
        best = int(np.argmin(errors))
        return cls(tried[best], topic_means(members[best], quality))

    def predict(self, place: Place, topics: Sequence[str] | None) -> np.ndarray:
        """Return estimates of shape (n_prompts, n_models)."""
        return np.asarray(self.means[_nearest(_points(place), self.centres)])

    def to_state(self) -> dict[str, Any]:
        """Return plain builtins."""
        return {"centres": pack_array(self.centres), "means": pack_array(self.means)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `to_state`."""
        return cls(unpack_array(state["centres"]), unpack_array(state["means"]))


def _points(place: Place) -> np.ndarray:
    return unit_rows(place.coordinates[:, :NEIGHBOUR_DIMENSIONS])


def _centres(points: np.ndarray, n_clusters: int, random_state: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    found = KMeans(n_clusters, n_init=_STARTS, random_state=random_state).fit(points.astype(float))
    return np.asarray(found.cluster_centers_, dtype=np.float32)


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the nearest centre of each point, shape (n_points,)."""
    return np.asarray(((centres**2).sum(axis=1) - 2 * points @ centres.T).argmin(axis=1))


def _member(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return 1 where a point is nearest to a centre, shape (n_points, n_clusters)."""
    return np.eye(len(centres))[_nearest(points, centres)]


def _error_out_of_fold(member: np.ndarray, quality: np.ndarray, folds: np.ndarray) -> float:
    """Return the summed squared error where each fold is expected from the others' means."""
    errors = 0.0
    for fold in np.unique(folds):
        out = folds == fold
        means = topic_means(member[~out], quality[~out])
        errors += float(np.nansum((member[out] @ means - quality[out]) ** 2))
    return errors
