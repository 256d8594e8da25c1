"""Write to a log from a thread of its own, many requests to one commit."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

from routerlib.log.call_log import CallLog

Result = TypeVar("Result")

# More writes to one commit would only make the first of them wait longer.
_MOST_PER_COMMIT = 256


class LogWriter:
    """Take writes from any thread or event loop; each is done once it is on the disk.

    A commit waits for the disk, so what came meanwhile is committed together: under load the
    cost of one commit is shared, without load nobody waits for company. Writes are done in the
    order in which they were given.
    """

    def __init__(self, log: CallLog) -> None:
        self._log = log
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def submit(self, write: Callable[[CallLog], Result]) -> Future[Result]:
        """Queue a write."""
        future: Future[Result] = Future()
        future.set_running_or_notify_cancel()  # whoever stops waiting doesn't undo the write
        self._writes.put(_Write(write, future))
        return future

    def close(self) -> None:
        """Finish what is queued and end the thread."""
        self._writes.put(None)
        self._thread.join()

    def _run(self) -> None:
        while self._commit_next():
            pass

    def _commit_next(self) -> bool:
        """Wait for a write, and commit it with those behind it; return whether more may come.

        Nothing of a write, which may hold a text of megabytes, is kept while waiting for another.
        """
        if (first := self._writes.get()) is None:
            return False
        batch = [first]
        while len(batch) < _MOST_PER_COMMIT and not self._writes.empty():
            write = self._writes.get()
            if write is None:
                self._commit(batch)
                return False
            batch.append(write)
        self._commit(batch)
        return True

    def _commit(self, batch: list[_Write]) -> None:
        try:
            with self._log.transaction():
                for write in batch:
                    write.run(self._log)
        except Exception as error:  # nothing of the batch is on the disk: everybody must know
            for write in batch:
                write.future.set_exception(error)
            return
        for write in batch:
            write.tell()


class _Write:
    """One queued write, and what came of it before the commit."""

    def __init__(self, write: Callable[[CallLog], Any], future: Future[Any]) -> None:
        self.future = future
        self._write = write
        self._result: Any = None
        self._error: Exception | None = None

    def run(self, log: CallLog) -> None:
        """Write inside the common transaction; a failure undoes this write alone."""
        try:
            with log.transaction():
                self._result = self._write(log)
        except Exception as error:  # told to whoever gave the write, see `tell`
            self._error = error

    def tell(self) -> None:
        """Hand out the result."""
        if self._error is not None:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(self._result)
