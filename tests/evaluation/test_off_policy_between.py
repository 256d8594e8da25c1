"""Decisions between some of the candidates are valued as such."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import routerlib as rl
from routerlib.evaluation.off_policy.targets import target_probabilities
from routerlib.log.choices import LoggedChoices
from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.exploration import EpsilonGreedy
from routerlib.records.call import Call, Score
from routerlib.records.decision import Decision
from routerlib.records.prompt import Prompt
from routerlib.routers.baselines import RandomRouter
from routerlib.routers.rivals import KNNRouter
from routerlib.routers.rules import RuleRouter

EXPECTED = {"a": 0.9, "b": 0.6, "c": 0.3}


def _log(log: rl.CallLog, models: str, chosen: str, propensity: float, number: int) -> None:
    prompt = Prompt.from_text(f"prompt number {number}")
    log.add_prompts([prompt])
    estimates = {name: {"quality": EXPECTED[name], "cost_usd": 0.001} for name in models}
    decision = Decision(chosen, 0.5, 0.001, propensity, "drawn", 0.0, estimates, "b2:r")
    decision_id = log.add_decision(prompt.prompt_id, decision)
    call = Call(prompt.prompt_id, chosen, "h", "ok", "4", decision_id=decision_id)
    log.add_call(call, scores=[Score("j", 1.0)])


@pytest.fixture
def logged(log: rl.CallLog) -> LoggedChoices:
    """One decision between all three, one without a, one without c."""
    for number, (models, chosen) in enumerate((("abc", "a"), ("bc", "b"), ("ab", "b"))):
        _log(log, models, chosen, 0.5, number)
    return LoggedChoices.from_log(log)


def test_a_log_tells_whom_each_decision_was_between(logged: LoggedChoices) -> None:
    assert logged.models == ("a", "b", "c")
    assert logged.is_able is not None
    assert logged.is_able.tolist() == [[True] * 3, [False, True, True], [True, True, False]]
    assert logged.estimates is not None
    assert np.isnan(logged.estimates.quality).tolist() == (~logged.is_able).tolist()
    assert logged.take([1]).is_able.tolist() == [[False, True, True]]


def test_a_policy_chooses_between_the_same(logged: LoggedChoices) -> None:
    found = target_probabilities(EpsilonGreedy(epsilon=0.6), logged, None)
    expected = [[0.6, 0.2, 0.2], [0.0, 0.7, 0.3], [0.7, 0.3, 0.0]]
    assert found == pytest.approx(np.array(expected))


def _train() -> Outcomes:
    quality = np.tile([EXPECTED[name] for name in "abc"], (12, 1))
    return Outcomes([f"train {i}" for i in range(12)], list("abc"), quality, quality * 1e-3)


def test_a_router_chooses_between_the_same(logged: LoggedChoices) -> None:
    found = target_probabilities(KNNRouter().fit(_train()), logged, None)
    assert found.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]


ROUTERS: list[Any] = [
    KNNRouter(),
    RandomRouter(random_state=0),
    RuleRouter({"cheapest": "a", "cheap": "a", "coder": "b", "strongest": "c"}),
]


@pytest.mark.parametrize("router", ROUTERS, ids=lambda each: each.name)
def test_every_kind_of_router_keeps_to_those_who_can(router: Any) -> None:
    router = router.fit(_train())
    for prompt in ("Hello there", "Prove that 2 is prime", "Write a Python function"):
        decision = router.route(prompt, among=["c", "b"])
        assert decision.model in ("b", "c")
        assert set(decision.estimates) == {"b", "c"}
        assert decision.propensity == (0.5 if router.name == "random" else 1.0)
        assert router.route(prompt, among=["c"]).model == "c"
    with pytest.raises(ValueError, match="none of z is known"):
        router.route("Hello there", among=["z"])


def test_a_router_that_keeps_to_the_best_single_keeps_to_the_best_that_can() -> None:
    router = KNNRouter().fit(_train()).stand_at(0.0, fallback="no gain was seen")
    assert router.route("Hello", among=["b", "c"]).model == "b"
    assert router.route("Hello", among=["b", "c"]).reason == (
        "keeps to b, the best single model of those left, as it would to a: no gain was seen"
    )
    assert router.route("Hello").reason == "keeps to a: no gain was seen"
