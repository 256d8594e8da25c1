"""Boosters trained by workers, each kept as soon as it is there."""

from __future__ import annotations

import hashlib
import io
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from routerlib.records.canonical import canonical_json
from routerlib.records.files import write_atomically
from routerlib.routers.distributed.pieces import MOST_SHARED_BYTES
from routerlib.routers.distributed.work import TRIES, Made, Ready, Shared, each_result, told_shortly
from routerlib.routers.distributed.workers import Workers
from routerlib.routers.lightgbm.binned import BinnedRows, FoundBins, RowsOf
from routerlib.routers.lightgbm.boosting import Wanted, boost_here
from routerlib.routers.lightgbm.tree_text import check_model_text

if TYPE_CHECKING:
    import lightgbm as lgb
    from distributed import Client

# With fewer rows a booster is trained in this process sooner than it is sent.
FEWEST_ROWS = 1024
# The rows in bins that a worker's thread has trained on last, by what tells them from others:
# quality is learnt from two tables in turn.
_LAST = threading.local()
_MOST_KEPT = 2
# LightGBM's own names, and scikit-learn's for them, which lightgbm.dask takes.
_SKLEARN_NAMES = {
    "bagging_fraction": "subsample",
    "bagging_freq": "subsample_freq",
    "feature_fraction": "colsample_bytree",
    "lambda_l2": "reg_lambda",
    "min_data_in_leaf": "min_child_samples",
    "seed": "random_state",
}


class _Table(NamedTuple):
    """Columns of prompts that boosters learn from some rows of, and what tells them apart.

    `bins`: of all rows. One worker finds them, which takes as long as a few boosters, and the
        others get them, an eighth of what the columns are.
    """

    rows: BinnedRows
    bins: Shared
    digest: bytes
    n_columns: int
    n_bytes: int

    @classmethod
    def of(cls, rows: BinnedRows, settings: Mapping[str, Any]) -> _Table:
        columns = rows.columns
        bins = Made(_bins_of, Shared(columns), dict(settings))
        return cls(rows, bins, _digest(b"", columns), columns.shape[1], columns.nbytes)


class BoosterTrainer:
    """Trains boosters on workers, as `boost_here` does in one process.

    Each is trained whole by one worker, and several at a time, which gives the very same trees;
    a worker that dies costs the booster that it was training. Columns that are too large for a
    worker are dealt to all of them, one booster at a time (`lightgbm.dask`): equivalent trees, not
    equal ones, since each worker bins its own rows. There a lost worker takes the fit with it, so
    the workers are started afresh, and the training goes on with that booster.

    `folder`: of the boosters that are done; the name of each tells of what it was trained on, and
        by which LightGBM.
    `fewest_rows`: with fewer the booster is trained in this process.
    `most_bytes`: size of columns up to which a booster is trained by one worker.
    """

    def __init__(
        self,
        workers: Workers,
        folder: Path,
        fewest_rows: int = FEWEST_ROWS,
        most_bytes: int = MOST_SHARED_BYTES,
    ) -> None:
        self.workers = workers
        self.folder = folder
        self.fewest_rows = fewest_rows
        self.most_bytes = most_bytes
        self._bar: Any = None

    def close(self) -> None:
        """Tell no more of how far it is."""
        if self._bar is not None:
            self._bar.close()

    def __call__(self, wanted: Iterable[Wanted]) -> Iterator[lgb.Booster]:
        """Yield boosters in order, trained now or before."""
        import lightgbm as lgb

        if self._bar is None:
            self._bar = tqdm(desc="boosters", mininterval=1)
        paths: deque[tuple[Path | None, int]] = deque()
        for text in each_result(self.workers, _trained_text, self._pieces(wanted, paths)):
            path, n_columns = paths.popleft()
            if path is not None:
                write_atomically(path, check_model_text(text, n_columns).encode())
                self._bar.update()
            yield lgb.Booster(model_str=text)

    def _pieces(
        self, wanted: Iterable[Wanted], paths: deque[tuple[Path | None, int]]
    ) -> Iterator[tuple[Any, ...] | Ready]:
        """Yield what workers are to do; `paths` takes where each text is to be kept, if it is."""
        tables: dict[int, _Table] = {}
        for rows, labels, settings, n_rounds in wanted:
            if len(labels) < self.fewest_rows:
                (booster,) = boost_here([Wanted(rows, labels, settings, n_rounds)])
                paths.append((None, booster.num_feature()))
                yield Ready(booster.model_to_string())
                continue
            table = tables.get(id(rows.whole))
            if table is None:
                table = tables[id(rows.whole)] = _Table.of(rows.whole, settings)
            n_columns = table.n_columns
            told = canonical_json([version("lightgbm"), dict(settings), n_rounds]).encode()
            digest = _digest(_digest(table.digest + told, rows.kept), labels)
            path = self.folder / f"booster-{digest.hex()}.txt"
            text = _kept(path, n_columns)
            if text is not None:
                self._bar.update()
                paths.append((None, n_columns))
                yield Ready(text)
                continue
            paths.append((path, n_columns))
            if table.n_bytes > self.most_bytes:
                yield Ready(self._trained_by_all(rows.columns, labels, settings, n_rounds))
            else:
                yield (table.bins, table.digest, rows.kept, labels, dict(settings), n_rounds)

    def _trained_by_all(
        self, columns: np.ndarray, labels: np.ndarray, settings: Mapping[str, Any], n_rounds: int
    ) -> str:
        for left in reversed(range(TRIES)):
            try:
                return train_on(
                    self.workers.client,
                    self.workers.addresses(),
                    columns,
                    labels,
                    settings,
                    n_rounds,
                )
            except lost_worker() as error:
                told = told_shortly(error)
                if not left:
                    raise RuntimeError(
                        f"a booster failed on {TRIES} fresh sets of workers ({told}); what is "
                        f"done is kept in {self.folder}: run this again to go on"
                    ) from error
                tqdm.write(f"a fit was lost ({told}); starting the workers afresh")
                self.workers.renew()
        raise AssertionError("unreachable: the last try returns or raises")


