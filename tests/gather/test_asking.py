"""Asking logs who was chosen, by whom, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fault_server import FaultServer, candidate_of, fault_server

from routerlib.gather.calls.ask import ask
from routerlib.log.call_log import CallLog
from routerlib.records.decision import Decision


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server() as running:
        yield running


class _AlwaysLarge:
    """The smallest thing that can decide."""

    router_hash_ = "b2:test"

    def route(self, prompt: str, *, cost_weight: float | None = None, **others: object) -> Decision:
        del others
        estimates = {"large": {"quality": 0.9, "cost_usd": 0.1}}
        return Decision("large", 0.9, 0.1, 1.0, "always", cost_weight or 0.0, estimates, "b2:test")


def test_asking_logs_the_decision_and_its_call(log: CallLog, server: FaultServer) -> None:
    both = [candidate_of(server, "small"), candidate_of(server, "large")]
    answer = ask("What is 2 + 2?", router=_AlwaysLarge(), candidates=both, log=log)
    assert answer.text == "Answer: 4"
    assert answer.cost_usd == pytest.approx(20 / 1e6)
    row = log.sql(
        "select c.candidate, propensity, d.decision_id from calls c "
        "join decisions d using (decision_id)"
    ).iloc[0]
    assert (row.candidate, row.propensity, row.decision_id) == ("large", 1.0, answer.decision_id)


def test_asking_another_model_is_logged_as_an_override(log: CallLog, server: FaultServer) -> None:
    both = [candidate_of(server, "small"), candidate_of(server, "large")]
    answer = ask("Hi", router=_AlwaysLarge(), candidates=both, log=log, model="small")
    assert answer.call.candidate == "small"
    decision = log.sql("select * from decisions").iloc[0]
    assert "chosen by the caller" in decision.reason
    assert decision.router_hash == "caller", "a router must not be held to another's choice"


def test_asking_an_unknown_model_names_the_known_ones(log: CallLog, server: FaultServer) -> None:
    with pytest.raises(ValueError, match="unknown candidate 'large'; known are small"):
        ask("Hi", router=_AlwaysLarge(), candidates=[candidate_of(server)], log=log)
