"""ClusterTable: a table of means like that of topics, for topics that were found by clustering."""

from __future__ import annotations

from typing import Any

import numpy as np

from routerlib.features.encoders import EncoderChoice
from routerlib.features.learners.clusters import Clusters
from routerlib.features.learners.stack import QualityLearner
from routerlib.features.text_space import Place
from routerlib.outcomes.outcomes import Outcomes
from routerlib.routers.rivals import LearnerRouter


class ClusterTable(LearnerRouter):
    """Expect the training mean of the cluster of prompts that is nearest.

    The prompts' places in the space of `PromptFeatures`, all at length 1, are clustered by
    k-means; each cluster keeps the mean quality of every candidate, drawn towards the overall
    mean (empirical Bayes). It assumes that prompts of one cluster are alike for all candidates.

    Parameters
    ----------
    n_clusters : int or None, default=None
        At least 1, at most as many as there are different prompts; None = the number of 4, 8, 16,
        32, 64 whose means predict best out of fold, with 5 prompts a cluster or more.
    random_state : int, default=0
        Seed of the clustering.
    encoder : str, callable or None, default=None
        A neural encoder in addition, as of `PromptFeatures`.

    References
    ----------
    W. Jitkrittum et al., Universal model routing for efficient LLM inference, arXiv 2502.08773,
    2025 (a candidate is described by its mean error on each cluster); Y. Zhang et al., The
    Avengers: a simple recipe for uniting smaller language models to challenge proprietary
    giants, arXiv 2505.19797, 2025.

    Examples
    --------
    >>> outcomes = Outcomes(["cook rice", "boil an egg", "tax law", "tax forms"] * 10,
    ...                     ["small", "large"], quality=[[1, 0], [1, 0], [0, 1], [0, 1]] * 10)
    >>> ClusterTable(n_clusters=4).fit(outcomes).route("tax law").model
    'large'
    """

    name = "cluster_table"
    _learner = Clusters

    def __init__(
        self,
        n_clusters: int | None = None,
        random_state: int = 0,
        *,
        encoder: EncoderChoice = None,
    ) -> None:
        if n_clusters is not None and n_clusters < 1:
            raise ValueError(f"n_clusters must be None or at least 1, got {n_clusters!r}")
        super().__init__(random_state, encoder=encoder)
        self.n_clusters = n_clusters

    def _fit_quality(self, place: Place, outcomes: Outcomes, folds: np.ndarray) -> QualityLearner:
        return Clusters.fit(place, outcomes.quality, folds, self.n_clusters, self.random_state)

    def _parameters(self) -> dict[str, Any]:
        return {**super()._parameters(), "n_clusters": self.n_clusters}
