"""Read a wide table: one row per prompt, one score column per model."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from routerlib.gather.importers.records import (
    TABLE_COLUMNS,
    Imported,
    Options,
    origin,
    params_hash,
)
from routerlib.gather.importers.table_file import Table, read_table_file
from routerlib.gather.importers.table_numbers import is_missing, read_numbers
from routerlib.gather.judges.number_styles import with_decimal_comma
from routerlib.records.call import UNTOLD, Call, Score, Usage
from routerlib.records.canonical import plain_json
from routerlib.records.columns import check_there
from routerlib.records.prompt import TASKS, Prompt
from routerlib.records.trajectories import whole_text

_COST = re.compile(r"(?:(?P<before>.+)[ _:]cost(?:_usd)?|cost(?:_usd)?[ _:](?P<after>.+))")
# What is never a model's score, by a word of its column's name.
_NO_SCORE = re.compile(
    r"(?:.*[ _:-])?(?:costs?|dollars?|usd|eur|euros?|cents?|prices?|tokens?|tok|seconds?|secs?|ms|"
    r"time|latency|duration|\w*kosten|\w*preise?|\w*dauer|\w*zeit|sekunden|latenz|co[uû]ts?|prix|"
    r"dur[ée]e|temps|secondes|costes?|costos?|precios?|tiempo|segundos)(?:[ _:-].*)?",
    re.IGNORECASE,
)
# A model whose best score is this small isn't in anybody's table; dollars of a call are.
_NO_BEST_SCORE = 0.01
# What names or numbers the rows, by its column's name; it is never taken for a score.
_NUMBERING = re.compile(
    r"unnamed: \d+|__index_level_\d+__|level_0|index|idx|row|row_?number|(?:.+_)?id|no|nr|#",
    re.IGNORECASE,
)
# A usual rule of thumb for English; it is only used for estimates that are marked as such.
_CHARACTERS_PER_TOKEN = 4


def read_table(path: Path, options: Options) -> Iterator[Imported]:
    """Yield one call per prompt and model with a score; the answers are not in such a table.

    Columns ``<model> cost_usd``, ``<model>_cost`` or ``cost_usd_<model>`` hold what a call cost.
    `Options.costs` names others. A column that by its name or its numbers holds money, tokens or
    time is refused unless `Options.scores` says what it is; one that numbers the rows isn't read. A
    missing score is no call. Further columns are kept with the prompt, as they were written.
    """
    if options.candidate is not None:
        raise ValueError(
            "a table has a column for each model, so --candidate says nothing; to name the model "
            f"of a column: --score {options.candidate}=COLUMN"
        )
    prompts = options.names["prompt"]
    table = read_table_file(path, prompts)
    check_there(path, table.columns, options.said)
    if prompts not in table.columns:
        raise ValueError(
            f"{path} has no column {prompts!r}; it has {', '.join(table.columns)}: "
            "--prompt NAME says which holds the prompts"
        )
    costs = {**_cost_columns(table, options), **options.costs}
    columns = _Columns(table, path, options.decimal)
    models = _score_columns(table, columns, path, options, costs)
    options.understood.append(f"scores of {_shown(models)}; costs: {_shown(costs) or 'none'}")
    scores = {model: columns.numbers(column) for model, column in models.items()}
    given = {model: columns.numbers(column) for model, column in costs.items()}
    numbering = [name for name in table.columns if _is_numbering(name, columns)]
    used = {*models.values(), *costs.values(), *numbering}
    seen: Counter[tuple[str, str]] = Counter()
    for place, row in enumerate(table.rows):
        where = f"{path} row {place + 1}"
        prompt = _prompt(row, used, where, path, options)
        options.ledger.n_rows += 1
        options.ledger.n_further += len(models) - 1
        for model in models:
            if math.isnan(scores[model][place]):
                options.ledger.left_out["cells without a score"] += 1
                continue
            score = _in_range(scores[model][place], models[model], where)
            repeat = seen[prompt.prompt_id, model]
            seen[prompt.prompt_id, model] += 1
            cost = given[model][place] if model in given else None
            call = _call(prompt, model, repeat, cost, options, where)
            yield Imported(prompt, call, (Score(options.judge, score),))


def _shown(columns: Mapping[str, str]) -> str:
    """Return models with the columns that something of theirs stands in."""
    pairs = columns.items()
    return ", ".join(name if name == column else f"{name} = {column}" for name, column in pairs)


class _Columns:
    """The numbers of a table's columns, each read once."""

    def __init__(self, table: Table, path: Path, decimal: str | None) -> None:
        self._table, self._path, self._decimal = table, path, decimal
        self._read: dict[str, list[float] | None] = {}

    def find(self, column: str) -> list[float] | None:
        """Return a column's numbers (length n_rows), NaN where missing; None = no numbers."""
        if column not in self._read:
            values = self._table.values(column)
            try:
                self._read[column] = read_numbers(
                    values, is_text=self._table.is_text, decimal=self._decimal
                )
            except ValueError as error:
                raise ValueError(f"{self._path}: column {column!r} {error}") from error
        return self._read[column]

    def numbers(self, column: str) -> list[float]:
        """Return the numbers of a column that must hold some; NaN where one is missing."""
        found = self.find(column)
        values = self._table.values(column)
        if found is None and any(value is not None for value in values):
            held = (value for value in values if value is not None)
            other = next((value for value in held if self._is_other(value)), None)
            raise ValueError(
                f"{self._path}: scores and costs must be numbers, column {column!r} holds other "
                f"values{'' if other is None else f', such as {other!r:.80}'}"
            )
        return [math.nan] * len(self._table.rows) if found is None else found

    def _is_other(self, value: Any) -> bool:
        """Tell whether a cell alone is neither a number nor a word for none."""
        is_text = self._table.is_text
        return (
            not is_missing(value)
            and read_numbers([value], is_text=is_text, decimal=self._decimal) is None
        )


