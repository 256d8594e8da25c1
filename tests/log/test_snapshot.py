"""A log is read column by column as of one moment, without a copy and beside those who write."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from routerlib.log import snapshot
from routerlib.log.call_log import CallLog
from routerlib.log.schema import LogError
from routerlib.log.snapshot import Snapshot
from routerlib.records.call import Call, Score, Usage
from routerlib.records.prompt import Prompt

TEXTS = ("plain", "", 'a "quoted" one', "back\\slash", "(in) and (out)", "é", "o'clock", "x" * 300)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a closed log whose answers are awkward texts, each judged."""
    path = tmp_path / "logs.db"
    prompt = Prompt.from_text("What is it?", task="math")
    with CallLog(path) as log, log.transaction():
        log.add_prompts([prompt])
        for number, text in enumerate(TEXTS):
            call = Call(
                prompt.prompt_id, f"m{number % 3}", "b2:x", "ok", text, Usage(number, 5), 0.5
            )
            log.add_call(call, scores=[Score("person", number / 10)])
        log.add_call(Call(prompt.prompt_id, "m0", "b2:x", "error", None))
    return path


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_rows_are_found_by_many_keys_in_several_queries(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_KEYS_AT_ONCE", 2)
    with closing(Snapshot(path)) as opened:
        table = opened.table("calls")
        for keys in ([], [2], [1, 3, 5, 8, 99]):
            found = [
                (row["response"], row["call_id"])
                for batch in table.found_by("call_id", keys, ["response", "call_id"])
                for row in batch.to_pylist()
            ]
            assert sorted(found, key=lambda each: each[1]) == [
                (TEXTS[key - 1], key) for key in keys if key <= len(TEXTS)
            ]


@pytest.mark.parametrize(
    "condition",
    [
        *(f"response = {literal(text)}" for text in TEXTS),
        *(f"response > {literal(text)}" for text in TEXTS[:5]),
        "call_id = 3",
        "call_id between 2 and 4 and candidate = 'm1'",
        "call_id in (1, 3, 99)",
        "call_id <> 2 or response is null",
        "response is null",
        "input_tokens is null or input_tokens >= 6",
        "input_tokens < 3 and status = 'ok' and response is not null",
        "latency_s = 0.5 and call_id > -1",
        "latency_s > 0.4 and candidate < 'm1'",
        "call_id = 9223372036854775807",
        "not (candidate = 'm1')",
        "response like '%and%'",
    ],
)
def test_a_filter_finds_what_it_finds_in_the_whole_table(path: Path, condition: str) -> None:
    with CallLog(path, read_only=True) as log:
        whole = log.sql("select * from calls")
        assert len(whole) == len(TEXTS) + 1
        found = log.sql(f"select call_id, status from calls where {condition}")
        expected = log.sql(f"select call_id, status from whole where {condition}", whole=whole)
    assert found.to_dict("list") == expected.to_dict("list")


def test_a_column_that_a_query_does_not_name_is_not_read(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("drop trigger calls_no_update")
        other.execute("update calls set response = cast(x'ff' as text) where call_id = 2")
        other.commit()
    with CallLog(path, read_only=True) as log:
        assert log.sql("select count(*) as n from calls where status = 'ok'").n[0] == len(TEXTS)
        assert log.outcomes().quality.shape == (1, 3)
        with pytest.raises(LogError, match="a text in it can't be read"):
            log.sql("select max(response) from calls")


def test_long_answers_come_in_small_batches_of_any_total(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_MOST_BYTES", 1 << 20)
    prompt = Prompt.from_text("Say much.")
    with CallLog(tmp_path / "logs.db") as log, log.transaction():
        log.add_prompts([prompt])
        for number in range(300):
            log.add_call(Call(prompt.prompt_id, "m", "b2:x", "ok", f"{number} " + "é" * 20_000))
    with closing(Snapshot(tmp_path / "logs.db")) as opened:
        calls = opened.table("calls")
        batches = list(calls.batches(["call_id", "response"]))
    assert [key for batch in batches for key in batch["call_id"].to_pylist()] == [*range(1, 301)]
    assert max(batch.nbytes for batch in batches) < (1 << 20) + 16 * 40_100
    # 64-bit offsets: what one column adds up to has no limit.
    assert calls.schema.field("response").type == pa.large_string()


def test_texts_that_could_be_long_and_are_short_come_many_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = Prompt.from_text("Say little.")
    with CallLog(path) as log, log.transaction():
        log.add_prompts([prompt])
        for _ in range(300):
            log.add_call(Call(prompt.prompt_id, "m", "b2:x", "ok", "No."))
    sizes = []
    make = snapshot._array
    monkeypatch.setattr(
        snapshot, "_array", lambda values, kind: sizes.append(len(values)) or make(values, kind)
    )
    with closing(Snapshot(path)) as opened:
        (batch,) = opened.table("calls").batches(["response", "extra"])
    assert sizes == [len(batch)] * 2 == [300 + len(TEXTS) + 1] * 2


def test_keys_with_gaps_are_read_as_they_are(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("drop trigger scores_no_delete")
        other.execute("delete from scores where score_id in (1, 4)")
        other.commit()
    with CallLog(path, read_only=True) as log:
        found = log.sql("select score_id, call_id from scores")
        assert found.score_id.tolist() == found.call_id.tolist() == [2, 3, 5, 6, 7, 8]
        assert log.sql("select count(*) as n from scores").n[0] == 6


def test_what_became_known_later_is_read_where_it_is_asked_for(path: Path) -> None:
    with CallLog(path) as log:
        log.add_prompts([Prompt.from_text("What is it?", task="code")])
        assert log.sql("select task from prompts").task.tolist() == ["code"]
        assert log.sql("select text from prompts where task = 'code'").text.tolist() == [
            "What is it?"
        ]


def test_a_reader_neither_stops_a_writer_nor_waits_for_one(path: Path) -> None:
    late = Prompt.from_text("later")
    with closing(Snapshot(path)) as opened, closing(sqlite3.connect(path, timeout=0)) as writer:
        reading = opened.table("calls").batches(["candidate"])
        next(reading)
        writer.execute("begin immediate")
        writer.execute(
            "insert into prompts (prompt_id, messages, text, source) values (?, '[]', 'x', 'y')",
            [late.prompt_id],
        )
        with CallLog(path, read_only=True) as log:  # while a write goes on
            assert log.sql("select count(*) as n from prompts").n[0] == 1
        writer.commit()  # while a reader is in the middle
        rows = list(opened.table("prompts").batches(["prompt_id"]))
        assert sum(map(len, rows)) == 1
    with CallLog(path, read_only=True) as log:
        assert log.sql("select count(*) as n from prompts").n[0] == 2


_READ_ALL = """
import sys
from routerlib.log.call_log import CallLog
with CallLog(sys.argv[1], read_only=True) as log:
    log.summary(), log.outcomes(), log.sql("select * from calls"), log.export(sys.argv[2])
maps = {line.split()[-1] for line in open("/proc/self/maps") if "/" in line and ".so" in line}
print(sorted(each for each in maps if b"sqlite3_prepare_v2" in open(each, "rb").read()))
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of libraries")
def test_no_second_sqlite_is_in_the_process(path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _READ_ALL, str(path), str(tmp_path / "export")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # Python's own module names it, and the library that it stands on has it.
    assert [Path(each).name.split(".")[0] for each in eval(done.stdout)] in (
        ["_sqlite3", "libsqlite3"],
        ["libsqlite3", "_sqlite3"],
        ["_sqlite3"],
    )


@pytest.mark.parametrize(
    "query",
    [
        "select * from sqlite_scan('{path}', 'calls')",
        "attach '{path}' as other (type sqlite)",
        "install sqlite",
        "load sqlite",
    ],
)
def test_a_query_brings_no_sqlite_of_its_own(path: Path, query: str) -> None:
    with (
        CallLog(path, read_only=True) as log,
        pytest.raises(ValueError, match=r"the query over .*logs\.db failed"),
    ):
        log.sql(query.format(path=path))


_READ_ON = """
import sys
from routerlib.log.call_log import CallLog
with CallLog(sys.argv[1], read_only=True) as log:
    print("ready", flush=True)
    while True:
        log.summary(), log.outcomes()
"""


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_reader_that_is_killed_leaves_nothing_behind(
    path: Path, tmp_path: Path, end: signal.Signals
) -> None:
    (tmp_path / "temporary").mkdir()
    before = sorted(each.name for each in tmp_path.iterdir())
    with subprocess.Popen(
        [sys.executable, "-c", _READ_ON, str(path)],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
    ) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(1)
        reader.send_signal(end)
    assert not list((tmp_path / "temporary").iterdir())
    CallLog(path).close()
    assert sorted(each.name for each in tmp_path.iterdir()) == before
