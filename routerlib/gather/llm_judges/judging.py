"""Let an LLM grade logged answers; its own calls are logged and paid for like any other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from routerlib.gather.llm_judges import wording
from routerlib.gather.llm_judges.asking import MAX_TOKENS, LLMJudgement, judge_name, shown
from routerlib.gather.llm_judges.batches import Asker, in_batches
from routerlib.gather.llm_judges.drawn import ANSWERS, drawn_answers
from routerlib.log.judging import SOURCE
from routerlib.records.call import CandidateModel, Score
from routerlib.records.progress import watched
from routerlib.records.prompt import Prompt
from routerlib.records.thoughts import separate

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog
    from routerlib.log.unjudged import UnjudgedCalls


class _Question(NamedTuple):
    """What is asked about one answer; `number`: its place among those to judge, from 1."""

    number: int
    call_id: int
    candidate: str
    prompt: Prompt


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
    Answers are read and put to it in batches of at most 5,000, each scored before the next, so that
    a log of any size can be judged; what was asked before a stop is not asked again.

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
        Plan only, and call nobody; of more than 100,000 answers by those to some
        prompts, about 20,000.
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
    0 scores by llm:smollm2-135m; its calls: ... 1 cell is still missing ...
    """
    name = judge_name("llm", candidate, rubric, wording.RUBRIC)
    asker = Asker(
        log,
        candidate,
        wording.read_score,
        max_tokens=max_tokens,
        budget_usd=budget_usd,
        concurrency=concurrency,
        dry_run=dry_run,
        progress=progress,
    )
    unjudged = log.unjudged_calls(name)
    looked_at = drawn_answers(unjudged) if dry_run else unjudged
    n_own = n_scores = n_unreadable = n_seen = 0
    unreadable = ""
    questions = _questions(looked_at, name, rubric)
    if dry_run and progress:
        questions = watched(questions, "answers looked at", len(looked_at))
    for batch in in_batches(questions, lambda each: [each.prompt]):
        n_all, n_before, n_seen = len(unjudged), n_seen, batch[-1].number
        told = f"answers {n_before + 1} to {n_seen} of {n_all}" if len(batch) < n_all else ""
        replies = asker.ask((each.prompt for each in batch), told)
        n_own += sum(each.candidate in asker.own for each in batch)
        with log.transaction():
            for each in batch:
                reply = replies.get(each.prompt.prompt_id)
                if reply is None:
                    continue
                score = wording.read_score(reply.text)
                if score is None:
                    n_unreadable += 1
                    unreadable = unreadable or shown(reply.text)
                    continue
                told_by = {"judge_calls": [reply.call_id]}
                verdict = Score(name, score, shown(reply.text), told_by)
                n_scores += log.add_scores(each.call_id, [verdict])
        if asker.is_stopped:
            break
    if len(looked_at) < len(unjudged):
        n_own = asker.tell_of_all(n_own, len(looked_at), len(unjudged), ANSWERS.noun)
    return LLMJudgement(
        name,
        n_scores,
        n_unreadable,
        asker.collection,
        asker.watch.shown or unreadable,
        n_own,
        asker.watch.n_read,
        len(unjudged) - n_seen if asker.is_stopped else 0,
    )


def _questions(unjudged: UnjudgedCalls, name: str, rubric: str) -> Iterator[_Question]:
    """Yield what a judge is asked about each answer that is more than a thought."""
    for number, (call_id, call, prompt) in enumerate(unjudged, start=1):
        said = separate(call.response or "")
        if not said.is_only_thought:
            messages = wording.rubric_messages(prompt, said.answer, rubric)
            asked = Prompt(messages, source=f"{SOURCE}{name}")
            yield _Question(number, call_id, call.candidate, asked)
