from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fault_server import FaultServer
from openai import APIError, BadRequestError, InternalServerError, NotFoundError, OpenAI
from serving import NOBODY, candidate, rows, serving, wait_until

from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes

CODE = [{"role": "user", "content": "Write a Python function that adds two numbers."}]
CALLS = (
    "select c.candidate, c.status, c.response, d.candidate, d.propensity, d.router_hash "
    "from calls c join decisions d using (decision_id) order by call_id"
)


@pytest.fixture
def served(provider: FaultServer, log_path: Path) -> Iterator[httpx.Client]:
    """Rules over two candidates: code goes to the large one, chat to the small one."""
    candidates = [
        candidate("small", provider.url, parameters={"max_tokens": 50, "temperature": 0}),
        candidate("large", provider.url),
    ]
    with serving(candidates, log_path) as client:
        yield client


@pytest.fixture
def half_served(provider: FaultServer, log_path: Path) -> Iterator[httpx.Client]:
    """As above, but nobody listens where the large candidate should be."""
    candidates = [candidate("small", provider.url), candidate("large", NOBODY)]
    with serving(candidates, log_path) as client:
        yield client


def _sdk(served: httpx.Client) -> OpenAI:
    return OpenAI(base_url=f"{served.base_url}/v1", api_key="none", max_retries=0)


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_the_sdk_works_unchanged_and_every_answer_is_logged(
    served: httpx.Client, log_path: Path
) -> None:
    with _sdk(served) as client:
        listed = {model.id for model in client.models.list()}
        assert listed == {"router", "router:cascade", "small", "large"}
        assert client.models.retrieve("small").owned_by == "routerlib"
        routed = client.chat.completions.create(model="router", messages=CODE)
        assert (routed.model, routed.choices[0].message.content) == ("large", "Answer: 4")
        assert routed.choices[0].finish_reason == "stop"
        assert routed.usage is not None
        assert routed.usage.total_tokens == 15
        assert routed.model_extra["routerlib"]["reason"].startswith("rule: ")
        weighed = client.chat.completions.with_raw_response.create(
            model="router:cost_weight=20", messages=CODE
        )
        assert weighed.headers["x-routerlib-model"] == "large"
        passed = client.chat.completions.create(model="small", messages=CODE)
        assert passed.model == "small"
    calls = rows(log_path, CALLS)
    assert [call[0] for call in calls] == ["large", "large", "small"]
    assert [call[4] for call in calls] == [1.0, 1.0, 1.0]
    assert calls[2][5] == "caller"
    assert rows(log_path, "select cost_weight from decisions") == [(0.0,), (20.0,), (0.0,)]
    (decision_id,) = rows(log_path, "select max(decision_id) from decisions where cost_weight > 0")
    assert weighed.headers["x-routerlib-decision-id"] == str(decision_id[0])


@pytest.mark.parametrize("model", ["nope", "router:cost_weight", "Router"])
def test_unknown_models_are_not_found(served: httpx.Client, model: str) -> None:
    with _sdk(served) as client:
        with pytest.raises(NotFoundError, match="unknown model") as caught:
            client.chat.completions.create(model=model, messages=CODE)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        with pytest.raises(NotFoundError, match="unknown model"):
            client.models.retrieve(model)


@pytest.mark.parametrize("weight", ["-1", "nan", "inf", "cheap", ""])
def test_a_cost_weight_must_be_a_number_of_at_least_0(served: httpx.Client, weight: str) -> None:
    with _sdk(served) as client, pytest.raises(BadRequestError, match="cost_weight must be"):
        client.chat.completions.create(model=f"router:cost_weight={weight}", messages=CODE)


