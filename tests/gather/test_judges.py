from __future__ import annotations

import json
import math
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from routerlib.cli import main
from routerlib.gather.judges import (
    JUDGES,
    check_reference,
    formulas,
    judge,
    judge_log,
    math_process,
)
from routerlib.gather.judges.answers import (
    answer_text,
    count_words,
    final_answer,
    has_phrase,
    is_same_text,
)
from routerlib.gather.judges.rules import BadReference
from routerlib.log.call_log import CallLog
from routerlib.records.call import Call, Score, Usage
from routerlib.records.prompt import Prompt

DAYS = {"phrases": ["Monday", "Tuesday", "Friday"], "at_least": 2, "max_words": 6}
STORY = {
    "source": "The mill burned down. It stood for 90 years. Nobody knows why it caught fire.",
    "facts": ["mill", ["burned", "burnt"]],
}
TWELVE = {"dataset": "prime_factorization", "entry": {"answer": "2 × 2 × 3", "metadata": {}}}
HALF = {
    "dataset": "fraction_simplification",
    "entry": {
        "answer": "3/4",
        "metadata": {
            "simplified_numerator": 3,
            "simplified_denominator": 4,
            "numerator": 9,
            "denominator": 12,
        },
    },
}
LABELS = {"label": "good", "labels": ["good", "very good", "bad"]}
QUERY = "SELECT name FROM users WHERE age > 30 AND city = 'Oslo'"


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("Answer: 42", "42"),
        ("**Answer:** `42`", "42"),
        ("Let me see.\nAnswer: 41\nNo. Answer: 42\nI hope so.", "42"),
        ("Answer: 42\nAnswer:", "42"),
        ("Answer:\n\n42", "42"),
        ("<answer>42</answer>", "42"),
        ("<final answer> 42 </final answer> as asked", "42"),
        ("So it is\n42", "42"),
        ("Antwort: 42", "42"),
        ("Réponse : 42", "42"),
        ("The answer is \\boxed{42}", "The answer is 42"),
        ("Answer:\n```json\n42\n```", "42"),
        ("", ""),
        (" \n\n", ""),
        ("Answer:", ""),
        ("It is 42. Answer:", "It is 42."),
    ],
)
def test_final_answer_is_the_last_marked_line_or_the_last_line(
    response: str, expected: str
) -> None:
    assert final_answer(response) == expected


def test_answer_text_keeps_all_lines_after_the_mark() -> None:
    assert answer_text("First.\nAnswer:\n1. red\n2. blue") == "1. red\n2. blue"


@pytest.mark.parametrize(
    ("wrong", "gold"),
    [
        ("3.5", "35"),
        ("-7", "7"),
        ("−7", "7"),
        ("- 7", "7"),
        ("-$7", "$7"),
        ("It is -7", "It is 7"),
        ("x = -7", "x = 7"),
        ("-.5", ".5"),
        (".5", "5"),
        ("1/2", "12"),
        ("½", "12"),
        ("12:30", "1230"),
        ("1, 2", "12"),
        ("3 + 4", "34"),
        ("2 × 3", "23"),
        ("10-12", "1012"),
        ("1.234", "1234"),
    ],
)
@pytest.mark.parametrize("judge_name", ["exact", "json"])
def test_marks_that_make_another_number_count(judge_name: str, wrong: str, gold: str) -> None:
    assert not is_same_text(wrong, gold)
    reference: Any = {"value": gold} if judge_name == "json" else gold
    for text, expected in ((wrong, 0), (gold, 1)):
        response = json.dumps({"value": text}) if judge_name == "json" else f"Answer: {text}"
        prompt = Prompt.from_text("?", reference=reference, judge=judge_name)
        assert judge(prompt, response).score == expected


