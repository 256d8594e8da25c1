"""Show decisions on held-out prompts: by groups, by example, on average, and what if."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from routerlib.evaluation.routing import route_unseen
from routerlib.features.names import ANY_PROMPT, number_text
from routerlib.features.surface import SURFACE_NAMES, surface_features
from routerlib.features.tasks import detect_task
from routerlib.outcomes.outcomes import Outcomes
from routerlib.records.decision import Decision, Estimates
from routerlib.records.text_table import UNKNOWN
from routerlib.routers.explanation.why import margin_of
from routerlib.routers.out_of_fold import UNKNOWN as UNKNOWN_ARM
from routerlib.show.tables.rendering import Table, table
from routerlib.show.words.numbers import percent, short

if TYPE_CHECKING:
    from routerlib.evaluation.repricing import HeldOutDecisions
    from routerlib.routers.explanation.margin import MarginExplanation
    from routerlib.routers.router import Router

# Explaining takes milliseconds a prompt; so many say enough.
_N_PROMPTS = 200
_N_EXAMPLES_PER_MODEL = 3
_N_REASONS = 2
_CODE_MARKS = ("n_code_fences", "n_inline_code", "n_identifiers", "n_indented_lines")
_N_LENGTHS = 3


class Decided(NamedTuple):
    """One held-out prompt, where it went when it was tested, and why.

    `margin`: what moves the estimates of the router in use; None = it says nothing, or it would
        choose another model than was tested.
    `quality`: observed of the chosen candidate model; NaN = unknown.
    """

    prompt: str
    decision: Decision
    margin: MarginExplanation | None
    why: str
    quality: float


def decide_all(router: Router, test: Outcomes, n_prompts: int = _N_PROMPTS) -> list[Decided]:
    """Take decisions on held-out prompts as they are tested, and explain each choice.

    A prompt that the router in use has learnt from counts as the router decided that hadn't: so do
    verdict and shares. Reasons are those of the router in use, where it chooses alike.
    """
    part = test.take(np.arange(min(n_prompts, len(test))))
    routed = route_unseen(router, [part])[0]
    decided = []
    for row, (prompt, quality) in enumerate(zip(part.prompts, part.quality, strict=True)):
        in_use = router.route(prompt)
        arm = int(routed.arms[row])
        decision = in_use
        if routed.tried is not None and routed.tried[row] != UNKNOWN_ARM:
            decision = _as_tested(router, routed.estimates, row, test.models[arm])
        margin = margin_of(router, prompt, in_use) if in_use.model == decision.model else None
        why = decision.reason if margin is None else margin.sentence
        if in_use.model != decision.model:
            why = f"{why}; the router in use, which has learnt from it too, calls {in_use.model}"
        decided.append(Decided(prompt, decision, margin, why, float(quality[arm])))
    return decided


def _as_tested(router: Router, expected: Estimates, row: int, model: str) -> Decision:
    """Write down the choice of a router that hadn't seen the prompt."""
    estimates = {
        name: {"quality": float(quality), "cost_usd": float(cost)}
        for name, quality, cost in zip(
            expected.models, expected.quality[row], expected.cost_usd[row], strict=True
        )
        if np.isfinite(quality)
    }
    reason = "chosen by a router that hadn't seen it"
    if router.fallback_ is not None:
        reason = f"keeps to {model}: {router.fallback_}"
    own = estimates.get(model, {"quality": float("nan"), "cost_usd": float("nan")})
    weight = float(router.cost_weight_)
    return Decision(model, own["quality"], own["cost_usd"], 1.0, reason, weight, estimates)


def of_how_many(decided: Sequence[Decided], n_tested: int) -> str:
    """Say how many prompts were looked at one by one, of those that were tested."""
    first = f"the first {len(decided)} of " if len(decided) < n_tested else ""
    return f"{first}{max(n_tested, len(decided))} held-out prompts"


def examples_table(decided: Sequence[Decided], models: Sequence[str], n_tested: int = 0) -> Table:
    """Show a few prompts that go to each candidate model: first those that have a reason."""
    import pandas as pd

    told = sorted(decided, key=lambda one: one.margin is None)
    taken = [
        each
        for model in models
        for each in [one for one in told if one.decision.model == model][:_N_EXAMPLES_PER_MODEL]
    ]
    is_apart = 0 < sum(one.margin is None for one in decided) < len(decided)
    frame = pd.DataFrame(
        {
            "prompt": [short(each.prompt) for each in taken],
            "goes to": [each.decision.model for each in taken],
            "decided by": [each.margin.decided_by if each.margin else UNKNOWN for each in taken],
            "why": [each.why for each in taken],
            "observed quality": [each.quality for each in taken],
        }
    )
    which = "Those that go to each candidate by the router in use too come first"
    which = which if is_apart else "The first that go to each candidate"
    caption = f"{which}, of {of_how_many(decided, n_tested)}"
    return table(frame, caption)


def reasons(decided: Sequence[Decided], shares: Mapping[str, float]) -> list[tuple[str, str]]:
    """Say for each candidate model how much goes there, and what decides it on average."""
    by_model = {model: [one for one in decided if one.decision.model == model] for model in shares}
    busiest = sorted(shares, key=lambda model: -shares[model])
    return [(name, _reason(by_model[name], shares[name])) for name in busiest if shares[name]]


