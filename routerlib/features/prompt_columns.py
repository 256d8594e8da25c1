"""Turn prompts into named numeric columns; `prompt_features` makes a transformer of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from routerlib.features.columns import count_names, with_told_tasks
from routerlib.features.conversations import (
    CONVERSATION_NAMES,
    SITUATION_NAMES,
    conversation_columns,
    is_conversation,
    situation_columns,
    tells_situation,
)
from routerlib.features.encoders import EncoderChoice, encoder_name
from routerlib.features.inputs import as_outcomes, log_cost_usd
from routerlib.features.learners.folds import folds_of
from routerlib.features.learners.neighbours import Nearest, Neighbours
from routerlib.features.learners.stack import (
    NeighboursLearner,
    SimplerLearners,
    TopicLearner,
)
from routerlib.features.learners.targets import Estimated, Targets
from routerlib.features.learners.topics import MOST_CLASSIFIED, topic_labels
from routerlib.features.reading import read
from routerlib.features.text_space import MOST_SPACED, Place, TextSpace
from routerlib.outcomes.outcomes import Outcomes

STACKED = ("words", "neighbours", "topic", "network")
PLAIN = ("surface", "task", "embedding")
GROUPS = (*PLAIN, *STACKED)
# With fewer prompts the simpler learners have nothing to say.
_MIN_ROWS_FOR_STACK = 40


class PromptColumns:
    """What `PromptFeatures` does, without scikit-learn, whose import takes 130 MB and a second.

    Routers are loaded and served with this one.

    Parameters
    ----------
    groups, n_components, encoder, random_state : object
        As of `PromptFeatures`.
    """

    def __init__(
        self,
        *,
        groups: Sequence[str] = GROUPS,
        n_components: int = 32,
        encoder: EncoderChoice = None,
        random_state: int = 0,
    ) -> None:
        self.groups = groups
        self.n_components = n_components
        self.encoder = encoder
        self.random_state = random_state

    def columns(self, texts: list[str], topics: Sequence[str] | None) -> np.ndarray:
        """Return one row of numbers for each prompt.

        Parameters
        ----------
        texts : list of str, length n_texts
            What is asked.
        topics : sequence of str, length n_texts, optional
            Told topics; None = they are detected.

        Returns
        -------
        ndarray of shape (n_texts, n_features)
            Finite numbers, in the order of `names`.
        """
        counts, place = self.locate(texts, topics)
        plain = self._plain(texts, counts, place)
        return np.concatenate([*plain, *self.simpler_.predict(place, topics)], axis=1)

    def learn(self, texts: list[str], y: Any = None, folds: np.ndarray | None = None) -> Estimated:
        """Fit, and return the columns of the training prompts, out of fold.

        Parameters
        ----------
        texts : list of str, length n_prompts
            At least one.
        y : Outcomes, array-like or None, default=None
            As in `PromptFeatures.fit`.
        folds : ndarray of int, shape (n_prompts,), optional
            Folds of the prompts; default five with near-duplicates together.

        Returns
        -------
        Estimated
            With the topic detected, and with the topic told.
        """
        self._check()
        if len(texts) == 0:
            raise ValueError("at least one prompt is needed, got none")
        outcomes = None if y is None else as_outcomes(texts, y)
        topics = None if outcomes is None else outcomes.topics
        encoded, counts = read(texts, self.groups, self.encoder)
        self.space_, place = TextSpace.fit(encoded, counts, self.random_state)
        del encoded  # what is learnt from here on asks for places
        self.knows_conversations_ = "surface" in self.groups and any(map(is_conversation, texts))
        self.knows_situations_ = self.knows_conversations_ and any(map(tells_situation, texts))
        self.n_directions_ = min(self.n_components, place.coordinates.shape[1])
        self.models_: tuple[str, ...] = ()
        self.costed_: tuple[str, ...] = ()
        self.labels_ = np.zeros(len(texts), dtype=int)
        nothing = np.zeros((len(texts), 0))
        self.simpler_, estimated = SimplerLearners({}), Estimated(nothing, nothing)
        if outcomes is not None:
            if folds is None:
                folds = folds_of(outcomes, self.random_state)
            estimated = self._learn_simpler(place, outcomes, folds)
        self.groups_approximated_ = {} if outcomes is None else outcomes.approximated
        self._index()
        told_counts = with_told_tasks(counts, topics, self.groups)
        return Estimated(
            np.hstack([*self._plain(texts, counts, place), estimated.detected]),
            np.hstack([*self._plain(texts, told_counts, place), estimated.told]),
        )

    def locate(self, texts: list[str], topics: Sequence[str] | None) -> tuple[np.ndarray, Place]:
        """Return the counts of texts, with the task that was told, and where they stand.

        Parameters
        ----------
        texts : list of str, length n_texts
            What is asked.
        topics : sequence of str, length n_texts, optional
            Told topics; None = they are detected.

        Returns
        -------
        tuple of ndarray of shape (n_texts, n_counts) and Place
            Counts, and where the texts stand among those of the training.
        """
        encoded, counts = read(texts, self.groups, self.encoder)
        place = self.space_.place(encoded, counts)
        return with_told_tasks(counts, topics, self.groups), place

    @property
    def neighbours(self) -> Neighbours | None:
        """The nearest-neighbour learner; None without it."""
        learner = self.simpler_.learners.get("neighbours")
        return learner.neighbours if isinstance(learner, NeighboursLearner) else None

    def nearest(self, texts: list[str], k: int) -> Nearest:
        """Return the k training prompts nearest to each text; none without that learner.

        Parameters
        ----------
        texts : list of str, length n_texts
            What is asked.
        k : int
            Neighbours of each, at least 1.

        Returns
        -------
        Nearest
            Rows of training prompts with their similarity, the nearest first.
        """
        learner = self.simpler_.learners.get("neighbours")
        if not isinstance(learner, NeighboursLearner):
            return Nearest(np.zeros((len(texts), 0), dtype=int), np.zeros((len(texts), 0)))
        return learner.nearest(self.locate(texts, None)[1], k)

    def are_known(self, topics: Sequence[str] | None, n_prompts: int) -> np.ndarray:
        """Return which of told topics were learnt from the log, shape (n_prompts,).

        Parameters
        ----------
        topics : sequence of str, length n_prompts, or None
            Told topics; None = nothing was told.
        n_prompts : int
            Number of prompts.

        Returns
        -------
        ndarray of bool, shape (n_prompts,)
            All False where nothing was told.
        """
        learner = self.simpler_.learners.get("topic")
        if topics is None or not isinstance(learner, TopicLearner):
            return np.zeros(n_prompts, dtype=bool)
        return np.isin(np.array(topics, dtype=str), learner.classifier.topics)

    def approximated(self, n_prompts: int) -> dict[str, str]:
        """Return what was learnt from some training prompts only, or of some pairs, in words.

        Parameters
        ----------
        n_prompts : int
            Number of training prompts.

        Returns
        -------
        dict of str to str
            By part; empty where everything was learnt from all.
        """
        told = dict(self.groups_approximated_)
        if n_prompts > MOST_SPACED:
            told["text space"] = f"{MOST_SPACED} prompts, drawn at random"
        if n_prompts > MOST_CLASSIFIED:
            told["topics"] = f"{MOST_CLASSIFIED} prompts, drawn at random"
        if self.neighbours is not None and self.neighbours.index is not None:
            told["neighbours"] = "looked for in lists around centres"
        return told

    def starts(self) -> dict[str, int]:
        """Return the first column of each simpler learner's expected quality.

        Returns
        -------
        dict of str to int
            Column by name of the learner.
        """
        return self._starts

    def to_state(self) -> dict[str, Any]:
        """Return what was fitted as plain builtins; of an encoder, its name only.

        Returns
        -------
        dict
            What `from_state` takes.
        """
        return {
            "groups": list(self.groups),
            "n_components": self.n_components,
            "encoder": encoder_name(self.encoder),
            "random_state": self.random_state,
            "space": self.space_.to_state(),
            "n_directions": self.n_directions_,
            "models": list(self.models_),
            "costed": list(self.costed_),
            "simpler": self.simpler_.to_state(),
            # Nothing where there is nothing: files of such routers are as they were.
            **({"conversations": True} if self.knows_conversations_ else {}),
            **({"situations": True} if self.knows_situations_ else {}),
            **({"groups_by": self.groups_approximated_} if self.groups_approximated_ else {}),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], encoder: EncoderChoice = None) -> Self:
        """Rebuild what was fitted from `to_state`; a function must be given again.

        Parameters
        ----------
        state : mapping
            From `to_state`.
        encoder : EncoderChoice, optional
            The function that embeds, where the fitted one was no name.

        Returns
        -------
        PromptColumns
            Fitted, and of the class that was asked.
        """
        features = cls(
            groups=tuple(state["groups"]),
            n_components=state["n_components"],
            encoder=state["encoder"] if encoder is None else encoder,
            random_state=state["random_state"],
        )
        features.space_ = TextSpace.from_state(state["space"])
        features.n_directions_ = min(state["n_directions"], len(features.space_.constant))
        features.models_, features.costed_ = tuple(state["models"]), tuple(state["costed"])
        features.simpler_ = SimplerLearners.from_state(state["simpler"])
        features.knows_conversations_ = state.get("conversations", False)
        features.knows_situations_ = state.get("situations", False)
        features.groups_approximated_ = dict(state.get("groups_by", {}))
        features._index()
        return features

    def _check(self) -> None:
        unknown = [group for group in self.groups if group not in GROUPS]
        if isinstance(self.groups, str) or unknown or not self.groups:
            raise ValueError(f"groups must be some of {', '.join(GROUPS)}, got {self.groups!r}")
        if self.n_components < 1:
            raise ValueError(f"n_components must be at least 1, got {self.n_components!r}")

    def _learn_simpler(self, place: Place, outcomes: Outcomes, folds: np.ndarray) -> Estimated:
        names = [name for name in STACKED if name in self.groups]
        nothing = np.zeros((len(outcomes), 0))
        if len(outcomes) < _MIN_ROWS_FOR_STACK or folds.max() < 1 or not names:
            return Estimated(nothing, nothing)
        has_cost = np.isfinite(outcomes.cost_usd).any(axis=0)
        self.models_ = tuple(outcomes.models)
        self.costed_ = tuple(outcomes.models[int(arm)] for arm in np.flatnonzero(has_cost))
        self.labels_, are_topics = topic_labels(place, outcomes.topics, self.random_state)
        targets = Targets(
            outcomes.quality, log_cost_usd(outcomes.cost_usd)[:, has_cost], self.labels_, are_topics
        )
        self.simpler_, estimated = SimplerLearners.fit_out_of_fold(
            names, place, targets, folds, self.random_state
        )
        return estimated

    def _plain(self, texts: list[str], counts: np.ndarray, place: Place) -> list[np.ndarray]:
        plain = [counts]
        if "embedding" in self.groups:
            plain.append(place.coordinates[:, : self.n_directions_])
        if self.knows_conversations_:
            plain.append(conversation_columns(texts))
        if self.knows_situations_:
            plain.append(situation_columns(texts))
        return plain

    @property
    def _conversation_names(self) -> tuple[str, ...]:
        names = CONVERSATION_NAMES if self.knows_conversations_ else ()
        return names + (SITUATION_NAMES if self.knows_situations_ else ())

    def _index(self) -> None:
        at = {name: column for column, name in enumerate(self.names())}
        self.n_features_out_ = len(at)
        self._starts = {
            name: at[f"{name}_quality_{self.models_[0]}"] for name in self.simpler_.learners
        }

    @property
    def n_counts(self) -> int:
        """How many of the first columns are counts."""
        return len(count_names(self.groups))

    @property
    def conversation_at(self) -> np.ndarray:
        """The columns that tell where a conversation stands; none where none was seen."""
        first = self.n_counts
        first += self.n_directions_ if "embedding" in self.groups else 0
        return first + np.arange(len(self._conversation_names))

    def names(self) -> list[str]:
        """Return the names of the columns, in their order."""
        names = count_names(self.groups)
        if "embedding" in self.groups:
            names += [f"embedding_{index:02d}" for index in range(self.n_directions_)]
        names += self._conversation_names
        return names + self.simpler_.names(self.models_, self.costed_)
