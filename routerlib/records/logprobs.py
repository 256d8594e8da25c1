"""How sure a model was of the words of its answer, as a few numbers.

Providers tell a log-probability for each token, with those of the likeliest tokens in its place:
megabytes in a log. What is kept is a handful of numbers of the answer and of its last line, where
the result mostly stands. Thoughts have their own probabilities and are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

LOGPROBS = "logprobs"  # where a call's `extra` keeps the numbers
# All are of the answer's tokens: mean, least, quantiles, mean gap between the two likeliest; mean
# and least of its last line alone; how many tokens have a number.
NUMBERS = ("mean", "least", "q10", "q50", "margin", "final_mean", "final_least", "n_tokens")

_MARK_OF_NONE = -9999.0  # what servers write where a token is too unlikely for their lists
_DECIMALS = 5


class TokenLogprob(NamedTuple):
    """One entry of what a server tells.

    `text`: the token's bytes; several tokens of one sign may be one entry.
    `logprob`: natural logarithm of its probability, at most 0; NaN = not told.
    `gap`: logarithm between the two likeliest tokens in this place, at least 0; NaN = not told, or
        another token was taken.
    """

    text: bytes
    logprob: float
    gap: float


def read_logprobs(told: Any) -> list[TokenLogprob]:
    """Read what stands under ``logprobs`` of a choice, in the form of chats or of completions.

    Parameters
    ----------
    told : object
        A list of entries, an object with ``content``, or one with ``tokens`` and
        ``token_logprobs``; anything else tells nothing.

    Returns
    -------
    list of TokenLogprob
        In the order of the text; empty end tokens are left out, as some servers tell them only
        in answers that aren't streamed.

    Examples
    --------
    >>> read_logprobs({"content": [{"token": "4", "logprob": -0.5, "top_logprobs": [
    ...     {"token": "4", "logprob": -0.5}, {"token": "5", "logprob": -1.5}]}]})
    [TokenLogprob(text=b'4', logprob=-0.5, gap=1.0)]
    """
    if isinstance(told, Mapping) and isinstance(told.get("tokens"), list):
        entries: Iterator[Any] = _of_completion(told)
    else:
        listed = told.get("content") if isinstance(told, Mapping) else told
        entries = iter(listed if isinstance(listed, list) else [])
    read = (each if isinstance(each, TokenLogprob) else _entry(each) for each in entries)
    return [each for each in read if each is not None and each.text]


def logprob_numbers(
    tokens: Sequence[TokenLogprob], answer: str, *, has_thought: bool = False
) -> dict[str, float]:
    r"""Return the numbers of an answer, as a call's `extra` keeps them.

    Parameters
    ----------
    tokens : sequence of TokenLogprob
        All that were told, those of thoughts and stop marks among them.
    answer : str
        The answer without its thoughts; its place among the tokens is found by its text.
    has_thought : bool, default=False
        Whether the model thought aloud: then an answer that isn't found has no numbers.

    Returns
    -------
    dict of str to float
        Those of `NUMBERS` that are known: natural logarithms, at most 0, but for ``margin``, at
        least 0, and ``n_tokens``, a count. Empty where nothing was told.

    Examples
    --------
    >>> tokens = [TokenLogprob(b"So", -2.0, 0.5), TokenLogprob(b"\n4", -0.1, 3.0)]
    >>> logprob_numbers(tokens, "So\n4")["final_least"]
    -0.1
    """
    starts = list(accumulate((len(each.text) for each in tokens), initial=0))
    whole = b"".join(each.text for each in tokens)
    text = answer.strip().encode()
    start = whole.rfind(text) if text else -1
    if start < 0 and (has_thought or not text):
        return {}
    span = (start, start + len(text)) if start >= 0 else (0, len(whole))
    part = list(_between(tokens, starts, *span))
    numbers = _numbers([each.logprob for each in part], [each.gap for each in part])
    if not numbers or start < 0:
        return numbers
    final = start + text.rfind(b"\n") + 1
    last = _known(each.logprob for each in _between(tokens, starts, final, span[1]))
    if last:
        numbers["final_mean"] = _rounded(math.fsum(last) / len(last))
        numbers["final_least"] = _rounded(min(last))
    return {name: numbers[name] for name in NUMBERS if name in numbers}


def kept_logprobs(extra: Mapping[str, Any] | str | None) -> dict[str, float]:
    """Return the numbers that a logged call holds; empty where it holds none.

    Parameters
    ----------
    extra : mapping, str or None
        A call's `extra`, or its JSON as the log keeps it.

    Returns
    -------
    dict of str to float
        As of `logprob_numbers`.

    Examples
    --------
    >>> kept_logprobs('{"logprobs": {"mean": -0.2, "n_tokens": 7}}')
    {'mean': -0.2, 'n_tokens': 7.0}
    >>> kept_logprobs(None)
    {}
    """
    known = json.loads(extra) if isinstance(extra, str) else extra
    numbers = (known or {}).get(LOGPROBS)
    if not isinstance(numbers, Mapping):  # an imported file may have a field of this name
        return {}
    return {name: float(numbers[name]) for name in NUMBERS if _is_number(numbers.get(name))}


def _entry(told: Any) -> TokenLogprob | None:
    if not isinstance(told, Mapping):
        return None
    logprob, top = _logprob(told.get("logprob")), told.get("top_logprobs")
    listed = top if isinstance(top, list) else []
    alternatives = [each for each in listed if isinstance(each, Mapping)]
    likely = [_logprob(each.get("logprob")) for each in alternatives]
    is_among = any(each.get("token") == told.get("token") for each in alternatives)
    return TokenLogprob(_text(told), logprob, _gap(likely, is_among))


def _of_completion(told: Mapping[str, Any]) -> Iterator[TokenLogprob]:
    """Yield the entries of the older form: a list of texts beside one of numbers."""
    tokens, logprobs, tops = (told.get(n) for n in ("tokens", "token_logprobs", "top_logprobs"))
    logprobs = logprobs if isinstance(logprobs, list) else []
    tops = tops if isinstance(tops, list) else []
    for i, token in enumerate(tokens or ()):
        top = tops[i] if i < len(tops) and isinstance(tops[i], Mapping) else {}
        likely = [_logprob(each) for each in top.values()]
        text = token.encode("utf-8", "replace") if isinstance(token, str) else b""
        logprob = _logprob(logprobs[i] if i < len(logprobs) else None)
        yield TokenLogprob(text, logprob, _gap(likely, token in top))


def _text(told: Mapping[str, Any]) -> bytes:
    """Return a token's bytes: its text can't hold a part of a sign."""
    given = told.get("bytes")
    listed = given if isinstance(given, list) else []
    if listed and all(isinstance(each, int) and 0 <= each < 256 for each in listed):
        return bytes(listed)
    token = told.get("token")
    return token.encode("utf-8", "replace") if isinstance(token, str) else b""


def _logprob(told: Any) -> float:
    if not _is_number(told) or not _MARK_OF_NONE < told <= 1e-6:
        return math.nan
    return min(float(told), 0.0)


def _is_number(told: Any) -> bool:
    return isinstance(told, int | float) and not isinstance(told, bool) and math.isfinite(told)


def _gap(likely: Sequence[float], is_among: bool) -> float:
    first, second = [*sorted(_known(likely), reverse=True), math.nan, math.nan][:2]
    return first - second if is_among else math.nan


def _between(
    tokens: Sequence[TokenLogprob], starts: Sequence[int], start: int, end: int
) -> Iterator[TokenLogprob]:
    """Yield the tokens that have a part of the text between two bytes."""
    for token, first in zip(tokens, starts, strict=False):
        if first < end and first + len(token.text) > start:
            yield token


def _known(values: Iterator[float] | Sequence[float]) -> list[float]:
    return [each for each in values if not math.isnan(each)]


def _numbers(told: Sequence[float], gaps: Sequence[float]) -> dict[str, float]:
    logprobs, known = sorted(_known(told)), _known(gaps)
    # A server that knows nothing may write zeros: then it tells of no other token either.
    if not any(logprobs) and not any(known):
        return {}
    numbers = {
        "mean": math.fsum(logprobs) / len(logprobs),
        "least": logprobs[0],
        "q10": _quantile(logprobs, 0.1),
        "q50": _quantile(logprobs, 0.5),
        "n_tokens": float(len(logprobs)),
    }
    if known:
        numbers["margin"] = math.fsum(known) / len(known)
    return {name: _rounded(value) for name, value in numbers.items()}


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile by straight lines between the ordered values."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _rounded(value: float) -> float:
    return round(value, _DECIMALS) + 0.0
