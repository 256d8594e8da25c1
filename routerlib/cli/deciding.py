"""Commands that decide: train, route, explain."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from routerlib.cli.options import (
    DEFAULT_LOG,
    DEFAULT_MODEL,
    CandidatesSource,
    ClusterAddress,
    CostWeight,
    JudgeName,
    Keep,
    LatencyWeight,
    LogPath,
    MaxLatency,
    ModelPath,
    OptionalModelPath,
    TaskName,
    check_router,
    existing_log,
    read_text,
    say_blended,
    typed,
)
from routerlib.cli.progress import tell_size, tell_work
from routerlib.cli.steps import answers_of, tell_step, with_steps
from routerlib.policies.utility import Haste
from routerlib.records.brief import n_of
from routerlib.records.files import check_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from routerlib.routers.lightgbm.router import LGBMRouter
    from routerlib.routers.router import Router
    from routerlib.routers.training.cross_trained import Division


_DEFAULT_DELTA = 0.1
_DEFAULT_TEST_SIZE = 0.3

Epsilon = Annotated[
    float | None,
    typer.Option(help="Certify that at most this much mean quality is lost, such as 0.03."),
]
MaxQualityLoss = Annotated[
    float | None,
    typer.Option(
        help="Mean quality that may be given up to save cost, and that the verdict counts as the "
        "same; left out = 0.03."
    ),
]
SmallestEffect = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        max=1,
        help="Smallest gain in mean quality that matters: how many prompts to label is planned "
        "for it; left out = what --max-quality-loss is.",
    ),
]
Delta = Annotated[
    float | None,
    typer.Option(
        help="With --epsilon: probability with which the certificate may fail; "
        f"left out = {_DEFAULT_DELTA}."
    ),
]
TestSize = Annotated[
    float | None,
    typer.Option(
        help="Share of prompts held out; left out = 0.3, but none with fewer than 1000 scored "
        "prompts: see --cross-fit."
    ),
]
CrossFit = Annotated[
    int | None,
    typer.Option(
        "--cross-fit",
        min=0,
        help="Train on all prompts, and as many times more on the other folds, so that every "
        "prompt is tested once by a router that hasn't seen it; 0 = hold prompts out. Left out = 5 "
        "with fewer than 1000 scored prompts, and 0 with --epsilon.",
    ),
]
AsCascade = Annotated[
    bool,
    typer.Option(
        "--cascade",
        help="Learn from the logged answers, too, whom to ask once an answer was looked at; a part "
        "of the prompts is held out to say what that is worth.",
    ),
]
GivenAnswers = Annotated[
    list[str] | None,
    typer.Option(
        "--answer",
        help="What a candidate has answered, as MODEL=TEXT; once for each. A cascade then says "
        "whether that stands, or whom to ask next.",
    ),
]
ModelNames = Annotated[
    str | None,
    typer.Option(
        help="Candidates to choose among, such as small,large; left out = all that were "
        "scored on at least a tenth as many prompts as the one scored most."
    ),
]


def train(
    log_path: LogPath = DEFAULT_LOG,
    model_path: ModelPath = DEFAULT_MODEL,
    cost_weight: CostWeight = None,
    test_size: TestSize = None,
    cross_fit: CrossFit = None,
    random_state: Annotated[int, typer.Option(help="Seed.")] = 0,
    epsilon: Epsilon = None,
    delta: Delta = None,
    max_quality_loss: MaxQualityLoss = None,
    smallest_effect: SmallestEffect = None,
    judge: JudgeName = None,
    models: ModelNames = None,
    keep: Keep = 5,
    cascade: AsCascade = False,
    cluster: ClusterAddress = None,
) -> None:
    """Train a router on the log, test it on prompts it hasn't seen, and say whether it pays.

    Few prompts are dealt into folds: each is tested by a router that was trained on the others,
    and the one that is saved learns from all. That takes about six times as long as one training.
    """
    from routerlib.log.audits import read_audit
    from routerlib.log.candidates_seen import (
        left_out,
        told_of_steps,
        told_of_unscored,
        told_of_ways,
    )
    from routerlib.outcomes.outcomes import Outcomes

    check_writable(model_path)
    certify = _certificate_asked(epsilon, delta)
    _check_loss_allowed(max_quality_loss, is_chosen=cost_weight is None and certify is None)
    _check_one_way(test_size, cross_fit)
    if (cascade or cluster) and cross_fit:
        raise ValueError(
            f"give {'--cascade' if cascade else '--cluster'} or --cross-fit, not both: it is "
            "tested on prompts that are held out"
        )
    with existing_log(log_path) as log:
        tell_size(log)
        say_blended(log, judge)
        outcomes = Outcomes.from_log(log, judge=judge, models=_names(models))
        _tell(left_out(log, outcomes.models, _names(models)))
        _tell([*told_of_ways(log, outcomes.models), *told_of_steps(log)])
        _tell(told_of_unscored(log, len(outcomes)))
        # Heavy: whatever can be wrong with what was given has been said before.
        from routerlib.evaluation.bounds import Lacking
        from routerlib.evaluation.clauses import with_draw
        from routerlib.evaluation.evaluate import evaluate
        from routerlib.evaluation.new_topics import asked_of_new_topics
        from routerlib.evaluation.next_steps import next_steps
        from routerlib.routers.archive import install
        from routerlib.routers.training.cross_trained import divide_for_test, train_for_test
        from routerlib.routers.training.operating_points import QUALITY_MARGIN
        from routerlib.routers.training.train import train_router
        from routerlib.show.held_out import drawn_for_test, failures_as_wrong
        from routerlib.show.tables.evaluation import told_in_brief
        from routerlib.show.words.sentences import describe_split

        tell_work(len(outcomes), "looking for near-duplicates among")
        # A certificate sets prompts aside by itself.
        held_out = test_size or certify or cascade or cluster
        division = divide_for_test(
            outcomes,
            test_size=_DEFAULT_TEST_SIZE if test_size is None else test_size,
            n_folds=0 if cross_fit is None and held_out else cross_fit,
            random_state=random_state,
        )
        training, test = division.train, division.test
        typer.echo(describe_split(training, test))
        n_held_out, test = len(test), test.take(drawn_for_test(test.prompt_ids))
        division = division._replace(test=test)
        lacking = Lacking.of(training)
        if lacking.n_skipped:
            typer.echo(f"{lacking.told('training')}: of these the router learns what there is")
        strict, audit = failures_as_wrong(log, test, judge), read_audit(log)
    if division.n_folds:
        typer.echo(f"training {division.n_folds + 1} routers, one after the other")
    how: dict[str, Any] = {
        "random_state": random_state,
        "cost_weight": cost_weight,
        "certify": certify,
        "max_quality_loss": QUALITY_MARGIN if max_quality_loss is None else max_quality_loss,
    }
    train_it = train_for_test if cluster is None else _trained_by(cluster, model_path)
    tell_work(len(training), "learning from")
    router = train_it(division, **how)
    evaluation = evaluate(
        router, test, test_failures_wrong=strict, audit=audit, smallest_effect=smallest_effect
    )
    verdict = with_draw(evaluation.verdict, len(test), n_held_out)
    evaluation = replace(evaluation, verdict=verdict)
    if cluster is None:
        evaluation = asked_of_new_topics(evaluation, outcomes, partial(train_router, **how))
    saved: Router = router
    metadata: dict[str, Any] = {"test": evaluation.as_dict(), "judge": judge}
    verdict, lines = evaluation.verdict, told_in_brief(evaluation)
    if cascade:
        saved, beside, lines = with_steps(router, division, verdict, how, strict)
        metadata["test"] |= {"cascade": beside}
    kept = install(saved, model_path, metadata, keep=keep)
    n = verdict.numbers["n"] or 0
    tested = f"{n:.0f}" if n == n_held_out else f"{n:.0f} of {n_held_out}"
    told = f"trained on {n_of(len(training), 'prompts')}, tested on {tested}: {model_path}, "
    told += "archived as "
    _tell([told + kept.name, saved.training_.get("certificate"), *lines])
    with existing_log(log_path) as log:
        steps = next_steps(log, test, verdict, judge=judge)
    _tell([f"to tell ({number}): {step}" for number, step in enumerate(steps, start=1)])
    typer.echo(f'next: routerlib route "..." --model {typed(model_path)}')


def _trained_by(cluster: str, model_path: Path) -> Callable[..., LGBMRouter]:
    """Return what trains on a cluster; what is done is kept beside the router's file."""
    from routerlib.routers.distributed.fit import fit_distributed

    folder = model_path.with_suffix(".cluster")

    def trained(division: Division, **given: Any) -> LGBMRouter:
        router = fit_distributed(division.train, cluster, folder=folder, **given)
        typer.echo(f"what the workers did is kept in {folder}; it may be removed now")
        return router

    return trained


