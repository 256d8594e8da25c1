from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fault_server import FaultServer

from routerlib.gather.calls.answers import order_of_asking
from routerlib.gather.calls.ask import ask
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.exploration import EpsilonGreedy
from routerlib.records.call import CandidateModel, Price
from routerlib.records.decision import Decision
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.router import Router
from routerlib.routers.rules import RuleRouter

MODELS = ("small", "middle", "large")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[CallLog]:
    with CallLog(tmp_path / "logs.db") as opened:
        yield opened


def _candidates(url: str, broken: tuple[str, ...] = ()) -> list[CandidateModel]:
    """Three candidates; the broken ones are asked at a port where nobody listens."""
    return [
        CandidateModel(
            name=name,
            model=name,
            provider="custom",
            base_url="http://127.0.0.1:9/v1" if name in broken else url,
            api_key_env=None,
            price=Price(usd, 2 * usd),
            max_attempts=1,
        )
        for usd, name in enumerate(MODELS, 1)
    ]


@pytest.fixture
def router() -> Router:
    """Estimate qualities 0.2, 0.6, 0.8 at growing costs for every prompt."""
    quality = np.tile([0.2, 0.6, 0.8], (12, 1))
    cost_usd = np.tile([1e-3, 2e-3, 4e-3], (12, 1))
    prompts = [f"prompt number {i}" for i in range(12)]
    return KNNRouter().fit(Outcomes(prompts, list(MODELS), quality, cost_usd))


def test_the_next_best_answers_where_the_chosen_one_fails(
    provider: FaultServer, log: CallLog, router: Router
) -> None:
    candidates = _candidates(provider.url, broken=("large",))
    answer = ask("What is 2 + 2?", router=router, candidates=candidates, log=log)
    assert (answer.decision.model, answer.call.candidate) == ("large", "middle")
    assert (answer.text, answer.is_answered) == ("Answer: 4", True)
    assert [(call.candidate, call.status) for call in answer.failed] == [("large", "error")]
    calls = log.lookup("select candidate, status, decision_id from calls order by call_id")
    assert calls == [
        ("large", "error", answer.decision_id),
        ("middle", "ok", answer.decision_id),
    ]
    assert log.lookup("select candidate from decisions") == [("large",)]


def test_where_nobody_answers_every_attempt_is_logged(
    provider: FaultServer, log: CallLog, router: Router
) -> None:
    candidates = _candidates(provider.url, broken=MODELS)
    answer = ask("What is 2 + 2?", router=router, candidates=candidates, log=log)
    assert (answer.text, answer.is_answered, answer.call.candidate) == ("", False, "small")
    assert [call.candidate for call in answer.failed] == ["large", "middle"]
    assert log.lookup("select count(*), count(distinct decision_id) from calls") == [(3, 1)]


@pytest.mark.parametrize("how", [{"fall_back": False}, {"model": "large"}])
def test_nobody_else_is_asked_where_the_caller_says_so(
    provider: FaultServer, log: CallLog, router: Router, how: dict
) -> None:
    candidates = _candidates(provider.url, broken=("large",))
    answer = ask("What is 2 + 2?", router=router, candidates=candidates, log=log, **how)
    assert (answer.call.candidate, answer.is_answered, answer.failed) == ("large", False, ())


def test_a_missing_key_is_a_typed_failure_and_the_next_best_answers(
    provider: FaultServer, log: CallLog, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    first, second, third = _candidates(provider.url)
    keyed = CandidateModel(**{**third.__dict__, "api_key_env": "NO_SUCH_KEY"})
    answer = ask("What is 2 + 2?", router=router, candidates=[first, second, keyed], log=log)
    assert answer.call.candidate == "middle"
    (failed,) = answer.failed
    assert failed.error_type == "unavailable"
    assert "NO_SUCH_KEY, which is not set" in str(failed.error)


def test_a_refusal_is_an_answer(provider: FaultServer, log: CallLog, router: Router) -> None:
    candidates = _candidates(provider.url)
    answer = ask("refusal, please", router=router, candidates=candidates, log=log)
    assert (answer.call.status, answer.is_answered, answer.failed) == ("refused", True, ())
    assert answer.call.candidate == "large"


def test_a_stream_that_breaks_after_its_first_word_is_not_told_twice(
    provider: FaultServer, log: CallLog, router: Router
) -> None:
    heard: list[str] = []
    answer = ask(
        "breaks after 1",
        router=router,
        candidates=_candidates(provider.url),
        log=log,
        on_text=heard.append,
    )
    assert answer.call.candidate == "large"
    assert answer.call.status in ("error", "timeout")
    assert "".join(heard) == answer.call.response
    assert log.lookup("select count(*) from calls") == [(1,)]


def test_a_decision_that_was_shown_is_followed(
    provider: FaultServer, log: CallLog, router: Router
) -> None:
    shown = router.route("What is 2 + 2?", cost_weight=600.0)
    assert shown.model == "small"
    answer = ask(
        "What is 2 + 2?",
        router=router,
        candidates=_candidates(provider.url),
        log=log,
        decision=shown,
    )
    assert (answer.decision, answer.call.candidate) == (shown, "small")


def test_rules_have_no_estimates_so_the_dearest_is_next() -> None:
    candidates = _candidates("http://127.0.0.1:9/v1")
    decision = RuleRouter.from_candidates(candidates).route("hi there")
    assert [each.name for each in order_of_asking(decision, candidates)] == [
        "small",
        "large",
        "middle",
    ]


def test_the_order_of_asking_follows_utility_at_the_cost_weight() -> None:
    candidates = _candidates("http://127.0.0.1:9/v1")
    estimates = {
        "small": {"quality": 0.5, "cost_usd": 0.001},
        "middle": {"quality": 0.6, "cost_usd": 0.1},
    }
    decision = Decision("middle", 0.6, 0.1, 1.0, "told", 10.0, estimates)
    names = [each.name for each in order_of_asking(decision, candidates)]
    assert names == ["middle", "small", "large"]  # who is unknown to the router comes last
    with pytest.raises(ValueError, match="unknown candidate 'gone'"):
        order_of_asking(Decision("gone", 0.6, 0.1, 1.0, "told", 10.0), candidates)


def test_a_policy_draws_and_its_exact_probability_is_logged(
    provider: FaultServer, log: CallLog, router: Router
) -> None:
    asked = {"router": router, "candidates": _candidates(provider.url), "log": log}
    policy = EpsilonGreedy(50.0, epsilon=0.6, random_state=0)
    for number in range(8):
        answer = ask(f"What is {number} + 2?", policy=policy, **asked)
        assert answer.call.candidate == answer.decision.model
    logged = log.lookup("select candidate, round(propensity, 9), cost_weight from decisions")
    # At 50 a dollar the utilities are 0.15, 0.5 and 0.6; 0.6 / 3 goes to each by chance.
    chances = {"small": 0.2, "middle": 0.2, "large": 0.6}
    assert len({name for name, *_ in logged}) > 1
    assert logged == [(name, chances[name], 50.0) for name, *_ in logged]
    with pytest.raises(ValueError, match="a decision or the policy to make one, not both"):
        ask("What is 2 + 2?", policy=policy, decision=answer.decision, **asked)
