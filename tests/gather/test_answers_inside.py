"""Prompts that hold their own answer are refused, or the answer becomes the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from routerlib.cli import main
from routerlib.gather.collection.collect import collect
from routerlib.gather.importers import import_log
from routerlib.gather.prompts.checks import check_prompts
from routerlib.gather.prompts.files import load_prompts
from routerlib.log.call_log import CallLog
from routerlib.records.answers_inside import tells_its_reference
from routerlib.records.call import CandidateModel
from routerlib.records.prompt import Prompt

ASKED = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "2 + 2?"}]
SAID = {"role": "assistant", "content": "4"}


def lines(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, records)))
    return path


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    return lines(tmp_path / "chats.jsonl", {"messages": ASKED}, {"messages": [*ASKED, SAID]})


def test_a_chat_that_ends_with_the_answer_is_refused_with_its_line_and_the_cure(
    chats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = r"line 2: the last message is the assistant's.* --answers-inside cut"
    for read in (load_prompts, check_prompts):
        with pytest.raises(ValueError, match=expected):
            read(chats)
    for command in (["prompts", "--check"], ["collect", "--prompts"]):
        assert main([*command, str(chats)]) == 1
        assert "every candidate would be shown the answer" in capsys.readouterr().err


def test_an_answer_that_is_cut_off_becomes_the_reference(tmp_path: Path) -> None:
    thought = {**SAID, "content": "<think>5?</think>\n4"}
    path = lines(
        tmp_path / "p.jsonl",
        {"messages": [*ASKED, thought], "judge": "numeric"},
        {"messages": [ASKED[1], SAID, {**ASKED[1], "content": "And 3 + 3?"}, SAID], "reference": 6},
    )
    first, second = load_prompts(path, answers_inside="cut")
    assert (list(first.messages), first.reference) == (ASKED, "4")
    assert (len(second.messages), second.reference) == (3, 6), "its own reference stays"
    assert check_prompts(path, answers_inside="cut").n_judged == 1


def test_the_commands_cut_it_off_where_asked(
    chats: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prompts", "--check", str(chats), "--answers-inside", "cut"]) == 0
    assert "1 copy is left out" in capsys.readouterr().out
    arguments = ["--candidates", "local", "--dry-run", "--log", str(tmp_path / "l.db")]
    cut = ["--answers-inside", "cut"]
    assert main(["collect", "--prompts", str(chats), *arguments, *cut]) == 0


def test_messages_of_the_assistant_alone_ask_nothing(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", {"messages": [SAID]})
    with pytest.raises(ValueError, match="nothing is asked"):
        load_prompts(path, answers_inside="cut")
    with pytest.raises(ValueError, match="must be one of refuse, cut, got 'keep'"):
        load_prompts(path, answers_inside="keep")  # type: ignore[arg-type]


def test_collect_refuses_prompts_that_hold_their_answer(
    log: CallLog, candidates: list[CandidateModel]
) -> None:
    prompts = [Prompt(tuple(ASKED)), Prompt((*ASKED, SAID))]
    with pytest.raises(ValueError, match="1 of 2 prompts end with a message of the assistant"):
        collect(prompts, candidates, log, progress=False)
    assert log.prompts() == []


def test_imports_leave_out_what_was_asked_with_its_answer_and_say_so(
    log: CallLog, tmp_path: Path
) -> None:
    answer = {"choices": [{"message": SAID, "finish_reason": "stop"}]}
    records = [
        {"request": {"model": "m", "messages": messages}, "response": answer}
        for messages in (ASKED, [*ASKED, SAID])
    ]
    report = import_log("openai", lines(tmp_path / "r.jsonl", *records), log)
    assert (report.n_calls, report.n_prompts) == (1, 1)
    assert report.left_out == {"requests that end with the assistant's turn": 1}


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("2 + 2?\nAnswer: 4", 4, True),
        ("2 + 2?\n**The correct answer**: 4.\n", "4", True),
        ("Capital of France?\nOutput: paris", "Paris", True),
        ("Wie viel?\nAnswer: 2,5", {"value": "2,5", "decimal": ","}, True),
        ("2 + 2?\nAnswer:", 4, False),
        ("Yes or no? Answer: yes or no", "no", False),
        ("Answer: 4 was wrong. Why?", 4, False),
        ("A) Rome\nB) Paris", "Paris", False),
        ("2 + 2?\nAnswer: 4", None, False),
    ],
)
def test_a_prompt_whose_last_line_gives_its_reference_is_named(
    text: str, reference: Any, expected: bool, tmp_path: Path
) -> None:
    assert tells_its_reference(Prompt.from_text(text, reference=reference)) == expected
    path = lines(tmp_path / "p.jsonl", {"prompt": text, "reference": reference})
    warning = "1 end with their own reference as the answer: line 1"
    assert (warning in str(check_prompts(path))) == expected


def test_what_is_more_than_text_is_refused_in_a_short_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 300_000}}
    text = {"type": "text", "text": "What is this?"}
    path = lines(tmp_path / "p.jsonl", {"messages": [{"role": "user", "content": [text, image]}]})
    assert main(["prompts", "--check", str(path)]) == 1
    told = capsys.readouterr().err
    assert "line 1: each message needs text, and nothing but text" in told
    assert len(told) < 500


def test_parts_of_a_message_that_are_all_text_are_one_text(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "2 + "}, {"type": "text", "text": "2?"}]
    path = lines(tmp_path / "p.jsonl", {"messages": [{"role": "user", "content": parts}]})
    assert [prompt.text for prompt in load_prompts(path)] == ["2 + 2?"]


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "x", "task": "y" * 100_000},
        {"prompt": "x", "task": ["y" * 100_000]},
        {"prompt": ["x" * 100_000]},
        {"messages": "x" * 100_000},
        {"messages": [{"role": "user", "text": "x" * 100_000}]},
        {"prompt": "x", "extra": "y" * 100_000},
        {"prompt": "x", "judge": "j" * 100_000},
        {"prompt": "x", "judge": "numeric", "reference": ["y" * 100_000]},
        {"prompt": "x", "judge": "letter", "reference": "y" * 100_000},
        {"prompt": "x", "judge": "regex", "reference": "(" * 90 + "y" * 100_000},
        {"prompt": "x", "judge": "contains", "reference": {"y" * 100_000: 1}},
        {"prompt": "x", "judge": "json", "reference": "y" * 100_000},
        {"y" * 100_000: "x"},
    ],
)
def test_an_error_never_quotes_a_whole_file(tmp_path: Path, record: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="line 1") as caught:
        load_prompts(lines(tmp_path / "p.jsonl", record))
    assert len(str(caught.value)) < 700
