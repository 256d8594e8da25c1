"""Train the router that one machine would, on a cluster."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from routerlib.features.pieces import done_by
from routerlib.features.reading import read_by
from routerlib.log.dataset import open_log
from routerlib.outcomes.outcomes import HoldsOutcomes, Outcomes
from routerlib.routers.distributed.batches import BatchReader
from routerlib.routers.distributed.boosters import BoosterTrainer
from routerlib.routers.distributed.pieces import Pieces
from routerlib.routers.distributed.workers import Workers
from routerlib.routers.lightgbm.boosting import boosted_by
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.training.operating_points import QUALITY_MARGIN
from routerlib.routers.training.train import train_router

if TYPE_CHECKING:
    from distributed import Client

FOLDER = Path("data/cluster")


def fit_distributed(
    dataset: Outcomes | HoldsOutcomes | str | Path,
    cluster: str | Client | None = None,
    *,
    folder: str | Path = FOLDER,
    random_state: int = 0,
    cost_weight: float | None = None,
    max_quality_loss: float = QUALITY_MARGIN,
    certify: tuple[float, float] | None = None,
) -> LGBMRouter:
    """Train as `train_router` does, with all that can be done apart done by workers.

    This process alone opens the log, and hands texts and numbers out: a worker needs neither the
    log nor its keys, no network beyond the cluster's, and no folder in common. What is done is kept
    in `folder`, so that training that was stopped goes on where it was when it is called again.
    A worker that is lost costs what it was doing; where the others can't go on, all are started
    afresh. So have no other work on the cluster meanwhile.

    Parameters
    ----------
    dataset : Outcomes, CallLog, LogDataset, str or Path
        Training prompts, or the log or sealed dataset that holds them.
    cluster : str, distributed.Client or None, default=None
        A scheduler's address such as ``tcp://10.0.0.5:8786``, or a client of one; None = a worker
        for each core of this machine, for as long as training lasts.
    folder : str or Path, default="data/cluster"
        What workers have done: what the prompts say, and boosters. It tells as much of the prompts
        as a log does; remove it when the router is there.
    random_state : int, default=0
        Seed of everything random.
    cost_weight : float or None, default=None
        Operating point, at least 0; None = chosen out of fold.
    max_quality_loss : float, default=0.03
        Mean quality that the chosen operating point may give up, in [0, 1].
    certify : tuple (epsilon, delta) of float or None, default=None
        As of `train_router`.

    Returns
    -------
    LGBMRouter
        As of `train_router`, and to be used as that; its ``training_`` tells of the cluster.

    Raises
    ------
    ImportError
        If the extra ``cluster`` isn't installed.
    ConnectionError
        If no scheduler answers, or it has no worker.
    RuntimeError
        If one piece of the work fails on three sets of workers.

    Notes
    -----
    Prompts are read, simpler learners fitted fold by fold, and boosters trained several at a time,
    which gives the same router to the bit as on one machine. Only columns of more than 512 MiB
    (350,000 prompts and nine candidates) are dealt to all workers by `lightgbm.dask`, which bin
    their own rows: equivalent trees, not equal ones.

    Examples
    --------
    >>> import tempfile
    >>> from distributed import Client
    >>> outcomes = Outcomes([f"Add {i} and {i + 1}" for i in range(8)], ["small", "large"],
    ...                     quality=[[0, 1]] * 8, cost_usd=[[0.001, 0.01]] * 8)
    >>> with Client(processes=False, n_workers=1, dashboard_address=None) as client:
    ...     router = fit_distributed(outcomes, client, folder=tempfile.mkdtemp())
    1 worker; dashboard: ...
    >>> router.route("Add 3 and 9").model
    'large'
    """
    outcomes = _outcomes_of(dataset)
    folder = Path(folder)
    with Workers(cluster) as workers:
        trainer = BoosterTrainer(workers, folder)
        reader, pieces = BatchReader(workers, folder), Pieces(workers)
        with read_by(reader), done_by(pieces), boosted_by(trainer), closing(trainer):
            router = train_router(
                outcomes,
                random_state=random_state,
                cost_weight=cost_weight,
                max_quality_loss=max_quality_loss,
                certify=certify,
            )
        router.training_["n_workers"] = len(workers.addresses())
    return router


def _outcomes_of(dataset: Outcomes | HoldsOutcomes | str | Path) -> Outcomes:
    if isinstance(dataset, Outcomes):
        return dataset
    if isinstance(dataset, str | Path):
        with open_log(dataset) as log:
            return Outcomes.from_log(log)
    return Outcomes.from_log(dataset)
