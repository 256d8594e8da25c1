"""Let an LLM compare logged answers in pairs, each pair in both orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from routerlib.gather.llm_judges import wording
from routerlib.gather.llm_judges.asking import MAX_TOKENS, LLMJudgement, Reply, judge_name
from routerlib.gather.llm_judges.batches import Asker, in_batches
from routerlib.gather.llm_judges.drawn import PROMPTS, drawn_prompts
from routerlib.log.judging import SOURCE
from routerlib.records.call import CandidateModel, Score
from routerlib.records.messages import TOOL_CALLS
from routerlib.records.progress import watched
from routerlib.records.prompt import Prompt
from routerlib.records.thoughts import separate

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

_N_PROMPTS = f"select count(*) from prompts where source not like '{SOURCE}%'"
# Their answers are in memory together, and each may have megabytes.
_PROMPTS_AT_ONCE = 8

# Points for the first answer: what the two orders of a comparison say together.
_POINTS = {"first": 1.0, "tie": 0.5, "second": 0.0}


class _Answer(NamedTuple):
    call_id: int
    response: str


class _Compared(NamedTuple):
    """The answers to one prompt.

    `number`: the prompt's place in the log, from 1. `names`: whose answers there are.
    `asked`: of two answers in this order.
    """

    number: int
    names: list[str]
    pairs: list[tuple[_Answer, _Answer]]
    asked: Mapping[tuple[_Answer, _Answer], Prompt]

    def prompts(self) -> list[Prompt]:
        return list(self.asked.values())


class _Result(NamedTuple):
    """A comparison: the points of the first answer, None where a reply can't be read."""

    first: _Answer
    second: _Answer
    won: float | None
    judge_calls: tuple[int, ...]


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
        Plan only, and call nobody; of more than 10,000 prompts by 2,000 drawn at random.
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
    asker = Asker(
        log,
        candidate,
        wording.read_winner,
        max_tokens=max_tokens,
        budget_usd=budget_usd,
        concurrency=concurrency,
        dry_run=dry_run,
        progress=progress,
    )
    (n_all,) = log.lookup(_N_PROMPTS)[0]
    n_own = n_pairs = n_scores = n_unreadable = n_seen = 0
    drawn = drawn_prompts(log, n_all) if dry_run else None
    prompts = log.each_prompt() if drawn is None else drawn
    compared = _compared(log, prompts, name, against, rubric)
    if dry_run and progress:
        compared = watched(compared, "prompts looked at", len(drawn or ()) or n_all)
    for batch in in_batches(compared, _Compared.prompts):
        n_before, n_seen = n_seen, batch[-1].number
        told = f"prompts {n_before + 1} to {n_seen} of {n_all}" if len(batch) < n_all else ""
        replies = asker.ask((prompt for each in batch for prompt in each.prompts()), told)
        n_own += sum(name in asker.own for each in batch for name in each.names)
        n_pairs += sum(len(each.pairs) for each in batch)
        if not dry_run:
            results = [result for each in batch for result in _results(each, replies)]
            read = [each for each in results if each.won is not None]
            n_unreadable += len(results) - len(read)
            n_scores += _add_changed(log, name, read)
        if asker.is_stopped:
            break
    if against is not None and not n_pairs:
        where = "the log" if drawn is None else f"none of {len(drawn)} prompts drawn from the log"
        has = "has no" if drawn is None else "has an"
        raise ValueError(f"{where} {log.path} {has} answer of {against!r} beside another one's")
    if drawn is not None:
        n_own = asker.tell_of_all(n_own, len(drawn), n_all, PROMPTS.noun)
    n_unreached = n_all - n_seen if asker.is_stopped else 0
    shown_reply = "" if dry_run else asker.watch.shown
    return LLMJudgement(
        name,
        n_scores,
        n_unreadable,
        asker.collection,
        shown_reply,
        n_own if n_pairs else 0,
        asker.watch.n_read,
        n_unreached,
    )


def _results(compared: _Compared, replies: Mapping[str, Reply]) -> Iterator[_Result]:
    """Yield what came of each pair; pairs that were not asked in both orders are left out."""
    for first, second in compared.pairs:
        if first.response == second.response:
            yield _Result(first, second, _POINTS["tie"], ())
            continue
        straight = replies.get(compared.asked[first, second].prompt_id)
        swapped = replies.get(compared.asked[second, first].prompt_id)
        if straight is not None and swapped is not None:
            won = _won_by_first(straight.text, swapped.text)
            yield _Result(first, second, won, (straight.call_id, swapped.call_id))


def _compared(
    log: CallLog, prompts: Iterable[Prompt], name: str, against: str | None, rubric: str
) -> Iterator[_Compared]:
    """Yield what there is to compare of each prompt, a few prompts in memory at a time."""
    numbered = enumerate(prompts, start=1)
    while some := list(islice(numbered, _PROMPTS_AT_ONCE)):
        answers = _answers(log, [prompt.prompt_id for _, prompt in some])
        for number, prompt in some:
            by_name = answers.get(prompt.prompt_id, {})
            pairs = [
                (by_name[one], by_name[other])
                for one, other in combinations(sorted(by_name), 2)
                if against is None or against in (one, other)
            ]
            asked = {
                (one, other): Prompt(
                    wording.comparison_messages(prompt, one.response, other.response, rubric),
                    source=f"{SOURCE}{name}",
                )
                for first, second in pairs
                if first.response != second.response
                for one, other in ((first, second), (second, first))
            }
            yield _Compared(number, list(by_name), pairs, asked)


def _answers(log: CallLog, prompt_ids: Sequence[str]) -> dict[str, dict[str, _Answer]]:
    """Return the newest ok answer of each candidate to each of some prompts."""
    query = (
        "select prompt_id, candidate, call_id, response from calls "
        "where status = 'ok' and response is not null "
        f"and json_extract(extra, '$.{TOOL_CALLS}') is null "
        "and prompt_id in ({marks}) order by call_id"
    )
    answers: dict[str, dict[str, _Answer]] = defaultdict(dict)
    for prompt_id, name, call_id, response in log.lookup_some(query, prompt_ids):
        said = separate(response)
        if not said.is_only_thought:
            answers[prompt_id][name] = _Answer(call_id, said.answer)
    return answers


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
    known = (
        "select call_id, score from scores where judge = ? and call_id in ({marks}) "
        "order by score_id"
    )
    last = dict(log.lookup_some(known, points, name))
    n_added = 0
    with log.transaction():
        for call_id, won in points.items():
            score = fmean(won)
            if last.get(call_id) != score:
                extra = {"judge_calls": sorted(calls[call_id])}
                rationale = f"mean of {len(won)} comparisons"
                n_added += log.add_scores(call_id, [Score(name, score, rationale, extra)])
    return n_added
