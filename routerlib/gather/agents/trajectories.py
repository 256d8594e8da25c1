"""Read an agent's trajectories back from the log of the server that answered it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from routerlib.gather.agents.tasks import CALCULATE, Step, looked_up, needed_in, read_step
from routerlib.records.call import FEEDBACK
from routerlib.records.messages import content_text

if TYPE_CHECKING:
    from routerlib.log.call_log import CallLog
    from routerlib.records.prompt import Prompt

FIRST_PRICE, NEXT_PRICE, THE_SUM, THE_ANSWER = DUES = (
    "the first price",
    "another price",
    "the sum",
    "the answer",
)
_STEPS = """
select decision_id, calls.prompt_id, candidate, response, score from calls
join scores using (call_id) where judge = ? and decision_id is not null order by decision_id
"""


@dataclass(frozen=True)
class LoggedStep:
    """A step of an agent, as the log tells it.

    Parameters
    ----------
    task : int
        Number of its conversation, from 0, by when it began.
    number : int
        Its place there, from 0.
    question : str
        What the conversation is about.
    due : str
        What leads on, one of `DUES`: prices first, then a sum unless one price is all.
    step : Step
        What was done.
    is_right : bool
        Whether it led on.
    model : str
        Who said it.
    decision_id : int
        Under which the server logged it.
    """

    task: int
    number: int
    question: str
    due: str
    step: Step
    is_right: bool
    model: str
    decision_id: int


def read_steps(log: CallLog) -> list[LoggedStep]:
    """Read the scored steps of an agent that did tasks of `make_tasks`, in their order.

    Parameters
    ----------
    log : CallLog
        Of `routerlib serve`, which the agent asked.

    Returns
    -------
    list of LoggedStep
        Empty where there is none.
    """
    prompts = {prompt.prompt_id: prompt for prompt in log.prompts()}
    found: list[LoggedStep] = []
    # How a conversation stood after a step: which task it is, and whether the sum is known.
    after: dict[tuple[tuple[str, str], ...], tuple[int, bool]] = {}
    n_tasks = 0
    for decision_id, prompt_id, model, response, score in log.lookup(_STEPS, FEEDBACK):
        said = _said(prompts[prompt_id])
        question = next(content for role, content in said if role == "user")
        before = [read_step(content) for role, content in said if role == "assistant"]
        task, is_known = after.get(said[:-1], (n_tasks, False))
        n_tasks = max(n_tasks, task + 1)
        step, is_right = read_step(response), score == 1
        due = _due(question, before, is_known)
        found.append(
            LoggedStep(task, len(before), question, due, step, is_right, model, decision_id)
        )
        is_known = is_known or (step.tool == CALCULATE and is_right)
        after[(*said, ("assistant", response))] = (task, is_known)
    return found


def _said(prompt: Prompt) -> tuple[tuple[str, str], ...]:
    return tuple((each["role"], content_text(each["content"])) for each in prompt.messages)


def _due(question: str, before: list[Step], is_known: bool) -> str:
    needed = needed_in(question)
    if needed - looked_up(before):
        return NEXT_PRICE if before else FIRST_PRICE
    return THE_ANSWER if is_known or len(needed) == 1 else THE_SUM
