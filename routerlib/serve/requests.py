"""Bodies of requests, as they stand in the OpenAPI document.

A field that asks for nothing (null, no tools, no log-probabilities) is taken and left out, as is
what an answer brings along when it is sent back as history: thoughts, the words of a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, model_validator

from routerlib.records.prompt import Task
from routerlib.serve.fields import (
    LARGEST_WHOLE,
    MOST_BIASES,
    MOST_MESSAGES,
    CostWeight,
    Nothing,
    Request,
    Whole,
)
from routerlib.serve.messages import (
    NAME,
    AssistantMessage,
    SetupMessage,
    ToolMessage,
    UserMessage,
)

# Not only white space: Python's own idea of it, spelled out for readers of the document.
_TEXT = r"[^\s\u0000-\u0020\u0085\u00a0]"
MOST_TOOLS = 512


class RouteRequest(Request):
    """Body of POST /route and POST /inference."""

    prompt: str = Field(min_length=1, pattern=_TEXT)
    task: Task | None = None
    cost_weight: CostWeight | None = None


class FeedbackRequest(Request):
    """Body of POST /feedback."""

    decision_id: Whole = Field(ge=1, le=LARGEST_WHOLE)
    score: float = Field(ge=0, le=1, allow_inf_nan=False)
    of: Literal["answer", "conversation"] | None = Field(
        default=None, description="What the score is of: this answer, or all up to it"
    )
    rationale: Annotated[str, StringConstraints(max_length=2_000)] | None = None


ChatMessage = Annotated[
    SetupMessage | UserMessage | AssistantMessage | ToolMessage, Discriminator("role")
]


class Function(Request):
    """A function that the model may call, and the JSON schema of its arguments."""

    name: str = Field(pattern=NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Request):
    """A tool that the model may use."""

    type: Literal["function"]
    function: Function


class NamedFunction(Request):
    """The name of a function."""

    name: str = Field(pattern=NAME)


class ChosenTool(Request):
    """The tool that must be used."""

    type: Literal["function"]
    function: NamedFunction


Tools = Annotated[list[Tool], Field(fail_fast=True, max_length=MOST_TOOLS)]


class StreamOptions(Request):
    """What a stream tells besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Request):
    """Body of POST /v1/chat/completions.

    Parameters of the answer are passed on and stand before those of candidates.yaml, except that
    a cap on output tokens never rises above the candidate's own.
    """

    model: str = Field(min_length=1)
    messages: Annotated[
        list[ChatMessage],
        Field(fail_fast=True, min_length=1, max_length=MOST_MESSAGES),
    ]
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    max_tokens: Whole | None = Field(default=None, ge=1)
    max_completion_tokens: Whole | None = Field(default=None, ge=1)
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: Whole | None = Field(default=None, ge=-LARGEST_WHOLE, le=LARGEST_WHOLE)
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

    tools: Tools | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    parallel_tool_calls: bool | None = None
    logprobs: bool | None = None
    top_logprobs: Whole | None = Field(default=None, ge=0, le=20)

    # Taken where they ask for nothing: what they are about can't be routed.
    functions: Nothing | None = None
    function_call: Literal["none", "auto"] | None = None
    modalities: Annotated[list[Literal["text"]], Field(max_length=1)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        offered = {tool.function.name for tool in self.tools or ()}
        if isinstance(self.tool_choice, ChosenTool):
            wanted = self.tool_choice.function.name
            if wanted not in offered:
                raise ValueError(f"tool_choice names {wanted!r}, which isn't among the tools")
        if self.tool_choice == "required" and not offered:
            raise ValueError("tool_choice 'required' needs tools")
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        return self

    def conversation(self) -> list[dict[str, Any]]:
        """Return the messages."""
        return [message.as_message() for message in self.messages]

    @property
    def asks(self) -> str | None:
        """Who asks, if the request says so."""
        return self.user or self.safety_identifier

    @property
    def parameters(self) -> dict[str, Any]:
        """What is passed on to the candidate: not what asks for nothing."""
        told = self.model_dump(include=_PASSED_ON, exclude_none=True)
        kept = {name: value for name, value in told.items() if not _is_nothing(value)}
        unneeded = set()
        if not self.tools:
            unneeded |= {"tool_choice", "parallel_tool_calls"}
        if not self.logprobs:
            unneeded |= {"logprobs", "top_logprobs"}
        return {name: value for name, value in kept.items() if name not in unneeded}


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
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "logprobs",
    "top_logprobs",
}
