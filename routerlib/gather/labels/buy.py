"""Buy labels live: choose cells, ask them, judge them, and record how they were chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np

from routerlib.gather.collection.collect import collect
from routerlib.gather.collection.measured import Measured
from routerlib.gather.collection.plan import expected_costs_usd, plan_collection
from routerlib.gather.labels.strategies import Buyer, Purchase, Strategy
from routerlib.log.known_quality import known_quality
from routerlib.log.purchases import Purchases
from routerlib.outcomes.evaluation_share import EVALUATION_SHARE, in_evaluation_share
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.answers_inside import ends_with_answer
from routerlib.records.arrays import Floats
from routerlib.records.brief import n_of

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog
    from routerlib.records.call import CandidateModel
    from routerlib.records.prompt import Prompt


@dataclass
class Bought:
    """What was bought.

    Parameters
    ----------
    strategy : str
        How cells were chosen.
    cells : list of tuple (prompt_id, candidate, propensity)
        In the order of choosing.
    expected_usd, spent_usd : float
        What they were expected to cost, and what they did; US dollars.
    n_scored : int
        Cells that a judge has a verdict on now.
    is_dry_run : bool
        Whether nothing was asked.
    n_open : int
        Cells that nobody had asked at the beginning.
    n_prompts, n_kept, n_kept_unanswered : int
        Prompts that could be labelled, those of them that are kept for evaluation, and those of
        these that some candidate hasn't been asked.
    """

    strategy: str
    cells: list[tuple[str, str, float]] = field(default_factory=list)
    expected_usd: float = 0.0
    spent_usd: float = 0.0
    n_scored: int = 0
    is_dry_run: bool = False
    n_open: int = 0
    n_prompts: int = 0
    n_kept: int = 0
    n_kept_unanswered: int = 0

    def __str__(self) -> str:
        return f"{self._bought()}{self._kept()}"

    def _kept(self) -> str:
        """Say what is kept for evaluation, and what is missing there."""
        if not self.n_kept:
            return ""
        share = f"{self.n_kept} of {self.n_prompts} prompts ({self.n_kept / self.n_prompts:.0%})"
        kept = f"{share} are kept for evaluation, and buying leaves them alone"
        if not self.n_kept_unanswered:
            return f"; {kept}"
        missing = f"{self.n_kept_unanswered} of them lack an answer"
        return f"; {kept}: {missing}, `routerlib collect --only-evaluation` asks for these"

    def _bought(self) -> str:
        if not self.n_open:
            return (
                "nothing to buy: every candidate has been asked every prompt that names a judge; "
                "bring new prompts (--prompts FILE) or another candidate"
            )
        if not self.cells:
            return f"nothing bought: the budget is too small for any of {self.n_open} open cells"
        by_candidate = Counter(candidate for _, candidate, _ in self.cells)
        shares = ", ".join(f"{n} of {name}" for name, n in by_candidate.most_common()) or "none"
        chosen = f"{n_of(len(self.cells), 'cells')} chosen by {self.strategy}: {shares}"
        if self.is_dry_run:
            return f"{chosen}; expected to cost ${self.expected_usd:.6f}"
        return f"{chosen}; {self.n_scored} scored, ${self.spent_usd:.6f} spent"


def buy_labels(
    log: CallLog,
    candidates: Sequence[CandidateModel],
    budget_usd: float,
    *,
    prompts: Sequence[Prompt] | None = None,
    strategy: str = "close calls",
    cost_weight: float = 0.0,
    n_batches: int = 4,
    random_state: int = 0,
    dry_run: bool = False,
    evaluation_share: float = EVALUATION_SHARE,
) -> Bought:
    """Choose, ask and judge cells of the table that the log leaves incomplete.

    The propensity of each choice and the chance of every cell are stored with the batch, in the
    parameters of a run of kind ``acquire``: a probability among cells of a table is not one among
    candidates on a prompt, so it must never stand where routing decisions are valued.
    `Outcomes.from_log` turns the chances into ``inclusion``, by which means and verdicts make up
    for what was bought more often than the rest. A random share of prompts is left alone, to be
    answered by all candidates and tested on.

    Parameters
    ----------
    log : CallLog
        What is known, and where the answers go.
    candidates : sequence of CandidateModel
        Whom to ask.
    budget_usd : float
        Cap on spending, US dollars.
    prompts : sequence of Prompt or None, default=None
        What to choose from; None = all prompts of the log that name a judge. Those that end with
        the assistant's turn are left out.
    strategy : str, default="close calls"
        As of `routerlib.gather.labels.strategies.Buyer`.
    cost_weight : float, default=0
        Of the decisions that the labels are for.
    n_batches : int, default=4
        The budget is spent in so many parts, with a look at the labels in between.
    random_state : int, default=0
        Seed of the draws.
    dry_run : bool, default=False
        Only choose the first batch.
    evaluation_share : float, default=0.2
        Share of prompts, whole groups of near-duplicates, that are never bought from; in [0, 1).
        Those that an earlier batch kept or bought from stay on their side.

    Returns
    -------
    Bought

    Raises
    ------
    ValueError
        If no prompt can be judged, the strategy is unknown, or the share out of range.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import routerlib as rl
    >>> from routerlib.records.call import Call, Score, Usage
    >>> log = rl.CallLog(Path(tempfile.mkdtemp()) / "logs.db")
    >>> prompt = rl.Prompt.from_text("What is 2 + 3?", task="math", reference="5", judge="numeric")
    >>> further = rl.Prompt.from_text("What is 3 + 3?", task="math", reference="6", judge="numeric")
    >>> _ = log.add_prompts([prompt, further])
    >>> call = Call(prompt.prompt_id, "smollm2-135m", "b2:x", "ok", "5", Usage(10, 5))
    >>> _ = log.add_call(call, scores=[Score("numeric", 1.0)])
    >>> bought = buy_labels(log, rl.load_candidates("local")[:2], budget_usd=1.0, dry_run=True)
    >>> print(bought)
    3 cells chosen by close calls: 2 of qwen2.5-coder-0.5b, 1 of smollm2-135m; expected to ...
    """
    if strategy not in get_args(Strategy):
        raise ValueError(
            f"strategy must be one of {', '.join(get_args(Strategy))}, got {strategy!r}"
        )
    every = _can_be_labelled(log.prompts() if prompts is None else prompts)
    is_kept = kept_for_evaluation(log, every, evaluation_share)
    kept = [prompt for prompt, is_apart in zip(every, is_kept, strict=True) if is_apart]
    pool = [prompt for prompt, is_apart in zip(every, is_kept, strict=True) if not is_apart]
    measured = Measured(log, is_judging=False)
    bought = Bought(
        strategy,
        is_dry_run=dry_run,
        n_prompts=len(every),
        n_kept=len(kept),
        n_kept_unanswered=_n_unanswered(log, kept, candidates, measured),
    )
    if not pool:
        return bought
    for batch in range(n_batches):
        left_usd = (budget_usd - bought.spent_usd) / (n_batches - batch)
        expected_usd, is_open = _plan(log, pool, candidates, measured)
        bought.n_open = bought.n_open or int(is_open.sum())
        buyer = Buyer(
            _table(log, pool, candidates),
            expected_usd,
            cast("Strategy", strategy),
            cost_weight=cost_weight,
            is_open=is_open,
            random_state=random_state + batch,
        )
        chosen = buyer.choose(left_usd)
        cells = [(pool[c.row].prompt_id, candidates[c.arm].name, c.propensity) for c in chosen]
        bought.cells += cells
        bought.expected_usd += sum(cell.expected_usd for cell in chosen)
        if dry_run or not chosen:
            break
        record = _record(strategy, cost_weight, cells) | {
            "evaluation_share": evaluation_share,
            "kept": [prompt.prompt_id for prompt in kept],
            "candidates": [candidate.name for candidate in candidates],
            "prompts": [prompt.prompt_id for prompt in pool],
            "chances": [[float(f"{each:.5g}") for each in row] for row in buyer.chances],
        }
        log.start_run("acquire", record, left_usd)
        bought.spent_usd += _ask(log, pool, candidates, chosen, budget_usd - bought.spent_usd)
    bought.n_scored = _n_scored(_table(log, pool, candidates), pool, candidates, bought)
    return bought


def _can_be_labelled(prompts: Sequence[Prompt]) -> list[Prompt]:
    pool = [each for each in prompts if each.judge and not ends_with_answer(each.messages)]
    if not pool:
        raise ValueError("no prompt names a judge, so no answer would become a label")
    return pool


def kept_for_evaluation(
    log: CallLog | None, prompts: Sequence[Prompt], share: float = EVALUATION_SHARE
) -> np.ndarray:
    """Tell which prompts buying leaves alone, as they are to be tested on.

    A group of which an earlier purchase kept a prompt is kept, one of which it bought isn't; of
    the others a hash draws a share.

    Parameters
    ----------
    log : CallLog or None
        What was bought and kept before; None = nothing.
    prompts : sequence of Prompt
        What may be labelled.
    share : float, default=0.2
        Expected share of groups, in [0, 1).

    Returns
    -------
    ndarray of bool, shape (n_prompts,)

    Raises
    ------
    ValueError
        If the share is out of range.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the evaluation share must lie in [0, 1), got {share!r}")
    ids = [prompt.prompt_id for prompt in prompts]
    groups = Outcomes(
        prompts=[prompt.text for prompt in prompts],
        models=["any"],
        quality=np.full((len(prompts), 1), np.nan),
        prompt_ids=ids,
        group_ids=[prompt.group for prompt in prompts],
    ).groups
    before = Purchases.read(log.source) if log else Purchases()
    is_bought = np.isin(ids, [prompt_id for prompt_id, _ in before.cells])
    is_kept = in_evaluation_share(groups, ids, share) & ~np.isin(groups, groups[is_bought])
    return is_kept | np.isin(groups, groups[np.isin(ids, list(before.kept))])


