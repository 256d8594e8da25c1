"""Turn prompts into named numeric columns, as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from routerlib.features.inputs import texts_of
from routerlib.features.prompt_columns import PromptColumns


class PromptFeatures(TransformerMixin, PromptColumns, BaseEstimator):
    """Describe prompts by surface counts, task, meaning, and what simpler learners expect.

    ============  ==============================================================================
    group         columns
    ============  ==============================================================================
    surface       about 120 counts and shares (`routerlib.features.surface`, `answer_options`), and
                  where a conversation with tools stands, if any is among the training prompts
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
        return np.array(self.names(), dtype=object)