@pytest.mark.parametrize(
    ("got", "gold"),
    [
        ("1,234 km", "1234 km"),
        ("1 234", "1234"),
        ("100, 200", "100,200"),
        ("+7", "7"),
        ("7.", "7"),
        ("10 – 12", "10-12"),
        ("12 : 30", "12:30"),
        ("**1**, **2**", "1, 2"),
        ("F-16", "F16"),
        ("Covid-19", "COVID 19"),
        ("No.5", "No 5"),
        ("(5)", "5"),
        ("हिन्दी ४२", "हिन्दी, ४२."),
    ],
)
def test_other_marks_do_not_count(got: str, gold: str) -> None:
    assert is_same_text(got, gold)


@pytest.mark.parametrize(
    ("name", "reference", "response", "expected"),
    [
        ("exact", "New York", "Answer: new-york.", 1),
        ("exact", ["Bern", "Berne"], "Berne", 1),
        ("exact", 7, "7", 1),
        ("exact", "+", "-", 0),
        ("exact", "+", "+", 1),
        ("exact", "Paris", "Answer: It is Paris", 0),
        ("exact", "Paris", "", 0),
        ("match", "Paris", "Answer: It is Paris.", 1),
        ("match", ["NYC", "New York"], "I would say new-york, of course", 1),
        ("match", "Paris", "Answer: Parisians", 0),
        ("match", 7, "It is 7.", 1),
        ("match", 7, "It is -7.", 0),
        ("match", 7, "It is 3.7", 0),
        ("match", "Paris", "", 0),
        ("math", "1/2", "Answer: $\\frac{2}{4}$", 1),
        ("math", "x^2 + 2x + 1", "Answer: $(x+1)^2$", 1),
        ("math", ["3", "7"], "So the result is 7", 1),
        ("math", "\\frac{\\sqrt{2}}{2}", "\\boxed{1/\\sqrt{2}}", 1),
        ("math", "1/2", "Answer: 0.51", 0),
        ("math", 7, "-7", 0),
        ("math", 7, "no idea", 0),
        ("math", 7, "", 0),
        ("letter", "B", "Answer: B", 1),
        ("letter", "b", "(B) Paris", 1),
        ("letter", "B", "B. Paris", 1),
        ("letter", "B", "The correct answer is B", 1),
        ("letter", "A", "A dog and a cat are B", 0),
        ("letter", "I", "I think the answer is I", 1),
        ("letter", "I", "I think so", 0),
        ("letter", "B", "B or C", 0),
        ("letter", "A", "A) yes (B) no", 0),
        ("letter", "B", "Bern", 0),
        ("letter", "B", "", 0),
        ("letter", {"letter": "B", "options": ["Rome", "Paris"]}, "paris.", 1),
        ("letter", {"letter": "B", "options": ["Rome", "Paris"]}, "Rome", 0),
        ("verbatim", "GUTEN TAG", 'Answer: "GUTEN TAG."', 1),
        ("verbatim", "GUTEN TAG", "Guten Tag", 0),
        ("verbatim", "GUTEN TAG", "", 0),
        ("numeric", 391, "17 * 23 = 391.", 1),
        ("numeric", 391, "Answer: 391 since 17 * 23", 0),
        ("numeric", 1234, "Answer: 1,234 km", 1),
        ("numeric", "3/4", "0.75", 1),
        ("numeric", 42, "٤٢", 1),
        ("numeric", {"value": 3.14, "tolerance": 0.01}, "3.145", 1),
        ("numeric", {"value": 3.14, "tolerance": 0.01}, "3.16", 0),
        ("numeric", 0, "", 0),
        ("numeric", 1, "9" * 5000, 0),
        ("choice", LABELS, "It is good.", 1),
        ("choice", LABELS, "very good", 0),
        ("choice", LABELS, "good or bad", 0),
        ("choice", LABELS, "goodness", 0),
        ("choice", LABELS, "", 0),
        ("contains", ["cat", "dog"], "A dog saw a CAT.", 1),
        ("contains", ["cat", "dog"], "A dog saw a caterpillar", 0),
        ("contains", DAYS, "Answer:\n1. Monday\n2. Friday", 1),
        ("contains", DAYS, "Monday", 0),
        ("contains", DAYS, "Monday Tuesday and so on and so on", 0),
        ("contains", {"phrases": ["cat"], "forbidden": ["sentence"]}, "A cat sentence", 0),
        ("contains", ["cat"], "", 0),
        ("json", {"name": "Ada", "age": 36}, 'Answer: {"age": "36", "name": "ada", "x": 1}', 1),
        ("json", {"name": "Ada"}, '```json\n{\n "name": "Ada"\n}\n```', 1),
        ("json", {"name": "Ada"}, '{"name": "Bob"} {"name": "Ada"}', 0),
        ("json", {"name": "Ada"}, "{'name': 'Ada'}", 0),
        ("json", {"ok": True}, '{"ok": 1}', 0),
        ("json", {"a": {"b": [1, 2]}}, '{"a": {"b": [1, 2]}}', 1),
        ("json", {"name": "Ada"}, "{" * 5000 + '{"a":' * 5000, 0),
        ("json", {"name": "Ada"}, "", 0),
        ("regex", r"^\d{4}$", "Answer: 2024", 1),
        ("regex", r"^\d{4}$", "Answer: 20245", 0),
        ("regex", "x", "", 0),
        ("sql", QUERY, "```sql\nselect name\nfrom users\nwhere age>30 and city='Oslo';\n```", 1),
        ("sql", QUERY, 'SELECT name FROM users WHERE city = "Oslo" AND age > 30', 1),
        ("sql", QUERY, "SELECT name FROM users WHERE city = 'oslo' AND age > 30", 0),
        ("sql", QUERY, "SELECT name FROM users WHERE age >= 30 AND city = 'Oslo'", 0),
        ("sql", [QUERY, "SELECT 1"], "SELECT 1;", 1),
        ("sql", QUERY, "I can't", 0),
        ("sql", QUERY, "", 0),
        ("summary", STORY, "Answer: The mill burnt down after 90 years.", 1),
        ("summary", STORY, "The mill burned down. It was old.", 0),
        ("summary", STORY, "The mill is no more.", 0),
        ("summary", STORY, STORY["source"], 0),
        ("summary", STORY, "", 0),
        ("reasoning_gym", TWELVE, "Answer: 2 x 2 * 3", 1),
        ("reasoning_gym", TWELVE, "12 = 2^2 × 3", 1),
        ("reasoning_gym", TWELVE, "The factors of 12 are 2 × 2 × 3.", 1),
        ("reasoning_gym", TWELVE, "2 × 6", 0),
        ("reasoning_gym", TWELVE, "no idea", 0),
        ("reasoning_gym", TWELVE, "", 0),
        ("reasoning_gym", HALF, "It reduces to 3 / 4.", 1),
        ("reasoning_gym", HALF, "9/12", 0),
        ("reasoning_gym", HALF, "0.75", 0),
        ("reasoning_gym", HALF, "", 0),
    ],
)
def test_each_judge_tells_right_from_wrong(
    name: str, reference: Any, response: str, expected: float
) -> None:
    score = judge(Prompt.from_text("?", reference=reference, judge=name), response)
    assert (score.judge, score.score) == (name, expected), score.rationale


