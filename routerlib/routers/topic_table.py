"""Remember what each topic's prompts had on average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routerlib.features.learners.topics import topic_means
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import pack_array, unpack_array
from routerlib.records.decision import Estimates


@dataclass(frozen=True, eq=False)
class TopicMeans:
    """Mean quality and cost of each candidate per topic: the topic table.

    `quality, cost_usd` (n_topics + 1, n_models): means per topic, drawn to those of all
        prompts, the fewer prompts a topic has the more (`topics.topic_means`).

    >>> outcomes = Outcomes(["a", "b"], ["m"], quality=[[1], [0]], topics=["law", "music"])
    >>> TopicMeans.of(outcomes).estimates(["law", "chess"]).quality.round(3).tolist()
    [[0.508], [0.5]]
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
        member = np.eye(len(names))[rows]
        overall = outcomes.compared()
        return cls(
            tuple(outcomes.models),
            tuple(str(name) for name in names),
            _with_overall(member, outcomes.quality, overall.quality),
            _with_overall(member, outcomes.cost_usd, overall.cost_usd),
        )

    def estimates(self, topics: Sequence[str]) -> Estimates:
        """Look prompts up by topic.

        `topics` (length n_prompts): topics; those not known get the means of all prompts.
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


def _with_overall(member: np.ndarray, values: np.ndarray, overall: np.ndarray) -> np.ndarray:
    """Average per topic, and put the means of all prompts below; NaN where nothing is known."""
    is_known = np.isfinite(overall)
    found = np.full((member.shape[1] + 1, len(overall)), np.nan)
    found[:-1, is_known] = topic_means(member, values[:, is_known], overall[is_known])
    found[-1] = overall
    return found
