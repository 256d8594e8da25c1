"""Read multiple choice of lm-evaluation-harness: what was chosen, what is right."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Choices(NamedTuple):
    """The continuations of one question, with log-likelihoods.

    `log_likelihoods, without_question` (length n_choices): nats; the second is empty where the
        choices alone were not asked for.
    """

    context: Any
    texts: tuple[str, ...]
    log_likelihoods: tuple[float, ...]
    without_question: tuple[float, ...]

    @property
    def chosen(self) -> int:
        """Place of the likeliest choice: the model's answer."""
        return _place_of_most(self.log_likelihoods)

    def judged_by(self, metric: str) -> int | None:
        """Return the place of the choice that a metric judges; None where it judges no single one.

        >>> long = Choices("q", ("no", "not at all"), (-6.0, -8.0), ())
        >>> long.judged_by("acc"), long.judged_by("acc_norm"), long.judged_by("f1")
        (0, 1, None)
        """
        if metric == "acc":
            return self.chosen
        if metric == "acc_mutual_info":
            if len(self.without_question) != len(self.texts):
                return None
            both = zip(self.log_likelihoods, self.without_question, strict=True)
            return _place_of_most([likely - alone for likely, alone in both])
        if metric in _LENGTHS:
            length = _LENGTHS[metric]
            both_ = zip(self.log_likelihoods, self.texts, strict=True)
            return _place_of_most([likely / max(length(text), 1) for likely, text in both_])
        return None


_LENGTHS: dict[str, Callable[[str], int]] = {
    "acc_norm": len,
    "acc_bytes": lambda text: len(text.encode()),
}


def read_choices(requests: Sequence[Sequence[Any]], resps: Sequence[Any]) -> Choices | str:
    """Return the choices of a document, or why they are no answer to one question."""
    if any(len(request) < 2 for request in requests):
        return "documents without a question: their text itself was measured"
    likelihoods = [_log_likelihood(each[0]) for each in resps]
    both = list(zip(requests, likelihoods, strict=True))
    asked = [(request, likely) for request, likely in both if request[0] != ""]
    alone = [likely for request, likely in both if request[0] == ""]
    if not asked:
        return "documents without a question: their text itself was measured"
    if any(request[0] != asked[0][0][0] for request, _ in asked):
        return "documents whose choices stand in the question: each choice was asked another one"
    return Choices(
        asked[0][0][0],
        tuple(str(request[1]).strip() for request, _ in asked),
        tuple(likely for _, likely in asked),
        tuple(alone),
    )


def _log_likelihood(response: Any) -> float:
    return float(response[0] if isinstance(response, list) else response)


def _place_of_most(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


# -- which choice is right ---

Reading = Callable[[Any, Sequence[str]], Sequence[int] | None]


def _as_place(target: Any, texts: Sequence[str]) -> Sequence[int] | None:
    places = parsed(target)
    places = places if isinstance(places, list) else [places]
    is_place = [isinstance(n, int) and not isinstance(n, bool) for n in places]
    if not places or not all(is_place) or not all(0 <= n < len(texts) for n in places):
        return None
    return [int(n) for n in places]


def _as_text(target: Any, texts: Sequence[str]) -> Sequence[int] | None:
    told = parsed(target)
    wanted = [str(each).strip() for each in (told if isinstance(told, list) else [target])]
    places = [n for n, text in enumerate(texts) if text in wanted]
    return places or None


READINGS: tuple[Reading, ...] = (_as_place, _as_text)


def reading_of(documents: Iterable[tuple[Any, Choices, float | None]]) -> Reading | None:
    """Return how a task's targets name the right choice: by place, or by text.

    Where the choices are numbers, both can be read; then the accuracy of the documents decides,
    and None is returned where it doesn't.

    `documents`: target, choices, and `acc` (1 where the chosen one is right; None = not told).
    """
    known = list(documents)
    fitting = [reading for reading in READINGS if all(_fits(reading, *each) for each in known)]
    if len(fitting) == 2 and all(
        _as_place(target, found.texts) == _as_text(target, found.texts)
        for target, found, _ in known
    ):
        return fitting[0]
    return fitting[0] if len(fitting) == 1 else None


def _fits(reading: Reading, target: Any, choices: Choices, acc: float | None) -> bool:
    right = reading(target, choices.texts)
    if right is None:
        return False
    return acc is None or math.isnan(acc) or (choices.chosen in right) == (acc == 1)


def parsed(target: Any) -> Any:
    """Return what a target's text was before it was written as text.

    >>> parsed("2"), parsed("['Rome', 'Milan']"), parsed("Rome")
    (2, ['Rome', 'Milan'], 'Rome')
    """
    try:
        return ast.literal_eval(target) if isinstance(target, str) else target
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return target


def listed(target: Any, doc: Any) -> Any:
    """Return a target as the list of texts that it was, where a document or its form says so."""
    found = parsed(target)
    if not isinstance(found, list) or not found:
        return target
    values = list(doc.values()) if isinstance(doc, Mapping) else []
    if found in values:
        return found
    if target in values:
        return target
    return found if all(isinstance(each, str) for each in found) else target
