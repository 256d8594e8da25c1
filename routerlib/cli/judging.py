"""The command that scores logged answers."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from routerlib.cli.options import (
    DEFAULT_LOG,
    INTERRUPTED,
    WITHOUT_DRY_RUN,
    CandidatesSource,
    LogPath,
    existing_log,
    tell_next,
)
from routerlib.records.brief import n_of
from routerlib.records.progress import watched

if TYPE_CHECKING:
    from routerlib.gather.llm_judges.asking import LLMJudgement
    from routerlib.log.call_log import CallLog

_BY_LLM = ("llm", "pairwise")
_MOST_REASONS = 2
_PROMPTS_AT_ONCE = 1000

MaxTokens = Annotated[
    int, typer.Option(min=1, help="llm, pairwise: longest reply of the judge, in tokens.")
]
BudgetUsd = Annotated[
    float | None, typer.Option(min=0, help="llm, pairwise: cap on spending, US dollars.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="llm, pairwise: only say what it would do.")
]


def judge(
    log_path: LogPath = DEFAULT_LOG,
    name: Annotated[
        str | None,
        typer.Option(
            "--judge",
            help="A judge, llm or pairwise; left out = the prompts' own; auto = that, and the "
            "one that fits for prompts with a reference and no judge.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="For prompts without a reference: JSON, or a text such as a pattern."),
    ] = None,
    judge_candidate: Annotated[
        str | None, typer.Option(help="llm, pairwise: which candidate judges.")
    ] = None,
    candidates_source: CandidatesSource = "local",
    rubric: Annotated[
        str | None, typer.Option(help="llm, pairwise: your own words on what is good.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="pairwise: compare all with this one only.")
    ] = None,
    max_tokens: MaxTokens = 1024,
    budget_usd: BudgetUsd = None,
    dry_run: DryRun = False,
) -> None:
    """Score logged answers that a judge has not seen yet; no candidate is asked again."""
    with existing_log(log_path, read_only=False) as log:
        if name in _BY_LLM:
            by_llm = _ByLLM(name, rubric, against, max_tokens, budget_usd, dry_run)
            done = by_llm.judge(log, judge_candidate, candidates_source)
            planned = "; ".join(filter(None, [done.self_judging, str(done.collection.plan)]))
            if not (dry_run or done.is_complete):
                raise RuntimeError(f"not everything is judged: {done}")
            typer.echo(planned if dry_run else str(done))
            if done.complaint:
                raise RuntimeError(done.complaint)
        else:
            try:
                typer.echo(_by_rule(log, name, _reference(reference)))
            except KeyboardInterrupt:
                typer.echo("stopped: scores so far are kept; the same command goes on", err=True)
                raise typer.Exit(INTERRUPTED) from None
        if dry_run and name in _BY_LLM:
            typer.echo(WITHOUT_DRY_RUN)
        else:
            tell_next(log, is_judged=True)


def _by_rule(log: CallLog, name: str | None, reference: Any) -> str:
    """Score with a judge of the library; say how many scores there are now, and what has none."""
    from routerlib.gather.judges import JUDGES, judge_log
    from routerlib.gather.judges.proposing import AUTO, proposal, with_judge, without_judge

    if name == AUTO:
        prompts = log.each_prompt()
        while some := list(islice(prompts, _PROMPTS_AT_ONCE)):
            log.add_prompts(with_judge(without_judge(some), AUTO))
        name = None
    if name is not None and name not in JUDGES:
        known = ", ".join([AUTO, *JUDGES, *_BY_LLM])
        raise ValueError(f"judge must be one of {known}, got {name!r}")
    n_written = judge_log(log, name, reference=reference)
    told = _ungraded(log, name, reference)
    if not (n_written or told):
        told = (name is None and proposal(watched(log.each_prompt(), "prompts"))) or _nothing_left(
            name
        )
    return f"{n_of(n_written, 'scores')} written to {log.path}{told and f': {told}'}"


class _ByLLM(NamedTuple):
    """How a model is to judge."""

    name: str
    rubric: str | None
    against: str | None
    max_tokens: int
    budget_usd: float | None
    dry_run: bool

    def judge(
        self, log: CallLog, judge_candidate: str | None, candidates_source: str
    ) -> LLMJudgement:
        from routerlib.gather.candidates.candidates import load_candidates, select_candidates
        from routerlib.gather.llm_judges.comparing import compare_with_llm
        from routerlib.gather.llm_judges.judging import judge_with_llm
        from routerlib.gather.llm_judges.wording import COMPARISON, RUBRIC

        if judge_candidate is None:
            raise typer.BadParameter("name who judges with --judge-candidate")
        (candidate,) = select_candidates(load_candidates(candidates_source), [judge_candidate])
        if self.name == "llm":
            return judge_with_llm(
                log,
                candidate,
                rubric=self.rubric or RUBRIC,
                max_tokens=self.max_tokens,
                budget_usd=self.budget_usd,
                dry_run=self.dry_run,
            )
        return compare_with_llm(
            log,
            candidate,
            against=self.against,
            rubric=self.rubric or COMPARISON,
            max_tokens=self.max_tokens,
            budget_usd=self.budget_usd,
            dry_run=self.dry_run,
        )


def _nothing_left(name: str | None) -> str:
    if name is None:
        return "all answers whose prompts name a judge are scored; --judge NAME takes another"
    return f"{name} has scored every stored answer already"


def _ungraded(log: CallLog, name: str | None, reference: Any) -> str:
    """Say how many answers can't be graded, and why; nothing where all are."""
    from routerlib.gather.judges import judge

    left = log.unjudged_calls(name)
    n_lacking = 0
    reasons: Counter[str] = Counter()
    for _, call, prompt in left:
        if prompt.reference is None:
            n_lacking += 1
            prompt = replace(prompt, reference=reference)
        reasons[judge(prompt, call.response or "", name).rationale] += 1
    if not reasons:
        return ""
    told = [f"{n} for {reason}" for reason, n in reasons.most_common(_MOST_REASONS)]
    if len(reasons) > _MOST_REASONS:
        told.append(f"{_rest(reasons)} for other reasons")
    advice = "; see --reference" if n_lacking and reference is None else ""
    return f"{len(left)} answers can't be graded: {', '.join(told)}{advice}"


def _rest(reasons: Counter[str]) -> int:
    return reasons.total() - sum(n for _, n in reasons.most_common(_MOST_REASONS))


def _reference(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
