"""What a budget is the cap on: one run, or all that is logged and all runs beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Literal, get_args

from routerlib.gather.calls.budget import Budget, SharedBudget
from routerlib.log.call_log import CallLog
from routerlib.log.spending import Ledger

Scope = Literal["run", "log"]
SCOPES: tuple[str, ...] = get_args(Scope)


def check_scope(scope: str) -> None:
    """Raise ValueError where a budget is to be the cap on something else."""
    if scope not in SCOPES:
        raise ValueError(f"budget_scope must be one of {', '.join(SCOPES)}, got {scope!r}")


@contextmanager
def shared_by(budget: Budget, scope: Scope, log: CallLog, run_id: int) -> Iterator[Budget]:
    """Yield the budget, or one of the same cap that all runs on the log share."""
    if scope == "run" or budget.cap_usd is None:
        yield budget
        return
    with closing(Ledger(log, run_id)) as ledger:
        yield SharedBudget(budget.cap_usd, ledger)
