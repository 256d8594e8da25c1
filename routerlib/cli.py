"""The `routerlib` command."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routerlib.types import Task

if TYPE_CHECKING:
    from routerlib.log import CallLog
    from routerlib.plan import Plan
    from routerlib.routers import Router

_DEBUG = "--debug"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

LogPath = Annotated[Path, typer.Option("--log", help="The log, an SQLite file.")]
ModelPath = Annotated[Path, typer.Option("--model", help="The router, a .pkl file.")]
OptionalModelPath = Annotated[
    Path | None,
    typer.Option("--model", help="The router; left out = data/router_model.pkl, or rules."),
]
CandidatesSource = Annotated[
    str, typer.Option("--candidates", help="A candidates.yaml, or a pool: local, openai.")
]
CostWeight = Annotated[
    float | None,
    typer.Option("--cost-weight", min=0, help="Quality given up per US dollar saved."),
]
TaskName = Annotated[Task | None, typer.Option("--task", help="Known task; left out = detected.")]

DEFAULT_LOG = Path("data/logs.db")
DEFAULT_MODEL = Path("data/router_model.pkl")


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show the traceback of an error.")] = False,
) -> None:
    """Learn which LLM to call for which prompt, and say honestly whether it pays."""


@app.command()
def prompts(
    out: Annotated[Path, typer.Option("--out", help="The .jsonl file to write.")],
    per_family: Annotated[int, typer.Option(min=1, help="Prompts of each task family.")] = 15,
    seed: Annotated[int, typer.Option(help="Another seed gives other prompts.")] = 1,
) -> None:
    """Write verifiable prompts of many task families, made from a seed."""
    from routerlib.prompts import save_prompts
    from routerlib.workload import make_prompts

    made = make_prompts(per_family, seed)
    save_prompts(out, made)
    typer.echo(f"{len(made)} prompts written to {out}")
    typer.echo(f"next: routerlib collect --prompts {out} --candidates local")


@app.command()
def candidates(source: CandidatesSource = "local") -> None:
    """List the candidates with their prices and whether a key is there (never the key)."""
    from routerlib.candidates import api_key, load_candidates

    for candidate in load_candidates(source):
        price = candidate.price
        key = "no key needed"
        if candidate.api_key_env:
            try:
                api_key(candidate)
                key = f"key in {candidate.api_key_env}"
            except ValueError:
                key = f"no key in {candidate.api_key_env}"
        typer.echo(
            f"{candidate.name}: {candidate.provider} {candidate.model}, "
            f"${price.input_usd_per_mtok:g} in, ${price.output_usd_per_mtok:g} out per million "
            f"tokens ({price.source}{', ' + price.as_of if price.as_of else ''}), {key}"
        )


@app.command()
def collect(
    prompts_path: Annotated[
        Path, typer.Option("--prompts", help="Prompts: .jsonl, .csv or .parquet.")
    ],
    candidates_source: CandidatesSource = "local",
    log_path: LogPath = DEFAULT_LOG,
    budget_usd: Annotated[
        float | None, typer.Option(min=0, help="Cap on what this run may spend, US dollars.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Calls in flight per candidate.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each prompt is asked.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first prompts.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
) -> None:
    """Put prompts to candidates, live, and log every call; run again to go on."""
    from routerlib.candidates import load_candidates
    from routerlib.collect import collect
    from routerlib.log import CallLog
    from routerlib.plan import plan_collection
    from routerlib.prompts import load_prompts

    asked = load_prompts(prompts_path)
    chosen = load_candidates(candidates_source)
    if dry_run and not log_path.exists():
        _show_plan(plan_collection(asked, chosen, None, repeats=repeats, limit=limit))
        return
    with CallLog(log_path, read_only=dry_run) as log:
        _show_plan(plan_collection(asked, chosen, log, repeats=repeats, limit=limit))
        if dry_run:
            return
        collection = collect(
            asked,
            chosen,
            log,
            budget_usd=budget_usd,
            concurrency=concurrency,
            repeats=repeats,
            limit=limit,
        )
        if collection.n_asked:
            typer.echo(log.summary().T.to_string())
        n_scored = int(log.summary().scored.sum()) if log.finished_cells() else 0
    if not collection.is_complete:
        raise RuntimeError(f"the collection is not complete: {collection}")
    typer.echo(str(collection))
    if not n_scored:
        typer.echo("no answer was scored: give prompts a judge and a reference, or judge by hand")
    typer.echo(f"next: routerlib train --log {log_path}")


@app.command()
def judge(
    log_path: LogPath = DEFAULT_LOG,
    name: Annotated[
        str | None, typer.Option("--judge", help="Judge; left out = the one each prompt names.")
    ] = None,
) -> None:
    """Score logged answers that a judge has not seen yet; no candidate is called."""
    from routerlib.judges import judge_log

    with _existing_log(log_path, read_only=False) as log:
        typer.echo(f"{judge_log(log, name)} scores written to {log_path}")
    typer.echo(f"next: routerlib train --log {log_path}")


@app.command()
def train(
    log_path: LogPath = DEFAULT_LOG,
    model_path: ModelPath = DEFAULT_MODEL,
    cost_weight: CostWeight = None,
    test_size: Annotated[float, typer.Option(help="Share of prompts held out.")] = 0.3,
    random_state: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Train a router on the log, test it on prompts held out, and say whether it pays."""
    from routerlib.evaluation import evaluate
    from routerlib.outcomes import Outcomes
    from routerlib.training import train_router
    from routerlib.workspace import failures_as_wrong

    with _existing_log(log_path) as log:
        outcomes = Outcomes.from_log(log)
        training, test = outcomes.split(test_size, random_state)
        strict = failures_as_wrong(log, test)
    router = train_router(training, random_state=random_state, cost_weight=cost_weight)
    evaluation = evaluate(router, test, test_failures_wrong=strict)
    router.save(model_path, {"test": evaluation.as_dict()})
    typer.echo(f"trained on {len(training)} prompts, tested on {len(test)}: {model_path}")
    typer.echo(evaluation.verdict.sentence)
    typer.echo(f'next: routerlib route "..." --model {model_path}')


