"""How long candidates took lately, by the calls that a log holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.log.judging import RUN_KIND

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

# So many calls of a candidate tell its present state, and at least so many a quantile of 90 %.
_MOST_CALLS = 200
LEAST_CALLS = 20
_LOOKED_THROUGH = 5_000

_LATEST = f"""
select candidate, latency_s from calls
where call_id > (select coalesce(max(call_id), 0) from calls) - {_LOOKED_THROUGH}
    and status in ('ok', 'truncated') and latency_s is not null and origin is null
    and coalesce(run_id, 0) not in (select run_id from runs where kind = '{RUN_KIND}')
order by call_id desc
"""


class Latency(NamedTuple):
    """Seconds from a request to the end of its answer, of a candidate's latest calls.

    `p50_s, p90_s`: quantiles, seconds.
    `n`: calls that they are of, at most 200.
    """

    p50_s: float
    p90_s: float
    n: int


def recent_latencies(log: CallLog) -> dict[str, Latency]:
    """Return what the latest calls of each candidate took, of the last 5,000 calls of a log.

    Imported calls and those of an LLM judge don't count; of a call with several attempts the last
    does. What a candidate takes depends on the length of its answers: these are of those it gave.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import routerlib as rl
    >>> recent_latencies(rl.CallLog(Path(tempfile.mkdtemp()) / "logs.db"))
    {}
    """
    found: dict[str, list[float]] = defaultdict(list)
    for candidate, latency_s in log.lookup(_LATEST):
        if len(found[candidate]) < _MOST_CALLS:
            found[candidate].append(latency_s)
    return {name: _latency(seconds) for name, seconds in found.items()}


def _latency(seconds: list[float]) -> Latency:
    p50_s, p90_s = np.quantile(seconds, [0.5, 0.9])
    return Latency(float(p50_s), float(p90_s), len(seconds))


def too_slow(latencies: Mapping[str, Latency], name: str, max_latency_s: float) -> bool:
    """Whether a candidate is known to be above a cap in one call of ten, or more.

    `max_latency_s`: seconds.

    >>> too_slow({"a": Latency(1.0, 4.0, 50), "b": Latency(1.0, 4.0, 5)}, "a", 3.0)
    True
    """
    known = latencies.get(name)
    return known is not None and known.n >= LEAST_CALLS and known.p90_s > max_latency_s
