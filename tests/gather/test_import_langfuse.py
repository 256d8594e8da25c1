"""What Langfuse's server exports comes in alike, whichever way it was exported."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from routerlib.gather.importers import Options, import_log
from routerlib.gather.importers.langfuse import NO_GENERATION, NO_TEXTS
from routerlib.gather.importers.records import params_hash
from routerlib.log.call_log import CallLog

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]
FILLED_IN = {"temperature": 1, "max_tokens": "Infinity", "top_p": 1, "frequency_penalty": 0}


def observation(number: int, **told: Any) -> dict[str, Any]:
    """One as the API gives it."""
    return {
        "id": f"o{number}",
        "traceId": "t1",
        "type": "GENERATION",
        "name": "OpenAI-generation",
        "startTime": "2026-05-07T10:00:00.000Z",
        "endTime": "2026-05-07T10:00:02.500Z",
        "completionStartTime": None,
        "model": "gpt-4o-mini",
        "modelParameters": FILLED_IN,
        "input": ASKED,
        "output": {"role": "assistant", "content": "4"},
        "usageDetails": {"input": 9, "input_cached_tokens": 1920, "output": 1, "total": 1930},
        "costDetails": {"total": 0.00015},
        "level": "DEFAULT",
        "statusMessage": None,
        "metadata": {},
        **told,
    }


ALL = [
    observation(1),
    observation(
        2,
        input=[{"role": "user", "content": "Which is the largest planet?"}],
        output="Jupiter",
        completionStartTime="2026-05-07T10:00:00.750Z",
        metadata={"finish_reason": "stop"},
        usageDetails={
            "input": 5, "input_cached_tokens": 1900, "output": 1,
            "output_reasoning_tokens": 7, "total": 1913,
        },
    ),
    observation(
        3,
        input=[{"role": "user", "content": "Write on and on."}],
        output={"role": "assistant", "content": "Once upon a"},
        modelParameters={**FILLED_IN, "max_tokens": 3},
        usageDetails={"input": 4, "output": 3, "total": 7},
    ),
    observation(
        4,
        input=[{"role": "user", "content": "A bad one."}],
        output=None, level="ERROR", statusMessage="Error code: 400 - this request is bad",
        usageDetails={}, costDetails={},
    ),
    observation(5, input=[{"role": "user", "content": "How many?"}], output="42", usageDetails={}),
    observation(6, type="SPAN", model=None),
    observation(7, input=None),
]  # fmt: skip


def stored(row: dict[str, Any]) -> dict[str, Any]:
    """The same as an export to a blob storage spells it: objects as texts, and other moments."""
    found = {}
    for name, value in row.items():
        spelled = "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name)
        if spelled.endswith("_time") and value:
            value = value.replace("T", " ").removesuffix("Z") + "000"
        if spelled in ("input", "output", "model_parameters") and not isinstance(value, str):
            value = None if value is None else json.dumps(value)
        found["provided_model_name" if spelled == "model" else spelled] = value
    return found


def as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows({name: as_text(value) for name, value in row.items()} for row in rows)
    elif path.suffix == ".parquet":
        maps = {"usage_details": pa.int64(), "cost_details": pa.float64(), "metadata": pa.string()}
        columns = {
            name: pa.array(
                [list(row[name].items()) for row in rows], pa.map_(pa.string(), maps[name])
            )
            if name in maps
            else pa.array([row[name] for row in rows], pa.string())
            for name in rows[0]
        }
        pq.write_table(pa.table(columns), path)
    else:
        told = {"data": rows, "meta": {"page": 1}} if path.stem == "api" else rows
        path.write_text(json.dumps(told))
    return path


WAYS = {
    "api.json": ALL,
    "page.json": ALL,
    "page.jsonl": ALL,
    "page.csv": ALL,
    "blob.json": [stored(row) for row in ALL],
    "blob.jsonl": [stored(row) for row in ALL],
    "blob.csv": [stored(row) for row in ALL],
    "blob.parquet": [stored(row) for row in ALL],
}
CALLS = """
select text, candidate, status, response, input_tokens, cached_input_tokens, output_tokens,
    reasoning_tokens, latency_s, error, calls.params_hash, asked_at,
    calls.extra ->> '$.first_token_s' as first

