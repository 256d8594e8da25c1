"""How outcomes show themselves, and how tables and scikit-learn take them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from routerlib.records.shown import shown_html

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.outcomes.means import Means


class Shown:
    """What outcomes have of a table: a shape, a frame, and a face."""

    prompts: Sequence[str]
    models: Sequence[str]
    quality: np.ndarray
    cost_usd: np.ndarray
    topics: Sequence[str] | None
    prompt_ids: Sequence[str]
    group_ids: Sequence[str | None] | None

    def __len__(self) -> int:
        return len(self.prompts)

    def __repr__(self) -> str:
        observed = int(np.isfinite(self.quality).sum())
        return (
            f"Outcomes({len(self)} prompts x {len(self.models)} models, "
            f"{observed} of {self.quality.size} observed)"
        )

    @abstractmethod
    def compared(self) -> Means:
        """Return means by which candidates can be compared fairly."""

    def _repr_html_(self) -> str:
        means = self.compared()
        rows = [
            {
                "model": name,
                "observed": int(np.isfinite(self.quality[:, arm]).sum()),
                "quality": float(means.quality[arm]),
                "cost_usd": float(means.cost_usd[arm]),
            }
            for arm, name in enumerate(self.models)
        ]
        return shown_html(f"{self!r}; means over prompts that can be compared", rows)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of prompts and of candidate models."""
        return len(self.prompts), len(self.models)

    def to_frame(self) -> pd.DataFrame:
        """Return a wide table, which `Outcomes.from_frame` reads again.

        Returns
        -------
        DataFrame, index prompt_id
            ``prompt``, ``topic`` and ``group`` (where known), for each candidate its quality under
            its own name and its cost under ``NAME_cost_usd``, US dollars; NaN = not observed.

        Examples
        --------
        >>> from routerlib.outcomes.outcomes import Outcomes
        >>> Outcomes(["a?"], ["small"], [[1]], [[0.1]]).to_frame().columns.tolist()
        ['prompt', 'small', 'small_cost_usd']
        """
        import pandas as pd

        columns: dict[str, Any] = {"prompt": list(self.prompts)}
        if self.topics is not None:
            columns["topic"] = list(self.topics)
        if self.group_ids is not None:
            columns["group"] = list(self.group_ids)
        columns |= {name: self.quality[:, arm] for arm, name in enumerate(self.models)}
        columns |= {
            f"{name}_cost_usd": self.cost_usd[:, arm] for arm, name in enumerate(self.models)
        }
        return pd.DataFrame(columns, index=pd.Index(list(self.prompt_ids), name="prompt_id"))