def test_every_judge_has_a_right_and_a_wrong_case_above() -> None:
    mark = test_each_judge_tells_right_from_wrong.pytestmark[0]  # type: ignore[attr-defined]
    seen = {(case[0], case[3]) for case in mark.args[1]}
    assert seen == {(name, expected) for name in JUDGES for expected in (0, 1)}


def test_without_reference_or_judge_nothing_can_be_said() -> None:
    assert math.isnan(judge(Prompt.from_text("?", judge="exact"), "x").score)
    assert math.isnan(judge(Prompt.from_text("?", reference="x"), "x").score)


def test_broken_reference_gives_no_verdict_on_the_response() -> None:
    score = judge(Prompt.from_text("?", judge="numeric", reference="a dozen"), "12")
    assert math.isnan(score.score)
    assert "needs a number" in score.rationale


def test_verifier_that_fails_on_its_own_answer_gives_no_verdict() -> None:
    broken = {"dataset": "prime_factorization", "entry": {"answer": "two", "metadata": {}}}
    prompt = Prompt.from_text("?", judge="reasoning_gym", reference=broken)
    assert math.isnan(judge(prompt, "2 × 3").score)


def test_unknown_judge_is_refused_with_the_names() -> None:
    prompt = Prompt.from_text("?", judge="oracle", reference=1)
    with pytest.raises(ValueError, match=r"judge must be one of exact, .* got 'oracle'"):
        judge(prompt, "1")


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("exact", []),
        ("exact", {"a": 1}),
        ("verbatim", " "),
        ("numeric", True),
        ("numeric", {"value": 3, "tolerance": "much"}),
        ("choice", {"label": "a", "labels": ["b"]}),
        ("choice", "a"),
        ("contains", {"phrases": ["a"], "at_least": 2}),
        ("contains", {}),
        ("json", [1]),
        ("regex", "("),
        ("match", []),
        ("math", {"a": 1}),
        ("letter", "BC"),
        ("letter", {"letter": "C", "options": ["x", "y"]}),
        ("sql", 0.5j),
        ("summary", {"source": "x"}),
        ("reasoning_gym", {"dataset": "countdown", "entry": {}}),
        ("reasoning_gym", {"dataset": "prime_factorization"}),
    ],
)
def test_reference_that_a_judge_cannot_use_is_refused(name: str, reference: Any) -> None:
    with pytest.raises(BadReference, match=f"judge '{name}'"):
        check_reference(name, reference)


