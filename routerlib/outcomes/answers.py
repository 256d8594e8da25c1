"""Answers beside outcomes: what each candidate model said to each prompt, read when asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, overload

import numpy as np

# What a call keeps of its log-probabilities, each a number.
Logprobs = Mapping[str, float]


class Said(NamedTuple):
    """What was said to one prompt, a place per candidate model.

    Attributes
    ----------
    answers : tuple of (str or None)
        Whole answers; None = none was kept.
    logprobs : tuple of (mapping of str to float, or None)
        Numbers of each answer's log-probabilities; None = the provider gave none.
    """

    answers: tuple[str | None, ...]
    logprobs: tuple[Logprobs | None, ...]


class Answers(Sequence[tuple[str | None, ...]]):
    """Answers of candidate models to prompts, a row per prompt.

    Made from a function, they are read the first time that somebody looks.

    Parameters
    ----------
    read : callable
        Gives `Said` for each of the prompts.
    n_prompts : int
        Number of prompts.

    Examples
    --------
    >>> answers = Answers.of([["4", None], ["5", "6"]], (2, 2))
    >>> answers[1], answers.take([1])[0], answers.of_models([1])[1]
    (('5', '6'), ('5', '6'), ('6',))
    """

    def __init__(self, read: Callable[[], Sequence[Said]], n_prompts: int) -> None:
        self._read, self._n_prompts = read, n_prompts
        self._said: Sequence[Said] | None = None

    @classmethod
    def of(cls, rows: Sequence[Sequence[str | None]], shape: tuple[int, int]) -> Answers:
        """Take rows of answers, one place per candidate model, or answers as they are."""
        n_prompts, n_models = shape
        if len(rows) != n_prompts:
            raise ValueError(f"answers must have one row per prompt ({n_prompts}), got {len(rows)}")
        if isinstance(rows, Answers):
            return rows
        for row, texts in enumerate(rows):
            if isinstance(texts, str) or len(texts) != n_models:
                raise ValueError(
                    f"answers must have one text or None per candidate model ({n_models}), got "
                    f"{len(texts)} for prompt {row}"
                )
            for text in texts:
                if not (text is None or isinstance(text, str)):
                    raise ValueError(f"an answer must be text or None, got {text!r}")
        said = [Said(tuple(texts), (None,) * n_models) for texts in rows]
        return cls(lambda: said, n_prompts)

    @property
    def said(self) -> Sequence[Said]:
        """Answers with the numbers of their log-probabilities, length n_prompts."""
        if self._said is None:
            self._said = self._read()
        return self._said

    def __len__(self) -> int:
        return self._n_prompts

    @overload
    def __getitem__(self, row: int) -> tuple[str | None, ...]: ...

    @overload
    def __getitem__(self, row: slice) -> list[tuple[str | None, ...]]: ...

    def __getitem__(
        self, row: int | slice
    ) -> tuple[str | None, ...] | list[tuple[str | None, ...]]:
        """Return the answers to one prompt, or to a slice of them."""
        if isinstance(row, slice):
            return [said.answers for said in self.said[row]]
        return self.said[row].answers

    def take(self, rows: Sequence[int] | np.ndarray) -> Answers:
        """Return the answers to some prompts, still unread."""
        wanted = [int(row) for row in rows]
        return Answers(lambda: [self.said[row] for row in wanted], len(wanted))

    def of_models(self, arms: Sequence[int]) -> Answers:
        """Return the answers of some candidate models, still unread."""

        def read() -> list[Said]:
            return [
                Said(tuple(s.answers[a] for a in arms), tuple(s.logprobs[a] for a in arms))
                for s in self.said
            ]

        return Answers(read, self._n_prompts)

    def with_logprobs(self, rows: Sequence[Sequence[Logprobs | None]]) -> Answers:
        """Return the same answers with the numbers of their log-probabilities."""
        if len(rows) != len(self):
            raise ValueError(
                f"logprobs must have one row per prompt ({len(self)}), got {len(rows)}"
            )
        return Answers(
            lambda: [Said(s.answers, tuple(row)) for s, row in zip(self.said, rows, strict=True)],
            len(self),
        )
