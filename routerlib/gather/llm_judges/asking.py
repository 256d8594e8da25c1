"""Ask a model to judge, stop it where it gives no verdicts, and keep the accounts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from routerlib.gather.calls.budget import cap_name
from routerlib.gather.candidates.parameters import CAPS
from routerlib.log.judging import RUN_KIND
from routerlib.records.brief import n_of
from routerlib.records.call import FINISHED_STATUSES, Call, CandidateModel
from routerlib.records.canonical import tagged_hash
from routerlib.records.thoughts import separate

if TYPE_CHECKING:
    from routerlib.gather.collection.result import Collection as Collected
    from routerlib.log.call_log import CallLog

# A judge explains itself, and some think aloud: its cap is its own, not the candidate's.
MAX_TOKENS = 1024
_SHOWN_CHARS = 300
_MOST_WITHOUT_VERDICT = 10
_OWN_NAMES = f"""
select distinct told.key from runs, json_each(runs.parameters, '$.candidates') as told
where runs.kind <> '{RUN_KIND}'
and case when told.type = 'object' then json_extract(told.value, '$.model') end = ?
"""
ADVICE = "take another judge, or a larger cap for its replies (--max-tokens)"


@dataclass(frozen=True)
class LLMJudgement:
    """What an LLM judge did.

    Parameters
    ----------
    judge : str
        What its scores are called.
    n_scores : int
        Scores written.
    n_unreadable : int
        Answers, or comparisons, whose reply gave no verdict, and so no score; answers that are the
        same share one reply.
    collection : Collection
        Its calls, what they cost, and whether the budget stopped them.
    unreadable : str, default=""
        One of the replies that gave no verdict.
    n_own : int, default=0
        Answers to be judged that the judging model gave itself.
    n_verdicts : int, default=0
        Replies of this run that gave a verdict.
    n_unreached : int, default=0
        Answers, or prompts whose answers are compared, that come after the batch in which it was
        stopped.
    """

    judge: str
    n_scores: int
    n_unreadable: int
    collection: Collected
    unreadable: str = ""
    n_own: int = 0
    n_verdicts: int = 0
    n_unreached: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether all that there was to judge was put to it."""
        return self.collection.is_complete and not self.n_unreached

    @property
    def complaint(self) -> str:
        """Say that nothing of what it was asked in this run gave a verdict; "" = something did."""
        if self.n_verdicts or not (self.collection.n_asked and self.unreadable):
            return ""
        return f"{self.judge} gave no verdict in {self.collection.n_asked} replies; {ADVICE}"

    def __str__(self) -> str:
        told = f"{n_of(self.n_scores, 'scores')} by {self.judge}"
        if self.n_unreadable:
            told += f"; replies about {self.n_unreadable} gave no verdict, so no score"
        if self.unreadable:
            told += f" (one said: {self.unreadable!r})"
        further = (
            f"{self.n_unreached} more weren't looked at before it stopped"
            if self.n_unreached
            else ""
        )
        calls = f"its calls: {self.collection}"
        return "; ".join(filter(None, [told, self.self_judging, calls, further]))

    @property
    def self_judging(self) -> str:
        """Say that a model judges answers of its own; "" = it doesn't."""
        if not self.n_own:
            return ""
        own = n_of(self.n_own, "answers")
        return f"it judges {own} of its own, and models tend to favour their own"


class Reply(NamedTuple):
    """A judge's reply."""

    call_id: int
    text: str


def judge_name(kind: str, candidate: CandidateModel, rubric: str, default: str) -> str:
    """Return what a judge's scores are called; with a rubric of one's own the name tells it."""
    name = f"{kind}:{candidate.name}"
    return name if rubric == default else f"{name}#{tagged_hash(rubric)[3:9]}"


def as_judge(candidate: CandidateModel, max_tokens: int) -> CandidateModel:
    """Return a candidate as it is asked to judge: with a cap of its own, and no system prompt."""
    if max_tokens < 1:
        raise ValueError(f"max_tokens of a judge must be at least 1, got {max_tokens!r}")
    rest = {key: value for key, value in candidate.parameters.items() if key not in CAPS}
    bare = replace(candidate, system=None, parameters=rest)
    return replace(bare, parameters={**rest, cap_name(bare): max_tokens})


def names_of_model(log: CallLog, model: str) -> set[str]:
    """Return the names under which a provider's model was asked in a log."""
    return {name for (name,) in log.lookup(_OWN_NAMES, model)}


class NoVerdicts:
    """Stops a judge after ten replies in a row that give no verdict."""

    def __init__(self, read: Callable[[str], object]) -> None:
        self._read = read
        self._n_in_row = 0
        self.shown = ""
        self.n_read = 0

    def __call__(self, call: Call) -> str:
        """Take note of a reply; say why to stop, or nothing."""
        if call.status not in FINISHED_STATUSES:
            return ""
        reply = separate(call.response or "").answer
        if call.is_ok and self._read(reply) is not None:
            self._n_in_row = 0
            self.n_read += 1
            return ""
        self._n_in_row += 1
        self.shown = self.shown or shown(reply) or f"nothing ({call.status})"
        if self._n_in_row < _MOST_WITHOUT_VERDICT:
            return ""
        return f"{self._n_in_row} replies in a row gave no verdict; {ADVICE}"


def replies_of(
    log: CallLog, judge: CandidateModel, prompt_ids: Collection[str]
) -> dict[str, Reply]:
    """Return the judge's newest complete reply to each of some prompts."""
    query = (
        "select prompt_id, call_id, response from calls where status = 'ok' and candidate = ? "
        "and params_hash = ? and prompt_id in ({marks}) order by call_id"
    )
    return {
        prompt_id: Reply(call_id, separate(response or "").answer)
        for prompt_id, call_id, response in log.lookup_some(
            query, prompt_ids, judge.name, judge.params_hash
        )
    }


def shown(reply: str) -> str:
    """Return the beginning of a reply on one line."""
    return " ".join(reply.split())[:_SHOWN_CHARS]
