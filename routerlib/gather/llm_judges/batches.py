"""Put a judge's questions to it in batches, so that memory follows from one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from routerlib.gather.collection.collect import collect
from routerlib.gather.collection.joining import joined
from routerlib.gather.collection.measured import Measured
from routerlib.gather.collection.plan import Plan
from routerlib.gather.collection.result import Collection
from routerlib.gather.llm_judges.asking import (
    NoVerdicts,
    Reply,
    as_judge,
    names_of_model,
    replies_of,
)
from routerlib.gather.llm_judges.drawn import of_all
from routerlib.records.call import CandidateModel
from routerlib.records.prompt import Prompt

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

# Questions of one batch, and their characters: each holds an answer, which may have megabytes.
_MOST_QUESTIONS = 5000
_MOST_CHARACTERS = 32 << 20

_Item = TypeVar("_Item")


def in_batches(
    items: Iterable[_Item], prompts_of: Callable[[_Item], Sequence[Prompt]]
) -> Iterator[list[_Item]]:
    """Group items by how many prompts they ask, and how long these are.

    >>> prompts = [Prompt.from_text("a" * 20_000_000), Prompt.from_text("b" * 20_000_000)]
    >>> [len(batch) for batch in in_batches([*prompts, prompts[0]], lambda each: [each])]
    [2, 1]
    """
    batch: list[_Item] = []
    n_questions = n_characters = 0
    for item in items:
        batch.append(item)
        prompts = prompts_of(item)
        n_questions += len(prompts)
        n_characters += sum(len(prompt.text) for prompt in prompts)
        if n_questions >= _MOST_QUESTIONS or n_characters >= _MOST_CHARACTERS:
            yield batch
            batch, n_questions, n_characters = [], 0, 0
    if batch:
        yield batch


class Asker:
    """Puts batches of questions to a judge, each as a run of its own kind, under one budget.

    `candidate`: who judges, with a cap of `max_tokens` of its own.
    `read`: what a reply says, None = no verdict; ten in a row end it.
    `collection`: what all batches together came to.
    `own`: names under which the log has answers of the judging model itself.
    `watch`: looks at its replies.
    """

    def __init__(
        self,
        log: CallLog,
        candidate: CandidateModel,
        read: Callable[[str], object],
        *,
        max_tokens: int,
        budget_usd: float | None,
        concurrency: int | None,
        dry_run: bool,
        progress: bool,
    ) -> None:
        judge = as_judge(candidate, max_tokens)
        self.own = {candidate.name, *names_of_model(log, candidate.model)}
        self.watch = NoVerdicts(read)
        self.collection = Collection(None, Plan((), {judge.name: 0}, 0.0))
        self._log = log
        self._judge = judge
        self._measured = Measured(log, is_judging=True)
        self._budget_usd = budget_usd
        self._concurrency = concurrency
        self._dry_run = dry_run
        self._progress = progress
        self._planned: set[int] = set()
        self._is_first = True

    @property
    def is_stopped(self) -> bool:
        """Whether budget, person or judge let nothing more be asked."""
        done = self.collection
        is_off = self._judge.name in done.switched_off
        return done.is_over_budget or done.is_interrupted or is_off

    def tell_of_all(self, n: int, n_drawn: int, n_all: int, noun: str) -> int:
        """Let the plan, and a number of things, be those of all of which some were drawn."""
        plan = of_all(self.collection.plan, n_drawn, n_all, noun)
        self.collection = replace(self.collection, plan=plan)
        return round(n * n_all / n_drawn)

    def ask(self, prompts: Iterable[Prompt], told: str = "") -> dict[str, Reply]:
        """Ask each prompt once; return the replies to them, also of earlier runs.

        `told`: which these are, where they aren't all.
        """
        distinct = {prompt.prompt_id: prompt for prompt in prompts}
        if self._dry_run:  # what one batch would ask, the next finds answered
            distinct = {
                key: prompt for key, prompt in distinct.items() if hash(key) not in self._planned
            }
            self._planned.update(map(hash, distinct))
        if not distinct:
            return {}
        if told and self._progress and not self._dry_run:
            sys.stdout.write(f"{told}\n")
        # What is spent may be above the budget, by a rounding or by an attempt's true price.
        cap_usd = self._budget_usd
        left_usd = None if cap_usd is None else max(cap_usd - self.collection.spent_usd, 0.0)
        done = collect(
            list(distinct.values()),
            [self._judge],
            self._log,
            budget_usd=left_usd,
            concurrency=self._concurrency,
            dry_run=self._dry_run,
            progress=self._progress,
            kind="judge",
            watch=self.watch,
            measured=self._measured,
        )
        before, self._is_first = (None if self._is_first else self.collection), False
        self.collection = done if before is None else joined(before, done, self._budget_usd)
        return {} if self._dry_run else replies_of(self._log, self._judge, distinct)
