"""Prompts of other people's files are read under their own names, and a judge is proposed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fault_server import FaultServer

from routerlib.cli import main
from routerlib.gather.judges.proposing import propose_judge, with_judge
from routerlib.gather.prompts.checks import check_prompts
from routerlib.gather.prompts.files import load_prompts
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, Usage
from routerlib.records.prompt import Prompt

ROWS = [
    {"ask": "What is 17 * 23?", "gold": "391", "about": "sums"},
    {"ask": "What is the capital of France?", "gold": "Paris", "about": "places"},
]
NAMED = {"prompt": "ask", "reference": "gold", "topic": "about"}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as the file's name says."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("name", ["p.jsonl", "p.csv", "p.parquet"])
def test_columns_of_any_name_can_be_named(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, ROWS)
    first, second = load_prompts(path, columns=NAMED)
    assert (first.text, str(first.reference), first.topic) == ("What is 17 * 23?", "391", "sums")
    assert (second.reference, second.extra) == ("Paris", None)
    with pytest.raises(ValueError, match=r"no column 'glod' for 'reference' in .*mean 'gold'\?"):
        load_prompts(path, columns={"prompt": "ask", "reference": "glod"})


def test_a_named_column_goes_before_one_of_our_name_and_groups_can_be_named(tmp_path: Path) -> None:
    rows = [{"gold": "391", "reference": "old", "prompt": "What is 17 * 23?", "make": "sums"}]
    path = write(tmp_path / "p.jsonl", rows)
    (read,) = load_prompts(path, columns={"reference": "gold", "group": "make"})
    assert (read.reference, read.group) == ("391", "sums")


@pytest.mark.parametrize("name", ["p.jsonl", "p.csv", "p.parquet"])
def test_one_column_can_be_several_of_ours(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, ROWS)
    named = {"prompt": "ask", "topic": "about", "group": "about"}
    assert [(each.topic, each.group) for each in load_prompts(path, columns=named)] == [
        ("sums", "sums"),
        ("places", "places"),
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "names", [("prompt", "reference"), ("question", "answer"), ("ask", "gold")]
)
def test_csv_of_any_spreadsheet_is_read(
    tmp_path: Path, separator: str, names: tuple[str, str]
) -> None:
    rows = [names, ("'1; 2|3'?", "a"), ("x", "b")]
    cells = [[f'"{cell}"' for cell in row] for row in rows]
    path = tmp_path / "p.csv"
    path.write_text("".join(separator.join(row) + "\r\n" for row in cells))
    columns = {"prompt": "ask", "reference": "gold"} if names[0] == "ask" else None
    report = check_prompts(path, columns=columns)
    assert [(each.text, each.reference) for each in report.prompts] == [
        ("'1; 2|3'?", "a"),
        ("x", "b"),
    ]
    assert (f"reading {separator!r} between columns" in report.shape) == (separator != ",")


def test_a_single_column_may_hold_what_parts_columns_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("prompt\nfirst; then|this\n")
    assert [each.text for each in load_prompts(path)] == ["first; then|this"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize(
    ("prompt", "reference"),
    [
        ("question", "answer"),
        ("Question", "Answer"),
        ("instruction", "output"),
        ("problem", "solution"),
        ("query", "response"),
        ("input", "target"),
    ],
)
def test_common_shapes_are_recognised_and_said(
    tmp_path: Path, suffix: str, prompt: str, reference: str
) -> None:
    path = write(tmp_path / f"p{suffix}", [{prompt: "What is the sum?", reference: "Paris"}])
    report = check_prompts(path)
    (read,) = report.prompts
    assert (read.text, read.reference) == ("What is the sum?", "Paris")
    assert f"reading {prompt!r} as the prompt and {reference!r} as the reference" in str(report)


def test_chats_evals_and_instructions_with_input_are_put_together(tmp_path: Path) -> None:
    rows = [
        {
            "conversations": [
                {"from": "system", "value": "Be brief."},
                {"from": "human", "value": "Hi"},
            ]
        },
        {"input": [{"role": "user", "content": "2 + 2?"}], "ideal": "4"},
        {"instruction": "Translate.", "input": "Bonjour", "output": "Hello"},
        {"instruction": "Say hi.", "input": "", "output": "Hi"},
    ]
    chat, ideal, task, bare = load_prompts(write(tmp_path / "p.jsonl", rows))
    assert [message["role"] for message in chat.messages] == ["system", "user"]
    assert (ideal.text, ideal.reference) == ("2 + 2?", "4")
    assert (task.text, task.reference) == ("Translate.\n\nBonjour", "Hello")
    assert (bare.text, bare.reference) == ("Say hi.", "Hi")


def test_our_own_names_are_never_reinterpreted(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", [{"prompt": "Hi", "question": "no", "answer": "kept"}])
    (prompt,) = load_prompts(path)
    assert (prompt.text, prompt.reference) == ("Hi", None)
    assert prompt.extra == {"question": "no", "answer": "kept"}


def test_options_beside_a_question_are_not_guessed_at(tmp_path: Path) -> None:
    rows = [{"question": "Which?", "choices": ["a", "b"], "answer": 1}]
    with pytest.raises(ValueError, match="look like multiple choice: write the options of 'choi"):
        load_prompts(write(tmp_path / "p.jsonl", rows))


@pytest.mark.parametrize(
    ("reference", "judge"),
    [
        (391, "numeric"),
        (-2.5, "numeric"),
        ("391", "numeric"),
        ("1,234.5", "numeric"),
        ("50%", "numeric"),
        ("5 km", "numeric"),
        ("3/4", "numeric"),
        ("B", "letter"),
        ({"letter": "A", "options": ["x", "y"]}, "letter"),
        ("Paris", "match"),
        ("New York City", "match"),
        (["Paris", "City of Light"], "match"),
        (r"\frac{x}{2}", "math"),
        ("x = y + 2", "math"),
        ("select name from people", "sql"),
        ({"name": "Ann", "age": 3}, "json"),
        ({"label": "good", "labels": ["good", "bad"]}, "choice"),
        ({"value": 3.14, "tolerance": 0.1}, "numeric"),
        ("It depends on whom you ask and when.", None),
        ("She sells 48 / 2 = 24 clips in May, so 72 in all, and that is the answer.", None),
    ],
)
def test_a_reference_tells_which_judge_fits(reference: Any, judge: str | None) -> None:
    assert propose_judge(reference) == judge


def test_judges_are_proposed_and_taken_only_when_told(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.csv",
        [{"question": "q1?", "answer": "391"}, {"question": "q2?", "answer": "Paris"}],
    )
    report = check_prompts(path)
    assert [prompt.judge for prompt in report.prompts] == [None, None]
    assert "; no answer can be judged without a person or an LLM: that takes" in str(report)
    assert "numeric fits 1 (such as 391), match fits 1 (such as 'Paris'); --judge auto" in str(
        report
    )
    told = check_prompts(path, judge="auto")
    assert [prompt.judge for prompt in told.prompts] == ["numeric", "match"]
    assert "answers of 2 can be judged" in str(told)
    assert "--judge auto" not in str(told)
    with pytest.raises(ValueError, match="judge 'numeric' needs a number"):
        check_prompts(path, judge="numeric")


def test_a_judge_that_a_prompt_names_stays() -> None:
    prompt = Prompt.from_text("q?", reference="391", judge="exact")
    assert with_judge([prompt], "auto") == [prompt]


def test_collect_reads_names_and_takes_the_judge_that_it_is_told(
    tmp_path: Path, server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "p.csv", ROWS)
    pool = tmp_path / "c.yaml"
    pool.write_text(
        f"- {{name: small, model: s, base_url: '{server.url}',"
        " price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}\n"
    )
    server.reply = lambda _: "Answer: 391"
    log_path = tmp_path / "logs.db"
    command = ["--prompts", str(path), "--candidates", str(pool), "--log", str(log_path)]
    named = ["--columns", "prompt=ask,reference=gold"]
    assert main(["collect", *command, *named]) == 0
    shown = capsys.readouterr().out
    assert "2 prompts have a reference but no judge" in shown
    with CallLog(log_path, read_only=True) as log:
        assert log.summary().scored.tolist() == [0]
    assert main(["judge", "--log", str(log_path)]) == 0
    assert "numeric fits 1 (such as 391), match fits 1" in capsys.readouterr().out
    assert main(["judge", "--log", str(log_path), "--judge", "auto"]) == 0
    assert "2 scores written" in capsys.readouterr().out
    fresh = ["--log", str(tmp_path / "fresh.db")]
    assert main(["collect", *command[:-2], *fresh, *named, "--judge", "auto"]) == 0
    with CallLog(tmp_path / "fresh.db", read_only=True) as log:
        assert log.summary().scored.tolist() == [2]
        assert log.summary().quality.tolist() == [0.5]
    assert main(["collect", *command, "--columns", "question"]) == 1
    assert "columns are named as OURS=THEIRS, such as prompt=" in capsys.readouterr().err


def test_answers_that_were_judged_by_hand_keep_their_scores(tmp_path: Path) -> None:
    with CallLog(tmp_path / "logs.db") as log:
        prompt = Prompt.from_text("q?", reference="391")
        log.add_prompts([prompt])
        log.add_call(Call(prompt.prompt_id, "small", "h", "ok", "391", Usage(1, 1)))
    assert main(["judge", "--log", str(tmp_path / "logs.db"), "--judge", "auto"]) == 0
    with CallLog(tmp_path / "logs.db", read_only=True) as log:
        assert log.sql("select judge, score from scores").values.tolist() == [["numeric", 1.0]]
