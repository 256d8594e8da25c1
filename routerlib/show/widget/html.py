"""Draw what the playground shows as HTML by hand: quick enough for every letter typed.

Everything that came from a prompt, an answer or a name is escaped here. Colours come from the
theme of JupyterLab or voila, and from the palette of the candidate models; nothing is told by
colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from routerlib.records.text_table import UNKNOWN
from routerlib.routers.explanation.sentences import DECIDED, told
from routerlib.show.plots.style import candidate_styles
from routerlib.show.widget.slider import usd_text
from routerlib.show.words.numbers import short
from routerlib.show.words.prose import explain_words

if TYPE_CHECKING:
    from routerlib.routers.explanation.margin import MarginExplanation
    from routerlib.routers.explanation.similar import SimilarPrompt
    from routerlib.show.widget.asking import Asked
    from routerlib.show.widget.controller import PlaygroundController

# As many rows whatever the prompt, so that nothing jumps while one types.
_N_REASONS = 5
_REST = "all other features"
_MAX_PROMPT = 90
# The hatches of the figures, as patterns over a colour: bars are told apart without it.
_LIGHT = "rgba(255,255,255,.6)"
_PATTERNS = {
    "//": f"repeating-linear-gradient(135deg,{_LIGHT} 0 1px,transparent 1px 5px)",
    "..": f"radial-gradient({_LIGHT} 30%,transparent 35%) 0 0/5px 5px",
    "xx": f"repeating-linear-gradient(135deg,{_LIGHT} 0 1px,transparent 1px 6px),"
    f"repeating-linear-gradient(45deg,{_LIGHT} 0 1px,transparent 1px 6px)",
    "\\\\": f"repeating-linear-gradient(45deg,{_LIGHT} 0 1px,transparent 1px 5px)",
    "--": f"repeating-linear-gradient({_LIGHT} 0 1px,transparent 1px 4px)",
    "++": f"repeating-linear-gradient(90deg,{_LIGHT} 0 1px,transparent 1px 5px),"
    f"repeating-linear-gradient({_LIGHT} 0 1px,transparent 1px 5px)",
    "oo": f"radial-gradient(transparent 25%,{_LIGHT} 30% 45%,transparent 50%) 0 0/8px 8px",
}


def style() -> str:
    """Return the style sheet, as an element."""
    text = (files("routerlib.show") / "templates" / "playground.css").read_text(encoding="utf-8")
    return f"<style>{text}</style>"


def result(controller: PlaygroundController) -> str:
    """Draw the choice, what is expected of everybody, and why."""
    decision = controller.decision
    if decision is None:
        return f'<div class="rl-result"><p class="rl-empty">{escape(controller.message)}</p></div>'
    return (
        '<div class="rl-result">'
        f'<p class="rl-headline">{_dot(controller, decision.model)}goes to '
        f"<strong>{escape(decision.model)}</strong></p>"
        f'<p class="rl-reason">{escape(decision.reason)}</p>'
        f"{_estimates(controller)}{_why(controller)}{_nearest(controller)}</div>"
    )


def meaning(controller: PlaygroundController) -> str:
    """Say what the slider's place means, and who is chosen at the others."""
    text = controller.setting.meaning
    return f'{_along(controller)}<p class="rl-meaning">{escape(text)}</p>'


def detected(controller: PlaygroundController) -> str:
    """Say what kind of task was detected, where none was chosen."""
    if controller.task is not None:
        return '<p class="rl-note">as you say</p>'
    return f'<p class="rl-note">detected: <strong>{escape(controller.detected_task)}</strong></p>'