def _n_unanswered(
    log: CallLog, kept: Sequence[Prompt], candidates: Sequence[CandidateModel], measured: Measured
) -> int:
    """Count the prompts that some candidate has still to be asked."""
    if not kept:
        return 0
    plan = plan_collection(kept, candidates, log, measured=measured)
    return len({cell.prompt.prompt_id for cell in plan.cells})


def _ask(
    log: CallLog,
    pool: Sequence[Prompt],
    candidates: Sequence[CandidateModel],
    chosen: Sequence[Purchase],
    budget_usd: float,
) -> float:
    """Put the chosen cells to each candidate; return US dollars spent."""
    spent_usd = 0.0
    for arm, candidate in enumerate(candidates):
        prompts = [pool[cell.row] for cell in chosen if cell.arm == arm]
        if prompts:
            done = collect(prompts, [candidate], log, budget_usd=budget_usd - spent_usd)
            spent_usd += done.spent_usd
    return spent_usd


def _table(log: CallLog, pool: Sequence[Prompt], candidates: Sequence[CandidateModel]) -> Outcomes:
    """Return what is known of each cell of the pool; NaN where it isn't."""
    names = [candidate.name for candidate in candidates]
    known = known_quality(log.source, [each.prompt_id for each in pool])
    quality = np.array(
        [[known.get((each.prompt_id, name), np.nan) for name in names] for each in pool]
    )
    return Outcomes(
        prompts=[each.text for each in pool],
        models=names,
        quality=quality,
        prompt_ids=[each.prompt_id for each in pool],
    )


