from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
import tracemalloc
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routerlib.log import schema
from routerlib.log.call_log import CallLog
from routerlib.log.schema import LogError
from routerlib.records.call import Call, CandidateModel, Price, Score, Usage
from routerlib.records.decision import Decision
from routerlib.records.prompt import Prompt
from routerlib.records.situations import Situation

SUM = Prompt.from_text("What is 2 + 2?", task="math", reference=4, judge="numeric")


def _call(status: str = "ok", **known: object) -> Call:
    fields = {"response": "Answer: 4", "usage": Usage(10, 5), "latency_s": 0.5, **known}
    return Call(SUM.prompt_id, "small", "b2:x", status, **fields)  # type: ignore[arg-type]


def test_a_log_is_made_on_first_use_with_its_folder(tmp_path: Path) -> None:
    with CallLog(tmp_path / "new" / "logs.db") as log:
        assert log.prompts() == []
    assert (tmp_path / "new" / "logs.db").exists()


def test_a_prompt_is_stored_once_and_read_back_as_it_was(log: CallLog) -> None:
    assert log.add_prompts([SUM, SUM]) == 1
    assert log.add_prompts([SUM]) == 0
    assert log.prompts() == [SUM]


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(min_size=1).filter(str.strip))
def test_any_text_is_stored_verbatim(log: CallLog, text: str) -> None:
    prompt = Prompt.from_text(text)
    log.add_prompts([prompt])
    log.add_call(Call(prompt.prompt_id, "small", "b2:x", "ok", response=text))
    stored = log.sql("select response from calls order by call_id desc limit 1").response[0]
    assert stored == text
    assert prompt in log.prompts()


def test_a_lone_surrogate_is_refused_with_advice() -> None:
    with pytest.raises(ValueError, match="lone surrogate"):
        _ = Prompt.from_text("bad \ud800 text").prompt_id


def test_what_becomes_known_of_a_prompt_later_is_a_new_row(log: CallLog) -> None:
    asked = Prompt(SUM.messages)
    log.add_prompts([asked])
    call_id = log.add_call(_call())
    assert len(log.unjudged_calls()) == 0
    assert log.add_prompts([SUM]) == 0
    assert log.prompts() == [SUM]
    assert log.sql("select task from prompts").task.tolist() == ["math"]
    assert [found for found, _, _ in log.unjudged_calls()] == [call_id]
    log.add_prompts([asked, SUM])
    assert log.prompts() == [SUM], "less knowledge takes nothing away"
    assert len(log.sql("select * from prompt_facts")) == 1


def test_further_fields_of_a_known_prompt_stay_beside_new_ones(log: CallLog) -> None:
    logged = replace(SUM, extra={"group": "sheet 1", "year": 2024})
    log.add_prompts([logged])
    log.add_prompts([replace(SUM, extra={"user": "b2:a", "year": 2025})])
    log.add_prompts([replace(SUM, extra={"user": "b2:a"}), SUM])
    (known,) = log.prompts()
    assert known.extra == {"group": "sheet 1", "user": "b2:a", "year": 2025}
    assert known.group == "sheet 1"
    assert len(log.sql("select * from prompt_facts")) == 1


def test_a_prompt_keeps_the_situation_that_its_text_tells(log: CallLog) -> None:
    tool = {"type": "function", "function": {"name": "bash"}}
    first, later = Situation.of([tool]), Situation.of([tool, tool], 812)
    asked = replace(SUM, extra=first.kept())
    log.add_prompts([asked, replace(SUM, extra=later.kept())])
    assert log.prompts() == [asked]
    assert log.sql("select text from prompts").text.tolist() == [asked.text]
    assert log.sql("select * from prompt_facts").empty  # so that no judge is asked again


def test_a_corrected_reference_lets_the_judge_look_again(log: CallLog) -> None:
    log.add_prompts([replace(SUM, reference=5)])
    call_id = log.add_call(_call(), scores=[Score("numeric", 0.0)])
    time.sleep(0.002)  # rows are dated to the millisecond
    log.add_prompts([SUM])
    ((found, _, prompt),) = log.unjudged_calls()
    assert (found, prompt.reference) == (call_id, 4)
    log.add_scores(call_id, [Score("numeric", 1.0)])
    assert len(log.unjudged_calls()) == 0
    assert log.summary().quality["small"] == 1.0