def costs(controller: PlaygroundController, ticked: Sequence[str]) -> str:
    """Say what asking will cost, before anybody is asked."""
    decision, asking = controller.decision, controller.asking
    lines = []
    if decision is not None:
        names = {"Ask": [decision.model], "Compare": list(ticked)}
        if controller.dearest not in (None, decision.model):
            names["The dearest"] = [str(controller.dearest)]
        for label, models in names.items():
            expected = math.fsum(
                decision.estimates.get(name, {}).get("cost_usd", math.nan) for name in models
            )
            worst = asking.worst_usd(controller.prompt, models)
            lines.append(
                f"<li>{label}: {escape(', '.join(models) or 'nobody is ticked')}, expected "
                f"{usd_text(expected)}, at most {usd_text(worst)}</li>"
            )
    cap = "no cap" if asking.budget_usd is None else f"of {usd_text(asking.budget_usd, 3)}"
    local = [each.name for each in controller.candidates if each.provider == "local"]
    note = " Local models run here: their prices are nominal." if local else ""
    lines.append(f"<li>Spent in this session: {usd_text(asking.spent_usd)}, {cap}.{note}</li>")
    return f'<ul class="rl-costs">{"".join(lines)}</ul>'


def message(text: str) -> str:
    """Show something that a person should know now."""
    return f'<p class="rl-message">{escape(text)}</p>' if text else ""


def answer(controller: PlaygroundController, asked: Asked) -> str:
    """Draw one answer, while it comes and afterwards."""
    who = "the router's choice" if asked.is_choice else "chosen by you"
    problem = f'<p class="rl-problem">{escape(asked.problem)}</p>' if asked.problem else ""
    waiting = "" if asked.is_done else '<span class="rl-cursor">▍</span>'
    text = escape(asked.text)
    if not (asked.text or asked.thought or asked.is_done):
        text = "waiting … a local model is loaded at its first call "
    return (
        f'<div class="rl-answer-head">{_dot(controller, asked.model)}'
        f"<strong>{escape(asked.model)}</strong> <small>{who}</small></div>"
        f'<p class="rl-note">{escape(short(asked.prompt.text, _MAX_PROMPT))}</p>'
        f'<pre class="rl-text" role="region" tabindex="0" '
        f'aria-label="Answer of {escape(asked.model)}">{text}{waiting}</pre>'
        f"{_judgement(asked)}"
        f'{_thoughts(asked)}{problem}<p class="rl-receipt">{escape(receipt(asked))}</p>'
    )


def _judgement(asked: Asked) -> str:
    """Draw what a cascade thinks of the answer and what it does then, in one glance."""
    step = asked.step
    if step is None:
        return ""
    good = step.judged[asked.model]
    return (
        f'<p class="rl-note rl-judgement"><meter min="0" max="1" value="{good:.2f}" '
        f'aria-label="believed good"></meter> <strong>{100 * good:.0f} %</strong> believed good: '
        f"{escape(_what_then(asked))}</p>"
    )


def _what_then(asked: Asked) -> str:
    """Say what a cascade does after an answer, and why."""
    step = asked.step
    assert step is not None
    if step.stop:
        own = step.model == asked.model
        done = "it is given back" if own else f"the answer of {step.model} is given back"
    else:
        done = f"{'goes on to' if asked.has_led_on else 'would go on to'} {step.model}"
    return f"{done}; {step.reason}."


def _thoughts(asked: Asked) -> str:
    """Draw what the candidate model thinks: open until the answer begins, then folded."""
    if not asked.thought:
        return ""
    is_thinking = not (asked.text or asked.is_done)
    what = "It thinks" if is_thinking else "What it thought before"
    return (
        f"<details{' open' if is_thinking else ''}><summary>{what}</summary>"
        f'<pre class="rl-text">{escape(asked.thought)}</pre></details>'
    )


def receipt(asked: Asked) -> str:
    """Say what an answer took: tokens, US dollars, seconds."""
    if asked.answer is None:
        return ""
    call, cost_usd = asked.answer.call, asked.answer.cost_usd
    parts = []
    if call.usage is not None:
        parts.append(f"{call.usage.input_tokens} + {call.usage.output_tokens} tokens")
    if call.latency_s:
        parts.append(f"{call.latency_s:.1f} s")
    parts.append("cost unknown" if math.isnan(cost_usd) else usd_text(cost_usd))
    if asked.score is not None:
        parts.append(f"your verdict: {asked.score:g}")
    return " · ".join(parts)


