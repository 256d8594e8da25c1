"""What a person said of answers to prompts that were drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from routerlib.records.prompt import check_names

if TYPE_CHECKING:
    from routerlib.outcomes.outcomes import Outcomes


@dataclass(frozen=True, eq=False)
class Audit:
    """A person's scores of answers to prompts that were drawn at random, beside a judge's.

    Parameters
    ----------
    prompt_ids : sequence of str, length n_prompts
        Prompts that could be drawn, drawn or not.
    models : sequence of str, length n_models
        Candidate models whose answers were shown.
    quality : ndarray of shape (n_prompts, n_models)
        The person's scores, in [0, 1]; NaN = none.
    is_drawn : ndarray of bool of shape (n_prompts,)
        Whether a prompt was drawn. An answer to it without a person's score counts at its worst.
    probability : ndarray of shape (n_prompts,)
        Of being drawn, in (0, 1], as it was when the prompts were drawn.

    Raises
    ------
    ValueError
        If shapes disagree, a number is out of range, or a prompt that wasn't drawn has a score.

    Examples
    --------
    >>> audit = Audit(["b2:a", "b2:b"], ["small"], np.array([[1.0], [np.nan]]),
    ...               np.array([True, False]), np.array([0.5, 0.5]))
    >>> audit.n_drawn
    1
    """

    prompt_ids: Sequence[str]
    models: Sequence[str]
    quality: np.ndarray
    is_drawn: np.ndarray
    probability: np.ndarray

    def __post_init__(self) -> None:
        check_names(self.models, "candidate model")
        n = len(self.prompt_ids)
        if self.quality.shape != (n, len(self.models)):
            raise ValueError(
                f"quality must have shape (n_prompts, n_models) = {(n, len(self.models))}, got "
                f"{self.quality.shape}"
            )
        if self.is_drawn.shape != (n,) or self.probability.shape != (n,):
            raise ValueError(f"is_drawn and probability must have one entry per prompt ({n})")
        known = self.quality[~np.isnan(self.quality)]
        if not ((known >= 0) & (known <= 1)).all():
            raise ValueError("a person's scores must lie in [0, 1]; rescale them first")
        if not ((self.probability > 0) & (self.probability <= 1)).all():
            raise ValueError(
                "the probability of being drawn must lie in (0, 1]; leave prompts out that could "
                "not be drawn"
            )
        if (~np.isnan(self.quality[~self.is_drawn])).any():
            raise ValueError(
                "a prompt that was not drawn at random has a person's score; such a score tells "
                "nothing of others, leave it out"
            )

    def __len__(self) -> int:
        return len(self.prompt_ids)

    @classmethod
    def of_random(cls, outcomes: Outcomes, quality: np.ndarray) -> Audit:
        """Take a person's scores in a table, of which you know that rows were chosen at random.

        Parameters
        ----------
        outcomes : Outcomes
            What a judge says of all prompts.
        quality : ndarray of shape (n_prompts, n_models)
            The person's scores of the same prompts and candidate models, in [0, 1]; NaN = none.
            A prompt with any score counts as drawn, each with the same probability.

        Returns
        -------
        Audit

        Raises
        ------
        ValueError
            If there is no score, or it is as of `Audit`.

        Examples
        --------
        >>> from routerlib.outcomes.outcomes import Outcomes
        >>> outcomes = Outcomes(["a?", "b?"], ["small", "large"], [[1, 1], [0, 1]])
        >>> person = np.array([[0.0, 1.0], [np.nan, np.nan]])
        >>> Audit.of_random(outcomes, person).probability.tolist()
        [0.5, 0.5]
        """
        is_drawn = (~np.isnan(quality)).any(axis=1)
        if not is_drawn.any():
            raise ValueError("there is no score of a person among these")
        probability = np.full(len(outcomes), is_drawn.mean())
        return cls(outcomes.prompt_ids, outcomes.models, quality, is_drawn, probability)

    @property
    def n_drawn(self) -> int:
        """Prompts that were drawn."""
        return int(self.is_drawn.sum())

    def beside(self, outcomes: Outcomes) -> tuple[np.ndarray, Audit]:
        """Return which prompts of some outcomes could be drawn, and what is known of just these.

        Parameters
        ----------
        outcomes : Outcomes
            What a judge says.

        Returns
        -------
        tuple of (ndarray of int of shape (n,), Audit)
            Rows of `outcomes`, and the audit of the same prompts and candidates in that order.
            A candidate whose answers were not shown has no score.
        """
        place = {prompt_id: row for row, prompt_id in enumerate(self.prompt_ids)}
        rows = np.array([i for i, key in enumerate(outcomes.prompt_ids) if key in place], dtype=int)
        own = np.array([place[outcomes.prompt_ids[i]] for i in rows], dtype=int)
        quality = np.full((len(rows), len(outcomes.models)), np.nan)
        for column, name in enumerate(outcomes.models):
            if name in self.models:
                quality[:, column] = self.quality[own, list(self.models).index(name)]
        ids = [outcomes.prompt_ids[i] for i in rows]
        found = Audit(ids, outcomes.models, quality, self.is_drawn[own], self.probability[own])
        return rows, found
