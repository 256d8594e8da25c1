"""A log of any earlier version opens with all its rows, or stays as it was."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from routerlib.log import file as log_file
from routerlib.log import schema
from routerlib.log.call_log import CallLog
from routerlib.log.check import check_log
from routerlib.log.schema import LogError
from routerlib.records.canonical import canonical_json
from routerlib.records.prompt import Prompt

OLD = range(1, schema.VERSION)
SUM = Prompt.from_text("What is 2 + 2?", task="math", reference=4, judge="numeric")
ROWS = f"""
insert into runs (kind, parameters, versions) values ('collect', '{{}}', '{{}}');
insert into prices (candidate, input_usd_per_mtok, output_usd_per_mtok, source, run_id)
    values ('small', 1, 2, 'test', 1);
insert into prompts (prompt_id, messages, text, task, source, reference, judge) values (
    '{SUM.prompt_id}', '{canonical_json([dict(m) for m in SUM.messages])}', '{SUM.text}', 'math',
    'user', '4', 'numeric');
insert into decisions (
    prompt_id, router_hash, candidate, propensity, cost_weight, estimates, reason
) values ('{SUM.prompt_id}', 'b2:r', 'small', 1, 0, '{{}}', 'why');
insert into calls (prompt_id, candidate, params_hash, status, response, input_tokens,
    output_tokens, cached_input_tokens, latency_s, attempts, run_id, decision_id) values
    ('{SUM.prompt_id}', 'small', 'b2:x', 'error', null, null, null, null, 0.5, 4, 1, null),
    ('{SUM.prompt_id}', 'small', 'b2:x', 'ok', 'Answer: 4', 10, 5, 0, 0.5, 1, 1, 1);
insert into scores (call_id, judge, score) values (2, 'numeric', 1.0);
"""


@pytest.fixture
def old_log(tmp_path: Path) -> Callable[[int, str], Path]:
    def make(version: int, rows: str) -> Path:
        path = tmp_path / "logs.db"
        with closing(sqlite3.connect(path)) as old:
            old.executescript("".join(schema.MIGRATIONS[:version]) + rows)
            old.execute(f"pragma application_id = {schema.APPLICATION_ID}")
            old.execute(f"pragma user_version = {version}")
            old.commit()
        return path

    return make


def contents(path: Path, like: Path) -> dict[str, list[tuple]]:
    """Return the rows of a log, in the tables and columns that another one has."""
    query = "select name from sqlite_master where type = 'table' order by name"
    with closing(sqlite3.connect(path)) as log, closing(sqlite3.connect(like)) as other:
        found = {}
        for (table,) in other.execute(query).fetchall():
            columns = [row[1] for row in other.execute(f"pragma table_info({table})")]
            found[table] = log.execute(f"select {', '.join(columns)} from {table}").fetchall()
        return found


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize("rows", ["", ROWS], ids=["empty", "with rows"])
def test_a_log_of_every_earlier_version_opens_with_all_its_rows(
    old_log: Callable[[int, str], Path], version: int, rows: str
) -> None:
    path = old_log(version, rows)
    with CallLog(path) as log:
        assert log.prompts() == ([SUM] if rows else [])
        if rows:
            assert log.outcomes().quality.tolist() == [[1.0]]
            assert log.summary().cost_usd["small"] == pytest.approx(20e-6)
    backup = path.with_name(f"logs.db.v{version}.backup")
    assert contents(path, backup) == contents(backup, backup)
    assert check_log(path) == []


@pytest.mark.parametrize("version", OLD)
def test_a_log_that_was_brought_up_to_date_is_as_strict_as_a_new_one(
    old_log: Callable[[int, str], Path], tmp_path: Path, version: int
) -> None:
    path = old_log(version, ROWS)
    CallLog(path).close()
    CallLog(tmp_path / "new.db").close()
    assert shape(path) == shape(tmp_path / "new.db")
    with (
        closing(sqlite3.connect(path)) as other,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        other.execute("delete from calls")


def shape(path: Path) -> set[tuple]:
    with closing(sqlite3.connect(path)) as log:
        return set(log.execute("select type, name, sql from sqlite_master where sql is not null"))


def test_the_copy_of_the_old_log_is_named_and_opens(
    old_log: Callable[[int, str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = old_log(1, ROWS)
    with caplog.at_level(logging.WARNING):
        CallLog(path).close()
    backup = path.with_name("logs.db.v1.backup")
    assert f"as it was it is kept in {backup}" in caplog.text
    with closing(sqlite3.connect(backup)) as old:
        assert schema.version_of(old) == 1
    assert sorted(each.name for each in path.parent.iterdir()) == ["logs.db", "logs.db.v1.backup"]


def test_an_older_copy_is_never_overwritten(old_log: Callable[[int, str], Path]) -> None:
    path = old_log(1, ROWS)
    path.with_name("logs.db.v1.backup").write_bytes(b"mine")
    CallLog(path).close()
    assert path.with_name("logs.db.v1.backup").read_bytes() == b"mine"
    assert path.with_name("logs.db.v1.backup1").exists()


def test_a_new_log_leaves_no_copy(tmp_path: Path) -> None:
    CallLog(tmp_path / "logs.db").close()
    assert [each.name for each in tmp_path.iterdir()] == ["logs.db"]


@pytest.mark.parametrize("version", OLD)
def test_a_migration_that_fails_leaves_the_log_as_it_was(
    old_log: Callable[[int, str], Path], monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    path = old_log(version, ROWS)
    before = shape(path), contents(path, path)
    broken = (*schema.MIGRATIONS[:-1], schema.MIGRATIONS[-1] + "create table prompts (x);")
    monkeypatch.setattr(log_file, "MIGRATIONS", broken)
    with pytest.raises(LogError, match=r"logs\.db: table prompts already exists"):
        CallLog(path)
    assert (shape(path), contents(path, path)) == before


def test_rows_that_refer_to_nothing_stop_the_migration(
    old_log: Callable[[int, str], Path],
) -> None:
    orphan = "insert into scores (call_id, judge, score) values (99, 'numeric', 1.0);"
    path = old_log(2, f"{ROWS} pragma foreign_keys = off; {orphan}")
    with pytest.raises(LogError, match=r"1 row refers to rows that are not there.*'scores'"):
        CallLog(path)
    with closing(sqlite3.connect(path)) as old:
        assert schema.version_of(old) == 2