def test_verifiers_that_run_a_response_as_code_are_refused() -> None:
    with pytest.raises(BadReference, match="may run a response as code"):
        check_reference("reasoning_gym", {"dataset": "countdown", "entry": {}})


def test_judge_log_grades_each_ok_call_once(tmp_path: Path) -> None:
    prompt = Prompt.from_text("2 + 2?", reference=4, judge="numeric")
    open_question = Prompt.from_text("How are you?")
    with CallLog(tmp_path / "log.db") as log:
        log.add_prompts([prompt, open_question])
        run_id = log.start_run("test", {})
        for each, status, response in [
            (prompt, "ok", "Answer: 4"),
            (prompt, "truncated", "Answer: 4"),
            (open_question, "ok", "Fine"),
        ]:
            call = Call(each.prompt_id, f"m-{status}", "b2:p", status, response=response)
            log.add_call(call, run_id)
        assert judge_log(log, progress=False) == 1
        assert judge_log(log, progress=False) == 0
        assert log.sql("select judge, score from scores").values.tolist() == [["numeric", 1.0]]


def test_judge_log_refuses_an_unknown_judge(tmp_path: Path) -> None:
    with (
        CallLog(tmp_path / "log.db") as log,
        pytest.raises(ValueError, match="judge must be one of"),
    ):
        judge_log(log, "oracle", progress=False)


def test_a_formula_without_end_gives_no_verdict_and_the_next_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(math_process, "ANSWER_S", 1.0)
    endless = Prompt.from_text("?", judge="math", reference=5)
    score = judge(endless, "The final result is $9^{9^{9^{9}}}$")
    assert math.isnan(score.score)
    assert "no verdict within 1 s" in score.rationale
    monkeypatch.setattr(math_process, "ANSWER_S", 60.0)
    assert judge(endless, "Answer: 10/2").score == 1


def test_formulas_are_compared_from_any_thread() -> None:
    prompt = Prompt.from_text("?", judge="math", reference="1/2")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: judge(prompt, f"{i}/{2 * i}").score, range(1, 9)))
    assert found == [1.0] * 8


def test_a_response_never_runs_as_code(tmp_path: Path) -> None:
    prompt = Prompt.from_text("?", judge="math", reference=5)
    target = tmp_path / "written"
    for text in (f"__import__('pathlib').Path('{target}').touch()", "$\\input{/etc/passwd}$"):
        assert judge(prompt, text).score == 0
    assert not target.exists()