def test_parameters_are_passed_on_but_a_cap_never_rises(
    served: httpx.Client, provider: FaultServer, log_path: Path
) -> None:
    with _sdk(served) as client:
        client.chat.completions.create(model="small", messages=[_user("hi")])
        client.chat.completions.create(
            model="small", messages=[_user("hi")], temperature=0.5, max_tokens=9_999, stop=["\n"]
        )
        client.chat.completions.create(
            model="small", messages=[_user("hi")], max_completion_tokens=5, user="me"
        )
        client.chat.completions.create(model="large", messages=[_user("hi")], max_tokens=9_999)
    plain, warm, short, uncapped = (
        {k: v for k, v in body.items() if k not in ("messages", "model")}
        for body in provider.bodies
    )
    assert plain == {"max_tokens": 50, "temperature": 0}
    assert warm == {"max_tokens": 50, "temperature": 0.5, "stop": ["\n"]}
    assert short == {"max_tokens": 5, "temperature": 0}
    assert uncapped == {"max_tokens": 9_999}
    hashes = rows(log_path, "select params_hash from calls where candidate = 'small'")
    assert len(set(hashes)) == 3  # another way of asking is another cell of the log


@pytest.mark.parametrize(
    ("extra", "complaint"),
    [
        ({"tools": [{"type": "function"}]}, "tools.0.function: Field required"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools.0.type: Input should be 'function'"),
        ({"tool_choice": "required"}, "tool_choice 'required' needs tools"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            "names 'f', which isn't",
        ),
        ({"top_logprobs": 2}, "top_logprobs needs logprobs"),
        ({"functions": [{"name": "f"}]}, "unsupported parameter: 'functions'"),
        ({"modalities": ["audio"]}, "modalities.0: Input should be 'text'"),
        ({"n": 2}, "n: Input should be 1"),
        ({"temperature": 9}, "temperature: Input should be less than or equal to 2"),
        ({"top_q": 1}, "unsupported parameter: 'top_q'"),
    ],
)
def test_parameters_that_cannot_be_kept_are_refused(
    served: httpx.Client, extra: dict, complaint: str, log_path: Path
) -> None:
    with _sdk(served) as client, pytest.raises(BadRequestError, match=complaint) as caught:
        client.chat.completions.create(model="router", messages=CODE, extra_body=extra)
    assert caught.value.type == "invalid_request_error"
    assert rows(log_path, "select * from decisions") == []


def test_text_parts_and_earlier_messages_of_the_sdk_are_taken(
    served: httpx.Client, provider: FaultServer
) -> None:
    with _sdk(served) as client:
        parts = [{"type": "text", "text": "Say "}, {"type": "text", "text": "hello."}]
        first = client.chat.completions.create(
            model="router", messages=[{"role": "user", "content": parts}]
        )
        client.chat.completions.create(
            model="router",
            messages=[_user("Say hello."), first.choices[0].message.model_dump(), _user("Again.")],
        )
        image = [{"type": "image_url", "image_url": {"url": "data:,"}}]
        with pytest.raises(BadRequestError, match="messages"):
            client.chat.completions.create(
                model="router", messages=[{"role": "user", "content": image}]
            )
    assert provider.bodies[0]["messages"] == [_user("Say hello.")]
    assert provider.bodies[1]["messages"][1] == {"role": "assistant", "content": "Answer: 4"}


def test_a_stream_tells_who_answers_the_text_and_the_tokens(
    served: httpx.Client, log_path: Path
) -> None:
    with _sdk(served) as client:
        chunks = list(
            client.chat.completions.create(
                model="router", messages=CODE, stream=True, stream_options={"include_usage": True}
            )
        )
    assert {chunk.model for chunk in chunks} == {"large"}
    assert len({chunk.id for chunk in chunks}) == 1
    *told, last = chunks
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told) == "Answer: 4"
    assert len(told) == 4  # the role, two words, the end
    assert told[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in told] == [None, None, None, "stop"]
    assert all(chunk.usage is None for chunk in told)
    assert (last.choices, last.usage.total_tokens) == ([], 15)
    assert [call[:3] for call in rows(log_path, CALLS)] == [("large", "ok", "Answer: 4")]


def test_a_stream_without_usage_ends_with_done(served: httpx.Client) -> None:
    body = {"model": "router", "messages": CODE, "stream": True}
    with served.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-routerlib-model"] == "large"
        assert response.headers["x-routerlib-decision-id"] == "1"
        events = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert events[-1] == "[DONE]"
    end = json.loads(events[-2])
    assert end["routerlib"]["decision_id"] == 1
    assert "usage" not in end


