"""Calls that a judge has not scored yet, a few answers in memory at a time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator

import numpy as np

from routerlib.log import rows as log_rows
from routerlib.log.judging import IS_OF_NO_JUDGES_RUN, SOURCE
from routerlib.records.call import Call, Usage
from routerlib.records.messages import TOOL_CALLS
from routerlib.records.prompt import Prompt

# An answer may have megabytes.
_AT_ONCE = 32
# Calls that are looked at before others may use the log, and before it is told how far it is.
CALLS_AT_ONCE = 100_000

# An answer that calls a tool is a step on the way, not an answer to be graded.
# An imported score tells of an answer that may not be there; a judge's own answers are not judged.
FIND = f"""
select call_id from calls join known_prompts as known using (prompt_id)
where status = 'ok' and response is not null
    and {IS_OF_NO_JUDGES_RUN} and known.source not like '{SOURCE}%'
    and json_extract(calls.extra, '$.{TOOL_CALLS}') is null
    and calls.call_id > ?2 and calls.call_id <= ?3
    and coalesce(?1, known.judge) is not null and not exists (
        select 1 from scores where scores.call_id = calls.call_id
        and scores.judge = coalesce(?1, known.judge)
        and scores.created_at >= coalesce(known_since, '')
    )
order by call_id
"""
_READ = f"""
select call_id, prompt_id, candidate, params_hash, response, repeat, input_tokens, output_tokens,
    {", ".join(f"known.{name}" for name in log_rows.PROMPT_COLUMNS)}
from calls join known_prompts as known using (prompt_id)
where call_id in ({{marks}}) order by call_id
"""

# The last digits of a prompt's identifier, hexadecimal, draw it.
_DIGITS = 6
_DRAWN = f"select call_id from calls where substr(prompt_id, -{_DIGITS}) <= ?"


class UnjudgedCalls:
    """The calls that a judge had not scored when it was asked for them, in the order of logging.

    Iterating reads answers from the log as they are needed, and can be done again.

    Parameters
    ----------
    lookup : callable
        `CallLog.lookup` of the log.
    call_ids : array of int
        Numbers of the calls, ascending.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import routerlib as rl
    >>> log = rl.CallLog(Path(tempfile.mkdtemp()) / "logs.db")
    >>> prompt = Prompt.from_text("What is 2 + 2?", judge="numeric", reference="4")
    >>> _ = log.add_prompts([prompt])
    >>> _ = log.add_call(Call(prompt.prompt_id, "small", "b2:x", "ok", "It is 4."))
    >>> [(call_id, call.response) for call_id, call, _ in log.unjudged_calls()]
    [(1, 'It is 4.')]
    """

    def __init__(self, lookup: Callable[..., list[tuple]], call_ids: array[int]) -> None:
        self._lookup = lookup
        self._call_ids = call_ids

    def __len__(self) -> int:
        return len(self._call_ids)

    def drawn(self, n: int) -> UnjudgedCalls:
        """Draw some prompts at random and return their calls: what they have in common stays.

        A prompt is drawn by its identifier, which is a hash, so that the same log gives the same.

        Parameters
        ----------
        n : int
            About how many calls, above 0.

        Returns
        -------
        UnjudgedCalls
            In the order of logging; all of them where none was drawn.
        """
        last = int(min(n / max(len(self), 1), 1.0) * (16**_DIGITS - 1))
        found = array("q", (each for (each,) in self._lookup(_DRAWN, f"{last:0{_DIGITS}x}")))
        kept = np.intersect1d(np.asarray(found), np.asarray(self._call_ids), assume_unique=True)
        return UnjudgedCalls(self._lookup, array("q", kept.tolist())) if len(kept) else self

    def __iter__(self) -> Iterator[tuple[int, Call, Prompt]]:
        for start in range(0, len(self._call_ids), _AT_ONCE):
            call_ids = self._call_ids[start : start + _AT_ONCE]
            query = _READ.format(marks=", ".join("?" * len(call_ids)))
            for row in self._lookup(query, *call_ids):
                yield row[0], _answered_call(row[1:8]), log_rows.prompt_from_row(row[8:])


def _answered_call(row: tuple) -> Call:
    prompt_id, candidate, params_hash, response, repeat, *tokens = row
    usage = None if None in tokens else Usage(*tokens)
    return Call(
        prompt_id, candidate, params_hash, "ok", response=response, usage=usage, repeat=repeat
    )