def _bins_of(columns: np.ndarray, settings: Mapping[str, Any]) -> bytes:
    return BinnedRows(columns).to_bytes(settings)


def _trained_text(
    bins: bytes,
    digest: bytes,
    kept: np.ndarray,
    labels: np.ndarray,
    settings: Mapping[str, Any],
    n_rounds: int,
) -> str:
    """Train a booster on some rows, and return its text: what a worker does.

    `digest`: what tells the columns in these bins from others.
    """
    rows = _opened(bins, digest).take(kept)
    (booster,) = boost_here([Wanted(rows, labels, settings, n_rounds)])
    return str(booster.model_to_string())


def _opened(bins: bytes, digest: bytes) -> RowsOf:
    """Return rows in bins, opened already if they were trained on of late."""
    known: dict[bytes, RowsOf] = _LAST.__dict__.setdefault("known", {})
    rows = known.pop(digest, None) or RowsOf(FoundBins(bins))
    known[digest] = rows  # as the last one
    while len(known) > _MOST_KEPT:
        del known[next(iter(known))]
    return rows


def _kept(path: Path, n_columns: int) -> str | None:
    """Return the text of a booster that was kept; None where it has to be trained."""
    if not path.exists():
        return None
    try:
        return check_model_text(path.read_text(encoding="utf-8"), n_columns)
    except ValueError as error:  # that of no text among them
        tqdm.write(f"{path} is damaged and is made anew: {error}")
        return None


def lost_worker() -> tuple[type[Exception], ...]:
    """Return what a fit ends with when one of its workers does: in LightGBM, or on the way."""
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from lightgbm.basic import LightGBMError

    return (LightGBMError, KilledWorker, CancelledError, OSError, TimeoutError)


def train_on(
    client: Client,
    addresses: list[str],
    columns: np.ndarray,
    labels: np.ndarray,
    settings: Mapping[str, Any],
    n_rounds: int,
) -> str:
    """Train one booster by `lightgbm.dask`, every k-th row on the k-th worker.

    So no worker has rows of one topic, label or time only, and each part always sits on the same
    one, on which what is learnt depends.
    """
    import dask.array as da
    from lightgbm.dask import DaskLGBMRegressor

    n_parts = len(addresses)
    parts, answers = [], []
    for number, address in enumerate(addresses):
        rows, wanted = columns[number::n_parts], labels[number::n_parts]
        sent = client.scatter([rows, wanted], workers=[address], hash=False)
        parts.append(da.from_delayed(sent[0], rows.shape, dtype=rows.dtype))
        answers.append(da.from_delayed(sent[1], wanted.shape, dtype=wanted.dtype))
    named = {
        _SKLEARN_NAMES.get(name, name): value
        for name, value in settings.items()
        if name != "num_threads"  # each worker has its own
    }
    learner = DaskLGBMRegressor(
        n_estimators=n_rounds, tree_learner="data", client=client, importance_type="split", **named
    )
    # lightgbm.dask waits for its parts through whichever client is the present one, and prints.
    with client.as_current(), redirect_stdout(io.StringIO()), warnings.catch_warnings():
        # It says so of every fit, and of a setting that nobody has chosen.
        warnings.filterwarnings("ignore", "Parameter n_jobs will be ignored")
        learner.fit(da.concatenate(parts), da.concatenate(answers))
    return str(learner.booster_.model_to_string())


def _digest(of_more: bytes, values: np.ndarray) -> bytes:
    """Return what tells an array, and what more there is, from all others."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(of_more)
    digest.update(canonical_json([str(values.dtype), list(values.shape)]).encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.digest()
