"""Prompts made by name, size and seed are verifiable, distinct and the same everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from routerlib.cli import main
from routerlib.gather.judges import check_reference, judge
from routerlib.gather.prompts.checks import check_prompts
from routerlib.gather.prompts.files import load_prompts
from routerlib.gather.workload import FAMILIES
from routerlib.gather.workload.generators import _GYM, _NOT_REPEATABLE, generate_prompts, generators
from routerlib.records.canonical import tagged_hash

HASHES = """
import json
from routerlib.records.canonical import tagged_hash
from routerlib.gather.workload.generators import _GYM, generate_prompts
made = {name: generate_prompts(name, 3, seed=7) for name in _GYM}
facts = {n: tagged_hash([[p.text, p.reference] for p in ps]) for n, ps in made.items()}
print(json.dumps(facts))
"""


@pytest.mark.parametrize("name", _GYM)
def test_a_generators_own_answer_is_right_and_no_answer_is_wrong(name: str) -> None:
    prompts = generate_prompts(name, 5, seed=3)
    assert len({prompt.prompt_id for prompt in prompts}) == 5
    for prompt in prompts:
        assert prompt.judge
        check_reference(prompt.judge, prompt.reference)
        assert judge(prompt, f"Let me think.\nAnswer: {prompt.reference}").score == 1
        assert judge(prompt, "I don't know.").score == 0


def test_every_generator_makes_the_same_prompts_in_every_process() -> None:
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    run = [sys.executable, "-W", "ignore", "-c", HASHES]
    other = json.loads(subprocess.run(run, env=environment, capture_output=True, check=True).stdout)
    for name in _GYM:
        prompts = generate_prompts(name, 3, seed=7)
        assert other[name] == tagged_hash([[p.text, p.reference] for p in prompts]), name


def test_neighbouring_seeds_share_no_prompt() -> None:
    one, two = (
        {prompt.prompt_id for prompt in generate_prompts("leg_counting", 30, seed)}
        for seed in (1, 2)
    )
    assert not one & two


@pytest.mark.parametrize("name", sorted(_NOT_REPEATABLE))
def test_generators_that_no_seed_pins_down_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="makes other items in every process"):
        generate_prompts(name, 1)


def test_unknown_generators_and_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'gsm_symbolic'"):
        generate_prompts("gsm_symbolik", 1)
    with pytest.raises(ValueError, match="there is no generator 'sudoku'"):
        generate_prompts("sudoku", 1)
    with pytest.raises(ValueError, match="size must be at least 1"):
        generate_prompts("capital", 0)
    with pytest.raises(ValueError, match=r"has only .* distinct prompts"):
        generate_prompts("capital", 10**4)


def test_no_generator_hides_a_family() -> None:
    assert not set(_GYM) & set(FAMILIES)
    assert set(generators().index) == set(_GYM) | set(FAMILIES)


def test_the_command_writes_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "p.jsonl"
    arguments = ["--task", "spell_backward", "--size", "4", "--seed", "1", "--out", str(out)]
    assert main(["prompts", *arguments]) == 0
    assert len(load_prompts(out)) == 4
    assert main(["prompts", "--list"]) == 0
    assert "gsm_symbolic" in capsys.readouterr().out
    assert main(["prompts"]) == 2
    assert "--out" in capsys.readouterr().err


def test_the_command_checks_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "Tell me a story"}\n' * 2 + '{"prompt": "tell me a  story"}\n')
    assert main(["prompts", "--check", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "2 prompts in 3 rows" in shown
    assert "1 copy is left out: line 1 = line 2" in shown
    assert "2 prompts are near-copies in 1 group" in shown
    assert "1 group of 2 prompts: 1 joined as near-copies" in shown


def test_a_field_that_is_nearly_a_known_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "2 + 2?", "refrence": 4, "colour": "red"}\n')
    assert "'refrence' (did you mean 'reference'?)" in str(check_prompts(path))
    assert "colour" not in str(check_prompts(path))


def test_a_check_counts_the_groups_that_a_file_names(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("prompt,group\ncook rice,a\nplay chess,a\ntax law,b\nboil an egg,\n")
    report = check_prompts(path)
    assert [each.group for each in report.prompts] == ["a", "a", "b", None]
    assert "3 prompts name 2 groups, which splits keep together" in str(report)
    assert "unknown fields" not in str(report)


def test_a_misspelled_group_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("prompt,Group\ncook rice,a\n")
    assert "'Group' (did you mean 'group'?)" in str(check_prompts(path))
