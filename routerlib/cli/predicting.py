"""The command that estimates many prompts at once: predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from routerlib.cli.options import DEFAULT_MODEL, ClusterAddress, ModelPath, check_router
from routerlib.records.brief import n_of

Source = Annotated[
    Path, typer.Option("--prompts", help="A Parquet file, a folder of them, or a .csv file.")
]
Folder = Annotated[
    Path, typer.Option("--out", help="Folder to write Parquet files to, 1,024 prompts each.")
]


def predict(
    source: Source,
    folder: Folder,
    model_path: ModelPath = DEFAULT_MODEL,
    cluster: ClusterAddress = None,
    prompt: Annotated[str, typer.Option("--prompt-column", help="Of the texts.")] = "prompt",
    topic: Annotated[
        str | None, typer.Option("--topic-column", help="Of known topics; left out = detected.")
    ] = None,
) -> None:
    """Estimate and choose for every prompt of a dataset; a stopped run goes on.

    The estimates are Parquet: row, prompt_id if there is one, the model that is chosen with its
    expected quality and cost, and those of every candidate.
    """
    check_router(model_path)
    from routerlib.routers.distributed.predict import predict_dataset
    from routerlib.routers.loading import load_router

    router = load_router(model_path)
    n_prompts = predict_dataset(router, source, folder, cluster=cluster, prompt=prompt, topic=topic)
    typer.echo(f"{n_of(n_prompts, 'prompts')} estimated: {folder}")
    typer.echo(f"next: read them, as pandas.read_parquet({str(folder)!r}) does, a row per prompt")
