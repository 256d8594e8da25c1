"""What the README and the pages beside it say is what the code does."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
import tomllib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

import routerlib as rl
from routerlib.cli import app
from routerlib.gather.calls import faults
from routerlib.gather.candidates.candidates import load_candidates
from routerlib.gather.importers import IMPORTERS
from routerlib.gather.judges import JUDGES
from routerlib.gather.judges.numbers import read_number
from routerlib.gather.prompts.files import COLUMNS, load_prompts, prompt_from_record
from routerlib.gather.workload import FAMILIES
from routerlib.log.call_log import CallLog
from routerlib.log.schema import VERSION, version_of
from routerlib.records.call import CALL_STATUSES, CandidateModel
from routerlib.records.endings import ENDINGS
from routerlib.weights import cache

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# What users read, the README first, by path.
GUIDE = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
# What people read who change the house, and all that names its files.
HOUSE = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("ARCHITECTURE.md", "CONTRIBUTING.md")
}
RESULTS = [path.relative_to(ROOT).as_posix() for path in (ROOT / "benchmarks/results").glob("*.md")]
BESIDE = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("data/README.md", "benchmarks/README.md", "reports/README.md", *sorted(RESULTS))
}
PAGES = GUIDE | HOUSE | BESIDE
LONGEST_README = 180  # lines: a newcomer reads it to the end
DATA_README = (ROOT / "data/README.md").read_text(encoding="utf-8")
PROMPTS = ROOT / "data/prompts.jsonl"
SAMPLE_LOG = ROOT / "data/sample_logs.db"
SAMPLES = (SAMPLE_LOG, ROOT / "data/sample_served.db", ROOT / "data/sample_agent.db")
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def blocks(language: str) -> list[str]:
    """Return the code blocks in one language, page by page, top to bottom."""
    pages = "\n".join(GUIDE.values())
    return re.findall(rf"^```{language}\n(.*?)^```", pages, re.S | re.M)


def section(text: str, title: str) -> str:
    """Return what stands under a title, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", text, re.S | re.M)
    assert found is not None, f"no section {title!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row, heads and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    tables = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return [cells for cells in tables if cells[0].startswith("`")]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", cell)


def links(text: str) -> list[str]:
    """Return the files that a page links to."""
    return re.findall(r"\]\((?!https?:)([^)#]+)", text)


def read_only(path: Path) -> sqlite3.Connection:
    """Open a log without leaving files beside it."""
    assert path.is_file(), f"no {path.name}: it ships with the repository"
    return sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)


# -- README.md and docs/ ----------------------------------------------------------------------


def test_the_readme_is_short_enough_to_be_read_to_the_end() -> None:
    assert len(README.splitlines()) <= LONGEST_README


def test_every_page_is_reached_from_the_readme() -> None:
    assert {page for page in GUIDE if page != "README.md"} <= set(links(README))


@pytest.mark.parametrize("page", PAGES)
def test_what_is_quoted_stands_on_one_line_where_the_checks_see_it(page: str) -> None:
    prose = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.S | re.M)
    assert not [line for line in prose.splitlines() if line.count("`") % 2]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    for target in links(PAGES[page]):
        assert (ROOT / page).parent.joinpath(target).is_file(), f"{page} links to {target}"


def test_python_blocks_run_from_top_to_bottom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    program = blocks("python")
    assert program
    known: dict[str, Any] = {}
    for block in program:
        exec(compile(block, "README.md and docs/", "exec"), known)
    assert known["decision"].model in known["outcomes"].models
    assert known["certified"].training_["certificate"]
    assert known["short"]("It scatters blue light.", 5).score == 1


def test_json_and_yaml_examples_can_be_read(tmp_path: Path) -> None:
    examples = "".join(blocks("json")).splitlines()
    assert examples
    for line in examples:
        assert prompt_from_record(json.loads(line), "README.md").judge
    (example,) = blocks("yaml")
    path = tmp_path / "my_candidates.yaml"
    path.write_text(example, encoding="utf-8")
    expected = [entry["name"] for entry in yaml.safe_load(example)]
    assert [candidate.name for candidate in load_candidates(path)] == expected


def test_numbers_of_prompts_and_families_are_those_of_the_workload() -> None:
    n_prompts, n_families = map(
        int, re.findall(r"(\d+) verifiable prompts of (\d+) task families", README)[0]
    )
    prompts = load_prompts(PROMPTS)
    assert n_prompts == len(prompts)
    assert n_families == len(FAMILIES) == len({prompt.source for prompt in prompts})


def test_size_of_the_weights_is_that_of_the_known_ones() -> None:
    size_gb = sum(known.size_bytes for known in cache.KNOWN.values()) / 1e9
    assert f"({size_gb:.1f} GB" in README


def test_notebooks_are_those_of_the_folder() -> None:
    expected = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {cells[0].strip("`") for cells in rows(section(README, "What you get"))} == expected