from calls join prompts using (prompt_id) order by call_id
"""


@pytest.mark.parametrize("name", WAYS)
def test_every_way_of_exporting_gives_the_same_calls(
    log: CallLog, tmp_path: Path, name: str
) -> None:
    options = Options()
    report = import_log("langfuse", write(tmp_path / name, WAYS[name]), log, options)
    assert (report.n_calls, report.n_rows) == (5, 7)
    assert dict(report.left_out) == {NO_GENERATION: 1, NO_TEXTS: 1}
    assert options.understood == ["2 answers without a word on why they ended count as complete"]
    found = [dict(row) for row in log.sql(CALLS).astype(object).to_dict("records")]
    first, second, cut, failed, number = found
    assert first["text"] == "Be brief.\n\n2 + 2?"
    assert (first["status"], first["response"], first["latency_s"]) == ("ok", "4", 2.5)
    assert [first[f"{each}_tokens"] for each in ("input", "cached_input", "output")] == [
        1929, 1920, 1,
    ]  # fmt: skip
    assert first["params_hash"] == params_hash("gpt-4o-mini", {})
    assert [second[f"{each}_tokens"] for each in ("input", "output", "reasoning")] == [1905, 8, 7]
    assert float(second["first"]) == 0.75
    assert (cut["status"], cut["response"]) == ("truncated", "Once upon a")
    assert (failed["status"], failed["error"]) == ("error", "Error code: 400 - this request is bad")
    assert number["response"] == "42"
    assert number["input_tokens"] is None or number["input_tokens"] != number["input_tokens"]
    assert {str(each["asked_at"])[:19].replace("T", " ") for each in found} == {
        "2026-05-07 10:00:00"
    }


def test_an_export_comes_in_once(log: CallLog, tmp_path: Path) -> None:
    path = write(tmp_path / "page.jsonl", ALL)
    import_log("langfuse", path, log)
    again = import_log("langfuse", path, log)
    assert (again.n_calls, again.n_known) == (0, 5)


def test_tokens_that_are_told_as_parts_are_no_further_ones(log: CallLog, tmp_path: Path) -> None:
    own = observation(
        1, usageDetails={"input": 100, "input_cached_tokens": 60, "output": 5, "total": 105}
    )
    import_log("langfuse", write(tmp_path / "api.json", [own]), log)
    assert log.lookup("select input_tokens, cached_input_tokens from calls") == [(100, 60)]


def test_what_a_cache_keeps_for_an_hour_is_known_apart(log: CallLog, tmp_path: Path) -> None:
    told = {"input_cache_creation_5m": 40, "input_cache_creation_1h": 20, "total": 75}
    own = observation(1, usageDetails={"input": 10, "output": 5, **told})
    import_log("langfuse", write(tmp_path / "api.json", [own]), log)
    counts = "input_tokens, cache_write_tokens, cache_write_1h_tokens"
    assert log.lookup(f"select {counts} from calls") == [(70, 60, 20)]


def test_moments_costs_and_counts_are_read_in_the_types_of_databases(
    log: CallLog, tmp_path: Path
) -> None:
    row = stored(observation(1, usageDetails={"input": "9", "output": "1", "total": "10"}))
    row |= {"start_time": "2026-01-01 12:00:00.000", "end_time": "2026-01-01 12:00:02.000"}
    row |= {"completion_start_time": "2026-01-01 12:00:01.000", "total_cost": "0.00012"}
    typed = {name: value for name, value in row.items() if isinstance(value, str)}
    for name in ("start_time", "end_time", "completion_start_time"):
        typed[name] = datetime.fromisoformat(row[name]).replace(tzinfo=UTC)
    typed["total_cost"] = Decimal(row["total_cost"])
    table = pa.Table.from_pylist([{**typed, "id": "other"}])
    counts = [[("input", 9), ("output", 1), ("total", 10)]]
    counted = pa.array(counts, pa.map_(pa.string(), pa.uint64()))
    pq.write_table(table.append_column("usage_details", counted), tmp_path / "blob.parquet")
    for path in (write(tmp_path / "blob.jsonl", [row]), tmp_path / "blob.parquet"):
        import_log("langfuse", path, log)
    told = log.lookup(
        "select latency_s, input_tokens, output_tokens, given_cost_usd, substr(asked_at, 1, 19), "
        "extra ->> '$.first_token_s' from calls"
    )
    assert told == [(2.0, 9, 1, 0.00012, "2026-01-01T12:00:00", 1.0)] * 2


@pytest.mark.parametrize("text", ["true", "null", "007", "1e5", "NaN", "2024-01-01"])
@pytest.mark.parametrize("name", ["pages.csv", "api.json", "blob.jsonl"])
def test_texts_that_look_like_values_stay_texts(
    log: CallLog, tmp_path: Path, name: str, text: str
) -> None:
    import_log("langfuse", write(tmp_path / name, [observation(1, input=text, output=text)]), log)
    assert log.lookup(
        "select text, response, status from calls join prompts using (prompt_id)"
    ) == [(text, text, "ok")]


@pytest.mark.parametrize("answer", ['{"city": "Paris"}', '["a", "b"]', "[1]", "{}"])
def test_answers_in_json_are_what_the_model_wrote(
    log: CallLog, tmp_path: Path, answer: str
) -> None:
    told = [observation(1, output=answer), observation(2, output=json.loads(answer))]
    import_log("langfuse", write(tmp_path / "api.json", told), log)
    assert log.lookup("select response, status from calls") == [(answer, "ok")] * 2


def test_a_file_of_another_kind_says_what_was_expected(log: CallLog, tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text('{"id": "1", "userId": "ada", "tags": []}\n')
    with pytest.raises(ValueError, match=r"traces.jsonl entry 1: expected observations"):
        import_log("langfuse", path, log)
