"""Random parts of a log that a person scores: how they were drawn, and what the person said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from routerlib.log.sealed import first_number
from routerlib.outcomes.audit import Audit
from routerlib.records.call import AUDIT, PERSON

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

# What a run is called that records a draw.
KIND = "audit"


@dataclass(frozen=True)
class Draw:
    """Prompts that were drawn at random, and those that could have been.

    Parameters
    ----------
    models : tuple of str
        Candidate models whose answers are shown.
    prompt_ids : tuple of str
        Prompts that could be drawn, with those that an earlier draw had taken.
    probability : float
        Of each of these that no earlier draw had taken, in (0, 1].
    answers : tuple of tuple (prompt_id, candidate, call_id)
        What the person is to score.
    random_state : int
        Seed.
    """

    models: tuple[str, ...]
    prompt_ids: tuple[str, ...]
    probability: float
    answers: tuple[tuple[str, str, int], ...]
    random_state: int


def record_draw(log: CallLog, draw: Draw) -> None:
    """Append a draw to the log, as the parameters of a run."""
    log.start_run(KIND, {name: getattr(draw, name) for name in Draw.__dataclass_fields__})


def draws_of(log: CallLog) -> list[Draw]:
    """Return the draws that a log holds, oldest first."""
    rows = log.lookup("select parameters, run_id from runs where kind = ? order by run_id", KIND)
    found = [(json.loads(parameters), first_number(run_id)) for parameters, run_id in rows]
    return [
        Draw(
            models=tuple(told["models"]),
            prompt_ids=tuple(told["prompt_ids"]),
            probability=float(told["probability"]),
            answers=tuple(
                (key, name, first + int(number)) for key, name, number in told["answers"]
            ),
            random_state=int(told["random_state"]),
        )
        for told, first in found
    ]


def person_scores(log: CallLog, call_ids: Sequence[int]) -> dict[int, float]:
    """Return a person's last word on each of some calls that has one."""
    rows = log.lookup(
        "select call_id, score from scores where judge in (?, ?) order by score_id", AUDIT, PERSON
    )
    wanted = set(call_ids)
    return {call_id: score for call_id, score in rows if call_id in wanted}


def read_audit(log: CallLog) -> Audit | None:
    """Read what a person said of the answers that were drawn at random.

    Parameters
    ----------
    log : CallLog
        The log.

    Returns
    -------
    Audit or None
        Of all draws together; a prompt that could be drawn more than once was drawn with the
        probability of any. None where nothing was drawn yet, or nothing of it scored.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import routerlib as rl
    >>> print(read_audit(rl.CallLog(Path(tempfile.mkdtemp()) / "logs.db")))
    None
    """
    draws = draws_of(log)
    answers = [answer for draw in draws for answer in draw.answers]
    told = person_scores(log, [call_id for _, _, call_id in answers])
    if not told:
        return None
    prompt_ids = list(dict.fromkeys(key for draw in draws for key in draw.prompt_ids))
    models = list(dict.fromkeys(name for draw in draws for name in draw.models))
    place = {key: row for row, key in enumerate(prompt_ids)}
    escapes = np.ones(len(prompt_ids))
    for draw in draws:
        escapes[[place[key] for key in draw.prompt_ids]] *= 1 - draw.probability
    quality = np.full((len(prompt_ids), len(models)), np.nan)
    is_drawn = np.zeros(len(prompt_ids), dtype=bool)
    for key, name, call_id in answers:
        is_drawn[place[key]] = True
        quality[place[key], models.index(name)] = told.get(call_id, np.nan)
    return Audit(prompt_ids, models, quality, is_drawn, 1 - escapes)
