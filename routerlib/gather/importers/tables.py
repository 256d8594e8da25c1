"""Read a wide table: one row per prompt, one score column per model."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routerlib.gather.importers.records import Imported, Options, origin, params_hash
from routerlib.records.call import Call, Score, Usage
from routerlib.records.canonical import plain_json
from routerlib.records.prompt import TASKS, Prompt

if TYPE_CHECKING:
    import pandas as pd

_COST = re.compile(r"(?:(?P<before>.+)[ _:]cost(?:_usd)?|cost(?:_usd)?[ _:](?P<after>.+))")
# What is never a model's score, by a word of its column's name.
_NO_SCORE = re.compile(
    r"(?:.*[ _:-])?(?:costs?|dollars?|usd|eur|euros?|cents?|prices?|tokens?|tok|seconds?|secs?|ms|"
    r"time|latency|duration)(?:[ _:-].*)?",
    re.IGNORECASE,
)
# Columns with a meaning of their own, besides prompt, topic, scores and costs.
_KNOWN = ("task", "reference", "judge", "source")
# A usual rule of thumb for English; it is only used for estimates that are marked as such.
_CHARACTERS_PER_TOKEN = 4


def read_table(path: Path, options: Options) -> Iterator[Imported]:
    """Yield one call per prompt and model with a score; the answers are not in such a table.

    Columns ``<model> cost_usd``, ``<model>_cost`` or ``cost_usd_<model>`` hold what a call cost.
    `Options.costs` names others. A column that by its name holds money, tokens or time is not
    taken for a score unless `Options.scores` says so. A missing score is no call.
    Further columns are kept with the prompt.
    """
    frame = _read_frame(path)
    if options.prompt not in frame:
        raise ValueError(
            f"{path} has no column {options.prompt!r}; it has {', '.join(map(str, frame))}"
        )
    costs = {**_cost_columns(frame, options), **options.costs}
    models = _score_columns(frame, path, options, costs)
    pairs = ", ".join(f"{model} = {column}" for model, column in costs.items())
    options.understood.append(f"scores of {', '.join(models)}; costs: {pairs or 'none'}")
    seen: Counter[tuple[str, str]] = Counter()
    for number, row in enumerate(frame.to_dict("records"), start=1):
        where = f"{path} row {number}"
        prompt = _prompt(row, [*models, *costs.values()], where, path, options)
        for model in models:
            if row[model] is None or math.isnan(row[model]):
                continue
            score = _in_range(row[model], model, where)
            repeat = seen[prompt.prompt_id, model]
            seen[prompt.prompt_id, model] += 1
            call = _call(prompt, model, repeat, row.get(costs.get(model)), options, where)
            yield Imported(prompt, call, (Score(options.judge, score),))


def _read_frame(path: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() == ".csv":
            frame = pd.read_csv(path)
        elif path.suffix.lower() == ".parquet":
            frame = pq.ParquetFile(path).read().to_pandas()
        else:
            raise ValueError("a table is a .parquet or a .csv file")
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ValueError(f"{path} can't be read as a table: {str(error).splitlines()[0]}") from (
            error
        )
    if frame.empty:
        raise ValueError(f"{path} has no rows")
    if frame.columns.has_duplicates:
        raise ValueError(
            f"{path} has a column {frame.columns[frame.columns.duplicated()][0]!r} twice"
        )
    return frame


def _cost_columns(frame: pd.DataFrame, options: Options) -> dict[str, str]:
    """Return the cost column of each model that has one by its name."""
    found = {}
    for column in map(str, frame):
        match = _COST.fullmatch(column)
        if match and column not in {*options.scores, *options.costs.values()}:
            found[match["before"] or match["after"]] = column
    return found


def _score_columns(
    frame: pd.DataFrame, path: Path, options: Options, costs: Mapping[str, str]
) -> list[str]:
    taken = {options.prompt, options.topic, *costs.values(), *_KNOWN}
    names = list(options.scores) or [
        str(name)
        for name in frame
        if name not in taken and frame[name].dtype.kind in "biuf" and frame[name].notna().any()
    ]
    missing = [name for name in [*names, *options.costs.values()] if name not in frame]
    if missing:
        raise ValueError(f"{path} has no column {missing[0]!r}")
    if not names:
        raise ValueError(f"{path} has no column of numbers that could be a model's scores")
    for name in names:
        if frame[name].dtype.kind not in "biuf":
            raise ValueError(f"{path}: scores must be numbers, column {name!r} holds other values")
    if not options.scores:
        _refuse_no_scores(names, path)
    unknown = [model for model in costs if model not in names]
    if unknown:
        raise ValueError(
            f"{path}: column {costs[unknown[0]]!r} holds costs, but no column {unknown[0]!r} scores"
        )
    return names


def _refuse_no_scores(names: Sequence[str], path: Path) -> None:
    """Raise ValueError where a guessed score column is by its name something else."""
    for name in names:
        if _NO_SCORE.fullmatch(name):
            raise ValueError(
                f"{path}: column {name!r} looks like money, tokens or time, not like a model's "
                f"scores; say --cost MODEL='{name}' if it holds a model's costs in US dollars, or "
                "name each score column with --score"
            )


def _prompt(
    row: Mapping[Any, Any], used: Sequence[str], where: str, path: Path, options: Options
) -> Prompt:
    known = plain_json({str(name): value for name, value in row.items()})
    text = known[options.prompt]
    topic = known.get(options.topic)
    rest = {
        name: value
        for name, value in known.items()
        if name not in (options.prompt, options.topic, *used, *_KNOWN) and value is not None
    }
    task = known.get("task") or topic
    try:
        prompt = Prompt.from_text(
            text,
            task=task if task in TASKS else None,
            reference=known.get("reference"),
            judge=known.get("judge"),
            source=known.get("source") or f"table/{path.stem}",
            topic=None if topic is None else str(topic),
            extra=rest or None,
        )
        prompt.prompt_id  # noqa: B018  a lone surrogate is found here
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{where}: {error}, in column {options.prompt!r}") from error
    return prompt


def _in_range(score: Any, model: str, where: str) -> float:
    if not 0 <= score <= 1:
        raise ValueError(
            f"{where}: scores must lie in [0, 1], got {float(score)!r} in column {model!r}; "
            "rescale them, or name the score columns"
        )
    return float(score)


def _call(
    prompt: Prompt, model: str, repeat: int, given: Any, options: Options, where: str
) -> Call:
    extra = None
    cost_usd = None if given is None or math.isnan(given) else float(given)
    if cost_usd is not None and not (math.isfinite(cost_usd) and cost_usd >= 0):
        raise ValueError(f"{where}: costs must be at least 0, got {cost_usd!r} for {model!r}")
    if cost_usd is None:
        cost_usd, extra = _estimate(prompt, model, options)
    return Call(
        prompt.prompt_id,
        model,
        params_hash(model),
        "ok",
        attempts=None,
        repeat=repeat,
        given_cost_usd=cost_usd,
        origin=origin("table", prompt.prompt_id, model, options.judge, repeat, cost_usd),
        extra=extra,
    )


def _estimate(
    prompt: Prompt, model: str, options: Options
) -> tuple[float | None, dict[str, Any] | None]:
    """Estimate a cost from the length of the prompt, marked as an estimate."""
    priced = {each.name: each.price for each in options.prices}
    if options.output_tokens is None or model not in priced:
        return None, None
    usage = Usage(len(prompt.text) // _CHARACTERS_PER_TOKEN, options.output_tokens)
    note = (
        f"estimated: price x ({_CHARACTERS_PER_TOKEN} characters a token + "
        f"{options.output_tokens} output tokens)"
    )
    return priced[model].cost_usd(usage), {"cost": note}
