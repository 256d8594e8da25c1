"""Who answers in time, by what candidates took lately."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from routerlib.log.call_log import CallLog
from routerlib.log.latencies import LEAST_CALLS, Latency, recent_latencies, too_slow
from routerlib.policies.utility import told_too_slow
from routerlib.records.call import CandidateModel
from routerlib.serve.faults import Refused

# Seconds for which what calls took lately isn't looked up again.
_KEPT_S = 5.0


class Deadlines:
    """Leave out who is too slow, by a log that is looked at again and again."""

    def __init__(self, log: CallLog) -> None:
        self._log = log
        self._latencies: dict[str, Latency] = {}
        self._read_at = -math.inf

    def keep(
        self, candidates: Sequence[CandidateModel], max_latency_s: float | None
    ) -> list[CandidateModel]:
        """Return who isn't known to be too slow, or refuse with what each one takes.

        `max_latency_s`: seconds; None = all are quick enough.
        """
        if max_latency_s is None:
            return list(candidates)
        known = self._known()
        quick = [each for each in candidates if not too_slow(known, each.name, max_latency_s)]
        if quick:
            return quick
        told = ", ".join(f"{each.name} {known[each.name].p90_s:.3g} s" for each in candidates)
        why = (
            f"{told_too_slow(max_latency_s)}; lately they took {told}; give a larger "
            "max_latency_s, or name the one to ask"
        )
        raise Refused(400, why, code="unable", param="model")

    def seconds(self) -> dict[str, float]:
        """Return what nine of ten answers of each candidate took at most, where that is known."""
        known = self._known()
        return {name: each.p90_s for name, each in known.items() if each.n >= LEAST_CALLS}

    def _known(self) -> dict[str, Latency]:
        now = time.monotonic()
        if now - self._read_at > _KEPT_S:
            self._latencies, self._read_at = recent_latencies(self._log), now
        return self._latencies
