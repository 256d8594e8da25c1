"""Workers of a dask cluster: found at an address, or started on this machine."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from tqdm import tqdm

if TYPE_CHECKING:
    from distributed import Client

# What `--cluster` says for workers of its own.
LOCAL = "local"
_PATIENCE_S = 60
# A worker that can't be connected to within so long is asked through its scheduler.
_REACH_S = 2
# One thread each: small tables, and the tokenizer would take every core for itself.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}


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
        self._are_in_reach = False
        self._plugins: list[str] = []

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

    def sent(self, value: Any) -> Any:
        """Send a value to one of the workers, and return what stands for it."""
        return self.client.scatter(value, hash=False, direct=self._are_in_reach)

    def result(self, future: Any) -> Any:
        """Wait for what a task gives, straight from its worker where that is in reach."""
        return self.client.gather(future, direct=self._are_in_reach)

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
            self._set()
        self._are_in_reach = self.client.sync(self._reach, self.addresses())

    def _set(self) -> None:
        """Set what workers need, in those too that dask will start in place of others."""
        from routerlib.routers.distributed.settings import IsHushed, KeepsMemory

        for plugin in (KeepsMemory(), IsHushed())[: 1 if self._started is None else 2]:
            name = f"{type(plugin).__name__}-{uuid4().hex}"  # one client may have two of these
            with suppress(OSError):  # a worker that is dying needs none
                self.client.register_plugin(plugin, name)
            self._plugins.append(name)

    def _unset(self) -> None:
        for name in self._plugins:
            with suppress(OSError, ValueError):  # who is gone, or has forgotten it, needs none
                self.client.unregister_worker_plugin(name)

    async def _reach(self, addresses: Sequence[str]) -> bool:
        """Tell whether this process can connect to all workers: a scheduler may stand between."""
        for address in addresses:
            try:
                comm = await self._distributed.comm.connect(
                    address, timeout=_REACH_S, **self.client.connection_args
                )
            except OSError:
                return False
            await comm.close()
        return True

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
        self._set()

    def _stop(self) -> None:
        if self.client is not None:
            self.client.close()
        self._started.close()
        self._started = None

    def _leave(self) -> None:
        try:
            if self._started is not None:
                self._stop()
            elif self.client is not None:
                if self.client.status == "running":  # somebody else may have closed theirs
                    self._unset()
                if isinstance(self._given, str):
                    self.client.close()
        finally:
            self._settings.__exit__(None, None, None)


def _import(modules: Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)