def _is_numbering_name(column: str) -> bool:
    return _NUMBERING.fullmatch(column) is not None


def _is_numbering(column: str, columns: _Columns) -> bool:
    """Tell whether a column only counts the rows, which nobody needs to keep."""
    if not _is_numbering_name(column):
        return False
    found = columns.find(column) or []
    return any(found == list(range(start, start + len(found))) for start in (0, 1) if found)


def _cost_columns(table: Table, options: Options) -> dict[str, str]:
    """Return the cost column of each model that has one by its name, or its score column's."""
    scores = options.score_columns
    models = {column: model for model, column in scores.items()}
    found = {}
    for column in table.columns:
        match = _COST.fullmatch(column)
        if match and column not in {*scores.values(), *options.costs.values()}:
            name = match["before"] or match["after"]
            found[models.get(name, name)] = column
    return found


def _score_columns(
    table: Table, columns: _Columns, path: Path, options: Options, costs: Mapping[str, str]
) -> dict[str, str]:
    """Return the column of each model's scores."""
    scores = options.score_columns or _guessed_scores(table, columns, path, options, costs)
    named = [*scores.values(), *options.costs.values()]
    missing = [name for name in named if name not in table.columns]
    if missing:
        raise ValueError(f"{path} has no column {missing[0]!r}; it has {', '.join(table.columns)}")
    unknown = [model for model in costs if model not in scores]
    if unknown:
        raise ValueError(
            f"{path}: column {costs[unknown[0]]!r} holds costs, but no column {unknown[0]!r} "
            f"scores; scored are {_shown(scores)}: say --cost MODEL={costs[unknown[0]]!r} with one "
            f"of these, or --score {unknown[0]}=COLUMN to call a column's model {unknown[0]}"
        )
    return scores


def _guessed_scores(
    table: Table, columns: _Columns, path: Path, options: Options, costs: Mapping[str, str]
) -> dict[str, str]:
    """Take all columns of numbers that are nothing else, or refuse one that hardly holds scores."""
    taken = {*options.names.values(), *costs.values(), *TABLE_COLUMNS}
    names = [
        name
        for name in table.columns
        if name not in taken and not _is_numbering_name(name) and columns.find(name) is not None
    ]
    if not names:
        raise ValueError(f"{path} has no column of numbers that could be a model's scores")
    _refuse_no_scores(names, columns, path)
    return {name: name for name in names}


