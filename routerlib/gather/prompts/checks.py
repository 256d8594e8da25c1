"""Look prompts over before they are paid for: copies, near-copies, what can be judged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from routerlib.gather.judges.number_styles import doubtful_numbers
from routerlib.gather.judges.proposing import proposal, with_judge
from routerlib.gather.prompts.files import read_prompts
from routerlib.gather.prompts.shapes import COLUMNS
from routerlib.metrics.clusters import FEW_GROUPS
from routerlib.outcomes.families import Families, families_of, merged
from routerlib.records.answers_inside import AnswersInside, tells_its_reference
from routerlib.records.brief import n_of
from routerlib.records.prompt import Prompt
from routerlib.records.trajectories import whole_text

if TYPE_CHECKING:
    import pandas as pd

# All pairs are compared, so the time grows with the square: some seconds for so many.
MOST_COMPARED = 10_000
_EXAMPLES = 3
_SHOWN_CHARS = 60
# Fields that something is done with; `group` is the one of those in `extra`.
_USED = (*COLUMNS, "group")


@dataclass(frozen=True)
class PromptReport:
    """What a file of prompts holds.

    Parameters
    ----------
    n_rows : int
        Rows of the file.
    prompts : tuple of Prompt
        Each distinct prompt once.
    copies : tuple of tuple of str
        Places of rows with the same messages, two or more each.
    near_copies : tuple of tuple of str or None
        Places of distinct prompts that are nearly the same, two or more each; None = not looked
        for, since there are more than `MOST_COMPARED`.
    families : Families or None
        Which of the distinct prompts are of one family, near-copies among them, and by which
        rule; None = not looked for.
    places : dict of str to str
        Place of each prompt's first row, by its `prompt_id`.
    shape : str, default=""
        What was recognised of a file with other columns, in words.
    """

    n_rows: int
    prompts: tuple[Prompt, ...]
    copies: tuple[tuple[str, ...], ...]
    near_copies: tuple[tuple[str, ...], ...] | None
    families: Families | None
    places: dict[str, str]
    shape: str = ""

    def _meant(self) -> dict[str, str]:
        """Return unknown fields that are nearly a known one, with that one."""
        unknown = sorted({name for each in self.prompts for name in each.extra or ()})
        close = {
            name: get_close_matches(name.lower(), _USED, n=1, cutoff=0.8)
            for name in unknown
            if name not in _USED
        }
        return {name: known[0] for name, known in close.items() if known}

    @property
    def n_judged(self) -> int:
        """Prompts whose answers a judge can score: with a judge and a reference."""
        return sum(each.judge is not None and each.reference is not None for each in self.prompts)

    @property
    def _judged(self) -> str:
        if not self.n_judged:
            return (
                "no answer can be judged without a person or an LLM: that takes `reference` and "
                "`judge` beside a prompt"
            )
        return f"answers of {self.n_judged} can be judged without a person or an LLM"

    @property
    def n_groups(self) -> int:
        """Groups that splits keep together: named ones, families, and prompts that stand alone."""
        alone = np.arange(len(self.prompts))
        families = alone if self.families is None else self.families.groups
        first: dict[str, int] = {}
        named = [
            row if each.group is None else first.setdefault(each.group, row)
            for row, each in enumerate(self.prompts)
        ]
        return len(np.unique(merged(families, np.array(named, dtype=int))))

    @property
    def doubtful(self) -> str:
        """Which references may be read as another number than they were meant; "" = none."""
        return doubtful_numbers(self.prompts)

    def table(self) -> pd.DataFrame:
        """Return one row per group of copies or near-copies, the largest first.

        Returns
        -------
        DataFrame
            Columns kind, n (rows), where (their first places), prompt (the first one's start).
        """
        import pandas as pd

        text = {self.places[each.prompt_id]: each.text for each in self.prompts}
        rows = [
            {
                "kind": kind,
                "n": len(places),
                "where": _listed(places),
                "prompt": " ".join(text[places[0]].split())[:_SHOWN_CHARS],
            }
            for kind, groups in (("copy", self.copies), ("near-copy", self.near_copies or ()))
            for places in groups
        ]
        table = pd.DataFrame(rows, columns=["kind", "n", "where", "prompt"])
        return table.sort_values("n", ascending=False, kind="stable", ignore_index=True)

    def __str__(self) -> str:
        tasks = Counter(each.task or "no task" for each in self.prompts).most_common()
        lines = [
            f"{n_of(len(self.prompts), 'prompts')} in {n_of(self.n_rows, 'rows')} ("
            + ", ".join(f"{name}: {n}" for name, n in tasks)
            + f"); {self._judged}"
        ]
        lines += filter(None, [self.shape, proposal(self.prompts), self.doubtful])
        if meant := self._meant():
            told = ", ".join(f"{name!r} (did you mean {known!r}?)" for name, known in meant.items())
            lines.append(f"unknown fields are kept but not used: {told}")
        telling = [self.places[p.prompt_id] for p in self.prompts if tells_its_reference(p)]
        if telling:
            where = _listed(telling, ", ")
            lines.append(f"{len(telling)} end with their own reference as the answer: {where}")
        if self.copies:
            n_left_out = self.n_rows - len(self.prompts)
            lines.append(
                f"{n_of(n_left_out, 'copies are', 'copy is')} left out: {_examples(self.copies)}"
            )
        if self.near_copies is None:
            lines.append(f"near-copies were not looked for: more than {MOST_COMPARED} prompts")
        elif self.near_copies:
            n_alike = sum(map(len, self.near_copies))
            lines.append(
                f"{n_alike} prompts are near-copies in {n_of(len(self.near_copies), 'groups')}, "
                f"which splits keep together: {_examples(self.near_copies)}"
            )
        lines += self._grouping()
        return "\n".join(lines)

    def _grouping(self) -> list[str]:
        """Say what splits keep together, and whether a verdict can rest on what is left."""
        lines, families = [], self.families
        if families is not None and (any(families.n_joined.values()) or families.n_in_common):
            lines.append(f"splits keep families together; {families.told}")
        if named := Counter(each.group for each in self.prompts if each.group is not None):
            lines.append(
                f"{n_of(named.total(), 'prompts name', 'prompt names')} "
                f"{n_of(len(named), 'groups')}, which splits keep together"
            )
        if self.prompts and self.n_groups < FEW_GROUPS:
            lines.append(
                f"no verdict can rest on {n_of(self.n_groups, 'groups')} (prompts of one template, "
                f"document or user are one): add prompts of at least {FEW_GROUPS - self.n_groups} "
                "other kinds before you pay for answers"
            )
        return lines


def check_prompts(
    path: str | Path,
    *,
    answers_inside: AnswersInside = "refuse",
    columns: Mapping[str, str] | None = None,
    judge: str | None = None,
    decimal: str = ".",
) -> PromptReport:
    r"""Read a file of prompts and report what is in it.

    Families are found as `families_of` finds them, near-copies by the share of five-character
    pieces that two prompts have in common.

    Parameters
    ----------
    path : str or Path
        As in `routerlib.load_prompts`, which also says what is raised.
    answers_inside : {"refuse", "cut"}, default="refuse"
        As in `routerlib.load_prompts`.
    columns : mapping of str to str or None, default=None
        As in `routerlib.load_prompts`.
    judge : str or None, default=None
        For prompts with a reference and no judge: a judge, or ``auto`` for the one that fits
        each; None = they stay without, and the report says which would fit.
    decimal : {".", ","}, default="."
        As in `routerlib.load_prompts`.

    Returns
    -------
    PromptReport

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "p.jsonl"
    >>> _ = path.write_text('{"prompt": "Hello there"}\n{"prompt": "Hello there"}\n')
    >>> print(check_prompts(path))
    1 prompt in 2 rows (no task: 1); no answer can be judged without a person or an LLM: that
     takes `reference` and `judge` beside a prompt
    1 copy is left out: line 1 = line 2
    no verdict can rest on 1 group (prompts of one template, document or user are one): add
     prompts of at least 29 other kinds before you pay for answers
    """
    places: dict[str, list[str]] = defaultdict(list)
    prompts: dict[str, Prompt] = {}
    said: list[str] = []
    for where, prompt in read_prompts(path, answers_inside, columns, said.append, decimal):
        places[prompt.prompt_id].append(where)
        prompts.setdefault(prompt.prompt_id, prompt)
    first = {prompt_id: wheres[0] for prompt_id, wheres in places.items()}
    families = _families(prompts)
    return PromptReport(
        n_rows=sum(map(len, places.values())),
        prompts=tuple(with_judge(list(prompts.values()), judge)),
        copies=tuple(tuple(wheres) for wheres in places.values() if len(wheres) > 1),
        near_copies=None if families is None else _listed_copies(families, first),
        families=families,
        places=first,
        shape="; ".join(said),
    )


def _families(prompts: dict[str, Prompt]) -> Families | None:
    if len(prompts) > MOST_COMPARED:
        return None
    return families_of([whole_text(prompt.messages) for prompt in prompts.values()])


def _listed_copies(families: Families, places: dict[str, str]) -> tuple[tuple[str, ...], ...]:
    groups: dict[int, list[str]] = defaultdict(list)
    for place, number in zip(places.values(), families.copies.tolist(), strict=True):
        groups[number].append(place)
    return tuple(tuple(each) for each in groups.values() if len(each) > 1)


def _listed(places: Iterable[str], between: str = " = ") -> str:
    places = list(places)
    shown = between.join(places[:_EXAMPLES])
    return shown + (f" and {len(places) - _EXAMPLES} more" if len(places) > _EXAMPLES else "")


def _examples(groups: tuple[tuple[str, ...], ...]) -> str:
    more = ", ..." if len(groups) > _EXAMPLES else ""
    return ", ".join(_listed(each) for each in groups[:_EXAMPLES]) + more