def test_ends_of_answers_are_those_that_the_code_knows() -> None:
    told = {
        (word, *cells[1:])
        for cells in rows(section(GUIDE["docs/providers.md"], "How an answer ended"))
        for word in names(cells[0])
    }
    known = {
        (word, row.meaning, row.said_by, row.source)
        for row in ENDINGS
        for word in row.words.split(", ")
    }
    assert told == known


def test_kinds_of_errors_are_those_that_the_code_knows() -> None:
    table = section(GUIDE["docs/providers.md"], "What an error means")
    told = [cells[0].strip("`") for cells in rows(table)]
    others = {faults.WRONG_ADDRESS, faults.LONG_WAIT}
    assert set(told) == {sign.kind for sign in faults.SIGNS} | others
    assert [kind for kind in told if kind not in others] == [sign.kind for sign in faults.SIGNS]


def commands_used() -> list[tuple[str, str, str]]:
    """Return page, command and rest of each `routerlib` call in code blocks and running text."""
    return [
        (page, command, rest)
        for page, text in PAGES.items()
        for line in shell_lines(text)
        for command, rest in re.findall(r"^(?:[A-Z_]+=\S+ )?routerlib ([a-z]+)([^#\n]*)", line)
    ]


def shell_lines(text: str) -> list[str]:
    """Return the lines of a page's shell blocks, and what it quotes on one line."""
    shell = re.findall(r"^```bash\n(.*?)^```", text, re.S | re.M)
    return "".join(shell).splitlines() + names(re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))


def parameters_of(page: str, command: str, rest: str) -> list[Any]:
    """Return the parameters of a command, or of the one of its group that follows."""
    assert command in COMMANDS, f"{page} names `routerlib {command}`, which is not there"
    found = COMMANDS[command]
    if hasattr(found, "commands"):
        name = rest.split()[0]
        assert name in found.commands, f"{page} names `routerlib {command} {name}`"
        found = found.commands[name]
    return found.params  # type: ignore[no-any-return]


def test_commands_and_their_options_exist() -> None:
    for page, command, rest in commands_used():
        parameters = parameters_of(page, command, rest)
        known = {option for each in parameters for option in each.opts}
        options = {word for word in shlex.split(rest) if word.startswith("--")}
        assert options <= known, f"{page}: routerlib {command} has no {options - known}"


def test_every_command_is_named() -> None:
    missing = sorted(set(COMMANDS) - {name for page, name, _ in commands_used() if page in GUIDE})
    assert not missing, f"no page says what `routerlib {missing[0]}` is for"


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", PAGES[page], re.M)) <= targets


def test_python_names_are_the_public_ones() -> None:
    public = sorted(set(rl.__all__) - {"__version__"})
    explained = [cells[0] for cells in rows(section(GUIDE["docs/api.md"], "All names"))]
    assert sorted(name for cell in explained for name in names(cell)) == public
    listed = [line for line in section(README, "From Python").splitlines() if line.startswith("| ")]
    assert sorted(name for line in listed for name in names(line)) == public


def test_every_judge_is_explained_in_order() -> None:
    table = GUIDE["docs/judges.md"].split("| judge | right is | reference |")[1].split("\n\n")[0]
    assert [cells[0].strip("`") for cells in rows(table)] == list(JUDGES)


def test_every_number_is_read_as_its_page_says() -> None:
    table = GUIDE["docs/judges.md"].split("| written | read as |")[1].split("\n\n")[0]
    for written, worth in rows(table):
        forms = re.findall(r"`([^`]+)`", written)
        assert forms, written
        for form in forms:
            number = read_number(form).number
            if worth == "no one number":
                assert number is None, form
            else:
                assert number is not None, form
                value, _, unit = worth.partition(" ")
                assert number.value == Fraction(value), form
                expected = read_number(f"{value} {unit}").number if unit else None
                assert number.unit == (expected.unit if expected else None), form


@pytest.mark.parametrize(
    ("title", "known"),
    [
        ("Prompts", COLUMNS),
        ("Candidates", ["extra", *(field.name for field in fields(CandidateModel))]),
        ("What is kept of a call", CALL_STATUSES),
        ("Bring in what you have already", IMPORTERS),
    ],
)
def test_every_field_status_and_kind_of_import_is_explained(
    title: str, known: Iterable[str]
) -> None:
    explained = rows(section(GUIDE["docs/collecting.md"], title))
    assert sorted(cells[0].strip("`") for cells in explained) == sorted(known)


def test_paths_are_tracked_or_left_out_of_git_on_purpose() -> None:
    table = " ".join(cell for cells in rows(section(README, "What lies where")) for cell in cells)
    paths = [path for path in names(table) if re.fullmatch(r"[\w./-]+/|[\w./-]*\w\.\w+", path)]
    assert "data/sample_logs.db" in paths
    for path in paths:
        assert_kept_or_ignored("README.md", path)


