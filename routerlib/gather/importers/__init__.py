"""Bring what other tools have logged into the log, each call once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from routerlib.gather.importers.inspect_ai import read_inspect
from routerlib.gather.importers.langfuse import read_langfuse
from routerlib.gather.importers.ledger import Ledger
from routerlib.gather.importers.lm_eval import read_lm_eval
from routerlib.gather.importers.otel import read_otel
from routerlib.gather.importers.records import (
    BEGUN,
    NO_ANSWER,
    Imported,
    Options,
    origin,
    params_hash,
)
from routerlib.gather.importers.requests import read_requests
from routerlib.gather.importers.simonw_llm import read_llm
from routerlib.gather.importers.tables import read_table
from routerlib.records.answers_inside import ends_with_answer
from routerlib.records.brief import n_of
from routerlib.records.call import UNTOLD
from routerlib.records.thoughts import thought_apart

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog
    from routerlib.records.call import Call, CandidateModel, Score

__all__ = ["IMPORTERS", "ImportReport", "Options", "import_log"]

# Kind of file -> what reads it; a user may add readers of other kinds.
IMPORTERS: dict[str, Callable[[Path, Options], Iterable[Imported]]] = {
    "llm": read_llm,
    "inspect": read_inspect,
    "lm-eval": read_lm_eval,
    "litellm": read_requests,
    "openai": read_requests,
    "anthropic": read_requests,
    "otel": read_otel,
    "langfuse": read_langfuse,
    "table": read_table,
}
_COUNTING = frozenset(IMPORTERS)  # their ledgers count the rows; readers of others' may not


# What a log holds of the calls of a file: looked up for these alone, however large the log is.
_KNOWN = "select origin, call_id from calls where origin in ({marks})"
_TAKEN = "select prompt_id, candidate, params_hash, repeat from calls where prompt_id in ({marks})"
_SCORED = "select call_id, judge, score from scores where call_id in ({marks}) order by score_id"


@dataclass(frozen=True)
class ImportReport:
    """What an import has added to a log.

    Each call that the file tells of is new, known or left out: `n_rows + n_further - n_merged`
    of them in all.

    Parameters
    ----------
    n_calls, n_prompts, n_scores : int
        New rows of the log.
    n_known : int
        Calls that an earlier import had brought already.
    candidates : tuple of str
        Models of the new calls.
    n_rows, n_further, n_merged : int
        Rows of the file; calls that they tell of beyond one each; rows that tell of a call which
        another row has told of.
    left_out, unscored : Counter of str
        Calls, and scores, that could not come in: reason -> how many.
    """

    n_calls: int
    n_prompts: int
    n_scores: int
    n_known: int
    candidates: tuple[str, ...]
    n_rows: int = 0
    n_further: int = 0
    n_merged: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        told = [
            f"{n_of(self.n_calls, 'calls')} of {n_of(len(self.candidates), 'models')} on "
            f"{n_of(self.n_prompts, 'new prompts')}, with {n_of(self.n_scores, 'scores')}"
        ]
        if self.n_known:
            told.append(f"{n_of(self.n_known, 'calls were', 'call was')} there already")
        told += [f"left out: {n} {reason}" for reason, n in self.left_out.items()]
        told += [f"scores left out: {n} {reason}" for reason, n in self.unscored.items()]
        rows = n_of(self.n_rows, "rows")
        if self.n_further:
            rows += f", with {n_of(self.n_further, 'further calls')} in them"
        if self.n_merged:
            rows += f", {self.n_merged} of which tell of a call again"
        return "; ".join([*told, f"read: {rows}"])


def import_log(
    kind: str,
    path: str | Path,
    log: CallLog,
    options: Options | None = None,
    candidates: Sequence[CandidateModel] = (),
) -> ImportReport:
    r"""Read a file of another tool into a log, whole or not at all.

    A call comes in once, however often its file is imported, also when the file has grown
    meanwhile. A score that has changed since is added as the judge's newer word.

    Parameters
    ----------
    kind : str
        One of `IMPORTERS`: ``llm`` (logs.db of the llm command line), ``inspect`` (.eval or .json
        of Inspect AI), ``lm-eval`` (samples_*.jsonl of lm-evaluation-harness), ``litellm``,
        ``openai`` or ``anthropic`` (JSON lines, or one JSON array, of requests and responses),
        ``otel`` (spans of calls as OTLP's JSON, those of Langfuse's SDK too), ``langfuse``
        (observations that its server exports: .csv, .json, .jsonl or .parquet),
        ``table`` (.csv, .tsv, .parquet, .json or .jsonl with one score column per model).
    path : str or Path
        The file; it is only read.
    log : CallLog
        Where to.
    options : Options or None, default=None
        What the file itself does not say.
    candidates : sequence of CandidateModel, default=()
        Their prices are logged for the models of the same names.

    Returns
    -------
    ImportReport

    Raises
    ------
    ValueError
        If the kind is unknown or the file is not of that kind, naming file and place; the log
        stays as it was.

    Examples
    --------
    >>> import tempfile
    >>> from routerlib.log.call_log import CallLog
    >>> home = Path(tempfile.mkdtemp())
    >>> _ = (home / "scores.csv").write_text("prompt,small,large\nWhat is 2 + 2?,0,1\n")
    >>> log = CallLog(home / "logs.db")
    >>> print(import_log("table", home / "scores.csv", log))
    2 calls of 2 models on 1 new prompt, with 2 scores; read: 1 row, with 1 further call in them
    >>> log.outcomes(models=["small", "large"]).quality.tolist()
    [[0.0, 1.0]]
    """
    options = options or Options()
    return add_imported(kind, path, read_imported(kind, path, options), log, options, candidates)


def read_imported(kind: str, path: str | Path, options: Options) -> list[Imported]:
    """Read a file of another tool, each call once; no log is touched."""
    if kind not in IMPORTERS:
        raise ValueError(f"kind must be one of {', '.join(IMPORTERS)}, got {kind!r}")
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file inside it")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}; check the path")
    if path.is_file() and not path.stat().st_size:
        raise ValueError(f"{path} is empty: there is nothing to import; write it again")
    if options.settings is not None and kind != "table":
        raise ValueError(
            f"--settings is about tables; how models were asked stands in a file of kind {kind!r}"
        )
    found = _each_once(IMPORTERS[kind](path, options), kind, options.ledger)
    if not found and not options.ledger.left_out:
        raise ValueError(f"{path} holds no calls")
    if kind in _COUNTING:
        options.ledger.check(len(found), str(path))
    else:
        options.ledger.n_rows = len(found) + options.ledger.left_out.total()
    return found


def _each_once(records: Iterable[Imported], kind: str, ledger: Ledger) -> list[Imported]:
    """Give each call an identity made of its id and of what it is: ids alone are not unique."""
    found: dict[str, Imported] = {}
    seen: Counter[str] = Counter()
    for record in records:
        call = record.call
        if ends_with_answer(record.prompt.messages):
            ledger.left_out[BEGUN] += 1
            continue
        way = params_hash(call.candidate) if call.params_hash == UNTOLD else call.params_hash
        told = [call.prompt_id, way, call.status, call.response, call.asked_at]
        identity = origin(kind, call.origin, call.repeat, *told)
        n_before, seen[identity] = seen[identity], seen[identity] + 1
        if n_before and not record.has_id:
            identity = origin(kind, identity, n_before)
        if identity in found:
            ledger.n_merged += 1
            if not record.scores:
                continue
        call = thought_apart(replace(call, origin=identity))
        found[identity] = record._replace(call=call, scores=_of_answer(record, call, ledger))
    return list(found.values())


def _of_answer(record: Imported, call: Call, ledger: Ledger) -> tuple[Score, ...]:
    """Return the scores of a complete answer; others are no label."""
    if call.is_ok:
        return tuple({score.judge: score for score in record.scores}.values())
    if record.scores:
        ledger.unscored[NO_ANSWER] += len(record.scores)
    return ()


def add_imported(
    kind: str,
    path: str | Path,
    records: Sequence[Imported],
    log: CallLog,
    options: Options,
    candidates: Sequence[CandidateModel] = (),
) -> ImportReport:
    """Add what `read_imported` has read to a log, whole or not at all."""
    report = _add(log, kind, Path(path), records, candidates)
    ledger = options.ledger
    return replace(
        report,
        n_rows=ledger.n_rows,
        n_further=ledger.n_further,
        n_merged=ledger.n_merged,
        left_out=ledger.left_out,
        unscored=ledger.unscored,
    )


def _add(
    log: CallLog,
    kind: str,
    path: Path,
    records: Sequence[Imported],
    candidates: Sequence[CandidateModel],
) -> ImportReport:
    with log.transaction():
        origins = [record.call.origin for record in records]
        known = dict(log.lookup_some(_KNOWN, origins))
        new = [record for record in records if record.call.origin not in known]
        names = sorted({record.call.candidate for record in new})
        n_prompts = n_scores = 0
        if new:
            run_id = log.start_run("import", {"kind": kind, "file": path.name, "n_calls": len(new)})
            log.add_prices([each for each in candidates if each.name in names], run_id)
            n_prompts = log.add_prompts(record.prompt for record in new)
            for record in _at_free_repeats(new, log):
                log.add_call(record.call, run_id, record.scores)
                n_scores += sum(score.is_scored for score in record.scores)
        old = [record for record in records if record.call.origin in known]
        n_scores += _add_newer_scores(log, old, known)
    return ImportReport(len(new), n_prompts, n_scores, len(old), tuple(names))


def _at_free_repeats(records: Sequence[Imported], log: CallLog) -> Iterator[Imported]:
    """Give each call of one model to one prompt a number of its own, so that none hides another."""
    taken = set(log.lookup_some(_TAKEN, {record.call.prompt_id for record in records}))
    for record in records:
        call = record.call
        cell = (call.prompt_id, call.candidate, call.params_hash)
        repeat = next(n for n in count(call.repeat) if (*cell, n) not in taken)
        taken.add((*cell, repeat))
        yield record._replace(call=replace(call, repeat=repeat))


def _add_newer_scores(log: CallLog, records: list[Imported], known: dict[str, int]) -> int:
    last = {
        (call_id, judge): score
        for call_id, judge, score in log.lookup_some(_SCORED, set(known.values()))
    }
    n_added = 0
    for record in records:
        call_id = known[str(record.call.origin)]
        newer = [
            score
            for score in record.scores
            if score.is_scored and last.get((call_id, score.judge)) != score.score
        ]
        if newer:
            n_added += log.add_scores(call_id, newer)
    return n_added
