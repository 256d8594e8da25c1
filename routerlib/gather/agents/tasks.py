"""Tasks for an agent: what things cost is in a price list, the rest is arithmetic."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from routerlib.gather.agents.arithmetic import calculate

LOOK_UP, CALCULATE, ANSWER = TOOLS = ("look_up", "calculate", "answer")
_THINGS = (
    "apple", "bolt", "candle", "drill", "envelope", "funnel", "glove", "hammer", "jar", "kettle",
    "ladder", "mirror", "nail", "oar", "pencil", "rope", "saw", "towel", "vase", "whistle",
)  # fmt: skip
_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
_CLOSE = 1e-6


@dataclass(frozen=True)
class Step:
    """What an agent does next.

    Parameters
    ----------
    tool : str
        One of `TOOLS`.
    argument : str
        A thing to look up, an expression to calculate, or the answer.
    """

    tool: str
    argument: str


@dataclass(frozen=True)
class AgentTask:
    """A question that needs prices, and what is right on the way to its answer.

    Parameters
    ----------
    text : str
        The question.
    prices : mapping of str to int
        The price list, US cents of each thing.
    needed : sequence of str
        What has to be looked up.
    goal : float
        The right answer.
    """

    text: str
    prices: Mapping[str, int]
    needed: Sequence[str]
    goal: float

    def use(self, step: Step) -> str:
        """Return what a tool gives back, or what is wrong with how it was called."""
        if step.tool == CALCULATE:
            try:
                return f"{calculate(step.argument):g}"
            except ValueError as error:
                return f"error: {error}"
        thing = _thing(step)
        if thing not in self.prices:
            return f"error: {step.argument[:40]!r} is not on the price list"
        return f"{thing} costs {self.prices[thing]} cents"

    def is_right(self, step: Step, before: Sequence[Step]) -> bool:
        """Whether a step leads on: a price that is needed and new, or the right value.

        Parameters
        ----------
        step : Step
            What is judged. An answer without the sum is right where it is the goal, but a price
            or a sum a second time leads nowhere.
        before : sequence of Step
            What was done until then.
        """
        if step.tool == LOOK_UP:
            return _thing(step) in set(self.needed) - looked_up(before)
        is_again = any(each.tool == CALCULATE and self._is_goal(each.argument) for each in before)
        if step.tool == CALCULATE and (is_again or len(self.needed) == 1):
            return False
        return looked_up(before).issuperset(self.needed) and self._is_goal(step.argument)

    def _is_goal(self, expression: str) -> bool:
        try:
            return abs(calculate(expression) - self.goal) < _CLOSE
        except ValueError:
            return False


def read_step(said: str) -> Step:
    """Read a step; what is none, such as one cut off, is an empty answer and so a wrong one.

    >>> read_step('{"tool": "look_up", "argument": "cup "}')
    Step(tool='look_up', argument='cup')
    """
    try:
        told = json.loads(said)
        return Step(str(told["tool"]), str(told["argument"]).strip())
    except (ValueError, KeyError, TypeError):
        return Step(ANSWER, "")


def looked_up(before: Sequence[Step]) -> set[str]:
    """Return the things whose price was asked for."""
    return {_thing(each) for each in before if each.tool == LOOK_UP}


def needed_in(text: str) -> set[str]:
    """Return the things that a question names.

    >>> sorted(needed_in("What do two drills and a funnel cost together?"))
    ['drill', 'funnel']
    """
    words = {word.strip("?,").removesuffix("s") for word in text.split()}
    return words & set(_THINGS)


def _thing(step: Step) -> str:
    """Return what is looked up; several of a thing are on the list as one."""
    return step.argument.lower().removesuffix("s")


def make_tasks(n_tasks: int, seed: int = 0) -> list[AgentTask]:
    """Make tasks of four kinds in turn, from one price to a sum of three with numbers.

    Parameters
    ----------
    n_tasks : int
        How many, at least 1.
    seed : int, default=0
        Of prices, things and numbers.

    Returns
    -------
    list of AgentTask

    Examples
    --------
    >>> task = make_tasks(2)[1]
    >>> task.text
    'What do a ladder and a towel cost together?'
    >>> task.is_right(Step("look_up", task.needed[0]), [])
    True
    """
    if n_tasks < 1:
        raise ValueError(f"n_tasks must be at least 1, got {n_tasks!r}")
    rng = Random(f"agent tasks:{seed}")
    return [_make(number % len(_KINDS), rng) for number in range(n_tasks)]


def _make(kind: int, rng: Random) -> AgentTask:
    prices = {thing: rng.randint(3, 97) for thing in _THINGS}
    counted = _KINDS[kind]
    things = rng.sample(_THINGS, len(counted))
    numbers = [rng.choice(list(_WORDS)[1:]) if many else "one" for many in counted]
    named = [_named(thing, word) for thing, word in zip(things, numbers, strict=True)]
    goal = sum(_WORDS[word] * prices[thing] for thing, word in zip(things, numbers, strict=True))
    is_one = len(things) == 1 and not counted[0]
    cost = "does" if is_one else "do"
    together = " together" if len(things) > 1 else ""
    listed = " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
    return AgentTask(f"What {cost} {listed} cost{together}?", prices, tuple(things), float(goal))


def _named(thing: str, word: str) -> str:
    if word != "one":
        return f"{word} {thing}s"
    return f"{'an' if thing[0] in 'aeo' else 'a'} {thing}"


# Of each thing: whether there are several of it.
_KINDS = ((False,), (False, False), (True, False), (True, True, False))