def _dot(controller: PlaygroundController, model: str) -> str:
    return f'<span class="rl-dot" style="{_look(controller.router.models_, model)}"></span>'


def _look(models: Sequence[str], model: str) -> str:
    """Return a candidate model's colour and pattern as CSS."""
    style = candidate_styles(models)[model]
    pattern = _PATTERNS.get(style.hatch)
    return f"background:{pattern + ',' if pattern else ''}{style.css}"


def _estimates(controller: PlaygroundController) -> str:
    table = controller.table
    if table.empty:
        return ""
    dearest = table.expected_cost_usd_per_1000.max()
    rows = "".join(
        f'<tr{" class=rl-chosen" if row.is_chosen else ""}><th scope="row">'
        f"{_dot(controller, str(name))}{escape(str(name))}"
        f"{' <span class=rl-tag>chosen</span>' if row.is_chosen else ''}</th>"
        f"<td>{_quality(controller, str(name), float(row.expected_quality))}</td>"
        f"<td>{_cost(controller, str(name), float(row.expected_cost_usd_per_1000), dearest)}</td>"
        "</tr>"
        for name, row in table.iterrows()
    )
    interval = " [90 % interval]" if controller.intervals else ""
    return (
        '<table class="rl-estimates"><thead><tr><th scope="col">candidate model</th>'
        f'<th scope="col">expected quality, 0‑1{interval}</th>'
        f'<th scope="col">expected cost per 1000 prompts</th></tr></thead><tbody>{rows}'
        "</tbody></table>"
    )


def _quality(controller: PlaygroundController, model: str, quality: float) -> str:
    if not math.isfinite(quality):
        return UNKNOWN
    ends = controller.intervals.get(model)
    whisker, text = "", f"{quality:.2f}"
    if ends is not None:
        low, high = ends
        whisker = (
            f'<span class="rl-whisker" style="left:{100 * low:.1f}%;'
            f'width:{100 * (high - low):.1f}%"></span>'
        )
        text += f" <small>[{low:.2f}, {high:.2f}]</small>"
    return f"{_bar(controller, model, quality, whisker)}<span class=rl-number>{text}</span>"


def _cost(controller: PlaygroundController, model: str, usd: float, dearest_usd: float) -> str:
    if not math.isfinite(usd):
        return UNKNOWN
    share = usd / dearest_usd if dearest_usd > 0 else 0.0
    return f"{_bar(controller, model, share)}<span class=rl-number>{usd_text(usd, 3)}</span>"


def _bar(controller: PlaygroundController, model: str, share: float, inside: str = "") -> str:
    look = _look(controller.router.models_, model)
    return (
        f'<span class="rl-bar" aria-hidden="true"><span class="rl-fill" '
        f'style="width:{100 * share:.1f}%;{look}"></span>{inside}</span>'
    )


def _along(controller: PlaygroundController) -> str:
    """Draw who is chosen at each place of the slider, and where it stands."""
    if not controller.along:
        return '<div class="rl-along"></div><p class="rl-flips"></p>'
    settings, setting = controller.settings, controller.setting
    models = controller.router.models_
    pieces = "".join(
        f'<span style="flex:{each.last - each.first + 1};{_look(models, each.model)}" '
        f'title="{escape(each.model, quote=True)}"></span>'
        for each in controller.along
    )
    place = min(
        range(len(settings)), key=lambda number: abs(settings[number].value - setting.value)
    )
    left = 100 * (place + 0.5) / len(settings)
    words = "; ".join(
        f"{each.model} from {settings[each.first].label} to {settings[each.last].label}"
        for each in controller.along
    )
    return (
        f'<div class="rl-along" role="img" aria-label="{escape(words, quote=True)}">'
        f'<div class="rl-strip">{pieces}</div>'
        f'<span class="rl-here" style="left:{left:.1f}%"></span></div>'
        f'<p class="rl-flips">{escape(flip_words(controller))}</p>'
    )


