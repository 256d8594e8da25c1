from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fault_server import FaultServer
from serving import NOBODY, candidate, rows, save_router, serving

from routerlib.outcomes.outcomes import Outcomes
from routerlib.policies.exploration import Thompson, UpperConfidence
from routerlib.records.call import Price
from routerlib.routers.lightgbm.router import LGBMRouter
from routerlib.routers.loading import load_router


@pytest.fixture(scope="module")
def unsure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a router that learnt from coin flips, and says how unsure it is."""
    rng = np.random.default_rng(0)
    texts = [f"{verb} number {i}" for i in range(60) for verb in ("Prove", "Greet")]
    quality = rng.integers(0, 2, (len(texts), 2)).astype(float)
    cost_usd = np.tile([1e-3, 3e-3], (len(texts), 1))
    path = tmp_path_factory.mktemp("unsure") / "router_model.pkl"
    LGBMRouter().fit(Outcomes(texts, ["small", "large"], quality, cost_usd)).save(path)
    return path


# -- exploration ---


@pytest.mark.parametrize("model_path", [None, "router_model.pkl"])
def test_exploration_logs_the_probability_of_every_choice(
    provider: FaultServer, tmp_path: Path, log_path: Path, model_path: str | None
) -> None:
    names = ("small", "large")
    path = None
    if model_path:
        path = tmp_path / model_path
        save_router(path, names)
    candidates = [candidate(name, provider.url) for name in names]
    with serving(candidates, log_path, path, explore="epsilon-greedy:0.6") as served:
        for n in range(40):
            prompt = f"Hi number {n}!"
            told = served.post("/inference", json={"prompt": prompt, "task": "chat"}).json()
            assert told["propensity"] == pytest.approx(0.7 if told["model"] == "small" else 0.3)
            if told["model"] == "small":
                assert told["reason"].endswith("; drawn with probability 0.7")
            else:
                assert told["reason"].startswith("drawn with probability 0.3; else small: ")
    logged = rows(log_path, "select candidate, propensity from decisions")
    assert {name for name, _ in logged} == set(names)  # 1 - 0.7 ** 40: not by bad luck
    assert {round(propensity, 6) for _, propensity in logged} == {0.7, 0.3}


@pytest.mark.parametrize(
    ("explore", "policy"), [("thompson:0.1", Thompson), ("ucb:0.1", UpperConfidence)]
)
def test_exploration_by_uncertainty_logs_exact_propensities(
    provider: FaultServer,
    unsure: Path,
    log_path: Path,
    explore: str,
    policy: type[Thompson | UpperConfidence],
) -> None:
    router = load_router(unsure)
    candidates = [candidate(name, provider.url) for name in router.models_]
    with serving(candidates, log_path, unsure, explore=explore) as served:
        for n in range(6):
            body = {"prompt": f"Prove number {n}", "cost_weight": 1.0}
            told = served.post("/inference", json=body).json()
            estimates = router.predict_with_spread([body["prompt"]])
            wanted = policy(1.0, floor=0.1).probabilities(estimates)[0]
            assert told["propensity"] == pytest.approx(
                wanted[router.models_.index(told["model"])], abs=1e-12
            )
            (logged,) = rows(
                log_path,
                "select propensity from decisions where decision_id = ?",
                told["decision_id"],
            )
            assert logged[0] == told["propensity"]


@pytest.mark.parametrize("explore", ["thompson:0.6", "ucb:0.6"])
def test_without_uncertainty_the_share_goes_to_all_evenly(
    provider: FaultServer, log_path: Path, explore: str
) -> None:
    candidates = [candidate("small", provider.url), candidate("large", provider.url)]
    with serving(candidates, log_path, explore=explore) as served:
        told = served.post("/inference", json={"prompt": "Hi!", "task": "chat"}).json()
        assert told["propensity"] == pytest.approx(0.7 if told["model"] == "small" else 0.3)


# -- the budget ---

# Worst case of one short prompt: about 190 (small) or 570 (large) millionths of a US dollar; an
# answer of the test server costs 20 or 60 of them.
CAPPED = {"parameters": {"max_tokens": 10}}


def test_a_spent_budget_refuses_and_asks_nobody(provider: FaultServer, log_path: Path) -> None:
    with serving([candidate("small", provider.url, **CAPPED)], log_path, budget_usd=3e-4) as served:
        chat = {"model": "router", "messages": [{"role": "user", "content": "Hi!"}]}
        told = [served.post("/v1/chat/completions", json=chat) for _ in range(12)]
        n_answered = [each.status_code for each in told].count(200)
        assert 1 <= n_answered < 12
        assert [each.status_code for each in told[n_answered:]] == [402] * (12 - n_answered)
        error = told[-1].json()["error"]
        assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
        assert "the budget of 0.0003 US dollars has no room" in error["message"]
        assert served.post("/route", json={"prompt": "Hi!"}).status_code == 200  # costs nothing
    assert len(provider.bodies) == n_answered
    assert rows(log_path, "select count(*) from decisions") == [(n_answered,)]
    assert rows(log_path, "select budget_usd from runs where kind = 'serve'") == [(3e-4,)]


def test_requests_at_the_same_time_stay_under_the_budget(
    provider: FaultServer, log_path: Path
) -> None:
    budget_usd = 4.5e-4  # two worst cases
    with (
        serving(
            [candidate("small", provider.url, **CAPPED)], log_path, budget_usd=budget_usd
        ) as served,
        ThreadPoolExecutor(30) as pool,
    ):
        asked = [
            pool.submit(served.post, "/inference", json={"prompt": "sleep 0.05"}) for _ in range(30)
        ]
        told = [each.result() for each in asked]
    answered = [each.json() for each in told if each.status_code == 200]
    assert {each.status_code for each in told} == {200, 402}
    assert 0 < sum(each["cost_usd"] for each in answered) <= budget_usd
    assert len(provider.bodies) == len(answered)


def test_what_is_left_of_a_budget_goes_to_one_that_it_pays_for(
    provider: FaultServer, log_path: Path
) -> None:
    candidates = [candidate(name, provider.url, **CAPPED) for name in ("small", "large")]
    with serving(candidates, log_path, budget_usd=3e-4) as served:
        body = {"prompt": "Prove that 2 is prime.", "task": "reasoning"}
        told = served.post("/inference", json=body).json()
    assert (told["chosen"], told["model"]) == ("large", "small")
    assert told["failed"][0]["error"] == "the budget has no room for it"
    logged = rows(log_path, "select candidate, error_type from calls order by call_id")
    assert logged == [("large", "over_budget"), ("small", None)]


def test_calls_dearer_than_at_most_are_told(
    provider: FaultServer, log_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hidden = candidate("small", provider.url, parameters={"max_tokens": 1}, price=Price(0.0, 4.0))
    with serving([hidden], log_path, budget_usd=1.0) as served:
        for _ in range(3):  # an answer has 5 tokens where 1 was to be the most: 16 millionths more
            assert served.post("/inference", json={"prompt": "Hi!"}).status_code == 200
    told = [each.getMessage() for each in caplog.records if "more than at most" in each.message]
    assert [each.partition(" US dollars")[0] for each in told] == [
        "1 call of small cost 0.000016",
        "2 calls of small cost 0.000032",
    ]


def test_a_budget_needs_a_cap_on_every_answer(log_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="a budget needs a cap on every answer, and 'small' has"),
        serving([candidate("small", NOBODY)], log_path, budget_usd=1.0),
    ):
        pass


@pytest.mark.parametrize("explore", ["epsilon", "epsilon-greedy:2", "epsilon-greedy:x", "ucb:nan"])
def test_exploration_that_is_not_known_is_refused(
    explore: str, log_path: Path, tmp_path: Path
) -> None:
    with (
        pytest.raises(ValueError, match="exploration must be one of epsilon-greedy:SHARE"),
        serving([candidate("small", NOBODY)], log_path, explore=explore),
    ):
        pass