def test_the_last_word_of_a_judge_counts(log: CallLog) -> None:
    log.add_prompts([SUM])
    log.add_call(_call(), scores=[Score("person", 1.0), Score("numeric", 1.0)])
    log.add_scores(1, [Score("person", 0.0)])
    assert log.summary().quality["small"] == 0.5


def test_cost_by_query_is_cost_by_price(log: CallLog) -> None:
    log.add_prompts([SUM])
    price = Price(1, 2, cached_input_usd_per_mtok=0.1, cache_write_usd_per_mtok=1.25)
    price = replace(price, cache_write_1h_usd_per_mtok=2)
    log.add_prices([CandidateModel("small", "m", "custom", "http://x", None, price)])
    usages = [
        Usage(10, 5),
        Usage(10, 5, cached_input_tokens=4),
        Usage(10, 0, 100),
        Usage(10, 5, cached_input_tokens=4, cache_write_tokens=5),
        Usage(10, 5, cached_input_tokens=4, cache_write_tokens=50),
        Usage(10, 5, cached_input_tokens=4, cache_write_tokens=5, cache_write_1h_tokens=2),
        Usage(10, 5, cached_input_tokens=4, cache_write_tokens=5, cache_write_1h_tokens=50),
    ]
    for repeat, usage in enumerate(usages):
        log.add_call(_call(usage=usage, repeat=repeat))
    assert price.cost_usd(usages[3]) == pytest.approx((1 + 0.4 + 5 * 1.25 + 10) * 1e-6)
    mixed = (1 + 0.4 + 3 * 1.25 + 2 * 2 + 10) * 1e-6
    assert price.cost_usd(usages[5]) == pytest.approx(mixed)
    assert replace(price, cache_write_1h_usd_per_mtok=None).cost_usd(usages[5]) == pytest.approx(
        price.cost_usd(usages[3])
    )
    assert log.prices() == {"small": price}
    expected = sum(price.cost_usd(usage) for usage in usages)
    assert log.summary().cost_usd["small"] == pytest.approx(expected)


def test_a_row_that_tells_nothing_of_a_cache_costs_the_whole_input(tmp_path: Path) -> None:
    price = Price(1, 2, cached_input_usd_per_mtok=0.1)
    with CallLog(tmp_path / "logs.db") as log:
        log.add_prompts([SUM])
        log.add_prices([CandidateModel("small", "m", "custom", "http://x", None, price)])
        log.add_call(_call(usage=Usage(10, 5)))
    with sqlite3.connect(tmp_path / "logs.db") as other:  # as another program may write it
        names = "prompt_id, candidate, params_hash, status, input_tokens, output_tokens"
        other.execute(f"insert into calls ({names}, repeat) select {names}, 1 from calls")
    with CallLog(tmp_path / "logs.db") as log:
        assert log.summary().cost_usd["small"] == pytest.approx(2 * (10 + 10) * 1e-6)


def test_calls_of_unknown_cost_are_counted(log: CallLog) -> None:
    log.add_prompts([SUM])
    log.add_prices([CandidateModel("small", "m", "custom", "http://x", None, Price(1, 2))])
    log.add_call(_call())
    log.add_call(_call(usage=None, repeat=1))
    assert log.summary().cost_unknown["small"] == 1


def test_a_log_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    with sqlite3.connect(path) as old:
        old.executescript(schema.MIGRATIONS[0])
        old.execute(f"pragma application_id = {schema.APPLICATION_ID}")
        old.execute("pragma user_version = 1")
        old.execute(
            "insert into prompts (prompt_id, messages, text, source) values (?, ?, ?, 'user')",
            (SUM.prompt_id, '[{"content":"What is 2 + 2?","role":"user"}]', SUM.text),
        )
    old.close()
    with pytest.raises(LogError, match="open it once for writing"):
        CallLog(path, read_only=True)
    with CallLog(path) as log:
        assert log.add_prompts([SUM]) == 0
        assert log.prompts() == [SUM]


