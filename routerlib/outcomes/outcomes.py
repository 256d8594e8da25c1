"""Outcomes: what each candidate model's quality and cost was on each prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from routerlib.outcomes.answers import Answers
from routerlib.outcomes.checks import (
    check_ranges,
    group_ids_of,
    inclusion_of,
    matrix_of,
    seconds_of,
    texts_of,
)
from routerlib.outcomes.evaluation_share import left_alone
from routerlib.outcomes.families import families_of
from routerlib.outcomes.frames import columns_of
from routerlib.outcomes.identity import data_hash
from routerlib.outcomes.means import Averaged
from routerlib.outcomes.near_duplicates import joined
from routerlib.outcomes.parts import of_some_models, of_some_prompts
from routerlib.outcomes.showing import Shown
from routerlib.outcomes.splits import SplitBy, divide
from routerlib.records.call import Price
from routerlib.records.canonical import tagged_hash
from routerlib.records.prompt import check_names

if TYPE_CHECKING:
    import pandas as pd

# What a cell without any complete answer is.
Failures = Literal["left_out", "wrong"]


class HoldsOutcomes(Protocol):
    """A log of calls and scores, however it is stored."""

    def outcomes(
        self,
        *,
        prices: Mapping[str, Price] | None = None,
        failures: Failures = "left_out",
        judge: str | None = None,
        models: Sequence[str] | None = None,
    ) -> Outcomes:
        """Read quality and cost of every candidate on every prompt."""


@dataclass(frozen=True, eq=False, repr=False)
class Outcomes(Averaged, Shown):
    """Quality and cost of candidate models on prompts: what every router and metric starts from.

    Parameters
    ----------
    prompts : sequence of str, length n_prompts
        Prompt texts.
    models : sequence of str, length n_models
        Candidate names, each once.
    quality : array-like of shape (n_prompts, n_models)
        In [0, 1]; NaN where it was not observed.
    cost_usd : array-like of shape (n_prompts, n_models) or None, default=None
        US dollars of one call, at least 0; NaN where unknown, None = unknown everywhere.
    topics : sequence of str or None, default=None
        Known task labels, length n_prompts.
    prompt_ids : sequence of str or None, default=None
        Identifiers; None = derived from the texts.
    group_ids : sequence of str or None, or None, default=None
        What each prompt was made from or belongs to (template, document, session, user), length
        n_prompts; prompts of one group never stand on both sides of a split. None, "" or NaN =
        belongs to no group.
    inclusion : array-like of shape (n_prompts, n_models) or None, default=None
        Probability in (0, 1] with which a cell was to be observed; None = 1 everywhere.
    answers : sequence of sequence of (str or None), or None, default=None
        Per prompt, what each candidate model answered; cascades learn from it.
    latency_s, first_token_s : array-like of shape (n_prompts, n_models) or None, default=None
        Seconds of one call, and of a streamed one until it begins; at least 0, NaN where unknown.
        They are no part of `data_hash`.

    Raises
    ------
    ValueError
        If shapes disagree, a name stands twice, or a number is out of range.

    Examples
    --------
    >>> outcomes = Outcomes(["a?", "b?"], ["small", "large"],
    ...                     quality=[[0, 1], [1, 1]], cost_usd=[[0.1, 1], [0.1, 1]])
    >>> outcomes.best_single, outcomes.cheapest, outcomes.mean_quality.tolist()
    ('large', 'small', [0.5, 1.0])
    """

    prompts: Sequence[str]
    models: Sequence[str]
    quality: np.ndarray
    # None is accepted for cost_usd and prompt_ids; both are filled in once constructed.
    cost_usd: np.ndarray = None  # type: ignore[assignment]
    topics: Sequence[str] | None = None
    prompt_ids: Sequence[str] = None  # type: ignore[assignment]
    group_ids: Sequence[str | None] | None = None
    inclusion: np.ndarray | None = None
    answers: Sequence[Sequence[str | None]] | None = None
    latency_s: np.ndarray | None = None
    first_token_s: np.ndarray | None = None
    _groups: np.ndarray | None = field(default=None, init=False, repr=False)
    _in_common: np.ndarray | None = field(default=None, init=False, repr=False)
    _approximated: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "prompts", tuple(self.prompts))
        put(self, "models", tuple(self.models))
        check_names(self.models, "candidate model")
        shape = (len(self.prompts), len(self.models))
        put(self, "quality", matrix_of(self.quality, shape, "quality"))
        cost_usd = np.full(shape, np.nan) if self.cost_usd is None else self.cost_usd
        put(self, "cost_usd", matrix_of(cost_usd, shape, "cost_usd"))
        check_ranges(self.quality, self.cost_usd, self.models)
        if self.topics is not None:
            put(self, "topics", texts_of(self.topics, shape[0], "topics"))
        if self.prompt_ids is None:
            single_turn = ([{"role": "user", "content": text}] for text in self.prompts)
            put(self, "prompt_ids", tuple(map(tagged_hash, single_turn)))
        put(self, "prompt_ids", texts_of(self.prompt_ids, shape[0], "prompt_ids"))
        put(self, "group_ids", group_ids_of(self.group_ids, shape[0]))
        if self.inclusion is not None:
            put(self, "inclusion", inclusion_of(self.inclusion, shape, self.models))
        if self.answers is not None:
            put(self, "answers", Answers.of(self.answers, shape))
        for name in ("latency_s", "first_token_s"):
            if getattr(self, name) is not None:
                put(self, name, seconds_of(getattr(self, name), shape, name))

    @classmethod
    def from_log(
        cls,
        log: HoldsOutcomes,
        *,
        prices: Mapping[str, Price] | None = None,
        failures: Failures = "left_out",
        judge: str | None = None,
        models: Sequence[str] | None = None,
    ) -> Outcomes:
        """Read the outcomes that a log holds.

        Parameters
        ----------
        log : CallLog
            The log; it may be written to meanwhile. What was bought has its `inclusion`.
        prices : mapping of str to Price or None, default=None
            Prices to derive cost from; None = those logged last. Where tokens or price are
            unknown, the cost that another tool gave with a call counts, if there is one.
        failures : {"left_out", "wrong"}, default="left_out"
            Whether a cell without any complete answer is missing, or has quality 0 (only for
            prompts on which a judge has spoken).
        judge : str or None, default=None
            Count only this judge's scores; None = the mean over judges.
        models : sequence of str or None, default=None
            Candidates, in this order; None = all that were scored on at least a tenth as many
            prompts as the one scored most, cheapest first. Those left out are logged as a warning.

        Returns
        -------
        Outcomes
            Prompts with at least one observed quality, in the order of logging; answers are read
            when somebody looks at them.

        Raises
        ------
        ValueError
            If nothing was scored yet, or a candidate is unknown.
        """
        return log.outcomes(prices=prices, failures=failures, judge=judge, models=models)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        prompt: str = "prompt",
        quality: Sequence[str],
        cost_usd: Sequence[str] | None = None,
        topic: str | None = None,
        group: str | None = None,
    ) -> Outcomes:
        """Make outcomes from a wide table: one row per prompt, one column per candidate.

        Parameters
        ----------
        frame : DataFrame
            The table.
        prompt : str, default="prompt"
            Column of the prompt texts.
        quality : sequence of str, length n_models
            Columns of qualities; their names are the candidates' names.
        cost_usd : sequence of str or None, default=None
            Columns of costs in US dollars, in the same order.
        topic : str or None, default=None
            Column of known task labels.
        group : str or None, default=None
            Column of what prompts were made from or belong to; empty cells belong to no group.

        Returns
        -------
        Outcomes
            In the table's order.

        Raises
        ------
        ValueError
            If a column is missing.
        """
        columns = columns_of(frame, prompt, quality, cost_usd, topic, group)
        return cls(models=list(quality), **columns)

    def __getitem__(self, rows: Any) -> Outcomes:
        """Return the outcomes of some prompts: a position, a slice, positions or a mask."""
        rows = rows[0] if isinstance(rows, tuple) else rows
        return self.take(np.atleast_1d(np.arange(len(self))[rows]))

    @property
    def n_prompts(self) -> int:
        """Number of prompts."""
        return len(self.prompts)

    @property
    def data_hash(self) -> str:
        """Tagged hash of prompts, candidates, qualities, costs, known groups and inclusion."""
        return data_hash(
            self.prompt_ids,
            self.models,
            self.quality,
            self.cost_usd,
            group_ids=self.group_ids,
            inclusion=self.inclusion,
        )

    @property
    def groups(self) -> np.ndarray:
        """Groups, shape (n_prompts,): families of prompts, joined with those of one `group_ids`."""
        groups = self._groups
        if groups is None:
            families = families_of(self.prompts)
            groups = joined(families.groups, self.group_ids)
            approximated = {f"groups: {rule}": how for rule, how in families.approximated.items()}
            self._grouped(groups, families.is_in_common, approximated)
        return groups

    @property
    def approximated(self) -> dict[str, str]:
        """Which rules may have missed pairs of `groups`, and how many; empty: none, or unasked."""
        return dict(self._approximated)

    @property
    def is_in_common(self) -> np.ndarray:
        """Whose pattern more than a fifth of all share, so that it joins none: (n_prompts,)."""
        found = self._in_common if len(self.groups) else None
        return np.zeros(len(self), dtype=bool) if found is None else found

    def _grouped(
        self,
        groups: np.ndarray | None,
        in_common: np.ndarray | None,
        approximated: dict[str, str] | None = None,
    ) -> Outcomes:
        """Know the groups already, of the same prompts or of more: this object, just made."""
        object.__setattr__(self, "_groups", groups)
        object.__setattr__(self, "_in_common", in_common)
        object.__setattr__(self, "_approximated", approximated or {})
        return self

    def take(self, indices: Sequence[int] | np.ndarray) -> Outcomes:
        """Return the outcomes of some prompts.

        Parameters
        ----------
        indices : sequence of int, or ndarray of bool of shape (n_prompts,)
            Which prompts, in which order.

        Returns
        -------
        Outcomes
            Of the same candidates.
        """
        rows = np.arange(len(self))[np.asarray(indices) if len(indices) else slice(0)]
        taken = replace(self, **of_some_prompts(self, rows))
        # Links among fewer prompts can only be fewer: keep the coarser groups.
        groups, in_common = (
            None if each is None else each[rows] for each in (self._groups, self._in_common)
        )
        return taken._grouped(groups, in_common, self._approximated)

    def of_models(self, names: Sequence[str]) -> Outcomes:
        """Return the outcomes of some candidate models.

        Parameters
        ----------
        names : sequence of str
            Candidates, in this order.

        Returns
        -------
        Outcomes
            Of the same prompts, also of those that none of these candidates answered.

        Raises
        ------
        ValueError
            If a candidate is unknown.

        Examples
        --------
        >>> outcomes = Outcomes(["a?"], ["small", "medium", "large"], [[0.1, 0.5, 0.9]])
        >>> outcomes.of_models(["large", "small"]).quality.tolist()
        [[0.9, 0.1]]
        """
        if tuple(names) == self.models:
            return self
        unknown = [name for name in names if name not in self.models]
        if unknown:
            raise ValueError(f"models must be among {', '.join(self.models)}, got {unknown[0]!r}")
        arms = [self.models.index(name) for name in names]
        chosen = replace(self, models=names, **of_some_models(self, arms))
        return chosen._grouped(self._groups, self._in_common, self._approximated)

    def split(
        self, test_size: float = 0.3, random_state: int = 0, by: SplitBy = "random"
    ) -> tuple[Outcomes, Outcomes]:
        """Split into train and test with each group (see `groups`) on one side.

        Parameters
        ----------
        test_size : float, default=0.3
            Share of prompts for test, in (0, 1). Where labels were bought, a random split tests on
            what buying left alone instead; see `routerlib.outcomes.evaluation_share`.
        random_state : int, default=0
            Seed.
        by : {"random", "topic", "time"}, default="random"
            ``topic`` holds whole topics out, ``time`` the prompts that came last (in this order,
            that of logging); both ask how the router does on what is new. See
            `routerlib.outcomes.splits.divide`.

        Returns
        -------
        tuple (train, test) of Outcomes
            Both in the original order of prompts.

        Raises
        ------
        ValueError
            If the share is out of range, topics are missing or all prompts are copies of one.
        """
        kept = left_alone(self.groups, self.prompt_ids, self.inclusion) if by == "random" else None
        parts = divide(self.groups, test_size, random_state, by, self.topics, kept)
        return self.take(parts.train), self.take(parts.test)

    def without(self, prompt_ids: Sequence[str]) -> Outcomes:
        """Return the outcomes of all prompts but these.

        Parameters
        ----------
        prompt_ids : sequence of str
            Prompts to leave out.

        Returns
        -------
        Outcomes
            In the same order.
        """
        left_out = set(prompt_ids)
        return self.take([i for i, key in enumerate(self.prompt_ids) if key not in left_out])

    def complete(self) -> Outcomes:
        """Return the prompts on which every candidate's quality was observed.

        Returns
        -------
        Outcomes
            In the same order.
        """
        return self.take(np.isfinite(self.quality).all(axis=1))