@pytest.mark.parametrize("stream", [False, True])
def test_the_next_best_answers_where_the_chosen_one_fails(
    half_served: httpx.Client, log_path: Path, stream: bool
) -> None:
    with _sdk(half_served) as client:
        told = client.chat.completions.with_raw_response.create(
            model="router", messages=CODE, stream=stream
        )
        assert told.headers["x-routerlib-model"] == "small"
        if stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in told.parse())
        else:
            text = told.parse().choices[0].message.content
        assert text == "Answer: 4"
    calls = rows(log_path, CALLS)
    assert [call[:4] for call in calls] == [
        ("large", "error", None, "large"),
        ("small", "ok", "Answer: 4", "large"),
    ]
    assert rows(log_path, "select count(*) from decisions") == [(1,)]


@pytest.mark.parametrize("stream", [False, True])
def test_where_nobody_answers_it_is_one_error_and_the_attempts_are_logged(
    half_served: httpx.Client, log_path: Path, stream: bool
) -> None:
    with (
        _sdk(half_served) as client,
        pytest.raises(InternalServerError, match="no candidate gave an answer: large: error"),
    ):
        client.chat.completions.create(model="large", messages=CODE, stream=stream)
    assert [call[:2] for call in rows(log_path, CALLS)] == [("large", "error")]


def test_a_stream_that_breaks_ends_with_an_error_and_is_logged(
    served: httpx.Client, log_path: Path
) -> None:
    heard = []
    with _sdk(served) as client:
        events = client.chat.completions.create(
            model="router", messages=[_user("breaks after 1 error event")], stream=True
        )
        with pytest.raises(APIError, match="no candidate gave an answer"):
            heard.extend(chunk.choices[0].delta.content for chunk in events)
    (call,) = rows(log_path, CALLS)
    assert call[1:3] == ("error", "Answer: ")