def _plan(
    log: CallLog, pool: Sequence[Prompt], candidates: Sequence[CandidateModel], measured: Measured
) -> tuple[Floats, np.ndarray]:
    """Return what each cell is expected to cost, and which may be asked.

    A cell that has an answer without a verdict isn't asked again.
    """
    planned = {
        (cell.prompt.prompt_id, cell.candidate.name)
        for cell in plan_collection(pool, candidates, log, measured=measured).cells
    }
    is_open = [[(prompt.prompt_id, each.name) in planned for each in candidates] for prompt in pool]
    usd = expected_costs_usd(pool, candidates, measured)
    return np.where(np.array(is_open) | (usd > 0), usd, 1.0), np.array(is_open)


def _record(strategy: str, cost_weight: float, cells: list[Any]) -> dict[str, Any]:
    return {
        "strategy": strategy,
        "cost_weight": cost_weight,
        "cells": [[prompt_id, candidate, propensity] for prompt_id, candidate, propensity in cells],
    }


def _n_scored(
    table: Outcomes,
    pool: Sequence[Prompt],
    candidates: Sequence[CandidateModel],
    bought: Bought,
) -> int:
    rows = {prompt.prompt_id: row for row, prompt in enumerate(pool)}
    arms = {candidate.name: arm for arm, candidate in enumerate(candidates)}
    return sum(
        bool(np.isfinite(table.quality[rows[prompt_id], arms[name]]))
        for prompt_id, name, _ in bought.cells
    )
