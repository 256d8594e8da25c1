"""An agent that asks one address for each next step, and tells it how good the step was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from routerlib.gather.agents.tasks import ANSWER, TOOLS, AgentTask, Step, read_step

MOST_STEPS = 8
_MOST_TOKENS = 60
_SETUP = """\
Find out what is asked, one step at a time. Each step is JSON with a tool and its argument: \
look_up gives the price of one thing, calculate the value of an expression, answer ends the work.

Two examples:
What does a bell cost?
{"tool": "look_up", "argument": "bell"}
look_up: bell costs 64 cents
{"tool": "answer", "argument": "64"}

What do a cup and three forks cost together?
{"tool": "look_up", "argument": "cup"}
look_up: cup costs 20 cents
{"tool": "look_up", "argument": "fork"}
look_up: fork costs 7 cents
{"tool": "calculate", "argument": "20 + 3 * 7"}
calculate: 41
{"tool": "answer", "argument": "41"}
"""
# Small models ignore offered tools; a form of the answer is kept by every server that has one.
FORM = {
    "type": "json_schema",
    "json_schema": {
        "name": "step",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "tool": {"type": "string", "enum": list(TOOLS)},
                "argument": {"type": "string", "maxLength": 60},
            },
            "required": ["tool", "argument"],
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True)
class Taken:
    """A step as it was taken.

    Parameters
    ----------
    task : int
        Number of its task, from 0.
    model : str
        Who said it.
    step : Step
        What was done.
    is_right : bool
        Whether it led on.
    """

    task: int
    model: str
    step: Step
    is_right: bool


def work_on(
    tasks: Sequence[AgentTask], url: str, model: str = "router", most_steps: int = MOST_STEPS
) -> Iterator[Taken]:
    """Let an agent do tasks through a served router, and score each step there.

    Parameters
    ----------
    tasks : sequence of AgentTask
        Done one after the other, each a conversation of its own.
    url : str
        Where `routerlib serve` answers, such as ``http://127.0.0.1:8000``.
    model : str, default="router"
        Whom to ask; a candidate's name asks that one at every step.
    most_steps : int, default=8
        After so many an unfinished task is given up, at least 1.

    Yields
    ------
    Taken
        Step by step, once the server has its score; a task ends with an answer. The whole
        conversation is scored with 1 where that answer is right, with 0 otherwise.
    """
    import httpx
    from openai import OpenAI

    with (
        httpx.Client(base_url=url, trust_env=False, timeout=600) as http,
        OpenAI(base_url=f"{url}/v1", api_key="none", timeout=600, max_retries=0) as client,
    ):
        create: Any = client.chat.completions.create  # its types know no dicts of one's own
        for number, task in enumerate(tasks):
            taken: list[Taken] = []
            messages = [_message("system", _SETUP), _message("user", task.text)]
            while len(taken) < most_steps and not (taken and taken[-1].step.tool == ANSWER):
                reply = create(
                    model=model,
                    messages=messages,
                    response_format=FORM,
                    temperature=0,
                    max_tokens=_MOST_TOKENS,
                )
                said = reply.choices[0].message.content or ""
                step = read_step(said)
                is_right = task.is_right(step, [each.step for each in taken])
                taken.append(Taken(number, reply.model, step, is_right))
                decision_id = reply.routerlib["decision_id"]
                _tell(http, decision_id, is_right, "answer")
                yield taken[-1]
                result = _message("user", f"{step.tool}: {task.use(step)}")
                messages += [_message("assistant", said), result]
            is_done = taken[-1].step.tool == ANSWER and taken[-1].is_right
            _tell(http, decision_id, is_done, "conversation")


def _message(role: str, content: str) -> Any:
    return {"role": role, "content": content}


def _tell(http: Any, decision_id: int, is_right: bool, of: str) -> None:
    body = {"decision_id": decision_id, "score": float(is_right), "of": of}
    http.post("/feedback", json=body).raise_for_status()
