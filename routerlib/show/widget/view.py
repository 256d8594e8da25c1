"""The playground's ipywidgets: a thin view that shows its controller and passes on events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from routerlib.gather.calls.steps import goes_on
from routerlib.records.decision import Decision
from routerlib.records.prompt import TASKS
from routerlib.show.tables.rendering import Table
from routerlib.show.widget import html as pictures
from routerlib.show.words.numbers import short

if TYPE_CHECKING:
    from routerlib.show.widget.asking import Asked
    from routerlib.show.widget.controller import PlaygroundController
    from routerlib.show.widget.slider import Kind

_DETECT = "detect it"
_PICK = "pick an example"
_NO_DEADLINE = "at any time"
_KIND_NAMES: dict[Kind, str] = {
    "cost_weight": "what a point is worth",
    "budget_usd": "a mean budget",
    "max_loss": "a quality floor",
}
# Often enough to read along, seldom enough for the browser to keep up.
_REFRESH_S = 0.1
_FULL = {"width": "auto"}


class PlaygroundView(widgets.VBox):
    """Show a playground controller.

    `examples`: prompts to pick from, at least one.
    """

    def __init__(self, controller: PlaygroundController, examples: Sequence[str]) -> None:
        self.controller = controller
        self._examples = list(examples)
        self._is_moving = False
        self._drawing = threading.Lock()
        self._drawn_at = 0.0
        self._cards: list[_Card] = []
        self._make_fields()
        self._make_buttons()
        self._answers = widgets.Box().add_class("rl-answers")
        columns = widgets.Box([self._controls(), self._choice]).add_class("rl-columns")
        super().__init__([widgets.HTML(pictures.style()), columns, self._answers, _script()])
        self.add_class("rl-playground")
        self._connect()
        self._place_slider()
        self._show()

    @property
    def decision(self) -> Decision | None:
        """What the router chooses now."""
        return self.controller.decision

    def _make_fields(self) -> None:
        controller = self.controller
        examples = [(short(text, 80), text) for text in self._examples]
        self._example = widgets.Dropdown(
            options=[(_PICK, ""), *examples], description="Example", layout=_FULL
        )
        self._prompt = widgets.Textarea(
            value=controller.prompt, description="Prompt", rows=5, layout=_FULL
        ).add_class("rl-prompt")
        self._task = widgets.Dropdown(options=[_DETECT, *TASKS], description="Task", layout=_FULL)
        self._detected = widgets.HTML()
        self._kind = widgets.Dropdown(
            options=[(_KIND_NAMES[kind], kind) for kind in controller.kinds],
            description="Decide by",
            layout=_FULL,
        ).add_class("rl-kind")
        caps = [(f"within {each:g} s", each) for each in controller.deadlines_s]
        self._deadline = widgets.Dropdown(
            options=[(_NO_DEADLINE, None), *caps],
            index=0,  # the value None alone would choose no option
            description="Nine of ten answers",
            layout=_FULL,
        ).add_class("rl-deadline")
        self._slider = widgets.SelectionSlider(
            options=[("", 0)],
            description="From better answers (left) to cheaper ones (right)",
            layout=_FULL,
        ).add_class("rl-slider")
        self._meaning = widgets.HTML().add_class("rl-meaning-box")
        self._choice = widgets.HTML().add_class("rl-choice")
        self._message = widgets.HTML().add_class("rl-status")

    def _make_buttons(self) -> None:
        self._ask_button = widgets.Button(description="Ask", button_style="primary").add_class(
            "rl-ask"
        )
        self._dearest_button = widgets.Button(description="Send to the dearest instead")
        self._dearest_button.add_class("rl-dearest")
        self._compare_button = widgets.Button(description="Compare the ticked").add_class(
            "rl-compared"
        )
        self._goes_on = widgets.Checkbox(
            value=True, description="Ask on by itself where an answer looks bad", indent=False
        ).add_class("rl-goes-on")
        self._ticks = [
            widgets.Checkbox(value=True, description=each.name, indent=False)
            for each in self.controller.candidates
        ]
        self._costs = widgets.HTML()

    def _controls(self) -> widgets.VBox:
        timed = [self._deadline] if self.controller.deadlines_s else []
        row = widgets.HBox([self._task, self._detected, self._kind, *timed]).add_class("rl-row")
        may_ask_on = [self._goes_on] if goes_on(self.controller.router) else []
        ask = widgets.HBox([self._ask_button, self._dearest_button, *may_ask_on])
        ask.add_class("rl-buttons")
        compare = widgets.HBox([*self._ticks, self._compare_button])
        compare.add_class("rl-buttons").add_class("rl-compare")
        return widgets.VBox(
            [
                self._example,
                self._prompt,
                row,
                self._slider,
                self._meaning,
                ask,
                compare,
                self._message,
                self._costs,
            ]
        ).add_class("rl-controls")

    def _connect(self) -> None:
        self._example.observe(self._pick, "value")
        self._prompt.observe(lambda change: self._set(prompt=change["new"]), "value")
        self._task.observe(self._choose_task, "value")
        self._kind.observe(self._choose_kind, "value")
        self._deadline.observe(lambda change: self._set(max_latency_s=change["new"]), "value")
        self._slider.observe(self._move, "value")
        self._ask_button.on_click(lambda _: self._start(None))
        self._dearest_button.on_click(lambda _: self._start([str(self.controller.dearest)]))
        self._compare_button.on_click(lambda _: self._start(self._ticked))
        self._goes_on.observe(self._choose_to_go_on, "value")
        for tick in self._ticks:
            tick.observe(lambda _: self._show_costs(), "value")
        self.controller.asking.on_change = self._answer_came

    @property
    def _ticked(self) -> list[str]:
        return [tick.description for tick in self._ticks if tick.value]

    def _pick(self, change: dict[str, Any]) -> None:
        if change["new"]:
            self._prompt.value = change["new"]

    def _choose_task(self, change: dict[str, Any]) -> None:
        self._set(task=None if change["new"] == _DETECT else change["new"])

    def _choose_to_go_on(self, change: dict[str, Any]) -> None:
        self.controller.asking.goes_on = change["new"]

    def go_on(self) -> None:
        """Take the next step of a cascade."""
        self.controller.go_on()
        self._show_message()
        self._draw_answers()

    def _choose_kind(self, change: dict[str, Any]) -> None:
        self.controller.choose_kind(change["new"])
        self._place_slider()
        self._show()

    def _move(self, change: dict[str, Any]) -> None:
        if not self._is_moving:
            setting = self.controller.settings[change["new"]]
            self._set(**{setting.kind: setting.value})

    def _set(self, **changed: Any) -> None:
        self.controller.set(**changed)
        self._show()

    def _place_slider(self) -> None:
        """Give the slider the places of the chosen policy, and the one that holds."""
        controller = self.controller
        self._is_moving = True
        try:
            self._slider.options = [
                (setting.label, place) for place, setting in enumerate(controller.settings)
            ]
            self._slider.index = controller.settings.index(controller.setting)
        finally:
            self._is_moving = False

    def _start(self, models: list[str] | None) -> None:
        has_begun = self.controller.start(models)
        self._show_message()
        if not has_begun:
            return
        self._cards = []
        self._draw_answers()

    def rate(self, asked: Asked, score: float) -> None:
        """Log a person's verdict, and show that it was."""
        self.controller.rate(score, asked)
        self._show_message()
        self._draw_answers()

    def _answer_came(self) -> None:
        """Draw what came; called from the threads that ask, for every piece of an answer."""
        is_last = not self.controller.asking.is_busy
        if is_last or time.monotonic() - self._drawn_at > _REFRESH_S:
            self._draw_answers()

    def _draw_answers(self) -> None:
        with self._drawing:
            self._drawn_at = time.monotonic()
            asked = self.controller.asking.asked
            if len(asked) != len(self._cards):  # a round begins, or a cascade has gone on
                self._cards += [_Card(each, self) for each in asked[len(self._cards) :]]
                self._answers.children = tuple(card.box for card in self._cards)
            for card in self._cards:
                card.draw(self.controller)
        self._show_costs()
        self._show_buttons()

    def _show(self) -> None:
        self._meaning.value = pictures.meaning(self.controller)
        self._detected.value = pictures.detected(self.controller)
        self._choice.value = pictures.result(self.controller)
        self._show_message()
        self._show_costs()
        self._show_buttons()

    def _show_message(self) -> None:
        self._message.value = pictures.message(self.controller.message)

    def _show_costs(self) -> None:
        self._costs.value = pictures.costs(self.controller, self._ticked)

    def _show_buttons(self) -> None:
        controller = self.controller
        is_off = controller.asking.is_busy or controller.decision is None
        self._ask_button.disabled = self._compare_button.disabled = is_off
        dearest = controller.dearest
        is_chosen = controller.decision is not None and dearest == controller.decision.model
        self._dearest_button.disabled = is_off or dearest is None or is_chosen

    def _repr_mimebundle_(self, **selection: Any) -> dict[str, Any]:
        """Add a static table, which is what a reader without a kernel sees."""
        bundle = super()._repr_mimebundle_(**selection)
        bundle["text/html"] = choices_table(self.controller, self._examples)._repr_html_()
        return bundle