def test_without_math_verify_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formulas, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"pip install 'routerlib\[judges\]'"):
        judge(Prompt.from_text("?", judge="math", reference=5), "5")


def test_a_new_judge_looks_at_an_old_log_once_and_calls_nobody(log: CallLog) -> None:
    prompts = [Prompt.from_text(f"{i}?", reference="yes", judge="exact") for i in range(250)]
    log.add_prompts(prompts)
    with log.transaction():
        for prompt in prompts:
            log.add_call(Call(prompt.prompt_id, "m", "b2:p", "ok", response="I say yes."))
    assert judge_log(log, progress=False) == 250
    assert log.outcomes().quality.mean() == 0
    n_calls = len(log.sql("select call_id from calls"))
    assert judge_log(log, "match", progress=False) == 250
    assert judge_log(log, "match", progress=False) == 0
    assert log.outcomes(judge="match").quality.mean() == 1
    assert len(log.sql("select call_id from calls")) == n_calls


def test_ones_own_judge_and_a_common_reference(log: CallLog) -> None:
    prompt = Prompt.from_text("Write JSON")
    log.add_prompts([prompt])
    log.add_call(Call(prompt.prompt_id, "m", "b2:p", "ok", response='{"a": 1}'))
    assert judge_log(log, "regex", progress=False) == 0, "nothing to compare with"
    assert judge_log(log, "regex", progress=False, reference=r"^\{.*\}$") == 1

    def polite(response: str, reference: Any) -> Score:
        return Score("whatever", float("please" in response))

    own = {"polite": polite}
    assert judge_log(log, "polite", progress=False, judges=own, reference=True) == 1
    found = log.sql("select judge, score from scores order by score_id")
    assert found.values.tolist() == [["regex", 1.0], ["polite", 0.0]]


def test_the_command_tells_which_answers_got_no_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "logs.db"
    with CallLog(path) as log:
        for text, reference in (("good", 4), ("none", None), ("neither", None)):
            prompt = Prompt.from_text(text, reference=reference)
            log.add_prompts([prompt])
            log.add_call(Call(prompt.prompt_id, "m", "b2:x", "ok", "Answer: 4", Usage(1, 1)))
    assert main(["judge", "--judge", "numeric", "--log", str(path)]) == 0
    told = capsys.readouterr().out
    assert "1 score written" in told
    assert "2 answers can't be graded: 2 for " in told
    assert "see --reference" in told


@pytest.mark.parametrize("text", ["word and more " * 300_000, "x" * 4_000_000, "a b\n" * 900_000])
@pytest.mark.parametrize("name", ["exact", "match", "contains", "verbatim", "numeric"])
def test_answers_of_megabytes_are_judged_as_wrong_as_short_ones(name: str, text: str) -> None:
    assert JUDGES[name](text, 4 if name == "numeric" else "4").score == 0
    assert JUDGES[name](f"{text}\nAnswer: 4", 4 if name == "numeric" else "4").score == 1


def test_words_are_looked_for_in_little_more_memory_than_the_answer_takes() -> None:
    text = "Answer: " + "word and more " * 50_000
    tracemalloc.start()
    try:
        assert JUDGES["match"](text, "4").score == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(text)


def test_words_are_found_at_the_end_of_a_long_answer() -> None:
    text = "Answer: " + "word " * 10_000 + "New-York"
    assert JUDGES["match"](text, "new york").score == 1


def test_a_phrase_is_found_whole_wherever_it_stands_in_a_long_answer() -> None:
    long = "New-York is large; " * 50_000
    assert has_phrase(f"{long}The end_of it.", "END OF")
    assert has_phrase(f"Paris {long}", "paris new york")
    assert not has_phrase(long, "york new")
    assert not has_phrase(long, "ew york")
    assert count_words(long) == 200_000