@app.command()
def route(
    prompt: Annotated[str, typer.Argument(help="The prompt, or - for standard input.")],
    model_path: OptionalModelPath = None,
    candidates_source: CandidatesSource = "local",
    cost_weight: CostWeight = None,
    task: TaskName = None,
) -> None:
    """Say which model to call for a prompt, with estimates and the reason; calls nothing."""
    router = _router_or_rules(model_path, candidates_source)
    decision = router.route(_text(prompt), cost_weight=cost_weight, task=task)
    typer.echo(decision.model)
    for name, known in decision.estimates.items():
        mark = "->" if name == decision.model else "  "
        typer.echo(
            f"{mark} {name}: expected quality {known['quality']:.2f}, "
            f"${1000 * known['cost_usd']:.4f} per 1000 prompts"
        )
    typer.echo(f"reason: {decision.reason}")


@app.command()
def explain(
    prompt: Annotated[str, typer.Argument(help="The prompt, or - for standard input.")],
    model_path: ModelPath = DEFAULT_MODEL,
    cost_weight: CostWeight = None,
    task: TaskName = None,
) -> None:
    """Explain in words why a model is chosen for a prompt, and what would flip the choice."""
    from routerlib.routers import load_router
    from routerlib.story import why

    router = load_router(model_path)
    text = _text(prompt)
    decision = router.route(text, cost_weight=cost_weight, task=task)
    typer.echo(f"{decision.model}: {decision.reason}")
    typer.echo(why(router, text, decision, task))


@app.command()
def report(
    log_path: LogPath = DEFAULT_LOG,
    model_path: ModelPath = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option("--out", help="The HTML file to write.")] = Path(
        "reports/index.html"
    ),
) -> None:
    """Write the report: one HTML file that opens with no kernel and no network."""
    from routerlib.report import write_report

    with _existing_log(log_path) as log:
        verdict = write_report(out, log, model_path)
    typer.echo(verdict)
    typer.echo(f"next: open {out} in a browser")


