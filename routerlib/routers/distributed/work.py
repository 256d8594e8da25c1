"""Work for workers, piece by piece: what is lost with one of them is done again."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

from tqdm import tqdm

from routerlib.routers.distributed.workers import Workers

# So often a piece is begun, after the first time by fresh workers.
TRIES = 3
# Pieces for each worker that are begun before the first of them is done: enough that none is idle,
# few enough for memory.
_AHEAD = 3


class Shared:
    """A value among the arguments of several pieces, of which every worker gets one copy."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self._sent: tuple[int, Any] | None = None

    @cached_property
    def n_bytes(self) -> int:
        """Its size on the way to a worker, in bytes."""
        apart: list[pickle.PickleBuffer] = []
        text = pickle.dumps(self.value, protocol=5, buffer_callback=apart.append)
        return len(text) + sum(each.raw().nbytes for each in apart)

    def on(self, workers: Workers) -> Any:
        """Return what stands for it in a task; sent when it is first asked for."""
        if self._sent is None or self._sent[0] != workers.n_renewals:
            # To one of them, from which the others get it with their first piece: dask's broadcast
            # can wait for ever where a worker is busy, and fails where one dies.
            self._sent = workers.n_renewals, self._send(workers)
        return self._sent[1]

    def _send(self, workers: Workers) -> Any:
        return workers.sent(self.value)


class Made(Shared):
    """What one worker makes of a shared value, and every worker gets a copy of.

    `function`: of the shared value and what is given besides.
    """

    def __init__(self, function: Callable[..., Any], of: Shared, *given: Any) -> None:
        super().__init__(None)
        self._function, self._of, self._given = function, of, given

    def _send(self, workers: Workers) -> Any:
        of = self._of.on(workers)
        return workers.client.submit(self._function, of, *self._given, pure=False)


class Ready(NamedTuple):
    """The result of a piece that nobody has to do."""

    result: Any


def each_result(
    workers: Workers,
    function: Callable[..., Any],
    pieces: Iterable[Sequence[Any] | Ready],
    what: str | None = None,
    total: int | None = None,
) -> Iterator[Any]:
    """Yield the function's result of each piece, in order, while workers do the next ones.

    A worker that dies costs what it was doing, which another one does again.

    `pieces`: arguments of each call, with `Shared` ones among them, or `Ready`; only some of them
        are held at a time.
    `what, total`: how progress is called, and how many pieces there are; None = no progress.

    Raises
    ------
    RuntimeError
        If one piece fails on three fresh sets of workers.
    """
    ahead: deque[_Begun | Ready] = deque()
    most = _AHEAD * len(workers.addresses())
    with tqdm(total=total, desc=what, mininterval=1, disable=what is None) as bar:
        for piece in pieces:
            ahead.append(piece if isinstance(piece, Ready) else _Begun(workers, function, piece))
            if len(ahead) >= most:
                yield _waited_for(ahead.popleft())
                bar.update()
        while ahead:
            yield _waited_for(ahead.popleft())
            bar.update()


def all_begun(
    workers: Workers, function: Callable[..., Any], pieces: Iterable[Sequence[Any]], what: str
) -> Callable[[], list[Any]]:
    """Have all pieces begun, and return what waits for their results; else as `each_result`.

    What they have in common should be shared: all are held at once.
    """
    begun = [_Begun(workers, function, piece) for piece in pieces]
    return lambda: [piece.result() for piece in tqdm(begun, desc=what, mininterval=1)]


def lost_workers() -> tuple[type[BaseException], ...]:
    """Return what a task ends with when all who had what it needs are gone.

    An OSError among them: what is sent to a worker that died just now finds nobody who listens.
    """
    from concurrent.futures import CancelledError

    from distributed import KilledWorker

    return (CancelledError, KilledWorker, OSError, TimeoutError)


class _Begun:
    """A piece that somebody does."""

    def __init__(
        self, workers: Workers, function: Callable[..., Any], given: Sequence[Any]
    ) -> None:
        self._workers, self._function, self._given = workers, function, given
        self._future: Any = None
        # Where a worker dies just now, it is begun when its result is waited for.
        with suppress(*lost_workers()):
            self._begin()

    def _begin(self) -> None:
        self._n_renewals = self._workers.n_renewals
        given = [
            each.on(self._workers) if isinstance(each, Shared) else each for each in self._given
        ]
        self._future = self._workers.client.submit(self._function, *given, pure=False)

    def result(self) -> Any:
        for left in reversed(range(TRIES)):
            try:
                if self._future is None or self._n_renewals != self._workers.n_renewals:
                    self._begin()
                return self._workers.result(self._future)
            except lost_workers() as error:
                told = told_shortly(error)
                if not left:
                    raise RuntimeError(
                        f"a piece of the work failed on {TRIES} sets of workers ({told}); what is "
                        "done is kept: run this again to go on"
                    ) from error
                if self._n_renewals == self._workers.n_renewals:  # nobody else has noticed
                    tqdm.write(f"workers were lost ({told}); starting them afresh")
                    self._workers.renew()
                self._future = None
        raise AssertionError("unreachable: the last try returns or raises")


def told_shortly(error: BaseException) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def _waited_for(piece: _Begun | Ready) -> Any:
    return piece.result if isinstance(piece, Ready) else piece.result()
