"""Quality of answers that were asked for several times, as a log holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from routerlib.log import queries
from routerlib.log.parts import Known, each_repeats
from routerlib.records.arrays import Floats
from routerlib.records.memory import give_back_free

if TYPE_CHECKING:
    import pandas as pd

    from routerlib.log.call_log import CallLog

# With one repeat luck can't be told from skill.
MIN_REPEATS = 2

_LABELS = f"""
select text, coalesce(task, 'other'), prompt_id, {queries.GROUP_ID} as group_id, row
from prompts join wanted using (prompt_id)
"""


@dataclass(frozen=True, eq=False)
class Repeats:
    """Quality of the same candidate models on the same prompts, asked several times.

    Parameters
    ----------
    prompts : tuple of str, length n_prompts
        Prompt texts.
    models : tuple of str, length n_models
        Candidate names.
    quality : ndarray of shape (n_prompts, n_models, n_repeats)
        In [0, 1]; NaN = not asked, or not scored.
    topics : tuple of str, length n_prompts
        Topic of each prompt; one for all where none is known.
    group_ids : tuple of str or None, length n_prompts, or None, default=None
        What each prompt was made from or belongs to.
    """

    prompts: tuple[str, ...]
    models: tuple[str, ...]
    quality: Floats
    topics: tuple[str, ...]
    group_ids: tuple[str | None, ...] | None = None

    def complete(self) -> Repeats:
        """Keep prompts on which every model was asked the usual number of times, at least two."""
        asked = np.isfinite(self.quality).sum(axis=2).min(axis=1, initial=10**6)
        often = asked[asked >= MIN_REPEATS]
        n_repeats = int(np.median(often)) if len(often) else MIN_REPEATS
        rows = np.flatnonzero(asked >= n_repeats)
        # The first so many scored repeats of each cell.
        order = np.argsort(~np.isfinite(self.quality[rows]), axis=2, kind="stable")
        quality = np.take_along_axis(self.quality[rows], order, axis=2)[:, :, :n_repeats]
        return Repeats(
            tuple(self.prompts[row] for row in rows),
            self.models,
            quality,
            tuple(self.topics[row] for row in rows),
            None if self.group_ids is None else tuple(self.group_ids[row] for row in rows),
        )


def repeats_from_log(log: CallLog, models: Sequence[str] | None = None) -> Repeats:
    """Read the repeats that a log holds.

    Parameters
    ----------
    log : CallLog
        The log.
    models : sequence of str or None, default=None
        Candidates, such as ``outcomes.models``; None = all that were scored.

    Returns
    -------
    Repeats
        One slot per repeat number that occurs.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import routerlib as rl
    >>> from routerlib.records.call import Call, Score
    >>> log = rl.CallLog(Path(tempfile.mkdtemp()) / "logs.db")
    >>> prompt = rl.Prompt.from_text("What is 2 + 3?", task="math", reference="5", judge="numeric")
    >>> _ = log.add_prompts([prompt])
    >>> for number in (0, 1):
    ...     call = Call(prompt.prompt_id, "small", "b2:x", "ok", "5", repeat=number)
    ...     _ = log.add_call(call, scores=[Score("numeric", 1.0)])
    >>> repeats_from_log(log).quality.shape
    (1, 1, 2)
    """
    return _read(log.source, models)


def _read(path: queries.Source, models: Sequence[str] | None) -> Repeats:
    import pandas as pd

    with queries.opened(path) as reader:
        ids, everybody, cells = _cells(reader)
        logged = [everybody[arm] for arm in _by_first_call(cells, "arm")]
        names = logged if models is None else list(models)
        if not set(logged) <= set(names):
            cells = cells[cells.arm.isin([everybody.index(n) for n in names if n in everybody])]
        kept, numbers = _by_first_call(cells, "row"), np.sort(cells.repeat.unique())
        quality = np.full((len(kept), len(names), len(numbers)), np.nan)
        rows, arms = np.full(len(ids), -1), np.full(len(everybody), -1)
        rows[kept] = np.arange(len(kept))
        arms[[everybody.index(name) for name in logged]] = [
            names.index(name) if name in names else -1 for name in logged
        ]
        at = rows[cells.row], arms[cells.arm], np.searchsorted(numbers, cells.repeat)
        quality[at] = cells.quality
        del cells, at
        give_back_free()  # before all texts come in
        wanted = pd.DataFrame({"prompt_id": [ids[row] for row in kept]}, dtype=object)
        reader.add("wanted", wanted.assign(row=np.arange(len(wanted))))
        known = Known.of([reader], _LABELS, len(wanted))
    return Repeats(
        tuple(known.texts), tuple(names), quality, tuple(known.labels), tuple(known.group_ids)
    )


def _cells(reader: queries.Reader) -> tuple[list[str], list[str], pd.DataFrame]:
    """Return prompts, candidates, and scored repeats that name them by their places there.

    A part's texts are let go before the next part is read.
    """
    import pandas as pd

    ids: list[str] = []
    arms: dict[str, int] = {}
    found = []
    for part in each_repeats(reader):
        rows, known = pd.factorize(part.pop("prompt_id"))
        places = [arms.setdefault(name, len(arms)) for name in part.pop("candidate")]
        found.append(part.assign(row=rows + len(ids), arm=np.array(places, dtype=np.int32)))
        ids.extend(known)
    return ids, list(arms), pd.concat(found, ignore_index=True)


def _by_first_call(cells: pd.DataFrame, name: str) -> list:
    """Return what stands in a column, each once, in the order of logging."""
    return cells.groupby(name).first_call.min().sort_values().index.tolist()
