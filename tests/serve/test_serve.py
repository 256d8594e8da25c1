from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fault_server import FaultServer
from serving import NOBODY, candidate, rows, serving

from routerlib.cli import main
from routerlib.outcomes.outcomes import Outcomes
from routerlib.serve import guard


@pytest.fixture
def served(provider: FaultServer, log_path: Path) -> Iterator[httpx.Client]:
    """Rules over two candidates: reasoning goes to the large one, chat to the small one."""
    candidates = [candidate("small", provider.url), candidate("large", provider.url)]
    with serving(candidates, log_path) as client:
        yield client


def _error(response: httpx.Response) -> str:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "Traceback" not in response.text
    return error["message"]


def test_inference_gives_choice_reason_answer_and_cost(served: httpx.Client) -> None:
    told = served.post("/inference", json={"prompt": "Prove that 2 is prime.", "task": "reasoning"})
    body = told.json()
    assert told.status_code == 200
    assert (body["model"], body["answer"], body["status"]) == ("large", "Answer: 4", "ok")
    assert (body["chosen"], body["failed"], body["propensity"]) == ("large", [], 1.0)
    assert body["reason"].startswith("rule")
    assert body["usage"]["total_tokens"] == 15
    assert body["usage"]["prompt_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}
    assert body["cost_usd"] == pytest.approx(60 / 1e6)
    assert told.headers["x-routerlib-decision-id"] == str(body["decision_id"])


@pytest.mark.parametrize(
    ("body", "status", "complaint"),
    [
        ({"prompt": ""}, 422, "prompt"),
        ({"prompt": " \n"}, 422, "prompt"),
        ({"prompt": "hi", "task": "cooking"}, 422, "task"),
        ({"prompt": "hi", "cost_weight": -1}, 422, "cost_weight"),
        ({"prompt": "hi", "model": "small"}, 422, "unsupported parameter: 'model'"),
        ({}, 422, "prompt: Field required"),
        ([], 422, "expected a JSON object"),
        ("status 400 always", 502, "no candidate gave an answer: small: error"),
    ],
)
def test_wrong_bodies_get_one_clear_line(
    served: httpx.Client, body: object, status: int, complaint: str
) -> None:
    sent = {"prompt": body} if isinstance(body, str) else body
    told = served.post("/inference", json=sent)
    assert told.status_code == status
    assert complaint in _error(told)


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (b'{"prompt": "hi', 400),
        (b"\xff\xfe", 400),
        (b"", 422),
        (b'{"prompt": "a lone \\ud800 surrogate"}', 422),
        (b'{"prompt": "hi", "cost_weight": NaN}', 422),
        (b'{"prompt": "hi", "cost_weight": 1e999}', 422),
        (b'{"prompt": ' + b"[" * 100_000, 400),
        (b'{"prompt": "with a \\u0000 inside"}', 200),
    ],
)
def test_odd_bytes_get_a_typed_answer(served: httpx.Client, payload: bytes, status: int) -> None:
    headers = {"content-type": "application/json"}
    told = served.post("/inference", content=payload, headers=headers)
    assert told.status_code == status
    if status != 200:
        assert _error(told)


def test_a_body_that_is_not_declared_as_json_is_not_read(served: httpx.Client) -> None:
    # A web page may send text to any address without asking; JSON it may not.
    told = served.post(
        "/inference", content=b'{"prompt": "hi"}', headers={"content-type": "text/plain"}
    )
    assert told.status_code == 422
    assert "content-type: application/json" in _error(told)


def test_a_prompt_of_a_megabyte_is_answered_and_a_larger_body_refused(
    served: httpx.Client, log_path: Path
) -> None:
    assert served.post("/inference", json={"prompt": "word " * 200_000}).status_code == 200
    too_large = served.post("/inference", json={"prompt": "x" * guard.Limits.body_bytes})
    assert too_large.status_code == 413
    assert "limit of 8000000 bytes" in _error(too_large)

    def chunks() -> Iterator[bytes]:
        for _ in range(9):
            yield b"x" * 1_000_000

    assert served.post("/inference", content=chunks()).status_code == 413
    assert rows(log_path, "select length(text) from prompts") == [(1_000_000,)]


def test_route_decides_and_logs_nothing(
    served: httpx.Client, provider: FaultServer, log_path: Path
) -> None:
    body = served.post("/route", json={"prompt": "Hi!", "task": "chat"}).json()
    assert (body["model"], body["propensity"]) == ("small", 1.0)
    assert "decision_id" not in body
    assert rows(log_path, "select * from decisions") == []
    assert not provider.bodies


