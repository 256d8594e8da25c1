"""The page of prompts holds each with all answers, packed, and nothing in it runs."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import HOSTILE, MODELS

from routerlib.log.call_log import CallLog
from routerlib.log.compact import compact
from routerlib.log.dataset import LogDataset
from routerlib.log.snapshot import LogTable
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call, Score
from routerlib.records.prompt import Prompt
from routerlib.routers.baselines import BestSingle
from routerlib.show.pages import prompts as page_of
from routerlib.show.pages.notebook import script

TEXTS = ("The answer to your question is", "In short:", "It depends on the river,")


def packed(page: Path) -> dict[str, Any]:
    (text,) = re.findall(r'id="packed">([^<]*)<', page.read_text())
    return json.loads(gzip.decompress(base64.b64decode(text)))


def fill(log: CallLog, n: int, long: int = 1) -> None:
    rng = np.random.default_rng(0)
    prompts = [Prompt.from_text(f"What is {i} plus {i * i}?", task="math") for i in range(n)]
    log.add_prompts(prompts)
    for row, prompt in enumerate(prompts):
        for model in ("small", "large"):
            text = f"{TEXTS[row % 3]} " + " ".join(map(str, rng.integers(0, 10**6, long)))
            cost = {"small": 0.001, "large": 0.002}[model]
            call = Call(prompt.prompt_id, model, "h", "ok", text, given_cost_usd=cost)
            log.add_call(call, scores=[Score("exact", float(model == "large" or row % 2))])


def shown(log: CallLog) -> page_of.Shown:
    train, test = Outcomes.from_log(log).split(random_state=0)
    return page_of.Shown(BestSingle().fit(train), test, [])


def test_each_prompt_stands_with_its_answers_scores_and_where_it_went(log: CallLog) -> None:
    fill(log, 40)
    failed = Prompt.from_text("What failed?", task="math")
    log.add_prompts([failed])
    log.add_call(Call(failed.prompt_id, "small", "h", "truncated", "It is", finish_reason="length"))
    about = shown(log)
    (path,) = page_of.write_prompts(log.path.with_name("prompts.html"), log, about)
    data = packed(path)
    assert data["models"] == ["small", "large"]
    assert len(data["prompts"]) == 41
    by_text = {row["text"]: row for row in data["prompts"]}
    for row, text in enumerate(about.test.prompts):
        found = by_text[text]
        assert data["models"][found["goes"]] == "large"
        assert [each[2] for each in found["answers"]] == about.test.quality[row].tolist()
        assert found["cost"] == [0.001, 0.002]
    for text in set(by_text) - set(about.test.prompts):
        assert by_text[text]["goes"] == -1  # learnt from: where it went says nothing
    answer, ending, score, _ = by_text["What failed?"]["answers"][0]
    assert (answer, ending, score) == ("It is", "truncated length", None)
    assert by_text["What failed?"]["answers"][1] is None


def test_of_an_answer_of_any_length_the_beginning_stands_there_with_what_is_left(
    log: CallLog,
) -> None:
    fill(log, 40)
    for number, thought in enumerate(("", f"<think>{'hm ' * 20_000}</think>")):
        prompt = Prompt.from_text(f"Say much {number}.")
        log.add_prompts([prompt])
        answer = f"{thought}{'é' * 150_000}"
        log.add_call(Call(prompt.prompt_id, "small", "h", "ok", answer))
    (path,) = page_of.write_prompts(log.path.with_name("prompts.html"), log, shown(log))
    by_text = {row["text"]: row["answers"][0][0] for row in packed(path)["prompts"]}
    for number in range(2):
        told = "é" * 2000 + " … (148,000 more characters in the log)"
        assert by_text[f"Say much {number}."] == told


def test_scores_are_those_of_the_judge_that_counts(log: CallLog) -> None:
    fill(log, 40)
    (call_id,) = log.lookup("select min(call_id) from calls")[0]
    log.add_scores(call_id, [Score("o'mild", 0.5)])
    for judge, expected in ((None, 0.25), ("o'mild", 0.5), ("exact", 0.0)):
        about = shown(log)._replace(judge=judge)
        (path,) = page_of.write_prompts(log.path.with_name("prompts.html"), log, about)
        assert packed(path)["prompts"][0]["answers"][0][2] == expected


def test_what_does_not_fit_into_one_file_goes_into_further_ones(
    log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log, 60, long=40)
    about = shown(log)
    (whole,) = page_of.write_prompts(log.path.with_name("prompts.html"), log, about)
    rows = packed(whole)["prompts"]
    monkeypatch.setattr(page_of, "MAX_BYTES", len(whole.read_text()) // 4)
    parts = page_of.write_prompts(log.path.with_name("prompts.html"), log, about)
    assert [each.name for each in parts[:2]] == ["prompts.html", "prompts_2.html"]
    assert [row for each in parts for row in packed(each)["prompts"]] == rows
    for each in parts:
        assert all(f'href="{other.name}"' in each.read_text() for other in parts if other != each)


def test_rows_are_packed_one_by_one_as_they_would_be_all_at_once() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"text": f"na\u00efve {row} \ud800", "answers": rng.random(40).tolist()}
        for row in range(400)
    ]
    packed = page_of._packed(["a", "b"], rows)
    text = json.dumps(
        {"models": ["a", "b"], "prompts": rows}, ensure_ascii=False, separators=(",", ":")
    )
    whole = gzip.compress(text.encode("utf-8", errors="replace"), mtime=0)
    assert gzip.decompress(base64.b64decode(packed)) == gzip.decompress(whole)
    assert len(base64.b64decode(packed)) == len(whole)


def test_of_very_many_prompts_some_are_drawn_and_the_page_says_so(
    log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log, 60)
    about = shown(log)
    where = log.path.with_name("prompts.html")
    (whole,) = page_of.write_prompts(where, log, about)
    rows = packed(whole)["prompts"]
    assert "drawn at random" not in whole.read_text()
    monkeypatch.setattr(page_of, "MAX_PROMPTS", 25)
    (page,) = page_of.write_prompts(where, log, about)
    some = packed(page)["prompts"]
    assert "Of 60 prompts 25 are here, drawn at random" in page.read_text()
    assert some == [row for row in rows if row in some]
    assert len(some) == 25
    n_tested = sum(row["goes"] >= 0 for row in some)
    assert 0 < n_tested < 25
    assert packed(page_of.write_prompts(where, log, about)[0])["prompts"] == some


def test_answers_are_read_of_the_shown_prompts_alone_and_of_a_dataset_too(
    log: CallLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log, 60)
    about = shown(log)
    monkeypatch.setattr(page_of, "MAX_PROMPTS", 25)
    asked, read = [], []
    scanner, found_by = LogTable.scanner, LogTable.found_by
    with monkeypatch.context() as patch:

        def scan(table: LogTable, columns: Any = None, filter: Any = None) -> Any:
            asked.extend(columns or ["response"])
            return scanner(table, columns, filter)

        def find(table: LogTable, key: str, values: Any, columns: Any) -> Any:
            for batch in found_by(table, key, values, columns):
                read.extend(batch["call_id"].to_pylist())
                yield batch

        patch.setattr(LogTable, "scanner", scan)
        patch.setattr(LogTable, "found_by", find)
        (page,) = page_of.write_prompts(log.path.with_name("prompts.html"), log, about)
    assert "prompt_id" in asked
    assert "response" not in asked  # a join would hold the answers to all prompts
    assert len(read) == len(set(read)) == 50
    compact([log.path], tmp_path / "sealed", before="9999-12-31")
    dataset = LogDataset(tmp_path / "sealed")
    (sealed,) = page_of.write_prompts(tmp_path / "again" / "prompts.html", dataset, about)
    assert packed(sealed) == packed(page)


def test_ten_thousand_prompts_stay_under_five_megabytes() -> None:
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("etaoinshrdlu"), 6)) for _ in range(3000)])
    rows = [
        {
            "text": " ".join(rng.choice(words, 25)),
            "task": "chat",
            "reference": "",
            "why": "",
            "answers": [[" ".join(rng.choice(words, 20)), "", 1.0, 0.5] for _ in range(3)],
            "goes": 1,
            "expected": [0.5, 0.6, 0.7],
            "cost": [0.001, 0.002, 0.003],
        }
        for _ in range(10_000)
    ]
    parts = page_of._in_parts(["a", "b", "c"], rows)
    assert len(parts) == 1
    assert len(parts[0].packed) < page_of.MAX_BYTES < 5_000_000


def test_nothing_that_a_log_contains_runs(hostile_index: Path) -> None:
    path = hostile_index.with_name("prompts.html")
    page = path.read_text()
    assert "<img src=x" not in page
    assert re.findall(r"<script>(.*?)</script>", page, re.S) == [script("prompts.js").code]
    assert script("prompts.js").source in page.replace("&#39;", "'")
    assert not re.search(r"(?:src|href|url\()\s*=?\s*[\"']?(?:https?:)?//", page)
    data = packed(path)
    assert data["models"] == list(MODELS)
    assert any(HOSTILE in row["text"] for row in data["prompts"])
    assert 'href="prompts.html"' in hostile_index.read_text()