@pytest.mark.parametrize(
    "table", ["prompts", "prompt_facts", "calls", "scores", "runs", "decisions", "prices"]
)
def test_no_row_is_ever_changed_or_deleted(log: CallLog, table: str) -> None:
    log.add_prompts([Prompt(SUM.messages)])
    log.add_prompts([SUM])
    run_id = log.start_run("collect", {})
    log.add_prices([CandidateModel("small", "m", "custom", "http://x", None, Price(1, 2))], run_id)
    log.add_call(_call(), run_id, [Score("numeric", 1.0)])
    log.add_decision(SUM.prompt_id, Decision("small", 0.5, 0.1, 1.0, "why", 0.0), run_id)
    with sqlite3.connect(log.path) as other:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            other.execute(f"delete from {table}")
        column = other.execute(f"select name from pragma_table_info('{table}')").fetchone()[0]
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            other.execute(f"update {table} set {column} = {column}")
    other.close()


@pytest.mark.parametrize("status", ["truncated", "refused", "empty", "error", "timeout"])
def test_a_failed_call_never_gets_a_score(log: CallLog, status: str) -> None:
    log.add_prompts([SUM])
    with pytest.raises(ValueError, match="only a call with status 'ok'"):
        log.add_call(_call(status), scores=[Score("numeric", 1.0)])
    assert log.sql("select * from calls").empty, "the refused call must not be half written"
    call_id = log.add_call(_call(status))
    with pytest.raises(ValueError, match="only a call with status 'ok'"):
        log.add_scores(call_id, [Score("person", 1.0)])


def test_a_missing_score_is_not_stored_as_zero(log: CallLog) -> None:
    log.add_prompts([SUM])
    log.add_call(_call(), scores=[Score("numeric", float("nan"))])
    assert log.sql("select * from scores").empty


def test_cost_follows_from_tokens_and_the_price_logged_last(log: CallLog) -> None:
    log.add_prompts([SUM])
    cheap = CandidateModel("small", "m", "custom", "http://x", None, Price(1, 2))
    dear = CandidateModel("small", "m", "custom", "http://x", None, Price(100, 200))
    log.add_prices([cheap])
    log.add_call(_call(), scores=[Score("numeric", 1.0)])
    assert log.summary().cost_usd["small"] == pytest.approx((10 * 1 + 5 * 2) / 1e6)
    log.add_prices([dear])
    log.add_prices([dear])
    assert log.summary().cost_usd["small"] == pytest.approx((10 * 100 + 5 * 200) / 1e6)
    assert log.sql("select count(*) as n from prices").n[0] == 2


def test_an_unknown_price_gives_an_unknown_cost_not_zero(log: CallLog) -> None:
    log.add_prompts([SUM])
    log.add_call(_call(), scores=[Score("numeric", 1.0)])
    assert log.summary().cost_usd.isna().all()


def test_cells_with_an_answer_are_finished_and_faults_are_not(log: CallLog) -> None:
    log.add_prompts([SUM])
    for repeat, status in enumerate(["ok", "truncated", "refused", "empty", "error", "timeout"]):
        log.add_call(_call(status, repeat=repeat))
    assert {cell[3] for cell in log.finished_cells()} == {0, 1, 2, 3}


def test_unjudged_calls_are_those_without_that_judges_score(log: CallLog) -> None:
    log.add_prompts([SUM])
    log.add_call(_call(), scores=[Score("numeric", 1.0)])
    second = log.add_call(_call(repeat=1))
    log.add_call(_call("truncated", repeat=2))
    assert [call_id for call_id, _, _ in log.unjudged_calls()] == [second]
    assert len(log.unjudged_calls("person")) == 2


def test_answers_that_wait_for_a_judge_are_not_all_in_memory(log: CallLog) -> None:
    prompt = Prompt.from_text("Tell me everything.", judge="person")
    log.add_prompts([prompt])
    n_calls, n_characters = 100, 200_000
    with log.transaction():
        for number in range(n_calls):
            answer = f"{number} " + "x" * n_characters
            log.add_call(Call(prompt.prompt_id, "small", "b2:x", "ok", answer, repeat=number))
    tracemalloc.start()
    read = [call.response.split()[0] for _, call, _ in log.unjudged_calls() if call.response]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == [str(number) for number in range(n_calls)]
    assert peak < n_calls * n_characters / 2


