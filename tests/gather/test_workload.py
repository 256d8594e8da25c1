from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from routerlib.gather.judges import judge
from routerlib.gather.prompts.files import load_prompts
from routerlib.gather.workload import FAMILIES, make_prompts
from routerlib.log.call_log import CallLog
from routerlib.outcomes.near_duplicates import near_duplicate_groups
from routerlib.records.call import Call, Score
from routerlib.records.prompt import TASKS, Prompt

STORED = Path(__file__).parents[2] / "data" / "prompts.jsonl"
OWN = ["capital", "antonym", "make_json", "language_id", "word_problem", "sql_query", "summarize"]


@cache
def four_of_each() -> tuple[Prompt, ...]:
    return tuple(make_prompts(4, seed=3))


def right_answer(prompt: Prompt) -> str:
    """Write the reference out as a model would."""
    reference: Any = prompt.reference
    match prompt.judge:
        case "contains":
            needed = reference["phrases"][: reference.get("at_least")]
            return ", ".join(needed) + " one two three" * ("min_words" in reference)
        case "choice":
            return str(reference["label"])
        case "json":
            return json.dumps(reference)
        case "summary":
            return " ".join(forms[0] for forms in reference["facts"]) + "."
        case "reasoning_gym":
            return str(reference["entry"]["answer"])
        case _:
            return str(reference[0] if isinstance(reference, list) else reference)


def test_the_reference_is_right_and_an_idle_answer_is_wrong() -> None:
    for prompt in four_of_each():
        assert judge(prompt, f"Answer: {right_answer(prompt)}").score == 1, prompt
        for idle in ("zebra", "", "I don't know.", "1", "Yes"):
            is_one = prompt.judge == "numeric" and prompt.reference == 1
            assert judge(prompt, f"Answer: {idle}").score == (idle == "1" and is_one), prompt


def test_repeating_the_request_earns_nothing() -> None:
    for prompt in four_of_each():
        if prompt.source != "workload/repeat":
            assert judge(prompt, prompt.text).score == 0, prompt


def test_every_prompt_says_where_it_comes_from_and_how_it_is_graded() -> None:
    for prompt in four_of_each():
        family = FAMILIES[prompt.source.removeprefix("workload/")]
        assert (prompt.task, prompt.judge) == (family.task, family.judge)
    assert {family.task for family in FAMILIES.values()} == set(TASKS)


def test_every_first_part_is_balanced_over_families() -> None:
    prompts = four_of_each()
    n_families = len(FAMILIES)
    for start in range(0, len(prompts), n_families):
        sources = {prompt.source for prompt in prompts[start : start + n_families]}
        assert len(sources) == n_families


def test_fewer_prompts_are_the_first_ones_of_more() -> None:
    few = make_prompts(2, seed=5, families=OWN)
    assert make_prompts(4, seed=5, families=OWN)[: len(few)] == few


def test_another_seed_gives_other_prompts() -> None:
    other = {prompt.prompt_id for prompt in make_prompts(4, seed=4)}
    n_shared = sum(prompt.prompt_id in other for prompt in four_of_each())
    assert n_shared < 0.1 * len(other)


def test_prompts_do_not_depend_on_the_hash_seed() -> None:
    program = (
        "from routerlib.gather.workload import make_prompts;"
        f"print([p.prompt_id for p in make_prompts(3, 9, {OWN!r})])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_labels_are_balanced_and_their_place_is_shuffled() -> None:
    for family in ("language_id", "topic"):
        references = [prompt.reference for prompt in make_prompts(40, families=[family])]
        labels = Counter(reference["label"] for reference in references)
        assert max(labels.values()) == min(labels.values())
        first = [reference["labels"][0] == reference["label"] for reference in references]
        assert 0.05 < sum(first) / len(first) < 0.5


def test_no_constant_number_solves_a_family() -> None:
    for name, family in FAMILIES.items():
        if family.judge == "numeric":
            golds = Counter(prompt.reference for prompt in make_prompts(24, families=[name]))
            assert golds.most_common(1)[0][1] <= 6, (name, golds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_family": 0}, "per_family must be at least 1"),
        ({"per_family": 1, "seed": -1}, "seed at least 0"),
        ({"per_family": 1, "families": ["riddles"]}, "family must be one of .* got 'riddles'"),
        ({"per_family": 2000, "families": ["past_tense"]}, "has only .* distinct prompts"),
    ],
)
def test_impossible_requests_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_prompts(**arguments)


def test_the_stored_prompts_are_enough_distinct_and_of_all_families() -> None:
    prompts = load_prompts(STORED)
    counts = Counter(prompt.source for prompt in prompts)
    assert len(prompts) >= 400
    assert set(counts) == {f"workload/{name}" for name in FAMILIES}
    assert len(set(counts.values())) == 1
    n_groups = len(set(near_duplicate_groups([prompt.text for prompt in prompts])))
    assert n_groups > 0.95 * len(prompts)


def test_the_stored_prompts_of_own_families_are_what_the_seed_gives() -> None:
    stored = [p for p in load_prompts(STORED) if p.source.removeprefix("workload/") in OWN]
    made = make_prompts(len(stored) // len(OWN), seed=1, families=OWN)
    assert {p.prompt_id: p for p in made} == {p.prompt_id: p for p in stored}


def test_a_template_of_the_workload_is_one_group_in_prompts_and_logs(log: CallLog) -> None:
    prompts = [prompt for prompt in load_prompts(STORED) if prompt.source != "workload/repeat"][:90]
    named = Prompt.from_text("Once more", source="workload/gcd", extra={"group": "mine"})
    assert {prompt.group for prompt in prompts} == {prompt.source for prompt in prompts}
    assert named.group == "mine"
    for prompt in (*prompts, named):
        log.add_prompts([prompt])
        call = Call(prompt.prompt_id, "small", "b2:x", "ok", "5")
        log.add_call(call, scores=[Score("mine", 1.0)])
    outcomes = log.outcomes()
    assert outcomes.group_ids == tuple(prompt.group for prompt in (*prompts, named))
    assert outcomes.groups.max() == len({prompt.source for prompt in prompts})
