"""Tell which features of prompts have shifted, and draw those that this is looked for among."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from routerlib.features.names import readable_name
from routerlib.features.surface import SURFACE_NAMES, surface_features
from routerlib.features.tasks import detect_task
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.arrays import Floats
from routerlib.records.canonical import tagged_hash
from routerlib.records.prompt import TASKS

if TYPE_CHECKING:
    import pandas as pd

_N_BINS = 10
# The usual reading of the index: under 0.1 stable, from 0.2 on another population.
_SHIFTED = 0.2
# Prompts are compared when there are so many, and each time that they have doubled.
_FIRST_LOOK = 40
# Near-duplicates are looked for among so many prompts at most: nine doublings of the first look.
MOST_GROUPED = _FIRST_LOOK * 2**9
_EMPTY_COUNT = 0.5
# Hexadecimal digits of a hash, by which prompts are drawn.
_N_HEX = 8


def share_drawn(n: int) -> float:
    """Return what share of so many prompts is looked at, the same until they have doubled."""
    return 1.0 if n <= MOST_GROUPED else MOST_GROUPED / (2 * _n_at_look(_look_at(n)))


def drawn_rows(outcomes: Outcomes, share: float) -> np.ndarray:
    """Draw rows at random: a prompt is drawn or not by its id alone, however many come after."""
    if share >= 1:
        return np.arange(len(outcomes))
    end = f"{int(share * 16**_N_HEX):0{_N_HEX}x}"
    return np.flatnonzero([_hex(each) < end for each in outcomes.prompt_ids])


def _hex(prompt_id: str) -> str:
    return tagged_hash(["drift", prompt_id]).rpartition(":")[2][:_N_HEX]


def look_of_many(n: int, drawn: np.ndarray) -> tuple[np.ndarray, int] | None:
    """Return which of the drawn prompts the latest look is at, and its number; None = all count."""
    if len(drawn) == n:
        return None
    look = _look_at(n)
    return np.flatnonzero(drawn < _n_at_look(look)), look


def shifted_features(
    before: Outcomes,
    now: Outcomes,
    alpha: float,
    looked: tuple[np.ndarray, int] | None = None,
) -> pd.DataFrame:
    """Compare features, by the first prompts of each group.

    `looked`: rows that the latest look is at, and its number; None = as the groups tell.
    """
    import pandas as pd

    columns = ["psi", "p_value", "before", "now", "is_shifted"]
    if not len(before) or not len(now):
        return pd.DataFrame(columns=columns, index=pd.Index([], name="feature"))
    old, new = _numbers(before.prompts), _numbers(now.prompts)
    names = [*SURFACE_NAMES, *(f"task_{task}" for task in TASKS)]
    varying = [i for i in range(len(names)) if np.ptp(np.concatenate([old[:, i], new[:, i]])) > 0]
    independent = _firsts(before.groups)
    firsts = _firsts(now.groups)
    judged, look = (
        _latest_look(firsts) if looked is None else (np.intersect1d(firsts, looked[0]), looked[1])
    )
    rows = {}
    for column in varying:
        index, p_value = _stability(old[:, column], new[:, column], _N_BINS)
        if len(judged):
            _, p_value = _stability(old[independent, column], new[judged, column], _N_BINS)
        p_value = min(1.0, p_value * look * (look + 1))
        rows[readable_name(names[column])] = {
            "psi": index,
            "p_value": p_value if len(judged) else np.nan,
            "before": float(old[:, column].mean()),
            "now": float(new[:, column].mean()),
            "is_shifted": bool(
                len(judged) and index >= _SHIFTED and p_value < alpha / len(varying)
            ),
        }
    frame = pd.DataFrame(rows, index=columns).T.infer_objects()
    frame.index.name = "feature"
    return frame.sort_values(["is_shifted", "psi"], ascending=False)


def _firsts(groups: np.ndarray) -> np.ndarray:
    """Return one row of each group of near-duplicates, in order: copies are no evidence."""
    return np.sort(np.unique(groups, return_index=True)[1])


def _latest_look(rows: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the prompts of the last doubling, and which look that is, from 1.

    Looks between two doublings see the same prompts: they are one look.
    """
    if len(rows) < _FIRST_LOOK:
        return rows[:0], 1
    look = _look_at(len(rows))
    return rows[: _n_at_look(look)], look


def _look_at(n: int) -> int:
    """Return the number of the latest look at so many prompts, from 1."""
    return int(np.log2(n / _FIRST_LOOK)) + 1


def _n_at_look(look: int) -> int:
    return int(_FIRST_LOOK * 2 ** (look - 1))


def _numbers(prompts: Sequence[str]) -> Floats:
    tasks = np.array([TASKS.index(detect_task(text)) for text in prompts])
    is_task = (tasks[:, None] == np.arange(len(TASKS))).astype(float)
    return np.hstack([surface_features(list(prompts)), is_task])


def _stability(before: Floats, now: Floats, n_bins: int) -> tuple[float, float]:
    """Return the index, and the probability of one as large by chance."""
    from scipy.stats import chi2

    inner = np.unique(
        np.quantile(before, np.linspace(0, 1, n_bins + 1)[1:-1], method="inverted_cdf")
    )
    counts = [
        np.bincount(np.searchsorted(inner, sample, side="left"), minlength=len(inner) + 1)
        + _EMPTY_COUNT
        for sample in (before, now)
    ]
    p, q = (count / count.sum() for count in counts)
    index = float(((q - p) * np.log(q / p)).sum())
    scaled = index * len(before) * len(now) / (len(before) + len(now))
    return index, float(chi2.sf(scaled, max(len(inner), 1)))
