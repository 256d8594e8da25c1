"""What calls of candidates have taken so far: the base of what the next ones may take."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from routerlib.log.judging import IS_ASKED

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

_TAKEN = """
select candidate, count(*), total(output_tokens), count(latency_s), total(latency_s) from calls
where call_id > ? and call_id <= ? and status in ('ok', 'truncated')
    and output_tokens is not null and {alike}
group by candidate
"""


class Taken(NamedTuple):
    """What an answer of a candidate takes in the mean; `seconds`: None = never told."""

    output_tokens: float
    seconds: float | None


class Measured:
    """Mean output tokens and seconds of each candidate's answers, whole or cut off.

    What a model did as a judge says nothing of it as a candidate, nor the other way round. The
    next look reads only what was logged since, so that looking again costs nothing of the log.

    Parameters
    ----------
    log : CallLog
        What is read.
    is_judging : bool
        Whether calls of judges are meant, and not those of candidates.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import routerlib as rl
    >>> from routerlib.records.call import Call, Usage
    >>> log = rl.CallLog(Path(tempfile.mkdtemp()) / "logs.db")
    >>> prompt = rl.Prompt.from_text("What is 2 + 2?")
    >>> _ = log.add_prompts([prompt])
    >>> measured = Measured(log, is_judging=False)
    >>> for tokens in (10, 30):
    ...     call = Call(prompt.prompt_id, "small", "b2:x", "ok", "4", Usage(9, tokens))
    ...     _ = log.add_call(call)
    ...     print(measured.means())
    {'small': Taken(output_tokens=10.0, seconds=None)}
    {'small': Taken(output_tokens=20.0, seconds=None)}
    """

    def __init__(self, log: CallLog, is_judging: bool) -> None:
        self._log = log
        self._query = _TAKEN.format(alike=f"not ({IS_ASKED})" if is_judging else IS_ASKED)
        self._last = -1
        # By candidate: answers, their tokens, those with seconds, their seconds.
        self._sums: dict[str, list[float]] = defaultdict(lambda: [0.0] * 4)

    def means(self) -> dict[str, Taken]:
        """Return what answers of each candidate take, as of now."""
        (end,) = self._log.lookup("select coalesce(max(call_id), 0) from calls")[0]
        for name, *sums in self._log.lookup(self._query, self._last, end):
            self._sums[name] = [sum(pair) for pair in zip(self._sums[name], sums, strict=True)]
        self._last = end
        return {
            name: Taken(tokens / n, seconds / n_timed if n_timed else None)
            for name, (n, tokens, n_timed, seconds) in self._sums.items()
        }
