"""Estimate the prompts of a Parquet dataset or a CSV file, batch by batch, here or on workers."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from routerlib.policies.utility import choose_arms
from routerlib.records.canonical import tagged_hash
from routerlib.records.files import write_atomically
from routerlib.records.separators import separator_of, told_apart
from routerlib.routers.distributed.batches import BATCH_ROWS
from routerlib.routers.distributed.work import Shared, each_result
from routerlib.routers.distributed.workers import Workers
from routerlib.routers.loading import opened
from routerlib.routers.router import Router

if TYPE_CHECKING:
    from distributed import Client

_MADE_OF = b"made of"
# Read at once of a CSV file: pyarrow reads no row that is longer.
_CSV_BLOCK_BYTES = 1 << 26
# So much of a CSV file holds its header.
_HEADER_BYTES = 1 << 16
# The router that this worker has opened last, by its hash: opening one takes longer than a batch.
_OPENED: dict[str, Router] = {}


class Batch(NamedTuple):
    """Some prompts of a dataset.

    Attributes
    ----------
    first : int
        Number of the first of them among all.
    texts, topics, prompt_ids : list of str
        One for each; None where the dataset has none.
    """

    first: int
    texts: list[str]
    topics: list[str] | None
    prompt_ids: list[str] | None


def predict_dataset(
    router: Router,
    source: str | Path,
    folder: str | Path,
    *,
    cluster: str | Client | None = None,
    prompt: str = "prompt",
    topic: str | None = None,
) -> int:
    """Estimate and choose for every prompt of a dataset, and write a Parquet dataset.

    Parameters
    ----------
    router : Router
        Any that was fitted.
    source : str or Path
        A Parquet file, a folder of them, or a CSV file, its columns parted by commas, semicolons,
        tabs or bars, or as a first line for Excel says (``sep=;``).
    folder : str or Path
        Where to write ``part-00000.parquet`` and so on, 1,024 prompts each; parts that a stopped
        run has written, of the same prompts and router, stay.
    cluster : str, distributed.Client or None, default=None
        A scheduler's address, or a client of one; "local" = a worker for each core of this
        machine; None = this process, without dask.
    prompt : str, default="prompt"
        Column of the texts.
    topic : str or None, default=None
        Column of known topics; None = they are detected.

    Returns
    -------
    int
        Number of prompts.

    Raises
    ------
    ValueError
        If the source is neither Parquet nor CSV, a column is missing, a prompt is no text or there
        is none, or the folder is the source itself or holds parts made of something else.

    Notes
    -----
    Columns: ``row`` (number of the prompt, from 0), ``prompt_id`` where the source has it,
    ``model`` (what `route` chooses), ``expected_quality``, ``expected_cost_usd``, and for each
    candidate ``quality_NAME`` and ``cost_usd_NAME``. Here and on workers they are the same to the
    bit.

    Examples
    --------
    >>> import tempfile
    >>> from routerlib.outcomes.outcomes import Outcomes
    >>> from routerlib.routers.baselines import BestSingle
    >>> home = Path(tempfile.mkdtemp())
    >>> router = BestSingle().fit(Outcomes(["a"], ["small", "large"], [[0.2, 0.9]]))
    >>> pq.write_table(pa.table({"prompt": ["What is 2 + 3?", "Say hello."]}), home / "in.parquet")
    >>> predict_dataset(router, home / "in.parquet", home / "out")
    2
    >>> pq.read_table(home / "out").column("model").to_pylist()
    ['large', 'large']
    """
    source, folder = Path(source), Path(folder)
    if not source.exists():
        raise FileNotFoundError(f"there is no Parquet or CSV file or folder {source}")
    if source.resolve() == folder.resolve():
        raise ValueError(f"estimates need a folder of their own, got {folder} for both")
    dataset = _opened(source, prompt, topic)
    columns = _columns_of(dataset, source, prompt, topic)
    n_prompts = _n_rows(dataset, source)
    n_parts = -(-n_prompts // BATCH_ROWS)
    _check_parts(folder, n_parts)
    numbers: deque[int] = deque()

    def missing() -> Iterator[tuple[Batch, str]]:
        for number, batch in enumerate(_batches(dataset, columns)):
            made_of = tagged_hash([router.router_hash_, *batch])
            if not _is_done(_part(folder, number), made_of):
                numbers.append(number)
                yield batch, made_of

    with nullcontext() if cluster is None else Workers(cluster) as workers:
        if workers is None:
            done: Iterator[bytes] = (estimate_as_parquet(router, *each) for each in missing())
        else:
            state = Shared(router.to_state())
            work = ((state, router.router_hash_, *each) for each in missing())
            what = "batches of prompts", n_parts
            done = each_result(workers, _estimate_on_worker, work, *what)
        for payload in done:
            write_atomically(_part(folder, numbers.popleft()), payload)
    return n_prompts


def estimate_as_parquet(router: Router, batch: Batch, made_of: str) -> bytes:
    """Estimate some prompts, and return the estimates as a Parquet file.

    `made_of`: tagged hash of router and batch, kept in the file.
    """
    estimates = router.predict(batch.texts, batch.topics)
    if router.fallback_ is None:
        arms = choose_arms(estimates, router.cost_weight_)
    else:
        arms = np.full(len(batch.texts), estimates.models.index(router.best_single_))
    rows = np.arange(len(arms))
    table: dict[str, Any] = {"row": rows + batch.first}
    if batch.prompt_ids is not None:
        table["prompt_id"] = batch.prompt_ids
    table |= {
        "model": np.array(estimates.models)[arms],
        "expected_quality": estimates.quality[rows, arms],
        "expected_cost_usd": estimates.cost_usd[rows, arms],
    }
    for arm, model in enumerate(estimates.models):
        table[f"quality_{model}"] = estimates.quality[:, arm]
        table[f"cost_usd_{model}"] = estimates.cost_usd[:, arm]
    sink = io.BytesIO()
    written = pa.table(table).replace_schema_metadata({_MADE_OF: made_of})
    pq.write_table(written, sink, compression="zstd")
    return sink.getvalue()


def _estimate_on_worker(
    state: dict[str, Any], router_hash: str, batch: Batch, made_of: str
) -> bytes:
    if router_hash not in _OPENED:
        _OPENED.clear()
        _OPENED[router_hash] = opened(state)
    return estimate_as_parquet(_OPENED[router_hash], batch, made_of)


def _n_rows(dataset: ds.Dataset, source: Path) -> int:
    n_rows = int(dataset.count_rows())
    if not n_rows:
        raise ValueError(f"{source} holds no prompts, only columns: there is nothing to estimate")
    return n_rows


def _opened(source: Path, prompt: str, topic: str | None) -> ds.Dataset:
    """Open a dataset without reading its rows; what is read of a CSV file are texts."""
    if source.suffix.lower() not in (".csv", ".tsv"):
        try:
            return ds.dataset(source, format="parquet")
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"{source} can't be read as Parquet; prompts to estimate are a Parquet file, a "
                "folder of them, or a .csv file; pandas.read_json('new.jsonl', lines=True)"
                f"[[{prompt!r}]].to_csv('new.csv') makes one of JSON lines"
            ) from error
    with source.open("rb") as stream:
        header = stream.read(_HEADER_BYTES).decode("utf-8-sig", errors="replace")
    told, header = told_apart(header)
    texts = dict.fromkeys((prompt, topic or prompt, "prompt_id"), pa.string())
    form = ds.CsvFileFormat(
        parse_options=pc.ParseOptions(
            delimiter=told or separator_of(header, [prompt]), newlines_in_values=True
        ),
        read_options=pc.ReadOptions(block_size=_CSV_BLOCK_BYTES, skip_rows=int(told is not None)),
        convert_options=pc.ConvertOptions(column_types=texts),
    )
    try:
        return ds.dataset(source, format=form)
    except pa.ArrowInvalid as error:
        fault = str(error).rpartition("Invalid: ")[
            2
        ]  # before it stand the layers that passed it on
        raise ValueError(f"{source} can't be read as CSV: {fault}") from error


def _columns_of(dataset: ds.Dataset, source: Path, prompt: str, topic: str | None) -> list[str]:
    """Return the columns to read: texts, topics if there are any, identifiers if there are any."""
    there = dataset.schema.names
    if not there:
        raise ValueError(f"{source} is a folder without any Parquet file; name one with prompts")
    wanted = [prompt] if topic is None else [prompt, topic]
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise ValueError(
            f"{source} has no column {unknown[0]!r}, it has {', '.join(there)}: --prompt-column "
            "and --topic-column (from Python prompt= and topic=) say which they are"
        )
    return [prompt, topic or "", "prompt_id" if "prompt_id" in there else ""]


def _batches(dataset: ds.Dataset, columns: Sequence[str]) -> Iterator[Batch]:
    """Yield prompts, always 1,024 at a time, however the files are cut."""
    scanned = dataset.to_batches(
        columns=[name for name in columns if name], batch_size=BATCH_ROWS, batch_readahead=2
    )
    waiting: list[list[str | None]] = [[], [], []]
    first = 0
    for read in scanned:
        for values, name in zip(waiting, columns, strict=True):
            if name:
                values += read.column(name).cast(pa.large_string()).to_pylist()
        while len(waiting[0]) >= BATCH_ROWS:
            yield _batch(first, [values[:BATCH_ROWS] for values in waiting])
            waiting = [values[BATCH_ROWS:] for values in waiting]
            first += BATCH_ROWS
    if waiting[0]:
        yield _batch(first, waiting)


def _batch(first: int, values: list[list[Any]]) -> Batch:
    texts, topics, prompt_ids = values
    if None in texts:
        raise ValueError(f"row {first + texts.index(None)} has no text; leave such rows out")
    told = ["" if topic is None else topic for topic in topics]
    return Batch(first, texts, told or None, prompt_ids or None)


def _part(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.parquet"


def _check_parts(folder: Path, n_parts: int) -> None:
    """Refuse a folder with parts that no run on these prompts has written."""
    found = sorted(folder.glob("*.parquet")) if folder.exists() else []
    known = {_part(folder, number) for number in range(n_parts)}
    foreign = [path for path in found if path not in known]
    if foreign:
        raise ValueError(f"{foreign[0]} belongs to other prompts; name an empty folder")


def _is_done(path: Path, made_of: str) -> bool:
    if not path.exists():
        return False
    metadata = pq.read_schema(path).metadata or {}
    if metadata.get(_MADE_OF) != made_of.encode():
        raise ValueError(f"{path} was made of other prompts or by another router; name another one")
    return True
