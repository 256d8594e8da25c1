"""Spans of calls come in with what they tell, and what they don't tell stays unknown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from routerlib.gather.importers import import_log
from routerlib.gather.importers.otel import NO_CALL, NO_TEXTS
from routerlib.gather.importers.records import Options, params_hash
from routerlib.log.call_log import CallLog

FILES = Path(__file__).parents[1] / "data/imports/otel"
HOW = """
select text, status, finish_reason, params_hash, calls.extra as extra from calls
join prompts using (prompt_id) order by call_id
"""


def text(value: str) -> dict[str, str]:
    return {"type": "text", "content": value}


def chat(**more: Any) -> dict[str, Any]:
    """Return the attributes of a call that went well."""
    asked = [{"role": "user", "parts": [text("What is 1 + 1?")]}]
    said = [{"role": "assistant", "parts": [text("2")], "finish_reason": "stop"}]
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "small",
        "gen_ai.input.messages": json.dumps(asked),
        "gen_ai.output.messages": json.dumps(said),
        **more,
    }


def spans(tmp_path: Path, *attributes: dict[str, Any], **more: Any) -> Path:
    told = [
        {
            "traceId": "0" * 32,
            "spanId": f"{number:016x}",
            "attributes": [
                {"key": key, "value": {"stringValue": value}} for key, value in each.items()
            ],
            **more,
        }
        for number, each in enumerate(attributes)
    ]
    path = tmp_path / "spans.jsonl"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": told}]}]}))
    return path


def test_a_parameter_that_was_never_sent_does_not_count(log: CallLog) -> None:
    import_log("otel", FILES / "langfuse.jsonl", log)
    found = log.sql(HOW)
    told = found[found.text.str.startswith("You know")].params_hash.iloc[0]
    asked = {"temperature": 0, "max_tokens": 50}  # all that ask.py sent
    assert told == params_hash("gpt-4o-mini-2024-07-18", asked)
    assert params_hash("gpt-4o-mini", {}) in set(found.params_hash)


def test_an_answer_at_its_cap_was_cut_off_though_nobody_says_so(log: CallLog) -> None:
    options = Options()
    import_log("otel", FILES / "langfuse.jsonl", log, options)
    found = log.sql(HOW)
    cut = found[found.text == "Write on and on."]
    assert cut.status.tolist() == ["truncated", "truncated"]
    assert set(cut.finish_reason.fillna("unknown")) == {"unknown", "length"}
    assert options.understood == ["3 answers without a word on why they ended count as complete"]


def test_tokens_without_details_say_so(log: CallLog) -> None:
    import_log("otel", FILES / "official.jsonl", log)
    said = [json.loads(extra).get("tokens_uncertain") for extra in log.sql(HOW).extra]
    assert said.count("cached and thought tokens are not told") == 5
    assert said.count(None) == 3  # two streams without any, and a failure


def test_a_failure_is_no_answer(log: CallLog) -> None:
    import_log("otel", FILES / "traceloop.jsonl", log)
    ((status, error),) = log.lookup("select status, error from calls where error is not null")
    assert (status, error) == ("error", "Error code: 400 - this request is bad")


def test_other_spans_and_calls_without_texts_are_left_out(log: CallLog, tmp_path: Path) -> None:
    tool = {"gen_ai.operation.name": "execute_tool"}
    quiet = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "small"}
    report = import_log("otel", spans(tmp_path, {}, tool, quiet, chat()), log)
    assert report.n_calls == 1
    assert dict(report.left_out) == {NO_CALL: 2, NO_TEXTS: 1}


def test_instructions_are_the_first_message(log: CallLog, tmp_path: Path) -> None:
    told = chat(**{"gen_ai.system_instructions": json.dumps([text("Be brief.")])})
    import_log("otel", spans(tmp_path, told), log)
    (prompt,) = log.prompts()
    assert [each["role"] for each in prompt.messages] == ["system", "user"]


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [{"type": "blob", "modality": "image", "content": "AAAA"}, text("What is this?")],
        [{"type": "tool_call_response", "id": "1", "response": "5"}],
    ],
    ids=["nothing", "image", "result"],
)
def test_a_request_with_more_than_words_is_left_out(
    log: CallLog, tmp_path: Path, parts: list[Any]
) -> None:
    asked = json.dumps([{"role": "user", "parts": parts}])
    report = import_log("otel", spans(tmp_path, chat(**{"gen_ai.input.messages": asked})), log)
    assert (report.n_calls, report.left_out.total()) == (0, 1)


def test_a_file_of_another_kind_says_what_was_expected(log: CallLog, tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    path.write_text('{"spans": []}')
    with pytest.raises(ValueError, match=r"expected OTLP's JSON.*resourceSpans.*got 'spans'"):
        import_log("otel", path, log)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"resourceSpans": ["x"]}, "an object, got 'x'"),
        ({"resourceSpans": [{"scopeSpans": {"spans": []}}]}, "a list of objects, got"),
        ({"resourceSpans": [{"scopeSpans": [{"spans": [3]}]}]}, "an object, got 3"),
        ({"status": "failed"}, "an object, got 'failed'"),
        ({"attributes": [{"key": "a", "value": "b"}]}, "an object, got 'b'"),
        ({"attributes": [{"key": "a", "value": {"intValue": "abc"}}]}, "a whole number"),
        ({"attributes": [{"key": "a", "value": {"arrayValue": 3}}]}, "an object, got 3"),
    ],
)
def test_a_span_of_another_shape_is_told_with_its_place(
    log: CallLog, tmp_path: Path, record: dict[str, Any], told: str
) -> None:
    path = tmp_path / "spans.jsonl"
    if "resourceSpans" not in record:
        record = {"resourceSpans": [{"scopeSpans": [{"spans": [record]}]}]}
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(ValueError, match=r"expected OTLP's JSON, ") as error:
        import_log("otel", path, log)
    assert told in str(error.value)
    assert "spans.jsonl" in str(error.value)