def what_if_table(held_out: HeldOutDecisions) -> Table:
    """Work out a few suppositions: other cost weights, and other prices of the best single."""
    import pandas as pd

    rows = []
    for name, weight, factors in _suppositions(held_out):
        found = held_out.at(weight, factors)
        # The best single model beside itself: there is no difference to measure.
        is_itself = held_out.is_best_single(weight, factors)
        difference = float("nan") if is_itself else found.quality_difference
        rows.append(
            {
                "what if": name,
                "quality": found.quality,
                "cost_usd": found.cost_usd,
                "cost_share": 1 - found.saving,
                "quality_difference": difference,
                "quality_difference_low": difference - found.half_width,
                "quality_difference_high": difference + found.half_width,
            }
            | {f"to {model}": percent(share) for model, share in found.shares.items()}
        )
    caption = (
        f"Suppositions over {len(held_out)} held-out prompts; intervals hold for all at once, "
    )
    caption += "so they are wider than one alone"
    return table(pd.DataFrame(rows), caption)


def _suppositions(
    held_out: HeldOutDecisions,
) -> list[tuple[str, float | None, dict[str, float]]]:
    """Name what to suppose, with its cost weight (None = as the router stands) and prices."""
    best, own = held_out.best_single, held_out.cost_weight
    named = (("half", 0.5), ("twice", 2.0))
    if own and not held_out.keeps_to_best:
        return [
            ("own cost weight", None, {}),
            ("cost plays no part", 0.0, {}),
            *((f"{best} costs {name} as much", None, {best: factor}) for name, factor in named),
            *(
                (f"cost weighs {name} as much", factor * own, {})
                for name, factor in (*named, ("ten times", 10.0))
            ),
        ]
    # Where cost plays no part no price can matter: take a cost weight from the middle, and say so.
    weight = float(np.median(held_out.cost_weights()))
    at = f"cost weight {number_text(weight)}"
    start: list[tuple[str, float | None, dict[str, float]]] = [
        ("own cost weight 0: cost plays no part", None, {})
    ]
    if held_out.keeps_to_best:
        at = f"its estimates choose at {at}"
        start = [
            (f"as it stands: keeps to {best}, at any price", None, {}),
            ("its estimates choose, cost plays no part", 0.0, {}),
        ]
    return [
        *start,
        (at, weight, {}),
        *((f"{at}, {best} costs {name} as much", weight, {best: factor}) for name, factor in named),
    ]


def _reason(part: Sequence[Decided], share_of_all: float) -> str:
    share = f"gets {percent(share_of_all)}"
    if not part:
        return f"{share}."
    qualities = [one.quality for one in part if not isnan(one.quality)]
    right = f"; observed quality there {np.mean(qualities):.2f}" if qualities else ""
    margins = [one.margin for one in part if one.margin is not None]
    if not margins:
        return f"{share}: {part[0].decision.reason}{right} (n = {len(part)})."
    quality = 100 * float(np.mean([margin.quality_margin for margin in margins]))
    cost = 100 * float(np.mean([margin.cost_part for margin in margins]))
    more = "more" if quality >= 0 else "less"
    text = f"{share}: {abs(quality):.1f} points {more} quality expected than of the runner-up"
    text += f", and cost weighs {cost:+.1f}" if np.isfinite(cost) and cost else ""
    return f"{text}. What tells most: {_most_telling(margins)}{right} (n = {len(part)})."


def _most_telling(margins: Sequence[MarginExplanation]) -> str:
    """Name what of the prompts moves the expected quality most, on average over decisions.

    What holds for any prompt is no reason why these go there: it stands apart, as the start.
    """
    names = margins[0].contributions
    means = {
        name: float(np.mean([margin.contributions.get(name, 0.0) for margin in margins]))
        for name in names
    }
    features = sorted((name for name in means if name != ANY_PROMPT), key=lambda n: -abs(means[n]))
    top = ", ".join(f"{name} {100 * means[name]:+.1f}" for name in features[:_N_REASONS])
    return f"{top} (beside {100 * means.get(ANY_PROMPT, 0.0):+.1f} on any prompt)"


class Group(NamedTuple):
    """Some of the prompts, and what they have in common.

    `is_member` (n_prompts,): which prompts.
    """

    kind: str
    name: str
    is_member: np.ndarray


def prompt_groups(outcomes: Outcomes) -> list[Group]:
    r"""Sort prompts by task, by length and by code; each kind divides all prompts.

    >>> prompts = ["Hi!", "Tell me a joke, please.", "```\nprint(1)\n```\nWhat is printed?"]
    >>> outcomes = Outcomes(prompts, ["small"], [[1], [1], [0]], topics=["chat", "chat", "code"])
    >>> groups = prompt_groups(outcomes)
    >>> [(group.name, int(group.is_member.sum())) for group in groups if group.kind != "length"]
    [('chat', 2), ('code', 1), ('with code', 1), ('without code', 2)]
    """
    tasks = np.array(outcomes.topics or [detect_task(prompt) for prompt in outcomes.prompts])
    groups = [Group("task", str(task), tasks == task) for task in np.unique(tasks)]
    groups += _by_length(np.array([len(prompt) for prompt in outcomes.prompts]))
    has_code = _has_code(outcomes.prompts)
    groups += [Group("code", "with code", has_code), Group("code", "without code", ~has_code)]
    return [group for group in groups if group.is_member.any()]


def _has_code(prompts: Sequence[str]) -> np.ndarray:
    marks = [SURFACE_NAMES.index(name) for name in _CODE_MARKS]
    is_marked = surface_features(prompts)[:, marks].sum(axis=1) > 0
    return is_marked | np.array([detect_task(prompt) == "code" for prompt in prompts], dtype=bool)


def _by_length(lengths: np.ndarray) -> list[Group]:
    first, last = np.quantile(lengths, [1 / _N_LENGTHS, 2 / _N_LENGTHS]).astype(int)
    return [
        Group("length", f"up to {first} characters", lengths <= first),
        Group("length", f"{first + 1} to {last} characters", (lengths > first) & (lengths <= last)),
        Group("length", f"over {last} characters", lengths > last),
    ]
