"""History that prompts share is stored once, and read back letter by letter or not at all."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerlib.log.call_log import CallLog
from routerlib.log.check import check_log
from routerlib.log.compact import compact
from routerlib.log.dataset import LogDataset
from routerlib.log.export import export_log
from routerlib.log.rows import prompt_row
from routerlib.log.schema import LogError
from routerlib.records.call import Call, Score, Usage
from routerlib.records.canonical import canonical_json
from routerlib.records.prompt import Prompt
from routerlib.serve.conversations import conversation_of, earlier_turn

SETUP = {"role": "system", "content": "You are a helper with tools. " * 40}
TOOLS = [
    {"type": "function", "function": {"name": f"tool_{n}", "description": "What it does. " * 9}}
    for n in range(8)
]


def step(number: int) -> list[dict[str, Any]]:
    called = {"name": "look_up", "arguments": f'{{"page": {number}}}'}
    call = {"id": f"c{number}", "type": "function", "function": called}
    result = f"page {number}: " + f"line {number} of a long result\n" * 30
    return [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": result},
    ]


def trajectory(n_steps: int) -> list[Prompt]:
    messages = [SETUP, {"role": "user", "content": "Find the page that tells of bridges."}]
    prompts = [Prompt(tuple(messages))]
    for number in range(n_steps):
        messages += step(number)
        prompts.append(Prompt(tuple(messages)))
    return prompts


def chat(n_turns: int) -> list[Prompt]:
    messages: list[dict[str, Any]] = [SETUP]
    prompts = []
    for number in range(n_turns):
        messages.append({"role": "user", "content": f'Question {number}:\n"why?"\t\\ é \x1f'})
        prompts.append(Prompt(tuple(messages)))
        messages.append({"role": "assistant", "content": f"Since {number}. " * 30})
    return prompts


def logged(path: Path, prompts: Sequence[Prompt]) -> Path:
    with CallLog(path) as log:
        log.add_prompts(prompts)
        for prompt in prompts:
            extra = {"tools": TOOLS, "tool_choice": "auto"}
            call = Call(prompt.prompt_id, "small", "b2:x", "ok", "Yes.", Usage(9, 1), extra=extra)
            log.add_call(call, scores=[Score("person", 1.0)])
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return logged(tmp_path / "logs.db", [*trajectory(6), *chat(4)])


def test_what_is_read_is_letter_by_letter_what_was_logged(path: Path) -> None:
    prompts = [*trajectory(6), *chat(4)]
    rows = [prompt_row(prompt) for prompt in prompts]
    with CallLog(path, read_only=True) as log:
        assert log.prompts() == prompts
        told = log.sql("select messages, text from prompts")
        assert told.messages.tolist() == [row["messages"] for row in rows]
        assert told.text.tolist() == [row["text"] for row in rows]
        assert list(log.outcomes().prompts) == [prompt.text for prompt in prompts]
        extra = [json.loads(each) for each in log.sql("select extra from calls").extra]
        assert extra == [{"tools": TOOLS, "tool_choice": "auto"}] * len(prompts)
        assert [each[2] for each in log.unjudged_calls("match")] == prompts
    assert check_log(path) == []


def test_a_message_and_a_list_of_tools_are_stored_once(path: Path) -> None:
    with closing(sqlite3.connect(path)) as log:
        (n_pieces, n_characters) = log.execute(
            "select count(*), sum(length(json)) from pieces"
        ).fetchone()
        (n_in_rows,) = log.execute("select sum(length(messages)) from prompts").fetchone()
    assert n_pieces == 2 + 2 * 6 + (2 * 4 - 1) + 1  # the set-up is the same in both
    assert n_in_rows < 0.1 * n_characters


def test_a_log_of_version_4_trains_the_same_beside_what_is_logged_now(tmp_path: Path) -> None:
    prompts = [*trajectory(3), *chat(3)]
    whole = logged(tmp_path / "whole.db", prompts)
    shared = logged(tmp_path / "shared.db", prompts)
    with closing(sqlite3.connect(whole)) as log:  # rows as they were written before
        log.execute("drop trigger prompts_no_update")
        for prompt in prompts:
            row = prompt_row(prompt)
            told = row["messages"], row["text"], row["prompt_id"]
            log.execute("update prompts set messages = ?, text = ? where prompt_id = ?", told)
        log.commit()
    with CallLog(whole) as old, CallLog(shared) as new:
        assert old.outcomes().prompts == new.outcomes().prompts
        assert old.prompts() == new.prompts()
        new.add_prompts(prompts)
        assert old.add_prompts(prompts) == 0


def test_sealed_exported_and_merged_rows_are_whole(path: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    other = logged(tmp_path / "other.db", [*trajectory(7), *chat(2)])
    compact([path, other], tmp_path / "sealed", before="9999-12-31")
    expected = {prompt.prompt_id: prompt for prompt in [*trajectory(7), *chat(4)]}
    dataset = LogDataset(tmp_path / "sealed", tail=())
    assert {prompt.prompt_id: prompt for prompt in dataset.prompts()} == expected
    assert dataset.check() == []
    extra = dataset.sql("select distinct extra from calls").extra.tolist()
    assert [json.loads(each)["tools"] for each in extra] == [TOOLS]
    with CallLog(path) as log:
        log.add_prompts(trajectory(9)[-1:])
    tail = LogDataset(tmp_path / "sealed", tail=path)
    assert trajectory(9)[-1] in tail.prompts()
    export_log(path, tmp_path / "export")
    told = pq.read_table(tmp_path / "export" / "prompts").to_pydict()
    assert [tuple(json.loads(each)) for each in told["messages"]][:2] == [
        prompt.messages for prompt in trajectory(1)
    ]


def test_a_conversation_is_recognised_in_pieces(tmp_path: Path) -> None:
    from routerlib.records.decision import Decision

    first, second = chat(2)
    with CallLog(tmp_path / "logs.db") as log:
        log.add_prompts([first, second])
        ids = []
        for prompt in (first, second):
            decision = Decision("small", 0.5, 0.0, 1.0, "why", 0.0)
            ids.append(log.add_decision(prompt.prompt_id, decision))
            answer = "Since 0. " * 30
            log.add_call(Call(prompt.prompt_id, "small", "b2:x", "ok", answer, decision_id=ids[-1]))
        turn = earlier_turn(log, second.messages)
        assert turn is not None
        assert turn.decision_id == ids[0]
        assert conversation_of(log, ids[1]) == [ids[1], ids[0]]


@pytest.mark.parametrize(
    "damage",
    [
        "delete from pieces where piece_id = 3",
        "update pieces set json = replace(json, 'page', 'cage') where piece_id = 3",
        "update pieces set hash = 'b2:0' where piece_id = 3",
    ],
    ids=["missing", "altered", "renamed"],
)
@pytest.mark.parametrize(
    "read",
    [
        lambda log: log.prompts(),
        lambda log: log.sql("select messages from prompts"),
        lambda log: list(log.unjudged_calls("match")),
        lambda log: log.export(log.path.with_name("export")),
        lambda log: compact([log.path], log.path.with_name("sealed"), before="9999-12-31"),
    ],
    ids=["prompts", "sql", "unjudged", "export", "compact"],
)
def test_a_missing_or_altered_piece_is_refused(path: Path, damage: str, read: Any) -> None:
    with closing(sqlite3.connect(path)) as log:
        log.execute("pragma foreign_keys = off")
        for verb in ("update", "delete"):
            log.execute(f"drop trigger pieces_no_{verb}")
        log.execute(damage)
        log.commit()
    with CallLog(path) as log, pytest.raises(LogError, match=r"damaged.*routerlib log check"):
        read(log)
    assert any("piece" in complaint for complaint in check_log(path))


def test_pieces_are_only_ever_added(path: Path) -> None:
    with closing(sqlite3.connect(path)) as log, pytest.raises(sqlite3.IntegrityError):
        log.execute("update pieces set json = '{}'")


def test_what_is_undone_leaves_no_piece(tmp_path: Path) -> None:
    with CallLog(tmp_path / "logs.db") as log:
        lost = [*trajectory(3), None]  # the last can't be logged
        with pytest.raises(AttributeError):
            log.add_prompts(lost)  # type: ignore[arg-type]
        assert log.sql("select * from prompts").empty
        log.add_prompts(trajectory(2))
        assert log.prompts() == trajectory(2)


CONTENT = st.text(st.characters(blacklist_categories=("Cs",)), max_size=300)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), CONTENT), min_size=2))
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, str]]
) -> None:
    messages = [{"role": role, "content": words} for role, words in said]
    prompt = Prompt((*messages, {"role": "user", "content": "Why? " * 100}))
    with CallLog(tmp_path_factory.mktemp("any") / "logs.db") as log:
        log.add_prompts([prompt])
        assert log.prompts() == [prompt]
        found = log.sql("select prompt_id, messages, text from prompts").iloc[0]
    assert found.messages == canonical_json([*messages, prompt.messages[-1]])
    assert found.text == prompt.text