def _tell(lines: Sequence[str | None]) -> None:
    for line in lines:
        if line:
            typer.echo(line)


def route(
    prompt: Annotated[str, typer.Argument(help="The prompt, or - for standard input.")],
    model_path: OptionalModelPath = None,
    candidates_source: CandidatesSource = "local",
    cost_weight: CostWeight = None,
    task: TaskName = None,
    answers: GivenAnswers = None,
    latency_weight: LatencyWeight = 0.0,
    max_latency_s: MaxLatency = None,
) -> None:
    """Say which model to call for a prompt, with estimates and the reason; calls nothing."""
    router, text = _router_or_rules(model_path, candidates_source), read_text(prompt)
    if answers:
        tell_step(router, text, answers_of(answers), cost_weight, task)
        return
    haste = Haste(latency_weight, max_latency_s)
    decision = router.route(text, cost_weight=cost_weight, task=task, haste=haste)
    typer.echo(decision.model)
    for name, known in decision.estimates.items():
        mark = "->" if name == decision.model else "  "
        typer.echo(
            f"{mark} {name}: expected quality {known['quality']:.2f}, "
            f"${1000 * known['cost_usd']:.4f} per 1000 prompts{_told_seconds(known)}"
        )
    typer.echo(f"reason: {decision.reason}")


