"""Draw answers at random for a person to score, and read the filled file back."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.gather.judges.number_styles import as_written
from routerlib.log.audits import Draw, draws_of, person_scores, record_draw
from routerlib.log.parts import each_answer
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.brief import n_of
from routerlib.records.call import AUDIT, Score
from routerlib.records.canonical import canonical_json
from routerlib.records.files import write_atomically
from routerlib.records.separators import LONGEST_CSV_FIELD, separator_of, told_apart
from routerlib.records.thoughts import separate
from routerlib.records.trajectories import whole_text

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog

_COLUMNS = ("answer_id", "score", "prompt", "answer", "reference")
# A spreadsheet would take such a cell for a formula; a number is none.
_FORMULA = re.compile(r"^[=+\-@\t\r](?![\d.,\s]*$)")


class Filled(NamedTuple):
    """What a filled file held.

    `n_new`: scores written to the log; `n_known`: it had them already; `n_blank`: not scored yet.
    """

    n_new: int
    n_known: int
    n_blank: int

    def __str__(self) -> str:
        told = f"{n_of(self.n_new, 'scores')} by a person written"
        told += f", {self.n_known} known already" if self.n_known else ""
        if self.n_blank:
            blank = n_of(self.n_blank, "answers have", "answer has")
            told += f"; {blank} none and count{'s' * (self.n_blank == 1)} at the worst until then"
        return told


def draw_audit(
    log: CallLog,
    path: str | Path,
    n_prompts: int = 100,
    *,
    judge: str | None = None,
    models: Sequence[str] | None = None,
    prompt_ids: Sequence[str] | None = None,
    random_state: int = 0,
) -> Draw:
    """Draw prompts at random and write their answers to a file for a person to score.

    Each prompt that can be drawn has the same probability, which the log keeps. The file shows
    answers in random order and not whose they are. A further draw takes prompts that no earlier
    one took.

    Parameters
    ----------
    log : CallLog
        Answers that a judge has scored.
    path : str or Path
        CSV file to write; one that is there already is not overwritten.
    n_prompts : int, default=100
        How many to draw; each candidate's answer to each of them is shown.
    judge : str or None, default=None
        Draw among prompts that this judge has scored; None = any.
    models : sequence of str or None, default=None
        Candidate models; None = as of `Outcomes.from_log`.
    prompt_ids : sequence of str or None, default=None
        Draw among these only, such as held-out ones; None = all.
    random_state : int, default=0
        Seed.

    Returns
    -------
    Draw

    Raises
    ------
    ValueError
        If there are fewer such prompts.
    FileExistsError
        If the file is there already.

    Examples
    --------
    >>> import tempfile
    >>> import routerlib as rl
    >>> from routerlib.records.call import Call
    >>> folder = Path(tempfile.mkdtemp())
    >>> log = rl.CallLog(folder / "logs.db")
    >>> for number in range(4):
    ...     prompt = rl.Prompt.from_text(f"What is {number} + 3?")
    ...     _ = log.add_prompts([prompt])
    ...     call = Call(prompt.prompt_id, "small", "b2:x", "ok", str(number + 3))
    ...     _ = log.add_call(call, scores=[Score("llm:large", 1.0)])
    >>> draw = draw_audit(log, folder / "audit.csv", n_prompts=2)
    >>> draw.probability, len(draw.answers)
    (0.5, 2)
    >>> text = (folder / "audit.csv").read_text(encoding="utf-8-sig")
    >>> _ = (folder / "audit.csv").write_text(text.replace(",,What", ",1,What"))
    >>> print(read_scores(log, folder / "audit.csv"))
    2 scores by a person written
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} is there already, perhaps with scores; name another file")
    outcomes = Outcomes.from_log(log, judge=judge, models=models)
    rows = {prompt_id: row for row, prompt_id in enumerate(outcomes.prompt_ids)}
    calls = _answers(log, judge, rows, outcomes.models)
    is_shown = ((calls > 0) | np.isnan(outcomes.quality)).all(axis=1)
    wanted = None if prompt_ids is None else set(prompt_ids)
    frame = [
        prompt_id
        for prompt_id, row in rows.items()
        if is_shown[row] and (wanted is None or prompt_id in wanted)
    ]
    drawn_before = {key for draw in draws_of(log) for key, _, _ in draw.answers}
    left = [key for key in frame if key not in drawn_before]
    if not 1 <= n_prompts <= len(left):
        raise ValueError(
            f"prompts to draw must lie between 1 and {len(left)} (scored, with their answers "
            f"stored, and not drawn before), got {n_prompts}"
        )
    rng = np.random.default_rng(random_state)
    drawn = [left[row] for row in rng.choice(len(left), n_prompts, replace=False)]
    answers = [
        (key, name, call_id)
        for key in drawn
        for name, call_id in zip(outcomes.models, calls[rows[key]].tolist(), strict=True)
        if call_id
    ]
    shuffled = [answers[row] for row in rng.permutation(len(answers))]
    draw = Draw(
        tuple(outcomes.models), tuple(frame), n_prompts / len(left), tuple(shuffled), random_state
    )
    write_atomically(path, _written(log, [call_id for _, _, call_id in shuffled]))
    record_draw(log, draw)
    return draw


