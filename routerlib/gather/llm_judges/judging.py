"""Let an LLM grade logged answers; its own calls are logged and paid for like any other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from routerlib.gather.llm_judges import wording
from routerlib.gather.llm_judges.asking import (
    MAX_TOKENS,
    LLMJudgement,
    NoVerdicts,
    Reply,
    as_judge,
    ask_judge,
    judge_name,
    names_of_model,
    replies_of,
    shown,
)
from routerlib.log.judging import SOURCE
from routerlib.records.call import CandidateModel, Score
from routerlib.records.messages import TOOL_CALLS
from routerlib.records.prompt import Prompt
from routerlib.records.thoughts import separate

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

# Points for the first answer: what the two orders of a comparison say together.
_POINTS = {"first": 1.0, "tie": 0.5, "second": 0.0}


class _Answer(NamedTuple):
    call_id: int
    response: str


class _Pair(NamedTuple):
    prompt_id: str
    first: _Answer
    second: _Answer


class _Result(NamedTuple):
    """A comparison: the points of the first answer, None where a reply can't be read."""

    first: _Answer
    second: _Answer
    won: float | None
    judge_calls: tuple[int, ...]


def judge_with_llm(
    log: CallLog,
    candidate: CandidateModel,
    *,
    rubric: str = wording.RUBRIC,
    max_tokens: int = MAX_TOKENS,
    budget_usd: float | None = None,
    concurrency: int | None = None,
    dry_run: bool = False,
    progress: bool = True,
) -> LLMJudgement:
    """Let an LLM score every logged answer in [0, 1] by a rubric.

    No candidate is asked again. The judge's calls go through `collect`: they
    are logged as a run of kind ``judge``, counted against the budget, retried, and not made twice.
    A reply without a clear score gives no score; after ten in a row nothing more is asked.

    Parameters
    ----------
    log : CallLog
        Answers that this judge has scored already are left alone.
    candidate : CandidateModel
        Who judges; its system prompt is left out, its parameters but for the cap are kept.
    rubric : str, default=RUBRIC
        What earns 1 and what 0. With another rubric, the judge has another name.
    max_tokens : int, default=1024
        The longest reply of the judge, in place of what the candidate may say.
    budget_usd : float, optional
        Stop before spending more, US dollars; None = no limit.
    concurrency : int, optional
        Calls in flight; None = what the candidate allows.
    dry_run : bool, default=False
        Plan only, and call nobody.
    progress : bool, default=True
        Whether to show how far it is.

    Returns
    -------
    LLMJudgement

    Raises
    ------
    ValueError
        As `routerlib.gather.collection.collect.collect` does.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import routerlib as rl
    >>> from routerlib.records.call import Call
    >>> log = rl.CallLog(Path(tempfile.mkdtemp()) / "logs.db")
    >>> prompt = rl.Prompt.from_text("What is 2 + 3?", task="math", reference="5", judge="numeric")
    >>> _ = log.add_prompts([prompt])
    >>> _ = log.add_call(Call(prompt.prompt_id, "small", "b2:x", "ok", "5"))
    >>> (candidate, *_) = rl.load_candidates("local")
    >>> print(judge_with_llm(log, candidate, dry_run=True, progress=False))
    0 scores by llm:smollm2-135m; its calls: ... 1 cells are still missing ...
    """
    name = judge_name("llm", candidate, rubric, wording.RUBRIC)
    own = {candidate.name, *names_of_model(log, candidate.model)}
    n_own = 0
    asked: dict[int, Prompt] = {}
    for call_id, call, prompt in log.unjudged_calls(name):
        if (said := separate(call.response or "")).is_only_thought:
            continue
        messages = wording.rubric_messages(prompt, said.answer, rubric)
        asked[call_id] = Prompt(messages, source=f"{SOURCE}{name}")
        n_own += call.candidate in own
    judge = as_judge(candidate, max_tokens)
    watch = NoVerdicts(wording.read_score)
    collection = ask_judge(
        log, judge, asked.values(), budget_usd, concurrency, dry_run, progress, watch
    )
    replies = {} if dry_run else replies_of(log, judge)
    n_scores = n_unreadable = 0
    unreadable = watch.shown
    with log.transaction():
        for call_id, prompt in asked.items():
            reply = replies.get(prompt.prompt_id)
            if reply is None:
                continue
            score = wording.read_score(reply.text)
            if score is None:
                n_unreadable += 1
                unreadable = unreadable or shown(reply.text)
                continue
            extra = {"judge_calls": [reply.call_id]}
            n_scores += log.add_scores(call_id, [Score(name, score, shown(reply.text), extra)])
    return LLMJudgement(name, n_scores, n_unreadable, collection, unreadable, n_own, watch.n_read)


