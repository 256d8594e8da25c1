"""Prompts of a table are estimated as they are written, or what is wrong with it is told."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import routerlib as rl
from routerlib.outcomes.worlds import make_world

WORLD = make_world(n_prompts=60, n_models=2, kind="price").outcomes


def test_prompts_of_a_csv_file_are_estimated_as_they_are_written(tmp_path: Path) -> None:
    router = rl.KNNRouter().fit(WORLD)
    texts = ["What\nis; that?", "NA", "17"]
    source = tmp_path / "new.csv"
    cells = '"What\nis; that?";1;007\nNA;2;x\n17;3;9\n'
    source.write_text(f"Frage;Zahl;prompt_id\n{cells}", encoding="utf-8-sig")
    assert rl.predict_dataset(router, source, tmp_path / "out", prompt="Frage") == 3
    found = pq.read_table(tmp_path / "out").to_pydict()
    assert found["prompt_id"] == ["007", "x", "9"]
    assert found["quality_m0"] == router.predict(texts).quality[:, 0].tolist()


def test_a_line_for_excel_before_the_header_is_none_of_the_prompts(tmp_path: Path) -> None:
    router = rl.BestSingle().fit(WORLD)
    source = tmp_path / "new.csv"
    # Without the first line the comma would give the header more columns.
    source.write_text("sep=;\r\nprompt;a,b,c\r\nHow many?;0,5\r\n", encoding="utf-8-sig")
    assert rl.predict_dataset(router, source, tmp_path / "out") == 1
    assert pq.read_table(tmp_path / "out").column("row").to_pylist() == [0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("new.csv", b"", "new.csv can't be read as CSV: CSV parse error: Empty CSV file"),
        (
            "new.csv",
            b"prompt,b\na,1,2\n",
            "can't be read as CSV: CSV parse error: Row #2: Expected",
        ),
        ("new.csv", b"prompt\n\xe4\n", "can't be read as CSV: In CSV column #0: Row #2: CSV conv"),
        ("new.csv", b"Frage\na\n", "no column 'prompt', it has Frage: --prompt-column and --top"),
        ("new.csv", b"prompt\n", "new.csv holds no prompts, only columns: there is nothing to est"),
        ("new.parquet", b"", "can't be read as Parquet; prompts to estimate are a Parquet file, a"),
        ("new.jsonl", b'{"prompt": "a"}\n', "[['prompt']].to_csv('new.csv') makes one of JSON"),
    ],
)
def test_what_holds_no_prompts_to_estimate_is_told(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        rl.predict_dataset(rl.BestSingle().fit(WORLD), tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