class _Card:
    """One answer with what a person can say of it."""

    def __init__(self, asked: Asked, view: PlaygroundView) -> None:
        self._asked = asked
        self._text = widgets.HTML().add_class("rl-answer")
        self._score = widgets.BoundedFloatText(
            value=0.5,
            min=0,
            max=1,
            step=0.1,
            description="or a score, 0-1",
            style={"description_width": "initial"},
        )
        self._buttons = [
            _button("Right", "thumbs-up", "rl-right", lambda: view.rate(asked, 1.0)),
            _button("Wrong", "thumbs-down", "rl-wrong", lambda: view.rate(asked, 0.0)),
            _button("Log score", "", "rl-score", lambda: view.rate(asked, self._score.value)),
        ]
        right, wrong, log_score = self._buttons
        verdict = widgets.HBox([right, wrong, self._score, log_score]).add_class("rl-verdict")
        self._go_on = _button("Ask on", "arrow-right", "rl-go-on", view.go_on)
        self._go_on.layout.display = "none"
        self.box = widgets.VBox([self._text, self._go_on, verdict]).add_class("rl-card")

    def draw(self, controller: PlaygroundController) -> None:
        """Show the answer as far as it has come."""
        self._text.value = pictures.answer(controller, self._asked)
        step, leads_on = self._asked.step, self._asked.is_choice and self._asked.may_lead_on
        self._go_on.layout.display = None if leads_on else "none"
        self._go_on.disabled = not leads_on
        if step is not None:
            self._go_on.description = f"Ask {step.model} next"
        is_off = not self._asked.is_ratable
        for widget in (*self._buttons, self._score):
            widget.disabled = is_off


