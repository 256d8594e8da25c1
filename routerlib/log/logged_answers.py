"""Read the answers of a log beside its outcomes, once somebody looks at them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from routerlib.log import counted, queries
from routerlib.outcomes.answers import Answers, Logprobs, Said
from routerlib.records.logprobs import LOGPROBS

# Of a cell asked repeatedly, the answer of the first repeat.
_SHOWN = f"""
select calls.prompt_id, calls.candidate, response,
    json_extract(extra, '$.{LOGPROBS}')::varchar as logprobs
from shown join calls using (call_id)
"""


def logged_answers(
    source: queries.Source,
    prompt_ids: Sequence[str],
    models: Sequence[str],
    judge: str | None = None,
) -> Answers:
    """Return the answers of candidates to prompts, unread as yet.

    Looking at them raises ValueError where the log kept none.
    """
    return Answers(lambda: _read(source, prompt_ids, models, judge), len(prompt_ids))


def _read(
    source: queries.Source, prompt_ids: Sequence[str], models: Sequence[str], judge: str | None
) -> list[Said]:
    with queries.opened(source) as reader:
        reader.keep("shown", counted.ANSWERS, {"judge": judge})
        rows = reader.frame(_SHOWN)
    found: dict[tuple[str, str], tuple[str | None, Logprobs | None]] = {}
    columns = (rows[name].tolist() for name in ("prompt_id", "candidate", "response", "logprobs"))
    for prompt_id, candidate, response, told in zip(*columns, strict=True):
        found[prompt_id, candidate] = response, json.loads(told) if isinstance(told, str) else None
    nothing: tuple[str | None, Logprobs | None] = (None, None)
    said = []
    for prompt_id in prompt_ids:
        cells = [found.get((prompt_id, name), nothing) for name in models]
        said.append(Said(tuple(c[0] for c in cells), tuple(c[1] for c in cells)))
    if said and all(answer is None for each in said for answer in each.answers):
        raise ValueError(
            f"the log {source} kept no answers of {', '.join(models)}, only their scores and "
            "tokens; a cascade learns from answers: collect some, or import a log that has them"
        )
    return said