@app.command()
def pipeline(
    quick: Annotated[bool, typer.Option("--quick", help="The small variant.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Run only this notebook; repeatable.")
    ] = None,
) -> None:
    """Run the numbered notebooks: live calls, training, evaluation, explanation, reports."""
    from routerlib.pipeline import run

    run(quick=quick, only=only)


@app.command()
def serve(
    model_path: OptionalModelPath = None,
    candidates_source: CandidatesSource = "local",
    log_path: LogPath = DEFAULT_LOG,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8000,
) -> None:
    """Answer over HTTP on loopback: /inference and /v1/chat/completions with model="router"."""
    from routerlib.candidates import load_candidates
    from routerlib.log import CallLog
    from routerlib.serve import serve

    if model_path is None and DEFAULT_MODEL.exists():
        model_path = DEFAULT_MODEL
    chosen = load_candidates(candidates_source)
    with CallLog(log_path) as log:
        who = f"router {model_path}" if model_path else "no trained router yet, using rules"
        typer.echo(f"{who}; http://127.0.0.1:{port}/docs, stop with Ctrl-C")
        serve(model_path, chosen, log, port)


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A log (.db) or a router (.pkl).")],
) -> None:
    """Show what a log or a router file holds, without running anything in it."""
    if path.suffix == ".pkl":
        _inspect_router(path)
    else:
        _inspect_log(path)


def _router_or_rules(model_path: Path | None, candidates_source: str) -> Router:
    """Open the router; before one was trained at the default place, rules decide."""
    from routerlib.candidates import load_candidates
    from routerlib.routers import RuleRouter, load_router

    if model_path is not None or DEFAULT_MODEL.exists():
        return load_router(model_path or DEFAULT_MODEL)
    typer.echo(f"no trained router {DEFAULT_MODEL} yet, using rules", err=True)
    return RuleRouter.from_candidates(load_candidates(candidates_source))


def _inspect_log(path: Path) -> None:
    with _existing_log(path) as log:
        n_prompts = log.sql("select task, count(*) as prompts from prompts group by task")
        typer.echo(log.summary().T.to_string())
        typer.echo(n_prompts.sort_values("prompts", ascending=False).to_string(index=False))


def _inspect_router(path: Path) -> None:
    import yaml

    from routerlib import artifact

    metadata = dict(artifact.load(path).metadata)
    if isinstance(metadata.get("test"), dict):
        metadata["test"] = metadata["test"].get("verdict", {}).get("sentence")
    for name in ("train_prompt_ids", "features"):
        if isinstance(metadata.get(name), list):
            metadata[name] = f"{len(metadata[name])} entries"
    typer.echo(yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True).rstrip())


def _existing_log(path: Path, read_only: bool = True) -> CallLog:
    from routerlib.log import CallLog

    if not path.exists():
        raise FileNotFoundError(
            f"there is no log {path}; make one with `routerlib collect` or `make pipeline`"
        )
    return CallLog(path, read_only=read_only)


def _show_plan(plan: Plan) -> None:
    typer.echo(plan.table().to_string())
    typer.echo(str(plan))


def _text(prompt: str) -> str:
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise ValueError("the prompt is empty; give a text, or - to read standard input")
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str or None, default=None
        What follows `routerlib`; None = the shell's arguments.

    Returns
    -------
    int
        0 on success, 1 on failure with one line on standard error, 2 on wrong usage.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    is_debug = _DEBUG in given
    try:
        app([word for word in given if word != _DEBUG], prog_name="routerlib")
    except SystemExit as leaving:  # typer's own: 0 after help, 2 on wrong usage
        return leaving.code if isinstance(leaving.code, int) else 1
    except (ValueError, RuntimeError, OSError, sqlite3.Error, ImportError) as error:
        if is_debug:
            raise
        typer.echo(f"routerlib: {' '.join(str(error).split())}", err=True)
        return 1
    return 0


def entry() -> None:
    """Leave with the command's exit code: what the console script calls."""
    sys.exit(main())