def _button(label: str, icon: str, name: str, run: Callable[[], None]) -> widgets.Button:
    button = widgets.Button(description=label, icon=icon, disabled=True).add_class(name)
    button.on_click(lambda _: run())
    return button


def _script() -> widgets.Output:
    """Name the slider's handle for screen readers, which ipywidgets leaves without a name."""
    text = (files("routerlib.show") / "templates" / "playground.js").read_text(encoding="utf-8")
    shown = {"output_type": "display_data", "metadata": {}, "data": {}}
    shown["data"] = {"application/javascript": text, "text/plain": ""}
    return widgets.Output(outputs=(shown,)).add_class("rl-script")


def choices_table(controller: PlaygroundController, prompts: Sequence[str]) -> Table:
    """Show the choices for some prompts at both ends of the slider and at the router's place."""
    router = controller.router
    weights = [0.0, float(router.cost_weight_), max(controller.cost_weights)]
    heads = ["the best answer, at any price", "at the router's own setting", "cost above all"]
    choices = [
        [router.route(prompt, cost_weight=weight).model for weight in weights] for prompt in prompts
    ]
    rows = [(short(prompt), *chosen) for prompt, chosen in zip(prompts, choices, strict=True)]
    caption = "Who is chosen for some prompts as the slider moves from better answers to cheaper"
    return Table(("prompt", *heads), tuple(rows), (False,) * 4, caption)
