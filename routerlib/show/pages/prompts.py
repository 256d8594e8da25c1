"""Write the page of all prompts: to search, to filter, and to read answers side by side."""

from __future__ import annotations

import base64
import json
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from routerlib.evaluation.routing import route_unseen
from routerlib.log import queries
from routerlib.log.judging import IS_ASKED
from routerlib.log.some_prompts import readers_of
from routerlib.records.files import write_atomically
from routerlib.records.thoughts import separate
from routerlib.show.pages.belonging import mark_of, meta
from routerlib.show.pages.notebook import policy, script, style, templates_folder
from routerlib.show.plots.style import candidate_styles

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from routerlib.log.call_log import CallLog
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.router import Router
    from routerlib.show.tables.decisions import Decided

# What one file may hold, packed; what is more goes into further files.
MAX_BYTES = 4_500_000
_MAX_PROMPT, _MAX_ANSWER = 4_000, 2_000
# What is read of an answer: it may have megabytes, and begin with a long thought.
_MOST_READ = 100_000
_N_DIGITS = 4
# As `gzip.compress` packs: as small as it gets, with a head that tells no time.
_GZIP_LEVEL, _GZIP_BITS = 9, 31

# Of more prompts a part is shown: nobody reads them all, and each holds several answers.
MAX_PROMPTS = 20_000

# Identifiers are hashes of the prompts: the first of them are drawn at random, and stay the same.
_ASKED = f"""
select distinct prompt_id from calls where {IS_ASKED} and list_contains($models, candidate)
"""
_CHOSEN = "select prompt_id from asked order by prompt_id limit {MAX_PROMPTS}"
# What is read of the prompts that are shown; answers are read call by call.
_COLUMNS = {
    "calls": dict.fromkeys(("call_id", "prompt_id", "candidate", "status", "run_id"), ""),
    "scores": dict.fromkeys(("score_id", "call_id", "judge", "score"), ""),
    "prompts": dict.fromkeys(("prompt_id", "text", "topic", "task", "reference", "source"), ""),
}
# The last call of each prompt and candidate, one with an answer before one without.
_LAST = f"""
with last_calls as (
    select max_by(call_id, (case when status = 'ok' then 1 else 0 end, call_id)) as call_id
    from calls semi join wanted using (prompt_id)
    where {IS_ASKED} and list_contains($models, candidate)
    group by prompt_id, candidate
), judged as (
    select call_id, avg(score) as score from scores semi join last_calls using (call_id)
    where $judge is null or judge = $judge
    group by call_id
)
select call_id, score from last_calls left join judged using (call_id)
"""
_OF_CALL = ("call_id", "prompt_id", "candidate", "status", "error_type", "finish_reason")
_ANSWER = (*_OF_CALL, "latency_s", "response")
_PROMPTS = """
select prompt_id, text, coalesce(topic, task, 'other'), coalesce(reference, '')
from prompts semi join wanted using (prompt_id)
"""


class Shown(NamedTuple):
    """What the page is about.

    `test`: held-out prompts. `decided`: decisions on the first of them, with reasons.
    `judge`: whose scores count; None = the mean over judges.
    """

    router: Router
    test: Outcomes
    decided: Sequence[Decided]
    judge: str | None = None


def write_prompts(path: str | Path, log: CallLog, shown: Shown) -> list[Path]:
    """Write every prompt of a log with all its answers; more files where one would be too large.

    Each file holds its prompts packed, and unpacks, searches and filters them by its own script:
    no request, and 10,000 prompts stay under 5 MB. Long texts are cut, and say by how much; of more
    than 20,000 prompts so many are drawn, which the page says.

    Returns
    -------
    list of Path
        The files written, the one at `path` first.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    path = Path(path)
    models = list(shown.router.models_)
    rows, n_all = _rows(log, shown)
    parts = _in_parts(models, rows)
    names = [_name(path, number) for number in range(len(parts))]
    own = script("prompts.js")
    environment = Environment(
        loader=FileSystemLoader(templates_folder()), autoescape=True, undefined=StrictUndefined
    )
    template = environment.get_template("prompts.html.j2")
    looks = {name: look.css for name, look in candidate_styles(models).items()}
    n_before = 0
    for name, part in zip(names, parts, strict=True):
        page = template.render(
            style=style(),
            own_style=style("prompts.css"),
            policy=policy([own]),
            script=own.code,
            log_mark=meta(mark_of(log)),
            index=path.name.removesuffix("prompts.html").removesuffix("_") or "index",
            data=part.packed,
            looks=looks,
            span=(n_before + 1, n_before + part.n),
            n_shown=len(rows),
            n_all=n_all,
            pages=names if len(names) > 1 else [],
            this=name,
        )
        write_atomically(path.parent / name, page.encode())
        n_before += part.n
    return [path.parent / name for name in names]


def prompts_page(index: Path) -> Path:
    """Return where the prompts of a report stand: beside it.

    >>> prompts_page(Path("reports/index.html")).name, prompts_page(Path("mine.html")).name
    ('prompts.html', 'mine_prompts.html')
    """
    return index.with_name(
        "prompts.html" if index.stem == "index" else f"{index.stem}_prompts.html"
    )


def _name(path: Path, number: int) -> str:
    return path.name if not number else f"{path.stem}_{number + 1}{path.suffix}"


class _Part(NamedTuple):
    n: int
    packed: str


def _in_parts(models: Sequence[str], rows: list[dict[str, Any]]) -> list[_Part]:
    """Pack rows, halving those that are too large for one file."""
    packed = _packed(models, rows)
    if len(packed) <= MAX_BYTES or len(rows) < 2:
        return [_Part(len(rows), packed)]
    half = math.ceil(len(rows) / 2)
    return [*_in_parts(models, rows[:half]), *_in_parts(models, rows[half:])]


def _packed(models: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Pack rows one after the other: all of them as one text would take a gigabyte."""
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_BITS)
    # Texts of a log may hold halves of characters, which are no valid UTF-8.
    pieces = [
        packer.compress(each.encode("utf-8", errors="replace")) for each in _written(models, rows)
    ]
    return base64.b64encode(b"".join([*pieces, packer.flush()])).decode()


