"""Let an LLM grade logged answers; its own calls are logged and paid for like any other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from routerlib.gather.collection.collect import collect
from routerlib.gather.llm_judges import wording
from routerlib.records.call import CandidateModel, Score
from routerlib.records.canonical import tagged_hash
from routerlib.records.prompt import Prompt

if TYPE_CHECKING:
    from routerlib.gather.collection.result import Collection
    from routerlib.log.call_log import CallLog

_SHOWN_CHARS = 300
# Points for the first answer: what the two orders of a comparison say together.
_POINTS = {"first": 1.0, "tie": 0.5, "second": 0.0}


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
        Replies that gave no verdict, and so no score.
    collection : Collection
        Its calls, what they cost, and whether the budget stopped them.
    """

    judge: str
    n_scores: int
    n_unreadable: int
    collection: Collection

    def __str__(self) -> str:
        told = f"{self.n_scores} scores by {self.judge}"
        if self.n_unreadable:
            told += f"; {self.n_unreadable} replies gave no verdict, so no score"
        return f"{told}; its calls: {self.collection}"


class _Reply(NamedTuple):
    call_id: int
    text: str


class _Answer(NamedTuple):
    call_id: int
    response: str


def judge_with_llm(
    log: CallLog,
    candidate: CandidateModel,
    *,
    rubric: str = wording.RUBRIC,
    budget_usd: float | None = None,
    concurrency: int | None = None,
    dry_run: bool = False,
    progress: bool = True,
) -> LLMJudgement:
    """Let an LLM score every logged answer in [0, 1] by a rubric.

    No candidate is asked again. The judge's calls go through `collect`: they
    are logged with its name, counted against the budget, retried, and not made twice. A reply
    without a clear score gives no score.

    Parameters
    ----------
    log : CallLog
        Answers that this judge has scored already are left alone.
    candidate : CandidateModel
        Who judges; its system prompt is left out, its parameters are kept.
    rubric : str, default=RUBRIC
        What earns 1 and what 0. With another rubric, the judge has another name.
    budget_usd, concurrency, dry_run, progress
        As in `routerlib.gather.collection.collect.collect`.

    Returns
    -------
    LLMJudgement

    Raises
    ------
    ValueError
        As `routerlib.gather.collection.collect.collect` does.
    """
    name = _name("llm", candidate, rubric, wording.RUBRIC)
    asked = {
        call_id: _judge_prompt(
            wording.rubric_messages(prompt, call.response or "", rubric), f"judge/{name}"
        )
        for call_id, call, prompt in log.unjudged_calls(name)
    }
    judge = replace(candidate, system=None)
    collection = _ask(log, judge, asked.values(), budget_usd, concurrency, dry_run, progress)
    replies = {} if dry_run else _replies(log, judge)
    n_scores = n_unreadable = 0
    with log.transaction():
        for call_id, prompt in asked.items():
            reply = replies.get(prompt.prompt_id)
            if reply is None:
                continue
            score = wording.read_score(reply.text)
            if score is None:
                n_unreadable += 1
                continue
            extra = {"judge_calls": [reply.call_id]}
            n_scores += log.add_scores(call_id, [Score(name, score, _shown(reply.text), extra)])
    return LLMJudgement(name, n_scores, n_unreadable, collection)


def compare_with_llm(
    log: CallLog,
    candidate: CandidateModel,
    *,
    against: str | None = None,
    rubric: str = wording.COMPARISON,
    budget_usd: float | None = None,
    concurrency: int | None = None,
    dry_run: bool = False,
    progress: bool = True,
) -> LLMJudgement:
    """Let an LLM compare the candidates' answers in pairs, each pair in both orders.

    The score of an answer is its mean over the other answers to the prompt: 1 for each that it
    beats, 0.5 for a tie, 0 for a loss. Where the two orders disagree, the place decided and not
    the answer: that is a tie. A pair with an unreadable reply counts for neither.

    Parameters
    ----------
    log : CallLog
        The newest ok answer of each candidate to each prompt is compared.
    candidate : CandidateModel
        Who judges.
    against : str or None, default=None
        Compare all with this candidate only; None = every pair.
    rubric : str, default=COMPARISON
        What makes an answer better. With another rubric, the judge has another name.
    budget_usd, concurrency, dry_run, progress
        As in `routerlib.gather.collection.collect.collect`.

    Returns
    -------
    LLMJudgement

    Raises
    ------
    ValueError
        If `against` has no answers, or as `routerlib.gather.collection.collect.collect` does.
    """
    name = _name("pairwise", candidate, rubric, wording.COMPARISON)
    answers, prompts = _answers(log)
    pairs = list(_pairs(answers, against))
    if against is not None and not pairs:
        raise ValueError(f"the log {log.path} has no answer of {against!r} beside another one's")
    asked = {
        (prompt_id, one, other): _judge_prompt(
            wording.comparison_messages(prompts[prompt_id], one.response, other.response, rubric),
            f"judge/{name}",
        )
        for prompt_id, first, second in pairs
        if first.response != second.response
        for one, other in ((first, second), (second, first))
    }
    judge = replace(candidate, system=None)
    collection = _ask(log, judge, asked.values(), budget_usd, concurrency, dry_run, progress)
    replies = {} if dry_run else _replies(log, judge)
    points: dict[int, list[float]] = defaultdict(list)
    calls: dict[int, set[int]] = defaultdict(set)
    n_unreadable = 0
    for prompt_id, first, second in pairs:
        if first.response == second.response:
            won = 0.5
        else:
            two = [
                replies.get(asked[prompt_id, one, other].prompt_id)
                for one, other in ((first, second), (second, first))
            ]
            if two[0] is None or two[1] is None:
                continue
            both = _won_by_first(two[0].text, two[1].text)
            if both is None:
                n_unreadable += 1
                continue
            won = both
            for answer in (first, second):
                calls[answer.call_id] |= {two[0].call_id, two[1].call_id}
        points[first.call_id].append(won)
        points[second.call_id].append(1 - won)
    n_scores = 0 if dry_run else _add_changed(log, name, points, calls)
    return LLMJudgement(name, n_scores, n_unreadable, collection)


