"""Turn prompts into named numeric columns, as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from routerlib.features.columns import count_columns, count_names, with_told_tasks
from routerlib.features.encoders import EncoderChoice, encoder_name, resolve_encoder
from routerlib.features.inputs import as_outcomes, log_cost_usd, texts_of
from routerlib.features.learners.folds import folds_of
from routerlib.features.learners.neighbours import Nearest, Neighbours
from routerlib.features.learners.stack import (
    Estimated,
    NeighboursLearner,
    SimplerLearners,
    Targets,
    TopicLearner,
)
from routerlib.features.learners.topics import topic_labels
from routerlib.features.text_space import Place, TextSpace
from routerlib.outcomes.outcomes import Outcomes
from routerlib.weights.embedding import encode

STACKED = ("words", "neighbours", "topic", "network")
PLAIN = ("surface", "task", "embedding")
GROUPS = (*PLAIN, *STACKED)
# With fewer prompts the simpler learners have nothing to say.
_MIN_ROWS_FOR_STACK = 40


class PromptFeatures(TransformerMixin, BaseEstimator):
    """Describe prompts by surface counts, task, meaning, and what simpler learners expect.

    ============  ==============================================================================
    group         columns
    ============  ==============================================================================
    surface       about 120 counts and shares (`routerlib.features.surface`, `answer_options`)
    task          1 for the kind of task: told, or found by rules (`detect_task`)
    embedding     main directions of static embedding, wording and counts (`TextSpace`)
    words         expected quality and log cost of each candidate: ridge on the directions
    neighbours    expected quality: mean of the nearest prompts
    topic         expected quality: means of the log's own topics, told or detected by a
                  classifier learnt from the log (clusters where the log has no topics)
    network       expected quality: a small network that learns the topics as a second task
    ============  ==============================================================================

    The last four are learnt from outcomes, given as ``y``, and need 40 prompts. As with
    scikit-learn's `TargetEncoder`, ``fit_transform(prompts, y)`` differs from ``fit`` and then
    ``transform``: it estimates every training prompt from the other folds, near-duplicates kept
    together, so that a learner trained on the columns isn't misled.

    Parameters
    ----------
    groups : sequence of str, default=GROUPS
        Which groups of columns to make, in any order; at least one.
    n_components : int, default=32
        Columns of the embedding group; fewer where fewer prompts are seen in `fit`.
    encoder : str, callable or None, default=None
        A neural encoder in addition to the static embedding: ``"minilm"``, or any function from
        a list of n texts to an array of shape (n, n_dimensions). See `routerlib.features.encoders`.
    random_state : int, default=0
        Seed of everything random in `fit`.

    Attributes
    ----------
    space_ : TextSpace
        Fitted space of prompts.
    simpler_ : SimplerLearners
        Fitted learners of the last four groups; none without outcomes.
    n_features_out_ : int
        Number of columns.

    Examples
    --------
    >>> features = PromptFeatures(n_components=1).fit(["What is 2 + 2?", "Say hello."])
    >>> features.transform(["What is 3 + 3?"]).shape == (1, features.n_features_out_)
    True
    >>> features.get_feature_names_out()[-2:].tolist()
    ['task_other', 'embedding_00']
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

    def fit(self, prompts: Iterable[str], y: Any = None) -> Self:
        """Learn the columns.

        Parameters
        ----------
        prompts : iterable of str, length n_prompts
            At least one text.
        y : Outcomes, array-like of shape (n_prompts, n_models) or None, default=None
            Outcomes of the same prompts, or their quality in [0, 1] (NaN = not observed).

        Returns
        -------
        PromptFeatures
            This object.

        Raises
        ------
        ValueError
            If there is no prompt, no known group of columns, or something that isn't text.
        """
        self.learn(texts_of(prompts), y)
        return self

    def fit_transform(self, prompts: Iterable[str], y: Any = None) -> np.ndarray:
        """Learn the columns, and return those of the training prompts, out of fold.

        Parameters
        ----------
        prompts : iterable of str, length n_prompts
            As in `fit`.
        y : object, optional
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_prompts, n_features)
            Finite numbers, in the order of `get_feature_names_out`.
        """
        return self.learn(texts_of(prompts), y).detected

    def transform(self, prompts: Iterable[str], topics: Sequence[str] | None = None) -> np.ndarray:
        """Return one row of numbers for each prompt.

        Parameters
        ----------
        prompts : iterable of str, length n_prompts
            Any texts, empty ones too.
        topics : sequence of str or None, default=None
            Known topics, length n_prompts; one that was not seen in `fit` is detected.

        Returns
        -------
        ndarray of shape (n_prompts, n_features)
            Finite numbers, in the order of `get_feature_names_out`.
        """
        check_is_fitted(self)
        return self.columns(texts_of(prompts), topics)

    def columns(self, texts: list[str], topics: Sequence[str] | None) -> np.ndarray:
        """Return what `transform` does, without scikit-learn's checks (10 microseconds a call).

        Parameters
        ----------
        texts : list of str, length n_texts
            What is asked.
        topics : sequence of str, length n_texts, optional
            Told topics; None = they are detected.

        Returns
        -------
        ndarray of shape (n_texts, n_features)
            Finite numbers, in the order of `get_feature_names_out`.
        """
        counts, place = self.locate(texts, topics)
        return np.hstack([*self._plain(counts, place), *self.simpler_.predict(place, topics)])

    def learn(self, texts: list[str], y: Any = None, folds: np.ndarray | None = None) -> Estimated:
        """Fit, and return the columns of the training prompts, out of fold.

        Parameters
        ----------
        texts : list of str, length n_prompts
            At least one.
        y : Outcomes, array-like or None, default=None
            As in `fit`.
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
        encoded = encode(texts, resolve_encoder(self.encoder))
        counts = count_columns(texts, encoded, self.groups)
        self.space_, place = TextSpace.fit(encoded, counts, self.random_state)
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
        self._index()
        told_counts = with_told_tasks(counts, topics, self.groups)
        return Estimated(
            np.hstack([*self._plain(counts, place), estimated.detected]),
            np.hstack([*self._plain(told_counts, place), estimated.told]),
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
        encoded = encode(texts, resolve_encoder(self.encoder))
        counts = count_columns(texts, encoded, self.groups)
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

    def starts(self) -> dict[str, int]:
        """Return the first column of each simpler learner's expected quality.

        Returns
        -------
        dict of str to int
            Column by name of the learner.
        """
        return self._starts

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns, shape (n_features,).

        Parameters
        ----------
        input_features : object, optional
            Ignored; scikit-learn passes it.

        Returns
        -------
        ndarray of str, shape (n_features,)
            In the order of the columns.
        """
        check_is_fitted(self)
        return np.array(self._names(), dtype=object)

    def to_state(self) -> dict[str, Any]:
        """Return the fitted transformer as plain builtins; of an encoder, its name only.

        Returns
        -------
        dict
            What `from_state` takes.
        """
        check_is_fitted(self)
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
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], encoder: EncoderChoice = None) -> Self:
        """Rebuild a fitted transformer from `to_state`; a function must be given again.

        Parameters
        ----------
        state : mapping
            From `to_state`.
        encoder : EncoderChoice, optional
            The function that embeds, where the fitted one was no name.

        Returns
        -------
        PromptFeatures
            Fitted.
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

    def _plain(self, counts: np.ndarray, place: Place) -> list[np.ndarray]:
        if "embedding" not in self.groups:
            return [counts]
        return [counts, place.coordinates[:, : self.n_directions_]]

    def _index(self) -> None:
        at = {name: column for column, name in enumerate(self._names())}
        self.n_features_out_ = len(at)
        self._starts = {
            name: at[f"{name}_quality_{self.models_[0]}"] for name in self.simpler_.learners
        }

    def _names(self) -> list[str]:
        names = count_names(self.groups)
        if "embedding" in self.groups:
            names += [f"embedding_{index:02d}" for index in range(self.n_directions_)]
        return names + self.simpler_.names(self.models_, self.costed_)
