"""Connections to the candidates that keep to what the server may: requests in flight, and money."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routerlib.gather.calls.asking import Permit
from routerlib.gather.calls.budget import Budget, worst_cost_usd
from routerlib.gather.calls.client import Clients
from routerlib.records.brief import n_of
from routerlib.records.call import Call, CandidateModel, Usage
from routerlib.records.prompt import Prompt

logger = logging.getLogger("routerlib.serve")


class LimitedClients(Clients):
    """Connections that keep to each candidate's limit of requests in flight, and to a budget."""

    def __init__(self, candidates: Sequence[CandidateModel], budget: Budget) -> None:
        super().__init__()
        self._slots = {each.name: asyncio.Semaphore(each.max_concurrency) for each in candidates}
        self._budget = budget
        self._beyond: dict[str, _Beyond] = {}

    async def call(
        self,
        candidate: CandidateModel,
        prompt: Prompt,
        *,
        permit: Permit | None = None,
        **how: Any,
    ) -> Call:
        """Ask as `Clients.call` does; NotAsked where the budget allows no attempt."""
        if permit is None and self._budget.cap_usd is not None:
            beyond = self._beyond.setdefault(candidate.name, _Beyond())
            permit = _Reserving(self._budget, candidate, prompt, beyond)
        async with self._slots[candidate.name]:
            return await super().call(candidate, prompt, permit=permit, **how)


@dataclass
class _Beyond:
    """How many attempts of a candidate were dearer than their worst case, and by how much in all.

    `more_usd`: US dollars beyond it.
    """

    n: int = 0
    more_usd: float = 0.0


class _Reserving:
    """Reserve the worst case of each attempt, and keep the accounts.

    `beyond`: attempts of the candidate that were dearer than that, so far.
    """

    def __init__(
        self, budget: Budget, candidate: CandidateModel, prompt: Prompt, beyond: _Beyond
    ) -> None:
        self._budget = budget
        self._name = candidate.name
        self._price = candidate.price
        self._beyond = beyond
        self._worst_usd = worst_cost_usd(candidate, prompt)

    async def take(self) -> bool:
        """Return whether the next attempt fits, once those under way that may make room ended."""
        return await self._budget.reserve_when_free(self._worst_usd)

    def settle(self, usage: Usage | None, is_turned_away: bool) -> None:
        """Count what an attempt cost, or the worst case where nobody knows."""
        if usage is not None:
            cost_usd = self._price.cost_usd(usage)
        else:
            cost_usd = 0.0 if is_turned_away else self._worst_usd
        self._budget.settle(self._worst_usd, cost_usd)
        if self._worst_usd < cost_usd < math.inf:
            self._beyond.n += 1
            self._beyond.more_usd += cost_usd - self._worst_usd
            self._tell_beyond()

    def _tell_beyond(self) -> None:
        """Say that attempts were dearer than their worst case, at the 1st, 2nd, 4th, 8th."""
        n = self._beyond.n
        if n & (n - 1) == 0:
            logger.warning(
                "%s of %s cost %.6f US dollars more than at most, so that the budget may be "
                "passed by as much: its provider charges more tokens than a prompt's bytes and "
                "max_tokens, such as hidden thoughts; start the server anew with less to spend, "
                "or without this candidate",
                n_of(n, "calls"),
                self._name,
                self._beyond.more_usd,
            )


def check_capped(candidates: Sequence[CandidateModel]) -> None:
    """Refuse candidates of which one answer may cost any amount: no budget could hold it."""
    shortest = Prompt.from_text("?")
    for candidate in candidates:
        if math.isinf(worst_cost_usd(candidate, shortest)):
            raise ValueError(
                f"a budget needs a cap on every answer, and {candidate.name!r} has none; set "
                "max_tokens among its parameters in candidates.yaml"
            )


def is_affordable(budget: Budget, order: Sequence[CandidateModel], prompt: Prompt) -> bool:
    """Return whether any of the candidates may be asked with the money that isn't spent.

    >>> from routerlib.gather.candidates.candidates import load_candidates
    >>> local, prompt = load_candidates("local"), Prompt.from_text("Hi")
    >>> is_affordable(Budget(1.0), local, prompt), is_affordable(Budget(0.0), local, prompt)
    (True, False)
    """
    if budget.cap_usd is None:
        return True
    left_usd = budget.cap_usd - budget.spent_usd
    return any(worst_cost_usd(candidate, prompt) <= left_usd for candidate in order)
