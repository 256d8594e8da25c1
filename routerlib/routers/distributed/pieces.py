"""Pieces of a training done by workers, what they have in common sent to each of them once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from weakref import WeakValueDictionary

from routerlib.features.pieces import Result, Value
from routerlib.routers.distributed.work import Shared, all_begun, each_result
from routerlib.routers.distributed.workers import Workers

# What is larger stays in this process: a worker has to hold a few of them at a time.
MOST_SHARED_BYTES = 2**29


class Pieces:
    """Has workers do pieces, as `routerlib.features.pieces.Doer`."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self._shared: WeakValueDictionary[int, Shared] = WeakValueDictionary()

    def share(self, value: Value) -> Value:
        """Return what stands for a value, as long as somebody holds it."""
        shared = self._shared.get(id(value))
        if shared is None:
            shared = self._shared[id(value)] = Shared(value)
        return shared  # type: ignore[return-value]  # `each` puts the value in its place

    def begin(
        self, function: Callable[..., Result], pieces: Sequence[tuple[Any, ...]], what: str
    ) -> Callable[[], list[Result]]:
        """Have workers begin pieces, and return what waits for their results, in their order."""
        shared = {id(given): given for given in _flat(pieces) if isinstance(given, Shared)}
        if any(given.n_bytes > MOST_SHARED_BYTES for given in shared.values()):
            return lambda: [function(*map(_itself, piece)) for piece in pieces]
        work = [(function, *piece) for piece in pieces]
        return all_begun(self.workers, one_threaded, work, what)

    def each(
        self, function: Callable[..., Result], pieces: Iterable[tuple[Any, ...]], what: str, n: int
    ) -> Iterator[Result]:
        """Have workers do pieces, and yield their results in order; some are ahead at a time."""
        work = ((function, *piece) for piece in pieces)
        return each_result(self.workers, one_threaded, work, what, n)


def one_threaded(function: Callable[..., Result], *given: Any) -> Result:
    """Call a function with one thread for its sums, on which their last bits depend."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return function(*given)


def _flat(pieces: Sequence[tuple[Any, ...]]) -> list[Any]:
    return [given for piece in pieces for given in piece]


def _itself(given: Any) -> Any:
    return given.value if isinstance(given, Shared) else given
