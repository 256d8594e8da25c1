"""Which cells are being asked right now, by which run, and which were when a run was killed."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from routerlib.records.call import FINISHED_STATUSES, CandidateModel
from routerlib.records.prompt import Prompt

if TYPE_CHECKING:
    from filelock import FileLock

    from routerlib.log.call_log import CallLog

Claim = Literal["mine", "finished", "elsewhere"]

# Starts that no call of the same run, or of a later one, answers.
_OPEN = """
select run_id, prompt_id, candidate, params_hash, repeat from starts
where not exists (
    select 1 from calls
    where calls.prompt_id = starts.prompt_id and calls.candidate = starts.candidate
    and calls.params_hash = starts.params_hash and calls.repeat = starts.repeat
    and calls.run_id >= starts.run_id
)
"""
_THIS_CELL = " and prompt_id = ? and candidate = ? and params_hash = ? and repeat = ?"


class CellKey(NamedTuple):
    """What makes a cell one and the same in every run."""

    prompt_id: str
    candidate: str
    params_hash: str
    repeat: int

    @classmethod
    def of(cls, prompt: Prompt, candidate: CandidateModel, repeat: int) -> CellKey:
        """Name the cell of a prompt, a way of asking a candidate and a repetition."""
        return cls(prompt.prompt_id, candidate.name, candidate.params_hash, repeat)


class Claims:
    """Claim cells for one run, so that no other run asks them at the same time.

    A start is written before a cell is asked. It counts as long as its run lives, which a lock
    on a file beside the log tells: the system drops it when the process ends, however it ends.
    """

    def __init__(self, log: CallLog, run_id: int) -> None:
        self._log = log
        self._run_id = run_id
        self._lock = _lock(log.path, run_id)
        self._dead: set[int] = set()

    def __enter__(self) -> Claims:
        self._lock.acquire(timeout=0)
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()
        _lock_path(self._log.path, self._run_id).unlink(missing_ok=True)

    def claim(self, cell: CellKey) -> Claim:
        """Write that this run begins to ask a cell, unless that would be for nothing."""
        with self._log.transaction() as connection:  # begins with the write lock: nobody between
            is_finished = connection.execute(
                f"select 1 from calls where status in ({', '.join('?' * len(FINISHED_STATUSES))})"
                + _THIS_CELL,
                (*FINISHED_STATUSES, *cell),
            ).fetchone()
            if is_finished:
                return "finished"
            others = {row[0] for row in connection.execute(_OPEN + _THIS_CELL, cell)}
            if any(self._is_alive(run_id) for run_id in others - {self._run_id}):
                return "elsewhere"
            connection.execute(
                "insert into starts (prompt_id, candidate, params_hash, repeat, run_id) "
                "values (?, ?, ?, ?, ?)",
                (*cell, self._run_id),
            )
        return "mine"

    def _is_alive(self, run_id: int) -> bool:
        if run_id not in self._dead and not is_alive(self._log.path, run_id):
            self._dead.add(run_id)
        return run_id not in self._dead


def in_flight_at_a_kill(log: CallLog, prompt_ids: Collection[str] | None = None) -> set[CellKey]:
    """Return the cells that were being asked when their run was killed, and not again since.

    `prompt_ids`: of these prompts only; None = of all.
    """
    rows = (
        log.lookup(_OPEN)
        if prompt_ids is None
        else list(log.lookup_some(f"{_OPEN} and prompt_id in ({{marks}})", prompt_ids))
    )
    alive = {run_id for run_id in {row[0] for row in rows} if is_alive(log.path, run_id)}
    return {CellKey(*row[1:]) for row in rows if row[0] not in alive}


def failed_cells(log: CallLog, prompt_ids: Collection[str]) -> set[CellKey]:
    """Return the cells of some prompts of which a call has failed, answered since or not."""
    query = (
        "select distinct prompt_id, candidate, params_hash, repeat from calls "
        f"where status not in ({', '.join('?' * len(FINISHED_STATUSES))}) "
        "and prompt_id in ({marks})"
    )
    return {CellKey(*row) for row in log.lookup_some(query, prompt_ids, *FINISHED_STATUSES)}


def has_answered(log: CallLog, candidate: CandidateModel) -> bool:
    """Tell whether a candidate, asked as it would be now, has answered any prompt."""
    query = (
        "select 1 from calls where candidate = ? and params_hash = ? "
        f"and status in ({', '.join('?' * len(FINISHED_STATUSES))}) limit 1"
    )
    return bool(log.lookup(query, candidate.name, candidate.params_hash, *FINISHED_STATUSES))


def is_alive(path: Path, run_id: int) -> bool:
    """Tell whether a run is still going on, in this process or another on this machine."""
    from filelock import Timeout

    if not _lock_path(path, run_id).exists():
        return False
    lock = _lock(path, run_id)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False  # where nothing can be written nobody collects
    lock.release()
    with suppress(OSError):
        _lock_path(path, run_id).unlink(missing_ok=True)
    return False


def _lock_path(path: Path, run_id: int) -> Path:
    return path.with_name(f"{path.name}-run{run_id}.lock")


def _lock(path: Path, run_id: int) -> FileLock:
    from filelock import FileLock

    return FileLock(_lock_path(path, run_id), thread_local=False, is_singleton=False)
