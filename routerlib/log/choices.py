"""Decisions as a log holds them: who was chosen, with what probability, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from routerlib.log import queries
from routerlib.log.conversations import first_decisions
from routerlib.log.decided import Expected, decided, expected, latest, texts_of
from routerlib.log.sealed import first_number
from routerlib.records.arrays import Floats
from routerlib.records.decision import CALLER, CONVERSATION, GOES_ON_FROM, STEP, Estimates

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.log.call_log import CallLog

# Values of `decisions.router_hash` that mark a choice which no router drew.
NOT_DRAWN = {
    CALLER: "a person or program chose",
    CONVERSATION: "the turn stayed with its conversation's model",
    STEP: "a cascade asked on after an answer",
}
_UNSCORED = "no verdict on the answer"


@dataclass(frozen=True, eq=False)
class LoggedChoices:
    """Decisions with their propensities and outcomes.

    Parameters
    ----------
    prompts : sequence of str, length n
        Prompt texts.
    prompt_ids : sequence of str, length n
        Identifiers; decisions on the same prompt are no independent evidence.
    models : tuple of str, length n_models
        Candidate models.
    arms : ndarray of int, shape (n,)
        Column that was chosen.
    propensities : ndarray of shape (n,)
        Probability, in (0, 1], with which it was chosen, as stored at decision time.
    quality : ndarray of shape (n,)
        Of the chosen candidate, in [0, 1]: of a conversation that stayed with it, the mean of the
        turns with a verdict. NaN = no verdict (yet).
    cost_usd : ndarray of shape (n,)
        US dollars, of all turns of a conversation; NaN where unknown.
    estimates : Estimates or None
        What the router expected at decision time; None where it estimated nothing.
    left_out : mapping of str to int
        Decisions of the log that are not among these, by reason.
    unheard : ndarray of shape (n,) or None
        Share of a conversation's turns without a verdict, in [0, 1); None = none.
    order : ndarray of shape (n,) or None
        Place of each decision in the log, for what changes over time; None = as they stand here.
    is_able : ndarray of bool, shape (n, n_models), or None
        Which candidates each decision was between: who lacks what a request needs isn't among
        them. None = all of them, always.
    conversations : ndarray of int, shape (n,), or None
        The same number where several decisions were drawn in one conversation: what comes of the
        later ones rests on the earlier. None = each stands alone.
    unscored : LoggedChoices or None
        Decisions without any verdict, their quality NaN: what a value has to allow for.

    Raises
    ------
    ValueError
        If lengths differ, or a propensity or quality is out of range.
    """

    prompts: Sequence[str]
    prompt_ids: Sequence[str]
    models: tuple[str, ...]
    arms: np.ndarray
    propensities: Floats
    quality: Floats
    cost_usd: Floats
    estimates: Estimates | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    unheard: Floats | None = None
    order: np.ndarray | None = None
    is_able: np.ndarray | None = None
    conversations: np.ndarray | None = None
    unscored: LoggedChoices | None = None

    def __post_init__(self) -> None:
        for name in ("prompt_ids", "arms", "propensities", "quality", "cost_usd"):
            if len(getattr(self, name)) != len(self.prompts):
                raise ValueError(
                    f"{name} must have one entry per decision ({len(self.prompts)}), "
                    f"got {len(getattr(self, name))}"
                )
        is_wrong = ~((self.propensities > 0) & (self.propensities <= 1))
        if is_wrong.any():
            raise ValueError(
                f"propensities must lie in (0, 1], got {self.propensities[is_wrong][0]!r}; a "
                "missing one can't be guessed afterwards, leave such decisions out"
            )
        if ((self.quality < 0) | (self.quality > 1)).any():
            raise ValueError("quality must lie in [0, 1]; where there is no verdict it is NaN")

    def __len__(self) -> int:
        return len(self.prompts)

    @classmethod
    def from_log(cls, log: CallLog, judge: str | None = None) -> LoggedChoices:
        """Read the decisions of a log that a router drew and a judge has a verdict on.

        Parameters
        ----------
        log : CallLog
            The log.
        judge : str or None, default=None
            Count only this judge's scores; None = the mean over judges.

        Returns
        -------
        LoggedChoices
            In the order of logging; those without a verdict are in ``unscored``. A conversation
            is one decision: turns that stayed with its model count with the decision that drew
            it; where later turns were drawn too, ``conversations`` says of which. Left out are a
            choice that a person overrode and a turn whose first decision isn't there; a fallback's
            answer is no outcome of the choice.

        Raises
        ------
        ValueError
            If there is no such decision.
        """
        with queries.opened(log.source) as reader:
            first = first_decisions(reader)
            frame = _conversations(decided(reader, judge))
            frame = frame.assign(conversation=[first.get(each, each) for each in frame.decision_id])
            reasons = frame.router_hash.map(NOT_DRAWN)
            reasons = reasons.mask(reasons.isna() & frame.quality.isna(), _UNSCORED)
            left_out = dict(Counter(reasons.dropna()))
            is_scored, is_drawn = reasons.isna(), reasons.isna() | (reasons == _UNSCORED)
            if not is_scored.any():
                raise ValueError(
                    f"the log {log.path} holds no scored decision of a router (left out: "
                    f"{left_out or 'none'}); off-policy value needs decisions with their "
                    "propensity, which are never guessed: answer through `ask` or `serve`, and "
                    "score the answers"
                )
            drawn = frame[is_drawn].reset_index(drop=True)
            texts = texts_of(reader, drawn.prompt_id)
            told = expected(reader, drawn.decision_id.to_numpy(int))
        everything = _choices(drawn, texts, told)
        scored = drawn.quality.notna().to_numpy()
        unscored = None if scored.all() else _known(everything.take(~scored))
        return replace(_known(everything.take(scored)), left_out=left_out, unscored=unscored)

    @property
    def everything(self) -> LoggedChoices:
        """These decisions and those without a verdict, in the order of the log."""
        if self.unscored is None:
            return self
        ours, others = self._ordered(), self.unscored._ordered(len(self))
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(ours, name), getattr(others, name)]) for name in _COLUMNS
        }
        both = replace(
            ours,
            prompts=[*ours.prompts, *others.prompts],
            prompt_ids=[*ours.prompt_ids, *others.prompt_ids],
            unscored=None,
            estimates=_joined(ours.estimates, others.estimates),
            **columns,
        )
        return both.take(np.argsort(columns["order"], kind="stable"))

    def _ordered(self, n_before: int = 0) -> LoggedChoices:
        """Fill in what is left to its default, beside so many other decisions."""
        n = len(self)
        alone = -1 - n_before - np.arange(n)  # no conversation of a log has such a number
        return replace(
            self,
            order=np.arange(n) if self.order is None else self.order,
            unheard=np.zeros(n) if self.unheard is None else self.unheard,
            is_able=np.ones((n, len(self.models)), bool) if self.is_able is None else self.is_able,
            conversations=alone if self.conversations is None else self.conversations,
        )

    def of_prompts(
        self, prompt_ids: Collection[str], left_out: Mapping[str, int] | None = None
    ) -> LoggedChoices:
        """Return the decisions on some prompts, those without a verdict too.

        Parameters
        ----------
        prompt_ids : collection of str
            Prompts.
        left_out : mapping of str to int, optional
            Decisions left out by reason, in addition.

        Returns
        -------
        LoggedChoices
            In the same order.
        """
        kept = set(prompt_ids)
        unscored = None if self.unscored is None else self.unscored.of_prompts(kept)
        rows = np.array([key in kept for key in self.prompt_ids], dtype=bool)
        return replace(self.take(rows, left_out), unscored=unscored)

    def take(
        self, rows: np.ndarray | Sequence[int], left_out: Mapping[str, int] | None = None
    ) -> LoggedChoices:
        """Return some of the decisions, with further reasons for those left out.

        Parameters
        ----------
        rows : ndarray of int or of bool, or sequence of int
            Which decisions.
        left_out : mapping of str to int, optional
            Decisions left out by reason, in addition.

        Returns
        -------
        LoggedChoices
            In the order of `rows`; decisions without any verdict that stood beside them are not
            among them, see `of_prompts`.
        """
        indices = np.arange(len(self))[np.asarray(rows)]
        estimates = self.estimates
        if estimates is not None:
            sd = estimates.quality_sd
            estimates = Estimates(
                estimates.models,
                estimates.quality[indices],
                estimates.cost_usd[indices],
                None if sd is None else sd[indices],
            )
        own = {name: getattr(self, name) for name in _COLUMNS}
        columns: dict[str, Any] = {
            name: None if each is None else each[indices] for name, each in own.items()
        }
        return replace(
            self,
            prompts=[self.prompts[index] for index in indices],
            prompt_ids=[self.prompt_ids[index] for index in indices],
            **columns,
            estimates=estimates,
            unscored=None,
            left_out={**self.left_out, **{k: int(v) for k, v in (left_out or {}).items()}},
        )


def recent(log: CallLog, n_decisions: int) -> pd.DataFrame:
    """Return the latest decisions with the outcome of what was chosen, oldest first.

    `n_decisions`: rows at most.
    """
    with queries.opened(log.source) as reader:
        return latest(reader, n_decisions)


# What is an array with an entry per decision.
_COLUMNS = (
    *("arms", "propensities", "quality", "cost_usd"),
    *("unheard", "order", "is_able", "conversations"),
)


def _choices(frame: pd.DataFrame, texts: Mapping[str, str], told: Expected) -> LoggedChoices:
    """Return decisions that a router drew, with what it expected: NaN where that isn't known."""
    models = tuple(dict.fromkeys([*told.models, *frame.candidate]))
    further = [(0, 0), (0, len(models) - len(told.models))]
    is_told = np.pad(told.is_told, further)
    quality, cost_usd = (
        np.pad(each, further, constant_values=np.nan) for each in (told.quality, told.cost_usd)
    )
    return LoggedChoices(
        prompts=[texts[prompt_id] for prompt_id in frame.prompt_id],
        prompt_ids=frame.prompt_id.tolist(),
        models=models,
        arms=np.array([models.index(name) for name in frame.candidate], dtype=int),
        propensities=frame.propensity.to_numpy(float),
        quality=frame.quality.to_numpy(float),
        cost_usd=frame.cost_usd.to_numpy(float),
        estimates=Estimates(models, quality, cost_usd),
        unheard=frame.unheard.to_numpy(float),
        order=frame.decision_id.to_numpy(int),
        # Without estimates a rule chose, between all.
        is_able=is_told | ~is_told.any(axis=1, keepdims=True),
        conversations=frame.conversation.to_numpy(int),
    )


