"""Boosters trained by `lightgbm.dask`, one at a time, each kept as soon as it is there."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from routerlib.records.canonical import canonical_json
from routerlib.records.files import write_atomically
from routerlib.routers.distributed.workers import Workers
from routerlib.routers.lightgbm.binned import BinnedRows
from routerlib.routers.lightgbm.boosting import boost_here
from routerlib.routers.lightgbm.tree_text import check_model_text

if TYPE_CHECKING:
    import lightgbm as lgb
    from distributed import Client

# With fewer rows a worker's share is too small for quantiles of its own: trained in this process.
FEWEST_ROWS = 1024
_TRIES = 3
# LightGBM's own names, and scikit-learn's for them, which lightgbm.dask takes.
_SKLEARN_NAMES = {
    "bagging_fraction": "subsample",
    "bagging_freq": "subsample_freq",
    "feature_fraction": "colsample_bytree",
    "lambda_l2": "reg_lambda",
    "min_data_in_leaf": "min_child_samples",
    "seed": "random_state",
}


class BoosterTrainer:
    """Trains a booster on all workers, as `boost_here` does in one process.

    Equivalent, not equal: each worker bins its own rows. Two fits at a time would hang, so there
    is one; a worker that is lost takes the fit with it, so the workers are started afresh, and the
    training goes on with that booster.

    `folder`: of the boosters that are done; the name of each tells of what it was trained on.
    `fewest_rows`: with fewer the booster is trained in this process.
    """

    def __init__(self, workers: Workers, folder: Path, fewest_rows: int = FEWEST_ROWS) -> None:
        self.workers = workers
        self.folder = folder
        self.fewest_rows = fewest_rows
        self._bar = tqdm(desc="boosters", mininterval=1)

    def close(self) -> None:
        """Tell no more of how far it is."""
        self._bar.close()

    def __call__(
        self, rows: BinnedRows, labels: np.ndarray, settings: Mapping[str, Any], n_rounds: int
    ) -> lgb.Booster:
        """Return a booster, trained now or before."""
        if len(labels) < self.fewest_rows:
            return boost_here(rows, labels, settings, n_rounds)
        import lightgbm as lgb

        columns = rows.columns
        path = self.folder / f"booster-{_digest(columns, labels, settings, n_rounds)}.txt"
        text = _kept(path, columns.shape[1])
        if text is None:
            text = self._trained(columns, labels, settings, n_rounds)
            write_atomically(path, check_model_text(text, columns.shape[1]).encode())
        self._bar.update()
        return lgb.Booster(model_str=text)

    def _trained(
        self, columns: np.ndarray, labels: np.ndarray, settings: Mapping[str, Any], n_rounds: int
    ) -> str:
        for left in reversed(range(_TRIES)):
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
                told = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
                if not left:
                    raise RuntimeError(
                        f"a booster failed on {_TRIES} fresh sets of workers ({told}); what is "
                        f"done is kept in {self.folder}: run this again to go on"
                    ) from error
                tqdm.write(f"a fit was lost ({told}); starting the workers afresh")
                self.workers.renew()
        raise AssertionError("unreachable: the last try returns or raises")


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


def _digest(
    columns: np.ndarray, labels: np.ndarray, settings: Mapping[str, Any], n_rounds: int
) -> str:
    """Return what tells this booster from all others, as 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(canonical_json([dict(settings), n_rounds, list(columns.shape)]).encode())
    for values in (columns, labels):
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