def test_a_refusal_is_told_as_one(served: httpx.Client, log_path: Path) -> None:
    with _sdk(served) as client:
        told = client.chat.completions.create(model="router", messages=[_user("refusal")])
        assert told.choices[0].message.content is None
        assert told.choices[0].message.refusal == "small refused to answer"
        chunks = list(
            client.chat.completions.create(model="router", messages=[_user("refusal")], stream=True)
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ""
    assert [call[1] for call in rows(log_path, CALLS)] == ["refused", "refused"]


def test_a_client_that_leaves_in_the_middle_does_not_stop_the_call(
    served: httpx.Client, log_path: Path
) -> None:
    body = {"model": "small", "messages": [_user("slowly, please")], "stream": True}
    with served.stream("POST", "/v1/chat/completions", json=body) as response:
        next(response.iter_lines())
    assert rows(log_path, CALLS) == []
    wait_until(lambda: rows(log_path, CALLS), "the call was never logged")
    assert [call[:3] for call in rows(log_path, CALLS)] == [("small", "ok", "Answer: 4")]


def test_a_conversation_stays_with_the_model_that_answered_before(
    served: httpx.Client, log_path: Path
) -> None:
    with _sdk(served) as client:

        def ask(messages: list, headers: dict | None = None) -> str:
            told = client.chat.completions.create(
                model="router", messages=messages, extra_headers=headers
            )
            return told.model

        assert ask(CODE) == "large"
        history = [*CODE, {"role": "assistant", "content": "Answer: 4"}]
        chat = _user("Thanks, have a nice day!")
        assert ask([_user("Hello there!"), history[1], chat]) == "small"  # nobody said that to it
        assert ask([*history, chat]) == "large"
        longer = [*history, chat, history[1], chat]
        assert ask(longer) == "large"
        assert ask(longer, {"x-routerlib-continues": "none"}) == "large"  # code: rules agree
        assert ask([chat]) == "small"
        assert ask([chat], {"x-routerlib-continues": "1"}) == "large"
        with pytest.raises(NotFoundError, match="decision 999"):
            ask([chat], {"x-routerlib-continues": "999"})
    hashes = [
        (hash_, propensity)
        for hash_, propensity in rows(
            log_path, "select router_hash, propensity from decisions order by decision_id"
        )
    ]
    assert [hash_ == "conversation" for hash_, _ in hashes] == [
        False,
        False,
        True,
        True,
        False,
        False,
        True,
    ]
    assert {propensity for _, propensity in hashes} == {1.0}
    (reason,) = rows(log_path, "select reason from decisions where decision_id = 3")
    assert reason[0].startswith("the conversation stays with large, which answered under decision")


def test_turns_of_one_conversation_are_one_group_of_prompts(
    served: httpx.Client, log_path: Path
) -> None:
    said = {"role": "assistant", "content": "Answer: 4"}
    second = [*CODE, said, _user("And how are you?")]
    third = [*second, said, _user("Thanks, have a nice day!")]
    with _sdk(served) as client:
        for messages in (CODE, [_user("Sing a song of bees.")], second, third):
            client.chat.completions.create(model="router", messages=messages)
    for decision_id in range(1, 5):
        served.post("/feedback", json={"decision_id": decision_id, "score": 1.0})
    outcomes = Outcomes.from_log(CallLog(log_path, read_only=True))
    first, song, *later = outcomes.group_ids
    assert first == f"conversation/{outcomes.prompt_ids[0]}"
    assert later == [first, first]
    assert song is None
    assert outcomes.groups.tolist() == [0, 1, 0, 0]


def test_prompts_of_one_user_are_one_group_where_there_are_several(
    served: httpx.Client, log_path: Path
) -> None:
    asked = ["Sing a song of bees.", "Name a blue flower.", "How tall is a giraffe?"]
    users: list[dict[str, str]] = [{"user": "ada"}, {}, {"safety_identifier": "ada"}]

    def groups() -> list[str | None]:
        return list(Outcomes.from_log(CallLog(log_path, read_only=True)).group_ids or [])

    with _sdk(served) as client:
        for text, user in zip(asked, users, strict=True):
            client.chat.completions.create(model="router", messages=[_user(text)], **user)
        for decision_id in range(1, 4):
            served.post("/feedback", json={"decision_id": decision_id, "score": 1.0})
        assert groups() == []  # whose prompts all of them are tells nothing apart
        client.responses.create(model="router", input="Where do eels go?", user="bob")
        told = {"model": "router", "max_tokens": 9, "metadata": {"user_id": "bob"}}
        asked_so = told | {"messages": [_user("Why is snow white?")]}
        assert served.post("/v1/messages", json=asked_so).status_code == 200
    served.post("/feedback", json={"decision_id": 4, "score": 1.0})
    ada, nobody, too, bob = groups()
    assert nobody is None
    assert ada is not None
    assert ada == too != bob
    assert ada.startswith("user b2:")
    extras = rows(log_path, "select extra from prompts order by rowid")
    assert [json.loads(each or "{}").get("user") for (each,) in extras[-2:]] == [bob[5:], bob[5:]]
    assert b"ada" not in log_path.read_bytes()  # the log knows users by another name


def test_without_stickiness_each_turn_is_decided_afresh(
    provider: FaultServer, log_path: Path
) -> None:
    candidates = [candidate("small", provider.url), candidate("large", provider.url)]
    with (
        serving(candidates, log_path, stickiness="none") as served,
        _sdk(served) as client,
    ):
        client.chat.completions.create(model="large", messages=[_user("Hello!")])
        told = client.chat.completions.create(
            model="router",
            messages=[_user("Hello!"), {"role": "assistant", "content": "Answer: 4"}, _user("Hi")],
        )
        assert told.model == "small"


def test_a_thought_is_never_served_and_may_be_sent_back(
    served: httpx.Client, log_path: Path
) -> None:
    question = [_user("Write a Python function, tagged")]
    with _sdk(served) as client:
        plain = client.chat.completions.create(model="router", messages=question)
        assert plain.choices[0].message.content == "Answer: 4"
        streamed = client.chat.completions.create(model="router", messages=question, stream=True)
        assert "".join(c.choices[0].delta.content or "" for c in streamed) == "Answer: 4"
        for said in ("Answer: 4", "<think> Answer: 5? No. </think>\n\nAnswer: 4"):
            history = [*question, {"role": "assistant", "content": said}]
            client.chat.completions.create(model="router", messages=[*history, _user("Thanks!")])
    hashes = rows(log_path, "select router_hash from decisions order by decision_id")
    assert [hash_ == "conversation" for (hash_,) in hashes] == [False, False, True, True]