def _told_seconds(known: Mapping[str, float]) -> str:
    """Say how long an answer takes, and where it is known when it begins."""
    told = ""
    if "latency_s" in known:
        told += f", {known['latency_s']:.2g} s on average"
    if "latency_p90_s" in known:
        told += f", nine of ten within {known['latency_p90_s']:.2g} s"
    if "first_token_s" in known:
        told += f", beginning after {known['first_token_s']:.2g} s"
    return told


def explain(
    prompt: Annotated[str, typer.Argument(help="The prompt, or - for standard input.")],
    model_path: ModelPath = DEFAULT_MODEL,
    cost_weight: CostWeight = None,
    task: TaskName = None,
) -> None:
    """Explain in words why a model is chosen for a prompt, and what would flip the choice."""
    check_router(model_path)
    text = read_text(prompt)
    from routerlib.routers.explanation.why import by_estimates, is_explainable, why
    from routerlib.routers.loading import load_router
    from routerlib.show.words.prose import explain_words

    router = load_router(model_path)
    decision = router.route(text, cost_weight=cost_weight, task=task)
    typer.echo(f"{decision.model}: {decision.reason}")
    reason = why(router, text, decision, task)
    if reason == decision.reason:  # said already: it has rules, or keeps to the best single model
        reason = by_estimates(router, text, task) or ""
    if reason:
        typer.echo(reason)
    for line in explain_words(reason):
        typer.echo(f"  {line}")
    if is_explainable(router):
        from routerlib.routers.explanation.similar import similar_prompts

        typer.echo(similar_prompts(router, text).sentence)


def _certificate_asked(epsilon: float | None, delta: float | None) -> tuple[float, float] | None:
    if epsilon is None:
        if delta is not None:
            raise ValueError("--delta is only about a certificate: give --epsilon too")
        return None
    from routerlib.routers.training.certification import check_probabilities

    delta = _DEFAULT_DELTA if delta is None else delta
    check_probabilities(epsilon, delta)
    return epsilon, delta


def _check_one_way(test_size: float | None, cross_fit: int | None) -> None:
    """Refuse a share or a number of folds out of range, and both at once."""
    if cross_fit == 1:
        raise ValueError("--cross-fit must be 2 or more, or 0 to hold prompts out, got 1")
    if test_size is None:
        return
    from routerlib.outcomes.splits import check_test_size

    check_test_size(test_size)
    if cross_fit:
        raise ValueError("give --test-size or --cross-fit, not both: folds test every prompt")


def _check_loss_allowed(given: float | None, *, is_chosen: bool) -> None:
    """Refuse a loss that is out of range or would play no part."""
    if given is None:
        return
    if not is_chosen:
        raise ValueError(
            "--max-quality-loss is about a cost weight that training chooses: leave out "
            "--cost-weight and --epsilon, or it"
        )
    if not 0 <= given <= 1:
        raise ValueError(f"--max-quality-loss must lie in [0, 1], got {given!r}")


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name for name in map(str.strip, text.split(",")) if name]
    if not names:
        raise ValueError(f"--models must name candidates, such as small,large, got {text!r}")
    return names


def _router_or_rules(model_path: Path | None, candidates_source: str) -> Router:
    """Open the router; before one was trained at the default place, rules decide."""
    from routerlib.gather.candidates.candidates import load_candidates

    if model_path is not None or DEFAULT_MODEL.exists():
        check_router(model_path or DEFAULT_MODEL)
        from routerlib.routers.loading import load_router

        return load_router(model_path or DEFAULT_MODEL)
    candidates = load_candidates(candidates_source)
    from routerlib.routers.rules import RuleRouter

    typer.echo(f"no trained router {DEFAULT_MODEL} yet, using rules", err=True)
    return RuleRouter.from_candidates(candidates)