def test_feedback_scores_the_answer_and_said_again_counts_last(
    served: httpx.Client, log_path: Path
) -> None:
    asked = served.post("/inference", json={"prompt": "Hi!"}).json()
    decision = {"decision_id": asked["decision_id"]}
    for score in (0.25, 1):
        told = served.post("/feedback", json={**decision, "score": score, "rationale": "why not"})
        assert (told.status_code, told.json()["model"]) == (200, "small")
    scores = rows(log_path, "select call_id, judge, score, rationale from scores")
    assert scores == [(1, "feedback", 0.25, "why not"), (1, "feedback", 1.0, "why not")]
    from routerlib.log.call_log import CallLog

    with CallLog(log_path, read_only=True) as log:
        assert Outcomes.from_log(log).quality.tolist() == [[1.0]]
    assert served.post("/feedback", json={"decision_id": 99, "score": 1}).status_code == 404
    for score in (1.5, -1, "good", None):
        told = served.post("/feedback", json={**decision, "score": score})
        assert told.status_code == 422
    for n in (0, 2**53, 1.5):
        assert served.post("/feedback", json={"decision_id": n, "score": 1}).status_code == 422


@pytest.mark.parametrize("prompt", ["status 400 always", "too long"])
def test_an_answer_that_is_not_complete_cannot_be_scored(
    served: httpx.Client, log_path: Path, prompt: str
) -> None:
    served.post("/inference", json={"prompt": prompt})
    ((decision_id,),) = rows(log_path, "select decision_id from decisions")
    told = served.post("/feedback", json={"decision_id": decision_id, "score": 0})
    assert told.status_code == 409
    assert "only a complete answer can be scored" in _error(told)
    assert rows(log_path, "select * from scores") == []


def test_feedback_goes_to_the_candidate_that_answered(
    provider: FaultServer, log_path: Path
) -> None:
    candidates = [candidate("small", NOBODY), candidate("large", provider.url)]
    with serving(candidates, log_path) as served:
        asked = served.post("/inference", json={"prompt": "Hi!"}).json()
        assert (asked["chosen"], asked["model"]) == ("small", "large")
        assert [each["model"] for each in asked["failed"]] == ["small"]
        decision_id = asked["decision_id"]
        told = served.post("/feedback", json={"decision_id": decision_id, "score": 1}).json()
        assert told["model"] == "large"
    scored = rows(log_path, "select candidate from scores join calls using (call_id)")
    assert scored == [("large",)]


def test_models_are_listed_with_what_is_known_of_them(served: httpx.Client) -> None:
    body = served.get("/models").json()
    assert body["router"] == "rules"
    assert [each["name"] for each in body["models"]] == ["small", "large"]
    assert body["models"][0]["output_usd_per_mtok"] == 2.0
    assert all(each["has_key"] and each["is_known_to_router"] for each in body["models"])
    assert served.get("/health").json()["status"] == "ok"
    assert served.get("/nothing/here").status_code == 404
    assert served.get("/inference").status_code == 405


def test_the_root_says_what_the_server_is_and_lists_its_addresses(served: httpx.Client) -> None:
    body = served.get("/").json()
    assert body["server"] == "routerlib"
    listed = {(each["method"], each["path"]) for each in body["endpoints"]}
    assert listed >= {
        ("GET", "/health"),
        ("POST", "/inference"),
        ("POST", "/feedback"),
        ("POST", "/v1/chat/completions"),
    }
    assert all(each["does"] for each in body["endpoints"])
    assert served.get(body["documentation"]).status_code == 200


# -- who may ask ---


def test_with_a_key_every_caller_must_show_it(provider: FaultServer, log_path: Path) -> None:
    with serving([candidate("small", provider.url)], log_path, key="sesame") as served:
        assert served.get("/health").status_code == 200
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "sesame"}):
            told = served.post("/inference", json={"prompt": "hi"}, headers=headers)
            assert (told.status_code, told.headers["www-authenticate"]) == (401, "Bearer")
            assert "key is wrong or missing" in _error(told)
        assert not provider.bodies
        right = {"authorization": "Bearer sesame", "host": "router.example"}
        assert served.post("/inference", json={"prompt": "hi"}, headers=right).status_code == 200


def test_without_a_key_only_this_machine_is_answered(served: httpx.Client) -> None:
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"):
        assert served.get("/models", headers={"host": host}).status_code == 200
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example"):
        assert served.get("/models", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_other_addresses_need_a_key(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROUTERLIB_API_KEY", raising=False)
    assert main(["serve", "--host", host, "--port", "0"]) == 1
    assert "needs a key: set the environment variable ROUTERLIB_API_KEY" in capsys.readouterr().err
