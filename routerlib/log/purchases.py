"""Read from a log which labels were bought, with which chance, and what buying left alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from routerlib.log import queries
from routerlib.records.arrays import Floats

CellName = tuple[str, str]

_ASKED = "select distinct prompt_id, candidate from calls semi join told using (prompt_id)"
_RUNS = "select parameters from runs where kind = 'acquire' order by run_id"
# No cell of a table that was bought from is known to be out of reach.
_LEAST = 1e-6


@dataclass(frozen=True)
class Purchases:
    """All that was bought, batch after batch.

    `batches`: parameters of the runs of kind ``acquire``: in each ``cells`` as triples of prompt,
        candidate and propensity; and ``chances`` of each candidate in ``candidates`` for each
        prompt in ``prompts``, where they were logged.
    `asked`: cells with a call, of prompts that could be bought; a budget may end before all that
        was chosen is asked.
    """

    batches: list[dict[str, Any]] = field(default_factory=list)
    asked: Collection[CellName] = ()

    @classmethod
    def read(cls, path: queries.Source) -> Purchases:
        """Read what a log says of purchases."""
        import pandas as pd

        batches = [json.loads(text) for text in queries.run(path, _RUNS).parameters]
        if not batches:
            return cls()
        told = {prompt_id for batch in batches for prompt_id in batch.get("prompts", [])}
        told |= {cell[0] for batch in batches for cell in batch.get("cells", [])}
        prompts = pd.DataFrame({"prompt_id": sorted(told)}, dtype=object)
        asked = queries.run(path, _ASKED, {"told": prompts})
        return cls(batches, set(zip(asked.prompt_id, asked.candidate, strict=True)))

    @property
    def cells(self) -> set[CellName]:
        """Cells that were bought: prompt and candidate."""
        return {(cell[0], cell[1]) for batch in self.batches for cell in batch.get("cells", [])}

    @property
    def kept(self) -> set[str]:
        """Prompts that some batch kept for evaluation."""
        return {prompt_id for batch in self.batches for prompt_id in batch.get("kept", [])}

    def inclusion(
        self, prompt_ids: Sequence[str], models: Sequence[str], quality: Floats
    ) -> Floats | None:
        """Return with which probability each cell was to be observed; None = nothing was bought.

        Batch after batch each cell was passed over or not. A cell that was asked without being
        bought, or bought and not scored, wasn't left out by design: there it is 1.

        `quality` (n_prompts, n_models): NaN = not observed.
        """
        passed_over = self._passed_over()
        if not passed_over:
            return None
        bought = self.cells
        inclusion = np.ones(quality.shape)
        for row, prompt_id in enumerate(prompt_ids):
            for arm, name in enumerate(models):
                cell = (prompt_id, name)
                is_seen = np.isfinite(quality[row, arm])
                by_design = (is_seen and cell in bought) or cell not in self.asked
                if by_design and cell in passed_over:
                    inclusion[row, arm] = max(1 - passed_over[cell], _LEAST)
        return None if (inclusion == 1).all() else inclusion

    def _passed_over(self) -> dict[CellName, float]:
        """Return with which probability each cell was bought in no batch."""
        found: dict[CellName, float] = {}
        for batch in self.batches:
            names = batch.get("candidates", [])
            chosen = Counter(name for _, name, _ in batch.get("cells", []))
            done = Counter(
                name for key, name, _ in batch.get("cells", []) if (key, name) in self.asked
            )
            shares = [done[name] / chosen[name] if chosen[name] else 1.0 for name in names]
            for prompt_id, row in zip(
                batch.get("prompts", []), batch.get("chances", []), strict=True
            ):
                for name, share, chance in zip(names, shares, row, strict=True):
                    cell = (prompt_id, name)
                    found[cell] = found.get(cell, 1.0) * (1 - share * chance)
        return found
