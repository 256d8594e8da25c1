"""Frozen records that the floors hand to each other, with their invariants."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from routerlib.canonical import canonical_json as canonical_json
from routerlib.canonical import tagged_hash
from routerlib.usage import Price as Price
from routerlib.usage import Usage as Usage

if TYPE_CHECKING:
    import numpy as np

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

CallStatus = Literal["ok", "truncated", "refused", "empty", "error", "timeout"]
CALL_STATUSES: tuple[str, ...] = get_args(CallStatus)

# Parts a candidate model can play for the RuleRouter, written in candidates.yaml.
Role = Literal["cheapest", "cheap", "coder", "strongest"]
ROLES: tuple[str, ...] = get_args(Role)

# Stand for the router's hash where no router chose: a person or a program named the model, or a
# turn of a conversation stays with the model that answered before. Such decisions are certain and
# say nothing of what the router would have done, so off-policy values leave them out.
CALLER = "caller"
CONVERSATION = "conversation"


@dataclass(frozen=True)
class Prompt:
    """A prompt as sent, with what is known about its right answer.

    Parameters
    ----------
    messages : tuple of dict
        Chat messages, each with ``role`` and ``content``; at least one.
    task : str or None, default=None
        One of `TASKS`, or None when unknown.
    reference : Any, default=None
        JSON value that the judge compares with: a text, a number, an object.
    judge : str or None, default=None
        Name of the judge in `routerlib.judges`; None = no automatic verdict.
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

    messages: tuple[Mapping[str, str], ...]
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
            if not isinstance(message.get("role"), str) or not isinstance(
                message.get("content"), str
            ):
                raise ValueError(
                    f"each message needs text in 'role' and 'content', got {dict(message)!r}"
                )
        if not self.text.strip():
            raise ValueError("a prompt needs text, got only white space")
        if self.task is not None and self.task not in TASKS:
            raise ValueError(
                f"task must be one of {', '.join(TASKS)}, got {self.task!r}; a label of your own "
                "is a topic"
            )

    @classmethod
    def from_text(cls, text: str, **known: Any) -> Prompt:
        """Make a single-turn prompt from its text."""
        return cls(messages=({"role": "user", "content": text},), **known)

    @property
    def text(self) -> str:
        """The content of all messages, joined by blank lines: what features are drawn from."""
        return "\n\n".join(message["content"] for message in self.messages)

    @property
    def prompt_id(self) -> str:
        """Tagged hash of the canonical messages JSON."""
        return tagged_hash([dict(message) for message in self.messages])


@dataclass(frozen=True)
class CandidateModel:
    """An LLM that may be called, and how: one entry of candidates.yaml.

    Parameters
    ----------
    name : str
        How logs, tables and figures call it.
    model : str
        How the provider calls it; for provider ``local`` a pool name or the path of a GGUF file.
    provider : str
        Provider name, ``local`` for the embedded pool, ``custom`` for a bare base URL.
    base_url : str or None
        OpenAI-compatible endpoint; None for ``local``, whose server is started on demand.
    api_key_env : str or None
        Name of the environment variable that holds the key; None = no key needed.
    price : Price
        Dated price.
    max_concurrency : int, default=4
        Requests in flight, at least 1.
    requests_per_minute : float or None, default=None
        Upper limit on the request rate.
    timeout_s : float, default=120
        Seconds until one attempt is given up.
    max_attempts : int, default=4
        Attempts per call, at least 1.
    system : str or None, default=None
        System prompt that this way of asking puts first.
    parameters : dict
        Further request parameters, such as temperature, max_tokens, seed.
    roles : tuple of str, default=()
        Parts it plays for the RuleRouter, from `ROLES`.
    expected_s : float or None, default=None
        Seconds a call occupies the server, for time estimates before anything was measured.
    """

    name: str
    model: str
    provider: str
    base_url: str | None
    api_key_env: str | None
    price: Price
    max_concurrency: int = 4
    requests_per_minute: float | None = None
    timeout_s: float = 120.0
    max_attempts: int = 4
    system: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    expected_s: float | None = None

    @property
    def params_hash(self) -> str:
        """Tagged hash of everything that changes what is asked: model, system, parameters."""
        return tagged_hash(
            {"model": self.model, "system": self.system, "parameters": dict(self.parameters)}
        )

    @property
    def max_output_tokens(self) -> int | None:
        """The cap on output tokens that is sent, the higher of two, or None when there is none."""
        names = ("max_completion_tokens", "max_tokens")
        caps = [int(self.parameters[name]) for name in names if name in self.parameters]
        return max(caps, default=None)