def compare_with_llm(
    log: CallLog,
    candidate: CandidateModel,
    *,
    against: str | None = None,
    rubric: str = wording.COMPARISON,
    max_tokens: int = MAX_TOKENS,
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
    max_tokens : int, default=1024
        The longest reply of the judge, in place of what the candidate may say.
    budget_usd : float, optional
        Stop before spending more, US dollars; None = no limit.
    concurrency : int, optional
        Calls in flight; None = what the candidate allows.
    dry_run : bool, default=False
        Plan only, and call nobody.
    progress : bool, default=True
        Whether to show how far it is.

    Returns
    -------
    LLMJudgement

    Raises
    ------
    ValueError
        If `against` has no answers, or as `routerlib.gather.collection.collect.collect` does.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import routerlib as rl
    >>> from routerlib.records.call import Call
    >>> log = rl.CallLog(Path(tempfile.mkdtemp()) / "logs.db")
    >>> prompt = rl.Prompt.from_text("What is 2 + 3?", task="math", reference="5", judge="numeric")
    >>> _ = log.add_prompts([prompt])
    >>> for name, answer in (("small", "6"), ("large", "5")):
    ...     _ = log.add_call(Call(prompt.prompt_id, name, "b2:x", "ok", answer))
    >>> (candidate, *_) = rl.load_candidates("local")
    >>> print(compare_with_llm(log, candidate, dry_run=True, progress=False))
    0 scores by pairwise:smollm2-135m; its calls: ... 2 cells are still missing ...
    """
    name = judge_name("pairwise", candidate, rubric, wording.COMPARISON)
    answers, prompts = _answers(log)
    pairs = list(_pairs(answers, against))
    if against is not None and not pairs:
        raise ValueError(f"the log {log.path} has no answer of {against!r} beside another one's")
    asked = {
        (prompt_id, one, other): Prompt(
            wording.comparison_messages(prompts[prompt_id], one.response, other.response, rubric),
            source=f"{SOURCE}{name}",
        )
        for prompt_id, first, second in pairs
        if first.response != second.response
        for one, other in ((first, second), (second, first))
    }
    judge = as_judge(candidate, max_tokens)
    watch = NoVerdicts(wording.read_winner)
    collection = ask_judge(
        log, judge, asked.values(), budget_usd, concurrency, dry_run, progress, watch
    )
    own = {candidate.name, *names_of_model(log, candidate.model)}
    n_own = sum(name in own for by_name in answers.values() for name in by_name) if pairs else 0
    if dry_run:
        return LLMJudgement(name, 0, 0, collection, n_own=n_own)
    results = list(_results(pairs, asked, replies_of(log, judge)))
    read = [each for each in results if each.won is not None]
    n_scores = _add_changed(log, name, read)
    return LLMJudgement(
        name, n_scores, len(results) - len(read), collection, watch.shown, n_own, watch.n_read
    )


def _results(
    pairs: Sequence[_Pair],
    asked: Mapping[tuple[str, _Answer, _Answer], Prompt],
    replies: Mapping[str, Reply],
) -> Iterator[_Result]:
    """Yield what came of each pair; pairs that were not asked in both orders are left out."""
    for prompt_id, first, second in pairs:
        if first.response == second.response:
            yield _Result(first, second, _POINTS["tie"], ())
            continue
        straight = replies.get(asked[prompt_id, first, second].prompt_id)
        swapped = replies.get(asked[prompt_id, second, first].prompt_id)
        if straight is not None and swapped is not None:
            won = _won_by_first(straight.text, swapped.text)
            yield _Result(first, second, won, (straight.call_id, swapped.call_id))


def _answers(log: CallLog) -> tuple[dict[str, dict[str, _Answer]], dict[str, Prompt]]:
    """Return the newest ok answer of each candidate to each prompt, and the prompts."""
    prompts = {prompt.prompt_id: prompt for prompt in log.prompts()}
    answers: dict[str, dict[str, _Answer]] = defaultdict(dict)
    for prompt_id, name, call_id, response in log.lookup(
        "select prompt_id, candidate, call_id, response from calls "
        "where status = 'ok' and response is not null "
        f"and json_extract(extra, '$.{TOOL_CALLS}') is null order by call_id"
    ):
        said = separate(response)
        if prompt_id in prompts and not said.is_only_thought:
            answers[prompt_id][name] = _Answer(call_id, said.answer)
    return answers, prompts


def _pairs(answers: Mapping[str, Mapping[str, _Answer]], against: str | None) -> Iterator[_Pair]:
    for prompt_id, by_name in answers.items():
        for one, other in combinations(sorted(by_name), 2):
            if against is None or against in (one, other):
                yield _Pair(prompt_id, by_name[one], by_name[other])


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


def _add_changed(log: CallLog, name: str, results: Iterable[_Result]) -> int:
    """Write scores that are new or differ from the judge's last word."""
    points: dict[int, list[float]] = defaultdict(list)
    calls: dict[int, set[int]] = defaultdict(set)
    for each in results:
        assert each.won is not None, "unreadable comparisons count for neither"
        points[each.first.call_id].append(each.won)
        points[each.second.call_id].append(1 - each.won)
        for answer in (each.first, each.second):
            calls[answer.call_id].update(each.judge_calls)
    rows = log.lookup("select call_id, score from scores where judge = ? order by score_id", name)
    last = dict(rows)
    n_added = 0
    with log.transaction():
        for call_id, won in points.items():
            score = fmean(won)
            if last.get(call_id) != score:
                extra = {"judge_calls": sorted(calls[call_id])}
                rationale = f"mean of {len(won)} comparisons"
                n_added += log.add_scores(call_id, [Score(name, score, rationale, extra)])
    return n_added
