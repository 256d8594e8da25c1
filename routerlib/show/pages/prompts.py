"""Write the page of all prompts: to search, to filter, and to read answers side by side."""

from __future__ import annotations

import base64
import gzip
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from routerlib.evaluation.routing import route_unseen
from routerlib.log.judging import IS_ASKED
from routerlib.records.files import write_atomically
from routerlib.records.thoughts import separate
from routerlib.show.pages.belonging import mark_of, meta
from routerlib.show.pages.notebook import policy, script, style, templates_folder
from routerlib.show.plots.style import candidate_styles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

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

# The last call of each prompt and candidate, one with an answer before one without.
_CALLS = f"""
with asked as (
    select prompt_id, candidate,
        max_by(call_id, (case when status = 'ok' then 1 else 0 end, call_id)) as call_id
    from calls where {IS_ASKED} group by all
),
judged as (
    select call_id, avg(score) as score from scores
    where $judge is null or judge = $judge group by call_id
)
select prompt_id, candidate, status, coalesce(error_type, finish_reason, '') as ending,
    substr(response, 1, {_MOST_READ}) as response,
    greatest(length(response) - {_MOST_READ}, 0) as n_unread, latency_s, score
from asked join calls using (prompt_id, candidate, call_id) left join judged using (call_id)
order by call_id
"""
_PROMPTS = "select prompt_id, text, coalesce(topic, task, 'other') as task, reference from prompts"


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
    no request, and 10,000 prompts stay under 5 MB. Long texts are cut, and say by how much.

    Returns
    -------
    list of Path
        The files written, the one at `path` first.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    path = Path(path)
    models = list(shown.router.models_)
    parts = _in_parts(models, _rows(log, shown))
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
            n_all=sum(each.n for each in parts),
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
    packed = _packed({"models": list(models), "prompts": rows})
    if len(packed) <= MAX_BYTES or len(rows) < 2:
        return [_Part(len(rows), packed)]
    half = math.ceil(len(rows) / 2)
    return [*_in_parts(models, rows[:half]), *_in_parts(models, rows[half:])]


def _packed(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Texts of a log may hold halves of characters, which are no valid UTF-8.
    packed = gzip.compress(text.encode("utf-8", errors="replace"), mtime=0)
    return base64.b64encode(packed).decode()


def _rows(log: CallLog, shown: Shown) -> list[dict[str, Any]]:
    """Return one record per prompt that some candidate of the router was asked."""
    models = list(shown.router.models_)
    calls = log.sql(_CALLS.replace("$judge", _quoted(shown.judge)))
    calls = calls[calls.candidate.isin(models)].fillna({"response": "", "n_unread": 0})
    known = log.sql(_PROMPTS).fillna({"reference": ""}).to_dict(orient="records")
    prompts: dict[str, dict[Any, Any]] = {each["prompt_id"]: each for each in known}
    why = {each.prompt: each.why for each in shown.decided}
    tested = _tested(shown)
    rows = []
    for prompt_id, of_prompt in calls.groupby("prompt_id", sort=False):
        prompt = prompts[str(prompt_id)]
        found = tested.get(str(prompt_id), {"goes": -1, "expected": [], "cost": []})
        rows.append(
            {
                "text": _cut(prompt["text"], _MAX_PROMPT),
                "task": prompt["task"],
                "reference": _cut(prompt["reference"], _MAX_PROMPT),
                "why": why.get(prompt["text"], ""),
                "answers": _answers(of_prompt, models),
                **found,
            }
        )
    return rows


def _quoted(judge: str | None) -> str:
    return "null" if judge is None else "'" + judge.replace("'", "''") + "'"


def _answers(calls: pd.DataFrame, models: Sequence[str]) -> list[list[Any] | None]:
    """Return answer, how it ended, score and seconds per candidate; None = never asked."""
    found: list[list[Any] | None] = [None] * len(models)
    for call in calls.to_dict(orient="records"):
        ending = "" if call["status"] == "ok" else f"{call['status']} {call['ending']}".strip()
        said = separate(call["response"]).answer
        answer = _cut(said, _MAX_ANSWER, int(call["n_unread"]))
        found[models.index(str(call["candidate"]))] = [
            answer,
            ending,
            _number(call["score"]),
            _number(call["latency_s"]),
        ]
    return found


def _tested(shown: Shown) -> dict[str, dict[str, Any]]:
    """Return where each held-out prompt went when it was tested, and what was expected."""
    models, test = list(shown.router.models_), shown.test
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
