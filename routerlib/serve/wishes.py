"""What a request asks for, and how its field `model` says it: a candidate, or the router."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from routerlib.policies.utility import NO_HASTE, Haste
from routerlib.records.call import CandidateModel
from routerlib.serve.faults import Refused

ROUTED = "router"
# What the field names for a cascade.
_CASCADE = "cascade"
IN_STEPS = f"{ROUTED}:{_CASCADE}"
_CAPS = ("max_completion_tokens", "max_tokens")
_AT_LEAST_0 = "a finite number of at least 0"
_LEAST = {
    "cost_weight": _AT_LEAST_0,
    "latency_weight": _AT_LEAST_0,
    "max_latency_s": "seconds above 0",
}


@dataclass(frozen=True)
class Wish:
    """What a request asks for besides the answer itself.

    `cost_weight`: quality given up per US dollar saved; None = the router's operating point.
    `model`: a candidate that was named; None = the router decides.
    `haste`: quality given up per second saved, and seconds that nine of ten answers must keep to.
    `continues`: decision id of the turn that this one goes on from, or ``none``; None = look it
        up.
    `cascades`: whether another candidate may be asked once an answer was looked at.
    """

    cost_weight: float | None = None
    model: str | None = None
    haste: Haste = NO_HASTE
    continues: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cascades: bool = False


def read_wish(told: str, candidates: Sequence[str]) -> Wish:
    """Read what the field `model` says.

    `candidates`: their names, which go before everything else.

    >>> wish = read_wish("router:cascade,cost_weight=20,max_latency_s=3", ["small"])
    >>> wish.cascades, wish.cost_weight, wish.haste.max_latency_s
    (True, 20.0, 3.0)
    """
    if told in candidates:
        return Wish(model=told)
    start, mark, settings = told.partition(":")
    parts = settings.split(",") if mark else []
    cascades = _CASCADE in parts
    if cascades:
        parts.remove(_CASCADE)
    pairs = [each.partition("=") for each in parts]
    if start != ROUTED or any(not mark or name not in _LEAST for name, mark, _ in pairs):
        raise unknown_name(told, candidates)
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise Refused(400, f"each setting stands once in {told!r}", param="model")
    values = {name: _number(name, value) for name, _, value in pairs}
    haste = Haste(values.get("latency_weight", 0.0), values.get("max_latency_s"))
    return Wish(values.get("cost_weight"), haste=haste, cascades=cascades)


def unknown_name(told: str, candidates: Sequence[str]) -> Refused:
    """Return the refusal of a name, with those that are known."""
    examples = ("cost_weight=20", "latency_weight=0.01", "max_latency_s=3")
    settings = (f"{ROUTED}:{each}" for each in examples)
    steps = (IN_STEPS, f"{IN_STEPS},cost_weight=20")
    known = ", ".join((ROUTED, *settings, *steps, *candidates))
    message = f"unknown model {told!r}{_meant(told, candidates)}; known are {known}"
    return Refused(404, message, code="model_not_found", param="model")


def _meant(told: str, candidates: Sequence[str]) -> str:
    """Ask whether a near name was meant, of a setting too; "" where none is near."""
    start, mark, settings = told.partition(":")
    if not mark or start != ROUTED:
        near = get_close_matches(told, [ROUTED, *candidates], n=1)
        return f", did you mean {near[0]!r}?" if near else ""
    meant = []
    for name, sign, value in (part.partition("=") for part in settings.split(",")):
        near = get_close_matches(name, (_CASCADE, *_LEAST), n=1)
        if not near:
            return ""
        meant.append(near[0] + sign + value)
    return f", did you mean '{ROUTED}:{','.join(meant)}'?"


def _number(name: str, told: str) -> float:
    try:
        value = float(told)
    except ValueError:
        value = math.nan
    is_enough = value > 0 if name == "max_latency_s" else value >= 0
    if not (math.isfinite(value) and is_enough):
        raise Refused(400, f"{name} must be {_LEAST[name]}, got {told!r}", param="model")
    return value


def with_parameters(candidate: CandidateModel, given: Mapping[str, Any]) -> CandidateModel:
    """Return the candidate with a request's parameters before its own.

    >>> from routerlib.gather.candidates.candidates import load_candidates
    >>> candidate = load_candidates("local")[0]
    >>> asked = with_parameters(candidate, {"max_completion_tokens": 7, "seed": 1})
    >>> asked.parameters["max_tokens"], asked.parameters["seed"]
    (7, 1)
    """
    if not given:
        return candidate
    try:
        json.dumps(dict(given), allow_nan=False, ensure_ascii=False).encode()
    except ValueError as error:
        raise Refused(400, f"parameters must be valid JSON: {error}") from error
    rest = {name: value for name, value in given.items() if name not in _CAPS}
    parameters = {**candidate.parameters, **rest}
    wanted = [given[name] for name in _CAPS if name in given]
    if wanted:
        own = [name for name in _CAPS if name in candidate.parameters]
        name = own[0] if own else next(each for each in _CAPS if each in given)
        caps = (candidate.output_cap, candidate.max_output_tokens)
        parameters[name] = min([*wanted, *(cap for cap in caps if cap is not None)])
    return replace(candidate, parameters=parameters)