def _refuse_no_scores(names: Sequence[str], columns: _Columns, path: Path) -> None:
    """Raise ValueError where a guessed score column is something else by its name or numbers."""
    for addition, pairs in _additions(names).items():
        if len(pairs) > 1:
            model, name = pairs[0]
            raise ValueError(
                f"{path}: columns such as {name!r} add {addition!r} to the names of others, so "
                f"they hold something of each model; say --cost {model}='{name}' and so on if it "
                "is its costs in US dollars, or name each score column with --score"
            )
    for name in names:
        best = max((abs(each) for each in columns.numbers(name) if not math.isnan(each)), default=0)
        if _NO_SCORE.fullmatch(name) or 0 < best < _NO_BEST_SCORE:
            raise ValueError(
                f"{path}: column {name!r} looks like money, tokens or time (up to {best:.4g}), not "
                f"like a model's scores; say --cost MODEL='{name}' if it holds a model's costs in "
                "US dollars, or name each score column with --score: --score MODEL=COLUMN"
            )


def _additions(names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the pairs of columns whose names differ by a word before or after, by that word."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    for name, model in permutations(names, 2):
        if match := re.fullmatch(f"(?:(.+)[ _:])?{re.escape(model)}(?:[ _:](.+))?", name):
            pairs.setdefault(match[1] or match[2], []).append((model, name))
    return pairs


def _prompt(
    row: Mapping[str, Any], used: Collection[str], where: str, path: Path, options: Options
) -> Prompt:
    held, names = plain_json(dict(row)), options.names
    known = {ours: held.get(theirs) for ours, theirs in names.items()}
    topic, reference = known["topic"], known["reference"]
    if options.decimal == ",":
        reference = with_decimal_comma(reference, known["judge"])
    rest = {
        name: value
        for name, value in held.items()
        if name not in (*names.values(), *used) and value is not None
    }
    rest |= {ours: known[ours] for ours in ("group", "user") if known[ours] is not None}
    task = known["task"] or topic
    try:
        prompt = Prompt.from_text(
            known["prompt"] or "",
            task=task if task in TASKS else None,
            reference=reference,
            judge=known["judge"],
            source=known["source"] or f"table/{path.stem}",
            topic=None if topic is None else str(topic),
            extra=rest or None,
        )
        prompt.prompt_id  # noqa: B018  a lone surrogate is found here
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{where}: {error}, in column {names['prompt']!r}") from error
    return prompt


def _in_range(score: float, column: str, where: str) -> float:
    if not 0 <= score <= 1:
        raise ValueError(
            f"{where}: scores must lie in [0, 1], got {score!r} in column {column!r}; "
            f"rescale them, or say what the column is, such as --columns reference={column!r}, or "
            "name each score column with --score"
        )
    return score


def _call(
    prompt: Prompt, model: str, repeat: int, given: float | None, options: Options, where: str
) -> Call:
    extra = None
    cost_usd = None if given is None or math.isnan(given) else given
    if cost_usd is not None and not (math.isfinite(cost_usd) and cost_usd >= 0):
        raise ValueError(f"{where}: costs must be at least 0, got {cost_usd!r} for {model!r}")
    if cost_usd is None:
        cost_usd, extra = _estimate(prompt, model, options)
    return Call(
        prompt.prompt_id,
        model,
        UNTOLD if options.settings is None else params_hash(model, {"settings": options.settings}),
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
    usage = Usage(len(whole_text(prompt.messages)) // _CHARACTERS_PER_TOKEN, options.output_tokens)
    note = (
        f"estimated: price x ({_CHARACTERS_PER_TOKEN} characters a token + "
        f"{options.output_tokens} output tokens)"
    )
    return priced[model].cost_usd(usage), {"cost": note}
