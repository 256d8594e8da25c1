"""Bodies of requests, as they stand in the OpenAPI document.

A field that asks for nothing (null, no tools, no log-probabilities) is taken and left out, as is
what an answer brings along when it is sent back as history: thoughts, the words of a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    model_validator,
)

from routerlib.records.prompt import Task

# Not only white space: Python's own idea of it, spelled out for readers of the document.
_TEXT = r"[^\s\u0000-\u0020\u0085\u00a0]"
# The largest whole number that every reader of JSON takes exactly.
_LARGEST_WHOLE = 2**53 - 1

# More than any client needs; what is wrong with each of very many would take long to say.
MOST_FIELDS = 100
MOST_MESSAGES = 5_000
MOST_PARTS = 1_000
MOST_BIASES = 5_000


def _whole(value: object) -> object:
    """Take 3.0 for 3, as JSON knows one kind of number only."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
CostWeight = Annotated[float, Field(ge=0, allow_inf_nan=False, description="Quality per US dollar")]
Nothing = Annotated[list[Any], Field(max_length=0)]


class _Request(BaseModel):
    """Known fields only: an unknown one may stand there as null, which asks for nothing."""

    model_config = ConfigDict(
        extra="allow", strict=True, json_schema_extra={"maxProperties": MOST_FIELDS}
    )
    __pydantic_extra__: dict[str, None] = Field(init=False)

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, given: object) -> object:
        if isinstance(given, dict) and len(given) > MOST_FIELDS:
            raise ValueError(f"expected at most {MOST_FIELDS} fields, got {len(given)}")
        return given


class RouteRequest(_Request):
    """Body of POST /route and POST /inference."""

    prompt: str = Field(min_length=1, pattern=_TEXT)
    task: Task | None = None
    cost_weight: CostWeight | None = None


class FeedbackRequest(_Request):
    """Body of POST /feedback."""

    decision_id: Whole = Field(ge=1, le=_LARGEST_WHOLE)
    score: float = Field(ge=0, le=1, allow_inf_nan=False)
    rationale: Annotated[str, StringConstraints(max_length=2_000)] | None = None


class TextPart(_Request):
    """One part of a message's content; only text can be routed."""

    type: Literal["text"]
    text: str
    annotations: list[Any] | None = None

    @property
    def said(self) -> str:
        """What of it belongs to the conversation."""
        return self.text


class RefusalPart(_Request):
    """A refusal of the assistant, sent back."""

    type: Literal["refusal"]
    refusal: str

    @property
    def said(self) -> str:
        """What of it belongs to the conversation."""
        return self.refusal


class ThoughtPart(BaseModel):
    """Thoughts of the assistant, sent back; left out, whatever their provider's shape."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: Literal["thinking", "redacted_thinking", "reasoning"]

    @property
    def said(self) -> str:
        """What of it belongs to the conversation."""
        return ""


AssistantPart = Annotated[TextPart | RefusalPart | ThoughtPart, Discriminator("type")]


class ChatMessage(_Request):
    """A message of the user, or of whoever set up the conversation."""

    role: Literal["system", "developer", "user"]
    content: (
        str | Annotated[list[TextPart], Field(fail_fast=True, min_length=1, max_length=MOST_PARTS)]
    )
    name: str | None = None

    def as_message(self) -> dict[str, str]:
        """Return role, content and name as they are logged and sent."""
        return _message(self.role, _said(self.content), self.name)


class AssistantMessage(_Request):
    """An earlier answer, in the shape in which this server or another one gave it."""

    role: Literal["assistant"]
    content: (
        str | Annotated[list[AssistantPart], Field(fail_fast=True, max_length=MOST_PARTS)] | None
    ) = None
    refusal: str | None = None
    name: str | None = None

    # Empty, or about the answer, not part of it.
    annotations: list[Any] | None = None
    tool_calls: Nothing | None = None
    prefix: Literal[False] | None = None
    partial: Literal[False] | None = None
    # Thoughts, by the names that providers and their clients have for them.
    reasoning_content: str | list[Any] | None = None
    reasoning: str | list[Any] | dict[str, Any] | None = None
    reasoning_details: list[Any] | None = None
    thinking: str | list[Any] | dict[str, Any] | None = None
    thinking_blocks: list[Any] | None = None
    provider_specific_fields: dict[str, Any] | None = None
    extra_content: dict[str, Any] | None = None

    def as_message(self) -> dict[str, str]:
        """Return role, content and name as they are logged and sent; a refusal is what was said."""
        return _message(self.role, _said(self.content) or self.refusal or "", self.name)


def _message(role: str, content: str, name: str | None) -> dict[str, str]:
    return {"role": role, "content": content, **({"name": name} if name else {})}


def _said(content: str | list[TextPart] | list[AssistantPart] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.said for part in content)


class StreamOptions(_Request):
    """What a stream tells besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(_Request):
    """Body of POST /v1/chat/completions.

    Parameters of the answer are passed on and stand before those of candidates.yaml, except that
    a cap on output tokens never rises above the candidate's own.
    """

    model: str = Field(min_length=1)
    messages: Annotated[
        list[Annotated[ChatMessage | AssistantMessage, Discriminator("role")]],
        Field(fail_fast=True, min_length=1, max_length=MOST_MESSAGES),
    ]
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    max_tokens: Whole | None = Field(default=None, ge=1)
    max_completion_tokens: Whole | None = Field(default=None, ge=1)
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: Whole | None = Field(default=None, ge=-_LARGEST_WHOLE, le=_LARGEST_WHOLE)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2, allow_inf_nan=False)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2, allow_inf_nan=False)
    logit_bias: (
        Annotated[
            dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=MOST_BIASES)
        ]
        | None
    ) = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None

    # Taken and not passed on: they concern the account that asks, not the answer.
    n: Literal[1] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None

    # Taken where they ask for nothing: what they are about can't be routed.
    tools: Nothing | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    functions: Nothing | None = None
    function_call: Literal["none", "auto"] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    modalities: Annotated[list[Literal["text"]], Field(max_length=1)] | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What is passed on to the candidate: not what asks for nothing."""
        told = self.model_dump(include=_PASSED_ON, exclude_none=True)
        return {name: value for name, value in told.items() if not _is_nothing(value)}


def _is_nothing(value: object) -> bool:
    """Whether a parameter says what holds without it; a number always says something."""
    return value in ("", [], {}) or (isinstance(value, Mapping) and value == _PLAIN_TEXT)


_PLAIN_TEXT = {"type": "text"}
_PASSED_ON = {
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "response_format",
    "reasoning_effort",
    "verbosity",
}