def test_a_query_that_is_wrong_says_why(log: CallLog) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        log.sql("select nonsense from calls")


def test_columns_keep_their_types_when_the_first_thousands_are_null(log: CallLog) -> None:
    log.add_prompts([SUM])
    for repeat in range(3):
        log.add_call(_call("error", usage=None, response=None, repeat=repeat))
    log.add_call(_call(repeat=3))
    assert log.sql("select sum(input_tokens) as n from calls").n[0] == 10


@pytest.mark.parametrize(
    ("payload", "message"),
    [(b"", "it is empty"), (b"not a database, but some text", "no SQLite file")],
)
def test_a_file_that_is_no_log_is_refused_and_left_alone(
    tmp_path: Path, payload: bytes, message: str
) -> None:
    path = tmp_path / "logs.db"
    path.write_bytes(payload)
    with pytest.raises(LogError, match=message):
        CallLog(path)
    assert path.read_bytes() == payload


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("create table things (x)")
    other.close()
    with pytest.raises(LogError, match="another program's database"):
        CallLog(path)


def test_a_log_that_becomes_newer_while_it_is_open_is_refused(tmp_path: Path) -> None:
    with CallLog(tmp_path / "logs.db") as log:
        log.add_prompts([Prompt.from_text("What is 2 + 3?")])
        with closing(sqlite3.connect(log.path)) as other:
            other.execute("pragma user_version = 99")
        with pytest.raises(LogError, match="has schema 99, this routerlib knows up to"):
            log.sql("select text from prompts")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    CallLog(path).close()
    with sqlite3.connect(path) as other:
        other.execute(f"pragma user_version = {schema.VERSION + 1}")
    other.close()
    with pytest.raises(LogError, match="update routerlib"):
        CallLog(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    CallLog(path).close()
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(LogError, match=r"logs\.db"):
        CallLog(path)


def test_a_missing_log_opened_for_reading_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="there is no log"):
        CallLog(tmp_path / "none.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_write_one_log_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    script = (
        "import sys; from routerlib.log.call_log import CallLog\n"
        "from routerlib.records.call import Call; from routerlib.records.prompt import Prompt\n"
        "log = CallLog(sys.argv[1]); prompt = Prompt.from_text('hi'); log.add_prompts([prompt])\n"
        "for i in range(40):\n"
        "    log.add_call(Call(prompt.prompt_id, sys.argv[2], 'b2:x', 'ok', repeat=i))\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(path), name]) for name in ("a", "b")
    ]
    counts = []
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            counts.append(_count(path))
    assert [writer.returncode for writer in writers] == [0, 0]
    assert counts == sorted(counts), "a reader must never see rows vanish"
    assert _count(path) == 80


def _count(path: Path) -> int:
    try:
        with CallLog(path, read_only=True) as log:
            return int(log.sql("select count(*) as n from calls").n[0])
    except LogError:
        return 0  # not migrated yet by the first writer


_WRITES_ON = """
import sys
from routerlib.log.call_log import CallLog
from routerlib.records.prompt import Prompt
log = CallLog(sys.argv[1])
log.sql("select count(*) from calls")
print("ready", flush=True)
for i in range(2_000):
    log.add_prompts([Prompt.from_text(f"{sys.argv[2]} {i}")])
"""


def test_queries_of_others_never_kill_those_who_write(log: CallLog) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITES_ON, str(log.path), name], stdout=subprocess.PIPE
        )
        for name in "ab"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline()
    while any(writer.poll() is None for writer in writers):
        with CallLog(log.path, read_only=True) as reader:
            reader.sql("select count(*) from prompts")
    assert [writer.wait() for writer in writers] == [0, 0]
    for writer in writers:
        writer.communicate()
    assert log.sql("select count(*) as n from prompts").n[0] == 4_000