def _written(models: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Write candidates and rows as one JSON value, in pieces."""
    yield f'{{"models":{_json(list(models))},"prompts":['
    for number, row in enumerate(rows):
        yield f"{',' if number else ''}{_json(row)}"
    yield "]}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class _Said(NamedTuple):
    """What is shown of a prompt's answers: a place per candidate, None = never asked."""

    first_call: int
    answers: list[list[Any] | None]


def _rows(log: CallLog, shown: Shown) -> tuple[list[dict[str, Any]], int]:
    """Return one record per prompt that some candidate of the router was asked, and their number.

    Of more than `MAX_PROMPTS` there are records of so many.
    """
    models = list(shown.router.models_)
    with queries.opened(log.source) as reader:
        reader.keep("asked", _ASKED, {"models": models})
        ((n_all,),) = reader.rows("select count(*) from asked")
        chosen = [row[0] for row in reader.rows(_CHOSEN.format(MAX_PROMPTS=MAX_PROMPTS))]
        reader.run("drop view asked; drop table kept_asked")
        known: dict[str, Sequence[str]] = {}
        found: dict[str, _Said] = {}
        for some in readers_of(reader, chosen, _COLUMNS):
            known.update((prompt_id, prompt) for prompt_id, *prompt in some.each(_PROMPTS))
            call_ids, scores = some.arrays(_LAST, {"models": models, "judge": shown.judge})
            score_of = dict(zip(call_ids.tolist(), scores.tolist(), strict=True))
            batches = some.tables["calls"].found_by("call_id", list(score_of), _ANSWER)
            found |= _answers(batches, score_of, models)
    why = {each.prompt: each.why for each in shown.decided}
    tested = _tested(shown, found)
    rows = []
    for prompt_id, said in sorted(found.items(), key=lambda item: item[1].first_call):
        text, task, reference = known[prompt_id]
        rows.append(
            {
                "text": _cut(text, _MAX_PROMPT),
                "task": task,
                "reference": _cut(reference, _MAX_PROMPT),
                "why": why.get(text, ""),
                "answers": said.answers,
                **tested.get(prompt_id, {"goes": -1, "expected": [], "cost": []}),
            }
        )
    return rows, n_all


def _answers(
    batches: Iterable[pa.RecordBatch], score_of: Mapping[int, float], models: Sequence[str]
) -> dict[str, _Said]:
    """Return answer, how it ended, score and seconds per prompt and candidate."""
    found: dict[str, _Said] = {}
    for batch in batches:
        for (
            call_id,
            prompt_id,
            candidate,
            status,
            error_type,
            finish_reason,
            latency_s,
            text,
        ) in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            said = found.get(prompt_id) or _Said(call_id, [None] * len(models))
            ending = next((each for each in (error_type, finish_reason) if each is not None), "")
            ended = "" if status == "ok" else f"{status} {ending}".strip()
            response = text or ""
            answer = separate(response[:_MOST_READ]).answer
            told = _cut(answer, _MAX_ANSWER, max(len(response) - _MOST_READ, 0))
            numbers = map(_number, (score_of[call_id], latency_s))
            said.answers[models.index(candidate)] = [told, ended, *numbers]
            found[prompt_id] = said._replace(first_call=min(said.first_call, call_id))
    return found


def _tested(shown: Shown, found: Container[str]) -> dict[str, dict[str, Any]]:
    """Return where each held-out prompt went when it was tested, and what was expected.

    `found`: prompts that are shown; others aren't asked about.
    """
    models, test = list(shown.router.models_), shown.test
    is_shown = [prompt_id in found for prompt_id in test.prompt_ids]
    test = test.take(np.flatnonzero(is_shown))
    columns = [test.models.index(name) for name in models]
    routed = route_unseen(shown.router, [test])[0]
    quality = routed.estimates.quality[:, columns]
    cost = test.cost_usd[:, columns]
    return {
        prompt_id: {
            "goes": models.index(test.models[routed.arms[row]]),
            "expected": [_number(each) for each in quality[row]],
            "cost": [_number(each) for each in cost[row]],
        }
        for row, prompt_id in enumerate(test.prompt_ids)
    }


def _number(value: float | None) -> float | None:
    if value is None or not np.isfinite(value):
        return None
    return float(f"{value:.{_N_DIGITS}g}")


def _cut(text: str, n_characters: int, n_unread: int = 0) -> str:
    """Cut a text, and say by how much: `n_unread` characters behind it were not read."""
    n_more = max(len(text) - n_characters, 0) + n_unread
    return f"{text[:n_characters]} … ({n_more:,} more characters in the log)" if n_more else text