def flip_words(controller: PlaygroundController) -> str:
    """Say where the choice changes next, each way along the slider."""
    decision = controller.decision
    if decision is None:
        return ""
    if not controller.flips:
        return f"It stays with {decision.model}." if controller.along else ""
    parts = [
        f"{'towards cheaper' if each.is_cheaper else 'towards better'} it goes to {each.model} "
        f"at {each.label}"
        for each in controller.flips
    ]
    return f"Now {controller.setting.label}; {', and '.join(parts)}."


def _why(controller: PlaygroundController) -> str:
    margin = controller.margin
    if margin is None:
        return ""
    rows = _margin_rows(margin)
    widest = max(abs(points) for _, points in rows) or 1.0
    looks = _look(margin.models, margin.chosen), _look(margin.models, margin.other)
    body = "".join(
        f"<tr{' class=rl-total' if place == len(rows) - 1 else ''}>"
        f'<th scope="row">{escape(name)}</th>'
        f"<td>{_diverging(points / widest, *looks)}</td>"
        f"<td class=rl-number>{points:+.1f}</td></tr>"
        for place, (name, points) in enumerate(rows)
    )
    return (
        f"<h3>Why {escape(margin.chosen)} and not {escape(margin.other)}: "
        f"{DECIDED[margin.decided_by].lower()}</h3>"
        '<table class="rl-margin"><thead><tr><th scope="col">what speaks for it</th>'
        f'<th scope="col"><span class="rl-sides"><span>← for {escape(margin.other)}</span>'
        f"<span>for {escape(margin.chosen)} →</span></span></th>"
        f'<th scope="col">points</th></tr></thead><tbody>{body}</tbody></table>'
        f'<p class="rl-note">{escape("; ".join(explain_words(*(name for name, _ in rows))))}</p>'
    )


def _margin_rows(margin: MarginExplanation) -> list[tuple[str, float]]:
    """Return what adds up to the margin, in points, the sum last."""
    named = sorted(margin.contributions.items(), key=lambda part: -abs(part[1]))
    rows = [
        (told(name, margin.values.get(name, math.nan), margin.details), 100 * part)
        for name, part in named[:_N_REASONS]
    ]
    rows.append((_REST, 100 * sum(part for _, part in named[_N_REASONS:])))
    rows.append(("cost, at this setting", 100 * margin.cost_part))
    return [*rows, ("together", 100 * margin.utility_margin)]


def _diverging(share: float, right: str, left: str) -> str:
    side = f"left:50%;width:{50 * share:.1f}%;{right}"
    if share < 0:
        side = f"right:50%;width:{-50 * share:.1f}%;{left}"
    return (
        '<span class="rl-bar rl-diverging" aria-hidden="true">'
        f'<span class="rl-fill" style="{side}"></span></span>'
    )


def _nearest(controller: PlaygroundController) -> str:
    if not controller.similar:
        return ""
    models = controller.router.models_
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in models)
    rows = "".join(_similar_row(each, models) for each in controller.similar)
    return (
        "<h3>Nearest known prompts, and how well each answered</h3>"
        '<div class="rl-scroll" role="region" tabindex="0" aria-label="Nearest known prompts">'
        '<table class="rl-nearest"><thead><tr><th scope="col">prompt</th>'
        f'<th scope="col">likeness</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _similar_row(similar: SimilarPrompt, models: Sequence[str]) -> str:
    cells = "".join(
        f"<td>{UNKNOWN if math.isnan(quality) else f'{quality:.2g}'}</td>"
        for quality in (similar.quality.get(name, math.nan) for name in models)
    )
    return (
        f'<tr><th scope="row">{escape(short(similar.text or "", _MAX_PROMPT))}</th>'
        f"<td>{similar.similarity:.2f}</td>{cells}</tr>"
    )
