"""What the runs on one log have spent, and may yet spend, kept beside it for all of them to see."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from routerlib.log import queries
from routerlib.log.claims import is_alive
from routerlib.log.schema import LogError

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

_WAIT_S = 30.0


class Standing(NamedTuple):
    """Money of all runs, in the units of the budget.

    `spent`: surely, or by runs that died with it reserved.
    `reserved`: by attempts under way.
    """

    spent: int
    reserved: int


class Ledger:
    """One line for each run: what it spent, and what its attempts under way may cost.

    It stands in a file beside the log, and each change is one transaction, so that two runs at
    once see each other's money. Amounts are whole numbers of any size.

    `before`: what the log's calls of other runs than those in the ledger have cost, US dollars.
    """

    def __init__(self, log: CallLog, run_id: int) -> None:
        self._log_path = log.path
        self._run_id = run_id
        path = log.path.with_name(f"{log.path.name}-budget")
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        # Opened in one thread and used by another, never by two at once.
        self._connection = sqlite3.connect(
            path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
        )
        with self._change():
            self._connection.execute(
                "create table if not exists runs "
                "(run_id integer primary key, spent text not null, reserved text not null) strict"
            )
            known = {row[0] for row in self._connection.execute("select run_id from runs")}
            self._connection.execute(
                "insert or ignore into runs values (?, '0', '0')", (self._run_id,)
            )
        self.before = sum(usd for run, usd in _spent_by_run(log).items() if run not in known)

    def close(self) -> None:
        """Close the file; it stays, for the runs to come."""
        self._connection.close()

    def standing(self) -> Standing:
        """Return what all runs have spent and reserved."""
        rows = self._connection.execute("select run_id, spent, reserved from runs").fetchall()
        spent = reserved = 0
        for run_id, its_spent, its_reserved in rows:
            spent += int(its_spent)
            if int(its_reserved) and not self._is_going_on(run_id):
                spent += int(its_reserved)  # nobody knows what became of its attempts
            else:
                reserved += int(its_reserved)
        return Standing(spent, reserved)

    def _is_going_on(self, run_id: int) -> bool:
        return run_id == self._run_id or is_alive(self._log_path, run_id)

    def reserve(self, amount: int, most: int) -> bool:
        """Reserve an amount, unless all that is spent and reserved would exceed `most` then."""
        with self._change():
            if sum(self.standing()) + amount > most:
                return False
            self._add(0, amount)
        return True

    def settle(self, reserved: int, spent: int) -> None:
        """Replace what was reserved by what was spent."""
        with self._change():
            self._add(spent, -reserved)

    def _add(self, spent: int, reserved: int) -> None:
        old = self._connection.execute(
            "select spent, reserved from runs where run_id = ?", (self._run_id,)
        ).fetchone()
        new = (str(int(old[0]) + spent), str(int(old[1]) + reserved), self._run_id)
        self._connection.execute("update runs set spent = ?, reserved = ? where run_id = ?", new)

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Hold the file while something is looked at and changed."""
        try:
            self._connection.execute("begin immediate")
            yield
            self._connection.execute("commit")
        except sqlite3.Error as error:
            raise LogError(f"cannot keep the budget beside {self._log_path}: {error}") from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("rollback")


def _spent_by_run(log: CallLog) -> dict[int, float]:
    """Return the known costs of the calls that each run logged, US dollars."""
    found = queries.run(log.path, queries.SPENT_BY_RUN)
    return dict(zip(found["run_id"].astype(int), found["cost_usd"].astype(float), strict=True))