def _name(kind: str, candidate: CandidateModel, rubric: str, default: str) -> str:
    name = f"{kind}:{candidate.name}"
    return name if rubric == default else f"{name}#{tagged_hash(rubric)[3:9]}"


def _judge_prompt(messages: tuple[Mapping[str, str], ...], source: str) -> Prompt:
    return Prompt(messages, source=source)


def _ask(
    log: CallLog,
    judge: CandidateModel,
    prompts: Iterable[Prompt],
    budget_usd: float | None,
    concurrency: int | None,
    dry_run: bool,
    progress: bool,
) -> Collection:
    from routerlib.gather.collection.plan import Plan
    from routerlib.gather.collection.result import Collection

    distinct = list({prompt.prompt_id: prompt for prompt in prompts}.values())
    if not distinct:
        return Collection(None, Plan((), {judge.name: 0}, 0.0))
    return collect(
        distinct,
        [judge],
        log,
        budget_usd=budget_usd,
        concurrency=concurrency,
        dry_run=dry_run,
        progress=progress,
    )


def _replies(log: CallLog, judge: CandidateModel) -> dict[str, _Reply]:
    """Return the judge's newest complete reply to each prompt."""
    rows = log.lookup(
        "select prompt_id, call_id, response from calls where status = 'ok' and candidate = ? "
        "and params_hash = ? order by call_id",
        judge.name,
        judge.params_hash,
    )
    return {prompt_id: _Reply(call_id, response or "") for prompt_id, call_id, response in rows}


def _answers(log: CallLog) -> tuple[dict[str, dict[str, _Answer]], dict[str, Prompt]]:
    """Return the newest ok answer of each candidate to each prompt, and the prompts."""
    prompts = {
        prompt.prompt_id: prompt
        for prompt in log.prompts()
        if not prompt.source.startswith("judge/")
    }
    answers: dict[str, dict[str, _Answer]] = defaultdict(dict)
    for prompt_id, name, call_id, response in log.lookup(
        "select prompt_id, candidate, call_id, response from calls "
        "where status = 'ok' and response is not null order by call_id"
    ):
        if prompt_id in prompts:
            answers[prompt_id][name] = _Answer(call_id, response)
    return answers, prompts


def _pairs(
    answers: Mapping[str, Mapping[str, _Answer]], against: str | None
) -> Iterator[tuple[str, _Answer, _Answer]]:
    for prompt_id, by_name in answers.items():
        for one, other in combinations(sorted(by_name), 2):
            if against is None or against in (one, other):
                yield prompt_id, by_name[one], by_name[other]


def _won_by_first(straight: str, swapped: str) -> float | None:
    """Return the points of the first answer, from both orders of the comparison.

    >>> _won_by_first("Winner: A", "Winner: B"), _won_by_first("Winner: A", "Winner: A")
    (1.0, 0.5)
    """
    one, other = wording.read_winner(straight), wording.read_winner(swapped)
    if one is None or other is None:
        return None
    points = _POINTS[one], 1 - _POINTS[other]
    return points[0] if points[0] == points[1] else _POINTS["tie"]


def _add_changed(
    log: CallLog,
    name: str,
    points: Mapping[int, list[float]],
    calls: Mapping[int, set[int]],
) -> int:
    """Write scores that are new or differ from the judge's last word."""
    rows = log.lookup("select call_id, score from scores where judge = ? order by score_id", name)
    last = dict(rows)
    n_added = 0
    with log.transaction():
        for call_id, won in points.items():
            score = fmean(won)
            if last.get(call_id) != score:
                extra = {"judge_calls": sorted(calls.get(call_id, ()))}
                rationale = f"mean of {len(won)} comparisons"
                n_added += log.add_scores(call_id, [Score(name, score, rationale, extra)])
    return n_added


def _shown(reply: str) -> str:
    return " ".join(reply.split())[:_SHOWN_CHARS]
