"""Turn prompts into named numeric columns, as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from routerlib.embedding import Encoded, Reduction, encode
from routerlib.surface import SURFACE_NAMES, surface_features
from routerlib.tasks import detect_task
from routerlib.types import TASKS

__all__ = ["PromptFeatures", "detect_task"]


class PromptFeatures(TransformerMixin, BaseEstimator):
    """Describe prompts by surface counts, the task and their meaning.

    1. *surface*: about 70 counts and shares (`routerlib.surface`).
    2. *task*: one column for each task, 1 for the one that `detect_task` finds.
    3. *embedding*: main components of a static sentence embedding, computed locally.

    Parameters
    ----------
    surface, task, embedding : bool, default=True
        Which groups of columns to make; at least one.
    n_components : int, default=32
        Columns of the embedding group; fewer where fewer prompts are seen in `fit`.

    Attributes
    ----------
    reduction_ : Reduction or None
        Fitted projection of the embedding.
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
        surface: bool = True,
        task: bool = True,
        embedding: bool = True,
        n_components: int = 32,
    ) -> None:
        self.surface = surface
        self.task = task
        self.embedding = embedding
        self.n_components = n_components

    def fit(self, prompts: Iterable[str], y: Any = None) -> Self:
        """Find the main components of the prompts' meaning.

        Parameters
        ----------
        prompts : iterable of str, length n_prompts
            At least one text.
        y : ignored
            For scikit-learn pipelines.

        Returns
        -------
        PromptFeatures
            This object.

        Raises
        ------
        ValueError
            If there is no prompt, no group of columns, or something that isn't text.
        """
        return self.fit_encoded(texts_of(prompts), None)

    def fit_encoded(self, texts: Sequence[str], encoded: Encoded | None) -> Self:
        """Fit on texts that may have been encoded already."""
        if not (self.surface or self.task or self.embedding):
            raise ValueError("one of surface, task, embedding must be True, got False for all")
        if self.n_components < 1:
            raise ValueError(f"n_components must be at least 1, got {self.n_components!r}")
        if len(texts) == 0:
            raise ValueError("at least one prompt is needed, got none")
        self.reduction_: Reduction | None = None
        if self.embedding:
            vectors = (encoded or encode(texts)).vectors
            self.reduction_ = Reduction.fit(vectors, self.n_components)
        self.n_features_out_ = len(self._names())
        return self

    def transform(self, prompts: Iterable[str]) -> np.ndarray:
        """Return one row of numbers for each prompt.

        Parameters
        ----------
        prompts : iterable of str, length n_prompts
            Any texts, empty ones too.

        Returns
        -------
        ndarray of shape (n_prompts, n_features)
            Finite numbers, in the order of `get_feature_names_out`.
        """
        check_is_fitted(self)
        return self.transform_encoded(texts_of(prompts), None)

    def transform_encoded(self, texts: Sequence[str], encoded: Encoded | None) -> np.ndarray:
        """Transform texts that may have been encoded already (the fast path of routers)."""
        columns = [np.zeros((len(texts), 0))]
        if self.surface:
            columns.append(surface_features(texts))
        if self.task:
            columns.append(_task_columns(texts))
        if self.reduction_ is not None:
            columns.append(self.reduction_.transform((encoded or encode(texts)).vectors))
        return np.hstack(columns)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns, shape (n_features,)."""
        check_is_fitted(self)
        return np.array(self._names(), dtype=object)

    def to_state(self) -> dict[str, Any]:
        """Return the fitted transformer as plain builtins."""
        check_is_fitted(self)
        reduction = None if self.reduction_ is None else self.reduction_.to_state()
        return {**self.get_params(), "reduction": reduction}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a fitted transformer from `to_state`."""
        parameters = dict(state)
        reduction = parameters.pop("reduction")
        features = cls(**parameters)
        features.reduction_ = None if reduction is None else Reduction.from_state(reduction)
        features.n_features_out_ = len(features._names())
        return features

    def _names(self) -> list[str]:
        names: list[str] = []
        if self.surface:
            names += SURFACE_NAMES
        if self.task:
            names += [f"task_{task}" for task in TASKS]
        if self.reduction_ is not None:
            names += [f"embedding_{index:02d}" for index in range(len(self.reduction_.directions))]
        return names


def texts_of(prompts: Iterable[str]) -> list[str]:
    """Return prompts as a list of str, or say which one isn't.

    Parameters
    ----------
    prompts : iterable of str
        A list, tuple, array or Series of texts.

    Returns
    -------
    list of str
        The same texts.

    Raises
    ------
    ValueError
        If a single str or something that isn't text is given.

    Examples
    --------
    >>> texts_of(("a", "b"))
    ['a', 'b']
    """
    if isinstance(prompts, str):
        raise ValueError(f"prompts must be a list of texts, got one text {prompts[:40]!r}")
    texts = list(prompts)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"each prompt must be text, got {text!r} at position {position}; "
                "pass Prompt.text, and drop missing values"
            )
    return texts


def _task_columns(texts: Sequence[str]) -> np.ndarray:
    columns = np.zeros((len(texts), len(TASKS)))
    for row, text in enumerate(texts):
        columns[row, TASKS.index(detect_task(text))] = 1
    return columns
