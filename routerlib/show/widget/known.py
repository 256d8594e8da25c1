"""What is known of earlier prompts while somebody types a new one."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from routerlib.records.decision import Estimates
from routerlib.routers.explanation.why import is_explainable

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog
    from routerlib.outcomes.outcomes import Outcomes
    from routerlib.routers.explanation.similar import SimilarPrompt
    from routerlib.routers.router import Router

# Estimating more prompts than that for a mean budget would keep the playground waiting.
_MAX_REFERENCE = 500
_N_SIMILAR = 3


class KnownPrompts:
    """Look up what is known of earlier prompts.

    `outcomes`: texts of earlier prompts; None = those of the log.
    """

    def __init__(self, router: Router, outcomes: Outcomes | None, log: CallLog | None) -> None:
        self._router = router
        self._outcomes = outcomes if outcomes is not None else _logged(log)

    @cached_property
    def estimates(self) -> Estimates:
        """What the router expects on known prompts; none where it estimates no quality or cost."""
        texts = list(self._outcomes.prompts[:_MAX_REFERENCE]) if self._outcomes else []
        expected = self._router.predict(texts)
        is_known = np.isfinite(expected.quality).all() and np.isfinite(expected.cost_usd).all()
        return expected if is_known else self._router.predict([])

    def similar(self, prompt: str) -> list[SimilarPrompt]:
        """Return the training prompts nearest in meaning, with what was observed on them."""
        if self._outcomes is None or not is_explainable(self._router):
            return []
        from routerlib.routers.explanation.similar import similar_prompts

        evidence = similar_prompts(self._router, prompt, self._outcomes, k=_N_SIMILAR)
        return [each for each in evidence.similar if each.text is not None]


def _logged(log: CallLog | None) -> Outcomes | None:
    """Read a log's outcomes; None where no answer has a score yet."""
    from routerlib.outcomes.outcomes import Outcomes

    if log is None or not int(log.summary()["scored"].sum()):
        return None
    return Outcomes.from_log(log)
