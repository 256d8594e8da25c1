"""One cap holds for all runs on a log, and no amount of money is too large or too small for it."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest
from fault_server import FaultServer, candidate_of

from routerlib.gather.calls.budget import Budget, SharedBudget
from routerlib.gather.candidates.prices import nominal_price
from routerlib.gather.collection.collect import Collection, collect
from routerlib.log.call_log import CallLog
from routerlib.log.spending import Ledger, Standing
from routerlib.records.call import Call, Price, Usage
from routerlib.records.prompt import Prompt

CALL_USD = 20e-6  # 10 tokens in at $1 and 5 out at $2 per million


def _collect(path: Path, server: FaultServer, name: str, cap_usd: float, n: int) -> Collection:
    prompts = [Prompt.from_text(f"{name} {number} sleep 0.01") for number in range(n)]
    candidate = candidate_of(server, max_concurrency=3)
    with CallLog(path) as log:
        return collect(
            prompts, [candidate], log, budget_usd=cap_usd, budget_scope="log", progress=False
        )


def _spent_usd(path: Path) -> float:
    with CallLog(path) as log:
        return float(log.summary().cost_usd.sum())


def test_the_cap_holds_across_two_runs_at_once(log_path: Path, server: FaultServer) -> None:
    with CallLog(log_path):
        pass
    cap_usd = 50 * CALL_USD
    runs = [
        threading.Thread(target=_collect, args=(log_path, server, name, cap_usd, 60))
        for name in ("one", "other")
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    spent_usd = _spent_usd(log_path)
    assert spent_usd <= cap_usd
    assert spent_usd >= 0.6 * cap_usd, "the cap is used, not only kept"


def test_what_was_spent_before_counts(log_path: Path, server: FaultServer) -> None:
    assert _collect(log_path, server, "first", 1.0, 4).statuses == {"ok": 4}
    again = _collect(log_path, server, "second", 4 * CALL_USD, 4)
    assert again.is_over_budget
    assert again.n_asked == 0
    assert (log_path.parent / f"{log_path.name}-budget").stat().st_mode & 0o077 == 0


def test_calls_of_runs_outside_the_ledger_count_too(log: CallLog) -> None:
    prompt = Prompt.from_text("x")
    log.add_prompts([prompt])
    run_id = log.start_run("collect", {})
    candidate = candidate_of(_Nowhere(), price=Price(1, 2))  # type: ignore[arg-type]
    log.add_prices([candidate], run_id)
    log.add_call(Call(prompt.prompt_id, "small", "h", "ok", "4", Usage(10, 5)), run_id)
    assert Ledger(log, log.start_run("collect", {})).before == pytest.approx(CALL_USD)


class _Nowhere:
    url = "http://127.0.0.1:9/v1"


def test_what_a_killed_run_had_reserved_counts_as_spent(log: CallLog) -> None:
    dead = Ledger(log, log.start_run("collect", {}))
    assert dead.reserve(7, 10)
    dead.close()
    alive = Ledger(log, log.start_run("collect", {}))
    assert alive.standing() == Standing(7, 0)
    assert not alive.reserve(4, 10)
    assert alive.reserve(3, 10)
    alive.settle(3, 1)
    assert alive.standing() == Standing(8, 0)


@pytest.mark.parametrize("usd", [1e300, 1.7e308, 1e-300, 5e-324, 0.1])
def test_money_of_any_size_is_counted(log: CallLog, usd: float) -> None:
    ledger = Ledger(log, log.start_run("collect", {}))
    for budget in (Budget(usd), SharedBudget(usd, ledger)):
        fits = budget.reserve(usd)
        assert fits == (usd >= 0.1), "below a picodollar nothing fits: never more than the cap"
        if fits:
            budget.settle(usd, usd)
            assert budget.spent_usd == pytest.approx(usd)
            assert not budget.reserve(usd)
        assert not budget.reserve(math.inf)


def test_a_cost_is_never_rounded_to_nothing() -> None:
    budget = Budget(1.0)
    budget.settle(0.0, 1e-300)
    assert budget.spent_usd > 0
    assert nominal_price(1e-6).input_usd_per_mtok > 0


def test_an_unknown_scope_is_refused(log: CallLog, server: FaultServer) -> None:
    with pytest.raises(ValueError, match="budget_scope must be one of run, log, got 'all'"):
        collect([Prompt.from_text("x")], [candidate_of(server)], log, budget_scope="all")  # type: ignore[arg-type]
