"""Whatever a text holds, it is stored and read back as it was, or refused in clear words."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from routerlib.gather.prompts.files import load_prompts
from routerlib.gather.prompts.saving import save_prompts
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, Score
from routerlib.records.prompt import Prompt

MEGABYTE = "äx\0🦜" * (1 << 17)
NASTY = [
    "NUL \0 inside\0",
    "\0",
    "right to left: שלום \u202e مرحبا",
    "emoji 👩‍👩‍👧‍👦🏳️‍🌈",
    "<script>alert('x')</script>",
    "'; drop table prompts; --",
    '"quoted", \\ and, comma',
    "line\nfeed\r\ncarriage\rreturn\u2028separator\x0bvertical\x0c\x1a\x85",
    "\ufeffmark at the start",
    "null",
    "[1, 2]",
    " spaces around \t",
    "a" + "\u0301" * 50,
    "\U0010ffff\ufffe",
]
# Every code point that UTF-8 can write, and more often those that break things.
TEXTS = st.lists(st.sampled_from(NASTY) | st.text(st.characters(codec="utf-8")), min_size=1).map(
    "".join
)
SURROGATES = st.builds(
    lambda before, lone, after: before + chr(lone) + after,
    st.text(max_size=5),
    st.integers(0xD800, 0xDFFF),
    st.text(st.characters(codec="utf-8"), max_size=5),
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> CallLog:
    return CallLog(tmp_path_factory.mktemp("text") / "logs.db")


def each_nasty(test):  # type: ignore[no-untyped-def]
    for text in NASTY:
        test = example(text=text)(test)
    return test


@settings(max_examples=30)
@each_nasty
@given(text=TEXTS.filter(str.strip))
def test_any_text_is_stored_and_read_back_through_every_way(log: CallLog, text: str) -> None:
    stores_verbatim(log, text)


def test_a_megabyte_of_text_is_stored_and_read_back(tmp_path: Path) -> None:
    with CallLog(tmp_path / "logs.db") as log:
        stores_verbatim(log, MEGABYTE)
    for ending in (".jsonl", ".csv", ".parquet"):
        passes_through_file(tmp_path / f"prompts{ending}", MEGABYTE)


def stores_verbatim(log: CallLog, text: str) -> None:
    prompt = Prompt.from_text(text, reference={"gold": text}, source=text, extra={"note": text})
    log.add_prompts([prompt])
    call_id = log.add_call(
        Call(prompt.prompt_id, "small", "b2:x", "ok", text, extra={"raw": text}),
        scores=[Score("person", 1.0, text)],
    )
    assert prompt in log.prompts()  # by sqlite3
    row = log.sql(  # by Arrow and DuckDB
        "select text, source, response, rationale, prompts.extra as told, calls.extra as raw "
        f"from calls join prompts using (prompt_id) join scores using (call_id) "
        f"where call_id = {call_id}"
    ).iloc[0]
    assert [row.text, row.source, row.response, row.rationale] == [text] * 4
    assert [json.loads(row.told), json.loads(row.raw)] == [{"note": text}, {"raw": text}]


def passes_through_file(path: Path, text: str) -> None:
    prompt = Prompt.from_text(text, source="file", topic=text, extra={"note": text})
    save_prompts(path, [prompt])
    assert load_prompts(path) == [prompt]


def test_an_export_holds_every_text_as_it_was(tmp_path: Path) -> None:
    texts = [*NASTY[:1], *NASTY[2:], MEGABYTE]
    with CallLog(tmp_path / "logs.db") as log:
        log.add_prompts(Prompt.from_text(text) for text in texts)
        log.export(tmp_path / "export")
    (part,) = (tmp_path / "export" / "prompts").rglob("*.parquet")
    assert pq.ParquetFile(part).read()["text"].to_pylist() == texts


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
@settings(max_examples=30)
@each_nasty
@given(text=TEXTS.filter(str.strip))
def test_any_text_passes_through_files_of_every_kind(ending: str, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        passes_through_file(Path(folder) / f"prompts{ending}", text)


@settings(max_examples=30)
@given(text=SURROGATES)
def test_a_lone_surrogate_is_refused_wherever_it_stands(log: CallLog, text: str) -> None:
    known = Prompt.from_text("known")
    log.add_prompts([known])
    n_calls = len(log.sql("select call_id from calls"))
    with pytest.raises(ValueError, match="lone surrogate"):
        log.add_prompts([Prompt.from_text(f"x{text}")])
    with pytest.raises(ValueError, match="lone surrogate in 'source'"):
        log.add_prompts([Prompt.from_text("other", source=text)])
    with pytest.raises(ValueError, match="lone surrogate in 'response'"):
        log.add_call(Call(known.prompt_id, "small", "b2:x", "ok", text))
    with pytest.raises(ValueError, match="lone surrogate in 'rationale'"):
        log.add_call(
            Call(known.prompt_id, "small", "b2:x", "ok", "4"), scores=[Score("person", 1.0, text)]
        )
    assert len(log.sql("select call_id from calls")) == n_calls, "nothing may be half written"


@settings(max_examples=20)
@given(text=SURROGATES)
def test_a_lone_surrogate_in_a_file_is_refused_with_its_line(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.jsonl"
        path.write_text(json.dumps({"prompt": "fine"}) + "\n" + json.dumps({"prompt": f"x{text}"}))
        with pytest.raises(ValueError, match=r"p\.jsonl line 2: .*lone surrogate"):
            load_prompts(path)
