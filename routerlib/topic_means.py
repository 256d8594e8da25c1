"""Remember what each topic's prompts had on average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routerlib.arrays import pack_array, unpack_array
from routerlib.outcomes import Outcomes
from routerlib.types import Estimates

# A topic's mean counts as this many prompts of all topics together: a topic of three prompts must
# not decide by chance.
_PRIOR_PROMPTS = 5.0


@dataclass(frozen=True, eq=False)
class TopicMeans:
    """Mean quality and cost of each candidate per topic: the topic table.

    Parameters
    ----------
    models : tuple of str
        Candidate models, in column order.
    topics : tuple of str
        Known topics.
    quality, cost_usd : ndarray of shape (n_topics + 1, n_models)
        Means per topic, drawn a little to those of all prompts; the last row is all prompts, for
        topics that are not known. Cost is NaN where unknown.

    Examples
    --------
    >>> outcomes = Outcomes(["a", "b"], ["m"], quality=[[1], [0]], topics=["law", "music"])
    >>> TopicMeans.of(outcomes).estimates(["law", "chess"]).quality.round(3).tolist()
    [[0.583], [0.5]]
    """

    models: tuple[str, ...]
    topics: tuple[str, ...]
    quality: np.ndarray
    cost_usd: np.ndarray

    @classmethod
    def of(cls, outcomes: Outcomes) -> TopicMeans | None:
        """Average per topic; None where topics aren't known."""
        if outcomes.topics is None:
            return None
        names, rows = np.unique(np.array(outcomes.topics), return_inverse=True)
        overall = outcomes.compared()
        return cls(
            tuple(outcomes.models),
            tuple(str(name) for name in names),
            _shrunk(outcomes.quality, rows, len(names), overall.quality),
            _shrunk(outcomes.cost_usd, rows, len(names), overall.cost_usd),
        )

    def estimates(self, topics: Sequence[str]) -> Estimates:
        """Look prompts up by topic.

        Parameters
        ----------
        topics : sequence of str, length n_prompts
            Topics; those not known get the means of all prompts.

        Returns
        -------
        Estimates
        """
        row_of = {topic: row for row, topic in enumerate(self.topics)}
        rows = np.array([row_of.get(topic, len(self.topics)) for topic in topics], dtype=int)
        return Estimates(self.models, self.quality[rows], self.cost_usd[rows])

    def to_state(self) -> dict[str, Any]:
        """Return the table as builtins."""
        return {
            "topics": list(self.topics),
            "quality": pack_array(self.quality),
            "cost_usd": pack_array(self.cost_usd),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], models: tuple[str, ...]) -> TopicMeans:
        """Rebuild the table from `to_state`."""
        return cls(
            models,
            tuple(state["topics"]),
            unpack_array(state["quality"]),
            unpack_array(state["cost_usd"]),
        )


def _shrunk(values: np.ndarray, rows: np.ndarray, n_topics: int, overall: np.ndarray) -> np.ndarray:
    sums, counts = np.zeros((n_topics, values.shape[1])), np.zeros((n_topics, values.shape[1]))
    is_known = np.isfinite(values)
    np.add.at(sums, rows, np.where(is_known, values, 0.0))
    np.add.at(counts, rows, is_known)
    means = (sums + _PRIOR_PROMPTS * overall) / (counts + _PRIOR_PROMPTS)
    return np.vstack([means, overall])
