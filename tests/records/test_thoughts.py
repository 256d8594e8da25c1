from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thinking import ASKED_FOR, MARKS, NEVER_ALONE, TAGS

from routerlib.records.call import Call
from routerlib.records.thoughts import separate, thought_apart

WONDERING = "Maybe 41. Answer: 41? No."
PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>[]◁▷|`"))


def is_plain(text: str) -> bool:
    return not text.lower().startswith(("analysis", "here")) and "assistantfinal" not in text


@pytest.mark.parametrize("name", MARKS)
def test_a_whole_thought_is_taken_out(name: str) -> None:
    opening, closing, end = MARKS[name]
    for gap in ("", "\n", "\n\n", " "):
        text = f"{opening}{gap}{WONDERING}{gap}{closing}{gap}42{end}"
        found = separate(text)
        assert (found.answer, found.thought) == ("42", WONDERING), text


@pytest.mark.parametrize("name", MARKS.keys() - set(NEVER_ALONE))
def test_a_closing_mark_alone_ends_a_thought_that_the_prompt_opened(name: str) -> None:
    _, closing, end = MARKS[name]
    for gap in ("", "\n", "\n\n", " "):
        found = separate(f"{WONDERING}{gap}{closing}{gap}42{end}")
        assert (found.answer, found.thought) == ("42", WONDERING)


@pytest.mark.parametrize("name", MARKS.keys() - set(ASKED_FOR) - {"apriel"})
def test_a_thought_that_is_never_closed_is_no_answer(name: str) -> None:
    gap = "" if name == "bare harmony" else "\n"
    found = separate(f"{MARKS[name][0]}{gap}Answer: 42 perhaps, let me check")
    assert found.is_only_thought
    assert found.thought == "Answer: 42 perhaps, let me check"


@pytest.mark.parametrize("name", ASKED_FOR)
def test_marks_that_a_prompt_may_ask_for_are_an_answer_where_nothing_follows(name: str) -> None:
    opening, closing, _ = MARKS[name]
    for text in (f"{opening} late delivery {closing}", f"{opening} late delivery"):
        assert separate(text) == (text, None)


@pytest.mark.parametrize("name", TAGS)
def test_tags_are_read_in_any_case_and_with_attributes(name: str) -> None:
    opening, closing, _ = MARKS[name]
    assert separate(f"{opening.upper()}{WONDERING}{closing.upper()}42").answer == "42"
    assert separate(f'{opening[:-1]} signature="a">{WONDERING}{closing}42').answer == "42"


@pytest.mark.parametrize("name", set(TAGS) - set(ASKED_FOR))
def test_nested_several_and_late_thoughts_are_taken_out(name: str) -> None:
    opening, closing, _ = MARKS[name]
    nested = f"{opening}a{opening}b{closing}c{closing}42"
    side_by_side = f"{opening}a{closing}\n{opening}b{closing}\n42"
    between = f"{opening}a{closing}\nSo far.\n{opening}\nb\n{closing}\n42"
    after = f"42\n\n{opening}\nWas that right? Answer: 41?\n{closing}"
    cut = f"42\n\n{opening}\nWas that right?"
    answers = [separate(text).answer for text in (nested, side_by_side, between, after, cut)]
    assert answers == ["42", "42", "So far.\n\n42", "42", "42"]


@pytest.mark.parametrize(
    "text",
    [
        "Use the <think> tag.",
        "Write your reasoning between <think> and </think>, then the answer.",
        "Put it into <think>...</think> tags",
        "The </think> tag closes it, as in HTML.",
        "It ends with </think>",
        'Models write "<think>" first and "</think>" last.',
        "It's `</think>`",
        "`<think>` opens a thought.",
        "```\n<think>\nyour reasoning\n</think>\n42\n```",
        'text.split("</think>")[1]',
        "re.sub(r'<think>.*?</think>', '', text)",
        "First:\n<think>\nyour reasoning\n</think>\nThen the answer.",
        "analysis of variance",
        "Analysis: it grows.",
        "I am thinking </of> it",
        "The [THINK] token opens it, the [/THINK] token closes it.",
        "",
        " \n",
    ],
)
def test_an_answer_that_speaks_of_marks_stays_whole(text: str) -> None:
    assert separate(text) == (text, None)


def test_a_thought_that_speaks_of_its_own_marks_ends_at_its_end() -> None:
    text = "<think>They ask what `</think>` and the </think> tag mean.\n</think>\nThey end it."
    assert separate(text).answer == "They end it."
    code = "<think>x = ```py\n</think>\nSo:\n```py\ny\n```"
    assert separate(code).answer == "So:\n```py\ny\n```"


def test_an_empty_pair_is_no_thought_and_leaves_only_the_answer() -> None:
    assert separate("<think>\n\n</think>\n\n42") == ("42", "")
    assert separate("</think>42") == ("42", "")


@pytest.mark.parametrize("wrapper", ["answer", "response", "output"])
def test_what_wraps_all_of_the_answer_goes_with_the_thought(wrapper: str) -> None:
    assert separate(f"<think>a</think>\n<{wrapper}>\n42\n</{wrapper}>").answer == "42"
    alone = f"<{wrapper}>42</{wrapper}>"
    assert separate(alone).answer == alone


@given(PLAIN_TEXT.filter(is_plain), PLAIN_TEXT, st.sampled_from(sorted(MARKS)))
def test_the_answer_comes_out_whatever_was_thought(answer: str, thought: str, name: str) -> None:
    opening, closing, end = MARKS[name]
    if answer.strip() or name not in (*ASKED_FOR, "bare harmony"):
        text = f"{opening}\n{thought}\n{closing}\n{answer}{end}"
        assert separate(text).answer == answer.strip()
    assert separate(answer) == (answer, None)


@given(
    st.lists(
        st.sampled_from(
            [
                "<think>",
                "</think>",
                "[/THINK]",
                "a",
                " ",
                "\n",
                "`",
                "```",
                '"',
                ".",
                "<answer>",
                "</answer>",
                "<|im_end|>",
                "42",
            ]
        )
    ).map("".join)
)
def test_what_is_separated_once_stays(text: str) -> None:
    once = separate(text)
    assert separate(once.answer).answer == once.answer


@pytest.mark.parametrize("piece", ["</think>\n", "<think>a</think>\nb\n", " `</think>`", "<think "])
def test_a_text_of_nothing_but_marks_comes_to_an_end(piece: str) -> None:
    assert len(separate(piece * 20_000).answer) <= len(piece) * 20_000


def test_a_call_keeps_the_thought_beside_its_answer() -> None:
    call = Call("b2:p", "m", "b2:x", "ok", "<think>Hm.</think>\n\n42", extra={"id": 7})
    apart = thought_apart(call)
    assert (apart.status, apart.response) == ("ok", "42")
    assert apart.extra == {"id": 7, "thought": "Hm."}
    assert thought_apart(apart) == apart


@pytest.mark.parametrize(
    ("status", "expected"), [("ok", "empty"), ("truncated", "truncated"), ("error", "error")]
)
def test_a_call_that_only_thought_has_no_answer(status: str, expected: str) -> None:
    apart = thought_apart(Call("b2:p", "m", "b2:x", status, "<think>Answer: 42 perhaps"))
    assert (apart.status, apart.response) == (expected, None)
    assert apart.extra == {"thought": "Answer: 42 perhaps"}


def test_a_call_without_thoughts_stays_as_it_is() -> None:
    for response in (None, "", "42", " 42 "):
        call = Call("b2:p", "m", "b2:x", "ok", response)
        assert thought_apart(call) is call
