"""Workers of a dask cluster: found at an address, or started on this machine."""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tqdm import tqdm

if TYPE_CHECKING:
    from distributed import Client

# What `--cluster` says for workers of its own.
LOCAL = "local"
_PATIENCE_S = 60
# One thread each: small tables, and the tokenizer would take every core for itself.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
# What glibc's malloc comes to by itself: arrays up to 32 MiB are made where others were, and up to
# 64 MiB are kept for them. Dask has workers give back all but 64 KiB at once; then each array is
# made of fresh pages, 7,400 for a batch of prompts, and to read it takes a quarter longer.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = (-3, 2**25), (-1, 2**26)


class Workers:
    """Those who do the work, for as long as the block lasts.

    Parameters
    ----------
    cluster : str, distributed.Client or None
        Address of a scheduler, such as ``tcp://10.0.0.5:8786``; a client of one; None or "local" =
        workers on this machine, which end with the block.
    n_workers : int or None, default=None
        How many to start on this machine; None = one for each core.

    Raises
    ------
    ImportError
        If dask isn't installed.
    ConnectionError
        If no scheduler answers at the address, or it has no worker.
    """

    def __init__(self, cluster: str | Client | None, n_workers: int | None = None) -> None:
        try:
            import distributed
        except ImportError as error:
            raise ImportError(
                "a cluster needs dask; install it with: pip install 'routerlib[cluster]'"
            ) from error
        self._distributed = distributed
        self._given = None if cluster == LOCAL else cluster
        self._n_workers = n_workers
        self._started: Any = None
        self.client: Any = None
        self.n_renewals = 0
        self._ahead: list[Any] = []

    def __enter__(self) -> Self:
        import dask

        # A batch of long prompts is a large task, and there are many: no news.
        self._settings = dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
        try:
            self._find()
        except BaseException:
            self._leave()
            raise
        n = len(self.addresses())
        who = f"{n} worker{'s' * (n != 1)}"
        tqdm.write(f"{who}; dashboard: {self.client.dashboard_link or 'none'}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def addresses(self) -> list[str]:
        """Return the addresses of the workers, sorted."""
        return sorted(self.client.scheduler_info(n_workers=-1)["workers"])

    def import_ahead(self, modules: Sequence[str]) -> None:
        """Have each worker import what it will need, and don't wait for it."""
        self._ahead = [
            self.client.submit(_import, modules, workers=[address], pure=False)
            for address in self.addresses()
        ]

    def renew(self) -> None:
        """Have fresh workers: after one was lost in a fit, the next one on the same ones fails.

        Raises
        ------
        ConnectionError
            If the cluster can't restart its workers.
        """
        self.n_renewals += 1
        if self._started is not None:
            self._stop()
            self._start()
            return
        try:
            self.client.restart(timeout=_PATIENCE_S)
            self.client.run(_keep_memory, on_error="ignore")
        except Exception as error:
            raise ConnectionError(
                f"the workers at {self.client.scheduler.address} couldn't be restarted ({error}); "
                "start a fresh cluster and run this again: what is done is kept"
            ) from error

    def _find(self) -> None:
        if self._given is None:
            self._start()
        elif isinstance(self._given, str):
            self.client = self._connected(self._given)
        else:
            self.client = self._given
        if not self.addresses():
            raise ConnectionError(
                f"the cluster at {self._given} has no worker; start some: dask worker ADDRESS"
            )
        if self._started is None:
            self.client.run(_keep_memory, on_error="ignore")

    def _connected(self, address: str) -> Client:
        try:
            return self._distributed.Client(address, timeout=_PATIENCE_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConnectionError(
                f"no dask scheduler answers at {address} ({error}); start one: dask scheduler"
            ) from error

    def _start(self) -> None:
        self._started = self._distributed.LocalCluster(
            n_workers=self._n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            env=_ONE_THREAD,
            silence_logs=logging.ERROR,
        )
        self.client = self._distributed.Client(self._started, set_as_default=False)
        self.client.run(_hush)
        self.client.run(_keep_memory, on_error="ignore")

    def _stop(self) -> None:
        if self.client is not None:
            self.client.close()
        self._started.close()
        self._started = None

    def _leave(self) -> None:
        try:
            if self._started is not None:
                self._stop()
            elif isinstance(self._given, str) and self.client is not None:
                self.client.close()
        finally:
            self._settings.__exit__(None, None, None)


def _import(modules: Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)


def _hush() -> None:
    """Keep what LightGBM tells of its sockets, from its C code, off the terminal of all."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _keep_memory() -> None:
    """Have a worker keep freed memory for the next array, as other processes do."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for setting in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            mallopt(*setting)