@dataclass(frozen=True)
class Call:
    """One request to one candidate model, successful or not; immutable once logged.

    Parameters
    ----------
    prompt_id, candidate, params_hash, repeat
        The cell that was asked.
    status : str
        One of `CALL_STATUSES`; only ``ok`` calls are ever judged.
    response : str or None
        The answer's text.
    usage : Usage or None
        Token counts; None when the provider gave none.
    latency_s : float or None, default=None
        Seconds of the last attempt; None = not known, as in some imports.
    attempts : int or None, default=1
        Attempts made, at least 1; None = not known.
    given_cost_usd : float or None, default=None
        What another tool says it cost, US dollars; counts only where tokens or price are unknown.
    origin : str or None, default=None
        Identity of a call that was imported, so that it comes in once; None = made live.
    asked_at : str or None, default=None
        When it was asked, where that was not when it is logged: ISO date and time, UTC.
    extra : dict or None, default=None
        Further fields that its source had: JSON values.
    """

    prompt_id: str
    candidate: str
    params_hash: str
    status: str
    response: str | None = None
    usage: Usage | None = None
    latency_s: float | None = None
    attempts: int | None = 1
    repeat: int = 0
    finish_reason: str | None = None
    error_type: str | None = None
    error: str | None = None
    decision_id: int | None = None
    given_cost_usd: float | None = None
    origin: str | None = None
    asked_at: str | None = None
    extra: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.status not in CALL_STATUSES:
            raise ValueError(
                f"status must be one of {', '.join(CALL_STATUSES)}, got {self.status!r}"
            )

    @property
    def is_ok(self) -> bool:
        """Whether the call gave a complete answer that a judge may grade."""
        return self.status == "ok"


@dataclass(frozen=True)
class Score:
    """One judge's verdict on one call.

    Parameters
    ----------
    judge : str
        Who graded.
    score : float
        In [0, 1], or NaN when the judge could not tell; NaN is never stored.
    rationale : str, default=""
        Why, in a few words.
    extra : dict or None, default=None
        What the verdict rests on, such as the calls of an LLM judge: JSON values.
    """

    judge: str
    score: float
    rationale: str = ""
    extra: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not (math.isnan(self.score) or 0 <= self.score <= 1):
            raise ValueError(
                f"score must lie in [0, 1], got {self.score!r} from judge {self.judge!r}; rescale"
            )

    @property
    def is_scored(self) -> bool:
        """Whether there is a verdict."""
        return not math.isnan(self.score)


@dataclass(frozen=True)
class Estimates:
    """What a router expects of each candidate model on each prompt.

    Parameters
    ----------
    models : tuple of str
        Candidate names, in column order.
    quality : ndarray of shape (n_prompts, n_models)
        Expected quality in [0, 1].
    cost_usd : ndarray of shape (n_prompts, n_models)
        Expected cost of one call, US dollars.
    quality_sd : ndarray of shape (n_prompts, n_models) or None, default=None
        Standard deviation of expected quality, at least 0; None = not known. Policies that
        explore by uncertainty need it.
    """

    models: tuple[str, ...]
    quality: np.ndarray
    cost_usd: np.ndarray
    quality_sd: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = (len(self.quality), len(self.models))
        for name in ("quality", "cost_usd", "quality_sd"):
            given = getattr(self, name)
            if given is not None and given.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {given.shape}")

    def __len__(self) -> int:
        return len(self.quality)


@dataclass(frozen=True)
class Decision:
    """One routing decision, with all that is needed to explain and to value it later.

    Parameters
    ----------
    model : str
        The chosen candidate model.
    expected_quality, expected_cost_usd : float
        Its estimates; NaN when a rule decided, which estimates nothing.
    propensity : float
        Probability, in (0, 1], with which this model was chosen.
    reason : str
        Why, in words.
    cost_weight : float
        Quality given up per US dollar saved.
    estimates : dict of str to dict
        ``{model: {"quality": ..., "cost_usd": ...}}`` for every candidate model.
    router_hash : str
        Identity of the router that decided.
    """

    model: str
    expected_quality: float
    expected_cost_usd: float
    propensity: float
    reason: str
    cost_weight: float
    estimates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    router_hash: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.propensity <= 1:
            raise ValueError(f"propensity must lie in (0, 1], got {self.propensity!r}")


def check_names(names: Sequence[str], kind: str) -> None:
    """Raise ValueError when a name is empty or stands twice."""
    seen: set[str] = set()
    for name in names:
        if not name:
            raise ValueError(f"a {kind} needs a name, got {name!r}")
        if name in seen:
            raise ValueError(f"each {kind} needs its own name, got {name!r} twice")
        seen.add(name)
