"""Where calls come in, the response is the answer and the thought is kept beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fault_server import FaultServer, candidate_of
from hypothesis import given
from hypothesis import strategies as st
from thinking import MARKS

from routerlib.gather.calls.ask import ask
from routerlib.gather.calls.spoken import SpokenAnswer
from routerlib.gather.collection.collect import collect
from routerlib.gather.importers import import_log
from routerlib.log.call_log import CallLog
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.call import Call
from routerlib.records.prompt import Prompt
from routerlib.records.thoughts import separate
from routerlib.routers.baselines import BestSingle
from routerlib.show.tables.log import example_answers


def _known(text: str) -> Prompt:
    return Prompt.from_text(text, reference=4, judge="numeric")


def heard(pieces: list[str]) -> str:
    shown: list[str] = []
    spoken = SpokenAnswer(shown.append)
    for piece in pieces:
        spoken.hear(piece)
    spoken.end()
    assert "" not in shown
    return "".join(shown)


def test_a_collected_call_is_judged_by_its_answer_and_keeps_its_thought(
    log: CallLog, server: FaultServer
) -> None:
    prompts = [_known(f"tagged{end}") for end in ("", " too long")]
    prompts += [_known("opened in the prompt"), _known("never closed")]
    prompts += [_known("never closed too long")]
    collect(prompts, [candidate_of(server)], log, progress=False)
    found = log.sql(
        "select text, status, coalesce(response, '') as said, "
        "calls.extra ->> '$.thought' as thoughts, score "
        "from calls join prompts using (prompt_id) left join scores using (call_id)"
    ).set_index("text")
    whole = ("Answer: 4", "Answer: 5? No.")
    assert {text: tuple(row) for text, row in found.iloc[:, :3].iterrows()} == {
        "tagged": ("ok", *whole),
        "tagged too long": ("truncated", *whole),
        "opened in the prompt": ("ok", *whole),
        "never closed": ("empty", "", "Answer: 4 perhaps"),
        "never closed too long": ("truncated", "", "Answer: 4 perhaps"),
    }
    assert found.score.dropna().to_dict() == {"tagged": 1.0, "opened in the prompt": 1.0}


def test_who_listens_hears_the_answer_alone(log: CallLog, server: FaultServer) -> None:
    candidate = candidate_of(server)
    router = BestSingle().fit(Outcomes(["a"], ["small"], quality=[[1.0]]))
    pieces: list[str] = []
    said = ask("tagged", router=router, candidates=[candidate], log=log, on_text=pieces.append)
    assert ("".join(pieces), said.text) == ("Answer: 4", "Answer: 4")
    assert (said.call.extra or {})["thought"] == "Answer: 5? No."


@pytest.mark.parametrize("name", MARKS.keys() - {"apriel"})
def test_a_thought_is_not_spoken_however_it_is_cut(name: str) -> None:
    opening, closing, end = MARKS[name]
    answer = "It is 42, and <b>not</b> 41.\n\nSo 42."
    text = f"{opening}Hm, 41?\nNo: a > b.{closing}\n\n{answer}{end}"
    for size in (1, 2, 7, len(text)):
        assert heard([text[i : i + size] for i in range(0, len(text), size)]) == answer
    assert heard(list(text[: text.index(closing)])) == separate(text[: text.index(closing)]).answer


def test_text_without_thoughts_is_handed_on_at_once() -> None:
    shown: list[str] = []
    spoken = SpokenAnswer(shown.append)
    for piece in (" ", "Fo", "ur", " <b>", "\n"):
        spoken.hear(piece)
    assert shown == [" Fo", "ur", " <b>", "\n"]


@given(st.lists(st.text(max_size=8)))
def test_what_is_handed_on_is_all_of_a_text_without_thoughts(pieces: list[str]) -> None:
    assert heard(pieces) == "".join(pieces)


@given(st.lists(st.sampled_from(["<th", "ink>", "</think>", "<", "[", "a", " ", "\n", "<answer>"])))
def test_no_text_is_lost_that_belongs_to_the_answer(pieces: list[str]) -> None:
    shown = iter(heard(pieces))
    answer = "".join(separate("".join(pieces)).answer.split())
    assert all(character in shown for character in answer), "in order, thoughts maybe between"


def test_imported_thoughts_are_kept_apart_and_their_scores_left_out(
    log: CallLog, tmp_path: Path
) -> None:
    sample = {"messages": [{"role": "user", "content": "2 + 2?"}], "model": "m"}
    said = ["<think>5?</think>\n4", "<think>4", "4"]
    records = [
        {**sample, "messages": [*sample["messages"], {"role": "assistant", "content": text}]}
        for text in said
    ]
    path = tmp_path / "chats.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    import_log("openai", path, log)
    found = log.sql("select status, response, extra ->> '$.thought' as thoughts from calls")
    assert found.status.tolist() == ["ok", "empty", "ok"]
    assert found.response.fillna("").tolist() == ["4", "", "4"]
    assert found.thoughts.fillna("").tolist() == ["5?", "4", ""]


def test_examples_show_answers_of_older_logs_without_their_thoughts(log: CallLog) -> None:
    prompt = Prompt.from_text("2 + 2?")
    log.add_prompts([prompt])
    log.add_call(Call(prompt.prompt_id, "m", "b2:x", "ok", "<think>5?</think>\n4"))
    (row,) = example_answers(log).rows
    assert "4" in row
    assert "5?" not in "".join(row)
