from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routerlib.gather.prompts.checks import check_prompts
from routerlib.gather.prompts.files import load_prompts, prompt_from_record
from routerlib.gather.prompts.saving import save_prompts
from routerlib.records.prompt import TASKS, Prompt

ENDINGS = (".jsonl", ".csv", ".parquet")
TEXT = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXT, values, max_size=3),
    max_leaves=5,
)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    prompt=st.builds(
        Prompt,
        messages=st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": TEXT}),
            min_size=1,
            max_size=3,
        ).map(tuple),
        task=st.sampled_from([None, *TASKS]),
        # Alone in a cell of CSV these two are words, as a person writes them there.
        reference=JSON_VALUES.filter(lambda value: not isinstance(value, bool)),
        source=TEXT,
    )
)
def test_what_is_saved_is_what_loads(tmp_path: Path, ending: str, prompt: Prompt) -> None:
    path = tmp_path / f"prompts{ending}"
    save_prompts(path, [prompt])
    assert load_prompts(path) == [prompt]


def test_csv_reads_plain_and_json_references(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.csv",
        'prompt,task,reference,judge,note\n"Two\nlines",chat,,,x\n1+1?,math,2,numeric,\n'
        "Half?,,3/4,numeric,\n",
    )
    prompts = load_prompts(path)
    assert [(p.text, p.task, p.reference, p.judge) for p in prompts] == [
        ("Two\nlines", "chat", None, None),
        ("1+1?", "math", 2, "numeric"),
        ("Half?", None, "3/4", "numeric"),
    ]


@pytest.mark.parametrize("ending", ENDINGS[1:])
@pytest.mark.parametrize(
    "text", ["true", "false", "null", "NaN", "None", "NA", "007", "1e5", "2024-01-01", "1,5"]
)
def test_words_and_numbers_of_a_cell_stay_as_they_were_written(
    tmp_path: Path, ending: str, text: str
) -> None:
    path = tmp_path / f"p{ending}"
    cells = pd.DataFrame({"prompt": [text], "reference": [text]})
    cells.to_csv(path, index=False) if ending == ".csv" else cells.to_parquet(path)
    (prompt,) = load_prompts(path)
    assert (prompt.text, prompt.reference) == (text, text)


def test_byte_order_mark_blank_lines_and_separators_inside_text_are_fine(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", '\ufeff{"prompt": "a\u2028b"}\r\n\r\n{"prompt": "c"}\r\n')
    assert [prompt.text for prompt in load_prompts(path)] == ["a\u2028b", "c"]


def test_repeated_prompts_are_merged_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(
        tmp_path / "p.jsonl", '{"prompt": "a", "task": "chat"}\n' + '{"prompt": "a"}\n' * 2
    )
    with caplog.at_level(logging.WARNING):
        prompts = load_prompts(path)
    assert [prompt.task for prompt in prompts] == ["chat"]
    assert "2 repeated prompts left out" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.jsonl", "", "is empty"),
        ("p.jsonl", "\n\n", "holds no prompts"),
        ("p.csv", "prompt,task\n", "holds no prompts"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": ', "line 2: not valid JSON"),
        ("p.jsonl", "[" * 100_000, "line 1: not valid JSON"),
        ("p.jsonl", '"just text"', "line 1: expected an object"),
        (
            "p.jsonl",
            '{"text": "a"}',
            "line 1: each row needs 'prompt' or 'messages', got neither in",
        ),
        ("p.jsonl", '{"promt": "a"}', "got neither in ['promt']"),
        ("p.jsonl", '{"prompt": "a", "messages": []}', "got both"),
        ("p.jsonl", '{"prompt": 7}', "'prompt' must be a text, got 7"),
        ("p.jsonl", '{"prompt": "  "}', "line 1: a prompt needs text"),
        ("p.jsonl", '{"messages": "hi"}', "'messages' must be a list"),
        ("p.jsonl", '{"messages": [{"role": "user"}]}', "line 1: each message needs text"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": "b", "task": "poem"}', "own is a topic"),
        ("p.jsonl", '{"prompt": "a", "task": ["chat"]}', "line 1: task must be a text"),
        ("p.jsonl", '{"prompt": "a", "judge": "oracle"}', "line 1: judge must be one of exact"),
        ("p.jsonl", '{"prompt": "a", "judge": "numeric", "reference": "x"}', "needs a number"),
        ("p.jsonl", '{"prompt": "\\ud800"}', "line 1: text must be valid Unicode"),
        ("p.jsonl", b'{"prompt": "a"}\n{"prompt": "\xe9"}', "line 2: not UTF-8"),
        ("p.csv", "text,task\na,chat\n", "line 1: needs a column 'prompt'"),
        ("p.csv", "prompt,task\na,poem\n", "line 2: task must be one of"),
        ("p.csv", 'prompt,task\n"a', "line 2: not valid CSV"),
        ("p.parquet", "nonsense", "not a readable Parquet file"),
        ("p.txt", "a", "stored as .jsonl, .csv, .parquet"),
    ],
)
def test_bad_file_gets_one_line_that_names_the_place(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=r".") as caught:
        load_prompts(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no prompts at .*none\.jsonl"):
        load_prompts(tmp_path / "none.jsonl")
    with pytest.raises(ValueError, match="is a folder"):
        load_prompts(tmp_path)


def test_nothing_is_written_where_there_is_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are no prompts to write"):
        save_prompts(tmp_path / "p.jsonl", [])
    assert list(tmp_path.iterdir()) == []


def test_record_error_names_the_row() -> None:
    record: dict[str, Any] = {"prompt": "a", "task": "poem"}
    with pytest.raises(ValueError, match=r"^row 7: task must be one of"):
        prompt_from_record(record, "row 7")


def test_fewer_than_thirty_groups_are_said_before_anything_is_paid_for(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    rows = [{"prompt": f"{word} {word[::-1]} {n}", "group": f"user {n % 12}"}
            for n, word in enumerate(["river", "stone", "apple", "cloud"] * 10)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = check_prompts(path)
    assert report.n_groups <= 12
    said = f"no verdict can rest on {report.n_groups} groups"
    assert said in str(report)
    assert f"of at least {30 - report.n_groups} other kinds" in str(report)
    path.write_text("".join(json.dumps(row) + "\n" for row in many()))
    assert check_prompts(path).n_groups == 40
    assert "no verdict can rest" not in str(check_prompts(path))


def many() -> list[dict[str, str]]:
    """Return 40 prompts that have nothing in common."""
    rng = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [
        {"prompt": " ".join("".join(rng.choices(letters, k=7)) for _ in range(9))}
        for _ in range(40)
    ]