def read_scores(log: CallLog, path: str | Path) -> Filled:
    """Read a filled file, and append a person's scores beside those of the judge.

    Parameters
    ----------
    log : CallLog
        The log that the answers were drawn from.
    path : str or Path
        The file of `draw_audit` with scores from 0 to 1 in its column ``score``; what is blank
        has none yet, and may come later. Further columns don't matter.

    Returns
    -------
    Filled

    Raises
    ------
    ValueError
        If a row is no drawn answer, or its score no number from 0 to 1; then nothing is written.

    Examples
    --------
    >>> import tempfile
    >>> import routerlib as rl
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "audit.csv").write_text("answer_id,score")
    >>> print(read_scores(rl.CallLog(folder / "logs.db"), folder / "audit.csv"))
    0 scores by a person written
    """
    path = Path(path)
    drawn = {call_id for draw in draws_of(log) for _, _, call_id in draw.answers}
    told: dict[int, float] = {}
    n_blank = 0
    for line, row in _rows(path):
        call_id = _drawn(row["answer_id"], drawn, f"{path}, row {line}")
        score = _score(row["score"], f"{path}, row {line}")
        if score is None:
            n_blank += 1
        else:
            told[call_id] = score
    known = person_scores(log, list(told))
    new = {call_id: score for call_id, score in told.items() if known.get(call_id) != score}
    with log.transaction():
        for call_id, score in new.items():
            log.add_scores(call_id, [Score(AUDIT, score, path.name)])
    return Filled(len(new), len(told) - len(new), n_blank)


def _answers(
    log: CallLog, judge: str | None, rows: Mapping[str, int], models: Sequence[str]
) -> np.ndarray:
    """Return the call whose answer is shown, shape (n_prompts, n_models); 0 = none.

    `rows`: of the prompts.
    """
    calls = np.zeros((len(rows), len(models)), dtype=np.int64)
    arms = {name: arm for arm, name in enumerate(models)}
    for prompt_id, name, call_id in each_answer(log.source, judge):
        if prompt_id in rows and name in arms:
            calls[rows[prompt_id], arms[name]] = call_id
    return calls


def _written(log: CallLog, call_ids: Sequence[int]) -> bytes:
    """Write answers as a table that a spreadsheet opens."""
    asked_by = "select call_id, prompt_id from calls where call_id in ({marks})"
    prompts = log.known_prompts({key for _, key in log.lookup_some(asked_by, call_ids)})
    told = io.StringIO()
    writer = csv.DictWriter(told, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for call_id in call_ids:
        ((prompt_id, response),) = log.lookup(
            "select prompt_id, response from calls where call_id = ?", call_id
        )
        prompt = prompts[prompt_id]
        gold = as_written(prompt.reference)
        reference = gold if gold is None or isinstance(gold, str) else canonical_json(gold)
        asked = whole_text(prompt.messages)
        shown = {"prompt": asked, "answer": separate(response).answer, "reference": reference}
        texts = {name: _FORMULA.sub(r"'\g<0>", text or "") for name, text in shown.items()}
        writer.writerow({"answer_id": call_id, "score": "", **texts})
    return told.getvalue().encode("utf-8-sig")


def _rows(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    try:
        told, text = told_apart(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 ({error.reason}); save it as CSV UTF-8, and read it again"
        ) from error
    csv.field_size_limit(LONGEST_CSV_FIELD)
    separator = told or separator_of(text, _COLUMNS[:1])
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    missing = [name for name in _COLUMNS[:2] if name not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(
            f"{path} must have the columns answer_id and score, as `routerlib audit draw` writes "
            f"them; {missing[0]} is missing"
        )
    return [
        (line, {name: (row[name] or "").strip() for name in _COLUMNS[:2]})
        for line, row in enumerate(reader, start=1)
    ]


def _drawn(text: str, drawn: set[int], where: str) -> int:
    if not text.isdecimal() or int(text) not in drawn:
        raise ValueError(
            f"{where}: answer_id must be one that was drawn from this log, got {text!r}; scores "
            "of answers that weren't drawn at random tell nothing of the others"
        )
    return int(text)


def _score(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        score = float(text.replace(",", "."))
    except ValueError:
        score = np.nan
    if not 0 <= score <= 1:
        raise ValueError(f"{where}: score must be a number from 0 to 1, or blank, got {text!r}")
    return score
