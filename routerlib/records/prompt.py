"""A prompt as sent, with what is known about its right answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from routerlib.records.brief import brief
from routerlib.records.canonical import tagged_hash
from routerlib.records.messages import check_message, said
from routerlib.records.situations import Situation
from routerlib.records.trajectories import decision_text

Task = Literal[
    "chat",
    "summarize",
    "classify",
    "reasoning",
    "code",
    "math",
    "extract",
    "translate",
    "other",
]
TASKS: tuple[str, ...] = get_args(Task)

# How sources begin that name the template which a prompt was filled into: such prompts are of one
# group without saying so.
TEMPLATE_SOURCE = "workload/"

# The further field that says who asked, under another name, and how the group of what one user asks
# begins.
_USER = "user"
USER_GROUP = "user "


@dataclass(frozen=True)
class Prompt:
    """A prompt as sent, with what is known about its right answer.

    Parameters
    ----------
    messages : tuple of dict
        Chat messages in the shape of OpenAI's API, each with ``role`` and ``content``: text, or a
        list of parts such as images; an answer may hold ``tool_calls``. At least one.
    task : str or None, default=None
        One of `TASKS`, or None when unknown.
    reference : Any, default=None
        JSON value that the judge compares with: a text, a number, an object.
    judge : str or None, default=None
        Name of the judge in `routerlib.gather.judges`; None = no automatic verdict.
    source : str, default="user"
        Where the prompt comes from, such as a file or a task family.
    topic : str or None, default=None
        The owner's own label of the subject, in any words; it stands in for `task` in tables.
    extra : dict or None, default=None
        Further fields that its file had, kept as they were: JSON values.

    Examples
    --------
    >>> prompt = Prompt.from_text("What is 17 * 23?", task="math", reference=391, judge="numeric")
    >>> prompt.text, prompt.prompt_id[:3]
    ('What is 17 * 23?', 'b2:')
    """

    messages: tuple[Mapping[str, Any], ...]
    task: str | None = None
    reference: Any = None
    judge: str | None = None
    source: str = "user"
    topic: str | None = None
    extra: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.messages:
            raise ValueError("a prompt needs at least one message, got none")
        for message in self.messages:
            check_message(message)
        if all(not words or words.isspace() for words in map(said, self.messages)):
            raise ValueError("a prompt needs text, got only white space")
        if self.task is not None and self.task not in TASKS:
            raise ValueError(
                f"task must be one of {', '.join(TASKS)}, got {brief(self.task)}; a label of "
                "your own is a topic"
            )

    @classmethod
    def from_text(cls, text: str, **known: Any) -> Prompt:
        """Make a single-turn prompt from its text.

        Parameters
        ----------
        text : str
            What a user types.
        **known : object
            Further fields of the prompt, such as ``task`` or ``reference``.

        Returns
        -------
        Prompt
            With one message, the user's.
        """
        return cls(messages=({"role": "user", "content": text},), **known)

    @property
    def group(self) -> str | None:
        """What it was made from or belongs to: field ``group``, else its template, else who asked.

        A prompt of the workload has its source as template; a served one may know its user.
        """
        known = self.extra or {}
        value, user = known.get("group"), known.get(_USER)
        if value is not None and value != "":
            return str(value)
        if self.source.startswith(TEMPLATE_SOURCE):
            return self.source
        return f"{USER_GROUP}{user}" if user is not None and user != "" else None

    @property
    def text(self) -> str:
        """What features are drawn from: what all messages say, joined by blank lines.

        Of a long conversation, or one with tools, the last words and where it stands.
        """
        return decision_text(self.messages, Situation.read(self.extra))

    @cached_property  # long texts take a tenth of a second, and are asked for several times
    def prompt_id(self) -> str:
        """Tagged hash of the canonical messages JSON."""
        return tagged_hash([dict(message) for message in self.messages])


def asked_by(user: str | None) -> dict[str, str] | None:
    """Return the further field of a prompt that says who asked, under another name.

    The same user has the same name everywhere, and it isn't what the user is called. Whoever knows
    a name can look for it, so it is no secret.

    `user`: as a request names it; None or "" = it doesn't.

    >>> asked_by("ada@example.org"), asked_by("")
    ({'user': 'b2:0dc099c77c2574cd77c4dc3b254a776f'}, None)
    """
    return {_USER: tagged_hash(["user", user])} if user else None


def check_names(names: Sequence[str], kind: str) -> None:
    """Raise ValueError when a name is empty or stands twice."""
    seen: set[str] = set()
    for name in names:
        if not name:
            raise ValueError(f"a {kind} needs a name, got {name!r}")
        if name in seen:
            raise ValueError(f"each {kind} needs its own name, got {name!r} twice")
        seen.add(name)
