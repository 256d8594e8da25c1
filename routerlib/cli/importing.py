"""The command that brings in what other tools have logged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from routerlib.cli.options import DEFAULT_LOG, Decimal, LogPath, tell_next

ScoreColumns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[MODEL=]COLUMN",
        help="table: a score column, and what its model is called; repeatable. Left out = all "
        "columns of numbers, each called as its model.",
    ),
]
CostColumns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL=COLUMN",
        help="table: a column of costs in US dollars; repeatable. Columns MODEL_cost, "
        "MODEL_cost_usd, cost_MODEL and cost_usd_MODEL are known as such.",
    ),
]
TableColumns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="OURS=THEIRS,...",
        help="table: what it calls our columns, such as prompt=Frage,reference=Antwort; ours are "
        "prompt, topic, task, reference, judge, source, group, user.",
    ),
]
OutputTokens = Annotated[
    int | None,
    typer.Option(min=0, help="table without costs: estimate them by prices and so many tokens."),
]

Settings = Annotated[
    str | None,
    typer.Option(
        metavar="WORDS",
        help="table: how its models were asked, such as 'temperature 1': a way of asking that "
        "counts with no other. Left out = not known; it counts with how they are asked now.",
    ),
]


def import_file(
    kind: Annotated[
        str,
        typer.Argument(
            help="llm, inspect, lm-eval, litellm, openai, anthropic, otel, langfuse or table."
        ),
    ],
    path: Annotated[Path, typer.Argument(help="The file; it is only read.")],
    log_path: LogPath = DEFAULT_LOG,
    candidate: Annotated[
        str | None, typer.Option(help="The model's name, where the file has none or another.")
    ] = None,
    requests: Annotated[
        Path | None, typer.Option(help="openai, anthropic: the request file of a batch output.")
    ] = None,
    prompt: Annotated[str, typer.Option(help="table: column of the prompts.")] = "prompt",
    topic: Annotated[str, typer.Option(help="table: column of the topics.")] = "topic",
    columns: TableColumns = None,
    score: ScoreColumns = None,
    cost: CostColumns = None,
    judge: Annotated[str, typer.Option(help="table: what its scores are called.")] = "table",
    candidates_source: Annotated[
        str | None, typer.Option("--candidates", help="Prices for models of the same names.")
    ] = None,
    output_tokens: OutputTokens = None,
    decimal: Decimal = None,
    settings: Settings = None,
) -> None:
    """Add what another tool has logged, each call once; a wrong file changes nothing."""
    from routerlib.gather.candidates.candidates import load_candidates
    from routerlib.gather.importers import add_imported, read_imported
    from routerlib.gather.importers.records import TABLE_COLUMNS, Options
    from routerlib.gather.prompts.shapes import parse_columns
    from routerlib.log.call_log import CallLog

    priced = load_candidates(candidates_source) if candidates_source else []
    options = Options(
        candidate=candidate,
        requests=requests,
        prompt=prompt,
        topic=topic,
        columns=parse_columns(columns, TABLE_COLUMNS),
        scores=dict(_model_and_column("--score", each) for each in score or ()),
        costs=dict(_model_and_column("--cost", each) for each in cost or ()),
        judge=judge,
        prices=priced,
        output_tokens=output_tokens,
        decimal=decimal,
        settings=settings,
    )
    records = read_imported(kind, path, options)  # before a log is made for nothing
    for sentence in options.understood:
        typer.echo(f"{path}: {sentence}")
    with CallLog(log_path) as log:
        report = add_imported(kind, path, records, log, options, priced)
        typer.echo(f"{log_path}: {report}")
        tell_next(log)


def _model_and_column(option: str, text: str) -> tuple[str, str]:
    model, equals, column = text.partition("=")
    if option == "--score" and not equals:
        return text, text
    if not (model and column):
        raise ValueError(
            f"{option} must be MODEL=COLUMN, such as small=small_dollars, got {text!r}"
        )
    return model, column
