"""The playground's ipywidgets: a thin view that shows its controller and passes on events."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from routerlib.tables import short
from routerlib.types import TASKS, Decision

if TYPE_CHECKING:
    from routerlib.playground_controller import PlaygroundController

_DETECT = "detected"
_WIDE = {"width": "100%", "max_width": "52rem"}


class PlaygroundView(widgets.VBox):
    """Show a playground controller.

    Parameters
    ----------
    controller : PlaygroundController
        Holds all state and does all work.
    examples : Sequence of str
        Prompts to pick from, at least one.
    """

    def __init__(self, controller: PlaygroundController, examples: Sequence[str]) -> None:
        self.controller = controller
        self._examples = list(examples)
        self._example = widgets.Dropdown(
            options=[("pick an example", ""), *((short(text, 80), text) for text in examples)],
            description="Example",
            layout=_WIDE,
        )
        self._prompt = widgets.Textarea(
            value=controller.prompt, description="Prompt", rows=4, layout=_WIDE
        )
        self._task = widgets.Dropdown(options=[_DETECT, *TASKS], description="Task")
        self._cost_weight = widgets.SelectionSlider(
            options=[(f"{weight:g}", weight) for weight in controller.cost_weights],
            value=controller.cost_weight,
            description="Cost weight",
            continuous_update=True,
            layout=_WIDE,
        )
        self._choice = widgets.HTML()
        self._ask = widgets.Button(description="Ask", button_style="primary")
        self._right = widgets.Button(description="Right", icon="thumbs-up", disabled=True)
        self._wrong = widgets.Button(description="Wrong", icon="thumbs-down", disabled=True)
        self._answer = widgets.HTML()
        self._name_for_tests()
        super().__init__(
            [
                self._example,
                self._prompt,
                self._task,
                self._cost_weight,
                self._choice,
                widgets.HBox([self._ask, self._right, self._wrong]),
                self._answer,
            ]
        )
        self._connect()
        self._show()

    @property
    def decision(self) -> Decision | None:
        """What the router chooses now."""
        return self.controller.decision

    def _name_for_tests(self) -> None:
        self._prompt.add_class("rl-prompt")
        self._cost_weight.add_class("rl-cost-weight")
        self._ask.add_class("rl-ask")
        self._right.add_class("rl-right")
        self._choice.add_class("rl-choice")
        self._answer.add_class("rl-answer")

    def _connect(self) -> None:
        self._example.observe(self._pick, "value")
        for widget in (self._prompt, self._task, self._cost_weight):
            widget.observe(self._change, "value")
        self._ask.on_click(lambda _: self._ask_now())
        self._right.on_click(lambda _: self._rate(1.0))
        self._wrong.on_click(lambda _: self._rate(0.0))

    def _pick(self, change: dict[str, Any]) -> None:
        if change["new"]:
            self._prompt.value = change["new"]

    def _change(self, change: dict[str, Any]) -> None:
        self.controller.set(
            prompt=self._prompt.value,
            task=None if self._task.value == _DETECT else self._task.value,
            cost_weight=self._cost_weight.value,
        )
        self._show()

    def _ask_now(self) -> None:
        self._ask.disabled = True
        self._answer.value = "<p>Asking … the first call to a local model also loads it.</p>"
        try:
            self.controller.ask()
        finally:
            self._ask.disabled = False
        self._show_answer()

    def _rate(self, score: float) -> None:
        self.controller.rate(score)
        self._show_answer()

    def _show(self) -> None:
        decision = self.controller.decision
        if decision is None:
            self._choice.value = f"<p>{escape(self.controller.message)}</p>"
            return
        table = self.controller.table
        rows = "".join(
            f"<tr><td>{'➜ ' if row.is_chosen else ''}{escape(str(name))}</td>"
            f"<td>{row.expected_quality:.2f}</td><td>{row.expected_cost_usd_per_1000:.4f}</td></tr>"
            for name, row in table.iterrows()
        )
        self._choice.value = (
            f"<p><b>{escape(decision.model)}</b></p>"
            "<table><tr><th>candidate model</th><th>expected quality (0-1)</th>"
            f"<th>expected cost (US dollars per 1000 prompts)</th></tr>{rows}</table>"
            f"<p>{escape(self.controller.explain())}</p>"
        )

    def _show_answer(self) -> None:
        answer = self.controller.answer
        is_ok = answer is not None and answer.call.is_ok
        self._right.disabled = self._wrong.disabled = not is_ok
        shown = ""
        if answer is not None:
            shown = (
                f"<pre style='white-space: pre-wrap'>{escape(answer.text)}</pre>"
                f"<p>{escape(_receipt(answer))}</p>"
            )
        message = self.controller.message
        self._answer.value = shown + (f"<p>{escape(message)}</p>" if message else "")

    def _repr_mimebundle_(self, **selection: Any) -> dict[str, Any]:
        """Add a static table, which is what a reader without a kernel sees."""
        bundle = super()._repr_mimebundle_(**selection)
        bundle["text/html"] = self.controller.examples_html(self._examples)
        return bundle


def _receipt(answer: Any) -> str:
    call = answer.call
    tokens = (
        f"{call.usage.input_tokens} + {call.usage.output_tokens} tokens, " if call.usage else ""
    )
    return f"{call.candidate}: {tokens}{answer.cost_usd:.2g} US dollars, {call.latency_s:.1f} s"