def assert_kept_or_ignored(page: str, path: str) -> None:
    tracked = git("ls-files", "--", path).stdout
    is_ignored = git("check-ignore", "--quiet", "--", path).returncode == 0
    assert tracked or is_ignored, f"{page} names {path}, which is neither kept nor ignored"


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )


# -- ARCHITECTURE.md, CONTRIBUTING.md and others that name files ---------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_files_and_modules_that_a_page_names_are_there(page: str) -> None:
    quoted = names(re.sub(r"^```.*?^```", "", PAGES[page], flags=re.S | re.M))
    folders = r"(?:benchmarks|data|docs|notebooks|reports|routerlib|tests)"
    for path in {name for name in quoted if re.fullmatch(rf"{folders}/[\w./-]*", name)}:
        assert_kept_or_ignored(page, path)
    modules = {name for name in quoted if re.fullmatch(r"routerlib(\.\w+)+", name)}
    for name in modules - {"routerlib.toml"}:  # the file of a project
        assert resolve_name(name) is not None, f"{page} names {name}"


@pytest.mark.parametrize("page", HOUSE)
def test_what_a_recipe_names_stands_in_its_file(page: str) -> None:
    for name, path in re.findall(r"`(\w+)`\s+(?:in|of)\s+`([\w/]+\.py)`", HOUSE[page]):
        assert name in (ROOT / path).read_text(encoding="utf-8"), f"{path} holds no {name}"


def test_rooms_are_explained_from_the_lowest_floor_up() -> None:
    rooms = [cells[0].strip("`") for cells in rows(section(HOUSE["CONTRIBUTING.md"], "The house"))]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [
        each["layers"]
        for each in contracts["contracts"]
        if each["type"] == "layers" and each["containers"] == ["routerlib"]
    ]
    floor_of = {room: -n for n, floor in enumerate(layers) for room in re.findall(r"\w+", floor)}
    del floor_of["__main__"]  # what `python -m routerlib` runs is a file, no room
    assert sorted(rooms) == sorted(floor_of)
    assert rooms == sorted(rooms, key=floor_of.__getitem__)
    drawn = re.findall(r"<b>(\w+)</b>", HOUSE["ARCHITECTURE.md"])
    assert sorted(drawn) == sorted(rooms)


# -- data/README.md ----------------------------------------------------------------------------


def test_columns_of_the_prompt_file_are_explained() -> None:
    keys = {key for line in PROMPTS.read_text().splitlines() for key in json.loads(line)}
    explained = [cells[0].strip("`") for cells in rows(section(DATA_README, "prompts.jsonl"))]
    assert sorted(explained) == sorted(keys)


def test_every_table_and_column_of_the_log_is_explained_in_order(log: CallLog) -> None:
    explained = {
        title: [cells[0].strip("`") for cells in rows(section(DATA_README, title))]
        for title in re.findall(r"^### (\w+)$", DATA_README, re.M)
    }
    log.close()  # so that all of it stands in the one file
    with closing(read_only(log.path)) as connection:
        tables = connection.execute(
            "select name from sqlite_master where type in ('table', 'view')"
        ).fetchall()
        columns = {
            name: [row[1] for row in connection.execute(f"pragma table_info({name})")]
            for (name,) in tables
        }
    assert explained == columns


def test_statuses_are_those_of_calls() -> None:
    (cell,) = (c[1] for c in rows(section(DATA_README, "calls")) if c[0] == "`status`")
    assert tuple(names(cell)) == CALL_STATUSES


def test_families_drawn_by_reasoning_gym_are_named() -> None:
    listed = section(DATA_README, "Origin and licence").split("phrasings:")[1].split(".")[0]
    drawn = [name for name, family in FAMILIES.items() if "_gym" in family.items.__qualname__]
    assert drawn
    assert names(listed) == drawn


def test_models_of_the_sample_log_are_named_with_weights_and_licence() -> None:
    table = rows(section(DATA_README, "Models that answered in the sample log"))
    for candidate, title, licence in table:
        known = cache.KNOWN[candidate.strip("`")]
        assert (title, licence) == (known.title, known.licence)
    with closing(read_only(SAMPLE_LOG)) as connection:
        answered = connection.execute("select distinct candidate from calls").fetchall()
    assert {cells[0].strip("`") for cells in table} == {name for (name,) in answered}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_log_has_the_newest_schema(path: Path) -> None:
    with closing(read_only(path)) as connection:
        assert version_of(connection) == VERSION


@pytest.mark.parametrize("kind", IMPORTERS)
def test_help_and_pages_name_each_kind_of_import(kind: str) -> None:
    told = CliRunner().invoke(app, ["import", "--help"]).output
    assert re.search(rf"\b{re.escape(kind)}\b", " ".join(told.split()))
    assert f"\n## {kind}: " in GUIDE["docs/importing.md"]
