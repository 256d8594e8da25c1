"""Say in words what tells two candidate models apart on a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from routerlib.features.names import ANY_PROMPT, FOLDED, KNOWN_TASK, TOPIC, WORDS, number_text
from routerlib.routers.explanation.attribution import Attribution
from routerlib.weights.embedding import BLANK

DecidedBy = Literal["quality", "cost", "both", "neither"]

_N_REASONS, _N_WORDS = 3, 3
_SMALLEST_REASON = 0.005
_SMALLEST_SHOWN = 0.0005  # of what is written with one digit of a point
_ROUNDING = 1e-12
# Which part of the margin decided, said to people.
DECIDED: Mapping[DecidedBy, str] = {
    "quality": "Quality decides",
    "cost": "Cost decides",
    "both": "Quality and cost agree",
    "neither": "Nothing tells them apart",
}


def decided_by(quality_margin: float, cost_part: float) -> DecidedBy:
    """Return which of the two parts speaks for the one that is ahead."""
    ahead = quality_margin + cost_part
    sides = [part if ahead > 0 else -part for part in (quality_margin, cost_part)]
    speaks = [side > _ROUNDING for side in sides]
    if all(speaks):
        return "both"
    if not any(speaks):
        return "neither"
    return "quality" if speaks[0] else "cost"


def quality_sentence(between: Attribution, chosen: str, other: str, margin: float) -> str:
    """Tell what is so on any prompt apart from what is due to this one: that is no reason."""
    more = "more" if margin >= 0 else "less"
    text = (
        f"{chosen} is expected to give {abs(100 * margin):.1f} points {more} quality than {other}"
    )
    parts, details = between.parts, described(between.parts, between.words, between.topic)
    base = parts.get(ANY_PROMPT, 0.0)
    of_prompt = {name: part for name, part in parts.items() if name != ANY_PROMPT}
    largest = sorted(of_prompt.items(), key=lambda part: -abs(part[1]))[:_N_REASONS]
    reasons = [
        f"{told(name, between.values.get(name, float('nan')), details)} {100 * part:+.1f}"
        for name, part in largest
        if abs(part) >= _SMALLEST_REASON
    ]
    n_others = sum(abs(part) > _ROUNDING for part in of_prompt.values()) - len(reasons)
    rest = margin - base - sum(part for _, part in largest[: len(reasons)])
    if reasons and n_others > 0 and abs(rest) >= _SMALLEST_SHOWN:
        reasons.append(f"{n_others} others {100 * rest:+.1f}")
    if abs(base) >= _SMALLEST_SHOWN:
        text += f": {100 * base:+.1f} on any prompt, and {100 * (margin - base):+.1f} for this one"
    return text + (f" ({', '.join(reasons)})." if reasons else ".")


def cost_sentences(
    chosen: str, other: str, margin: float, cost_margin_usd: float, cost_weight: float
) -> Sequence[str]:
    """Tell what the difference costs, and which part decides."""
    if not np.isfinite(cost_margin_usd):
        return ("Costs are unknown.",)
    dearer = "more" if cost_margin_usd >= 0 else "less"
    text = (
        f"It costs {number_text(abs(1000 * cost_margin_usd))} US dollars {dearer} per 1000 prompts"
    )
    if not cost_weight:
        return (f"{text}, and cost has no weight here.",)
    weighed = -cost_weight * cost_margin_usd
    ahead = chosen if margin + weighed > 0 else other
    decided = DECIDED[decided_by(margin, weighed)]
    total = abs(100 * (margin + weighed))
    return (
        f"{text}, which weighs {100 * weighed:+.1f} points.",
        f"{decided}: {ahead} is ahead by {total:.1f} points.",
    )


def flip_sentences(
    chosen: str,
    other: str,
    cost_margin_usd: float,
    flip: float | None,
    factors: Mapping[str, float],
    cost_weight: float,
) -> Sequence[str]:
    """Tell at which cost weight and price the two would change places."""
    if not np.isfinite(cost_margin_usd):
        return ()
    if flip is None:
        at = "No cost weight makes the two change places"
    else:
        at = f"They change places at a cost weight of {number_text(flip)}"
        at += f" instead of {number_text(cost_weight)}" if cost_weight else ""
    prices = [
        f"if {model} cost {number_text(factors[model])} times as much"
        for model in (other, chosen)
        if model in factors
    ]
    joined = (", or " if flip is not None else ", but they would ").join([at, *prices[:1]])
    return (f"{joined}.",)


def described(
    parts: Mapping[str, float], words: Mapping[str, float], topic: str | None
) -> dict[str, str]:
    """Name the topic, and the words that push most to where all words together push."""
    pushing = [
        f'"{word}"'
        for word, part in words.items()
        if part * parts.get(WORDS, 0.0) > 0 and word != BLANK
    ]
    found = {WORDS: ", ".join(pushing[:_N_WORDS]), TOPIC: topic or ""}
    return {name: said for name, said in found.items() if said}


def told(name: str, value: float, details: Mapping[str, str]) -> str:
    """Name a feature with its value or what it consists of, where there is such a thing.

    `value`: NaN = none.

    >>> told("number of commas", 2.0, {}), told("its topic", float("nan"), {"its topic": "math"})
    ('number of commas = 2', 'its topic (math)')
    """
    if name in details:
        return f"{name} ({details[name]})"
    if name in (*FOLDED, ANY_PROMPT, KNOWN_TASK) or np.isnan(value):
        return name
    return f"{name} = {value:.3g}"
