from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving import wait_until

from routerlib.log.call_log import CallLog
from routerlib.log.schema import LogError
from routerlib.log.writer import LogWriter
from routerlib.records.call import Call
from routerlib.records.prompt import Prompt


@pytest.fixture
def log(tmp_path: Path) -> Iterator[CallLog]:
    with CallLog(tmp_path / "logs.db") as opened:
        yield opened


def _add(text: str):
    return lambda log: log.add_prompts([Prompt.from_text(text)])


def _texts(log: CallLog) -> list[str]:
    return [text for (text,) in log.lookup("select text from prompts order by text")]


def test_what_is_done_is_on_the_disk_for_every_other_reader(log: CallLog) -> None:
    with LogWriter(log) as writer, CallLog(log.path, read_only=True) as reader:
        for n in range(5):
            assert writer.submit(_add(f"prompt {n}")).result() == 1
            assert len(_texts(reader)) == n + 1


def test_writes_of_many_threads_are_all_kept_in_order_and_share_commits(log: CallLog) -> None:
    commits: list[str] = []
    log._connection.set_trace_callback(lambda sql: commits.append(sql))
    with LogWriter(log) as writer:
        is_first_in = threading.Event()
        may_go_on = threading.Event()

        def first(log: CallLog) -> int:
            is_first_in.set()
            may_go_on.wait(10)
            return log.add_prompts([Prompt.from_text("first")])

        futures = [writer.submit(first)]
        assert is_first_in.wait(10)
        futures += [writer.submit(_add(f"prompt {n:03}")) for n in range(300)]
        may_go_on.set()
        assert [future.result() for future in futures] == [1] * 301
    log._connection.set_trace_callback(None)
    assert _texts(log) == ["first", *(f"prompt {n:03}" for n in range(300))]
    assert sum(sql == "commit" for sql in commits) == 3  # one alone, 256 together, the rest


def test_a_write_that_fails_leaves_nothing_and_harms_nobody(log: CallLog) -> None:
    def half(log: CallLog) -> None:
        log.add_prompts([Prompt.from_text("half done")])
        raise ValueError("changed my mind")

    with LogWriter(log) as writer:
        blocked = threading.Event()
        writer.submit(lambda log: blocked.wait(10))
        futures = [writer.submit(each) for each in (_add("before"), half, _add("after"))]
        blocked.set()
        with pytest.raises(ValueError, match="changed my mind"):
            futures[1].result()
        assert [futures[0].result(), futures[2].result()] == [1, 1]
    assert _texts(log) == ["after", "before"]


def test_a_commit_that_fails_is_told_to_everybody_in_it(log: CallLog) -> None:
    log._connection.execute("pragma busy_timeout = 1")
    other = sqlite3.connect(log.path, isolation_level=None)
    other.execute("begin immediate")
    with LogWriter(log) as writer:
        with pytest.raises(LogError, match="locked"):
            writer.submit(_add("not now")).result()
        other.execute("rollback")
        other.close()
        assert writer.submit(_add("now")).result() == 1
    assert _texts(log) == ["now"]


def test_whoever_stops_waiting_does_not_stop_the_writer(log: CallLog) -> None:
    with LogWriter(log) as writer:
        assert not writer.submit(_add("kept")).cancel()
        assert writer.submit(_add("also kept")).result() == 1
    assert _texts(log) == ["also kept", "kept"]


def _add_and_fail(log: CallLog, text: str) -> None:
    with log.transaction():
        with log.transaction():
            log.add_prompts([Prompt.from_text(text)])
        raise ValueError("changed my mind")


def test_a_block_inside_a_transaction_is_a_part_of_it(log: CallLog) -> None:
    with log.transaction():
        log.add_prompts([Prompt.from_text("outer")])
        with pytest.raises(ValueError, match="changed my mind"):
            _add_and_fail(log, "inner")
        with CallLog(log.path, read_only=True) as reader:
            assert _texts(reader) == []
    assert _texts(log) == ["outer"]
    with pytest.raises(ValueError, match="changed my mind"):
        _add_and_fail(log, "alone")
    assert _texts(log) == ["outer"]


class Text(str):
    """A text of which one can tell whether anybody still holds it."""


def test_nothing_of_a_write_is_held_once_it_is_on_the_disk(log: CallLog) -> None:
    log.add_prompts([prompt := Prompt.from_text("Hi")])
    run_id = log.start_run("test", {})

    def adding(response: Text) -> Callable[[CallLog], int]:
        call = Call(prompt.prompt_id, "small", "p", "ok", response=response, latency_s=0.1)
        return lambda log: log.add_call(call, run_id)

    held: weakref.WeakSet[Text] = weakref.WeakSet()
    with LogWriter(log) as writer:
        for n in range(2):
            held.add(response := Text(f"a long answer {n}"))
            writer.submit(adding(response)).result()
            del response
        wait_until(lambda: not held, "a text that was written is still held")
    held.add(response := Text("written without a writer"))
    adding(response)(log)
    del response
    assert not held