def _known(choices: LoggedChoices) -> LoggedChoices:
    """Leave out estimates of which some are missing, and who is able where everybody is."""
    estimates, is_able = choices.estimates, choices.is_able
    assert estimates is not None
    assert is_able is not None
    return replace(
        choices,
        estimates=None if np.isnan(estimates.quality[is_able]).any() else estimates,
        is_able=None if is_able.all() else is_able,
    )


def _conversations(frame: pd.DataFrame) -> pd.DataFrame:
    """Join the turns that stayed with a model to the decision that drew it.

    The drawn decision then stands for the conversation: mean quality of the turns with a verdict,
    the sum of their costs, and `unheard`, the share of turns without a verdict. A turn whose
    first decision isn't in the log stays what it is: nobody drew it.
    """
    is_turn = frame.router_hash == CONVERSATION
    if not is_turn.any():
        return frame.assign(unheard=0.0)
    before = {
        decision_id: int(found[1]) + first_number(decision_id)
        for decision_id, reason in zip(
            frame.decision_id[is_turn], frame.reason[is_turn], strict=True
        )
        if (found := GOES_ON_FROM.search(reason))
    }
    drawn = set(frame.decision_id[~frame.router_hash.isin(list(NOT_DRAWN))])
    unit = frame.decision_id.map(lambda each: _first(each, before))
    is_joined = is_turn & unit.isin(drawn)
    part = frame.assign(unit=unit)[is_joined | frame.decision_id.isin(drawn)].groupby("unit")
    ours = frame.set_index("decision_id")
    for name, values in (
        ("quality", part.quality.mean()),
        ("cost_usd", part.cost_usd.sum(min_count=1).where(part.cost_usd.count() == part.size())),
        ("unheard", 1 - part.quality.count() / part.size()),
    ):
        ours.loc[values.index, name] = values
    joined = ours.reset_index()[~is_joined.to_numpy()]
    return joined.assign(unheard=joined.unheard.where(joined.quality.notna(), 0.0))


def _first(decision_id: int, before: Mapping[int, int]) -> int:
    """Follow turns back to the decision that began the conversation."""
    while decision_id in before and before[decision_id] < decision_id:
        decision_id = before[decision_id]
    return decision_id


def _joined(ours: Estimates | None, others: Estimates | None) -> Estimates | None:
    if ours is None or others is None:
        return None
    sds = ours.quality_sd, others.quality_sd
    sd = None if sds[0] is None or sds[1] is None else np.vstack([sds[0], sds[1]])
    return Estimates(
        ours.models,
        np.vstack([ours.quality, others.quality]),
        np.vstack([ours.cost_usd, others.cost_usd]),
        sd,
    )
