"""Requests in the shape of Anthropic's /v1/messages, as conversations of this server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, model_validator

from routerlib.records.canonical import canonical_json
from routerlib.serve.faults import Refused
from routerlib.serve.fields import MOST_MESSAGES, MOST_PARTS, Request, Whole
from routerlib.serve.messages import MOST_CALLS, NAME, ThoughtPart

MOST_TOOLS = 512
THREADS = "thread_unsupported_request"


class Block(Request):
    """What all blocks may have: where a provider's cache may end, which isn't passed on."""

    cache_control: dict[str, Any] | None = None


class TextBlock(Block):
    """Words."""

    type: Literal["text"]
    text: str
    citations: list[Any] | None = None


class Bytes(Request):
    """Something in base64."""

    type: Literal["base64"]
    media_type: str = Field(pattern=r"^[a-z]+/[a-z0-9.+-]+$")
    data: str = Field(pattern=r"^[A-Za-z0-9+/=]+$")

    @property
    def url(self) -> str:
        """It as an address."""
        return f"data:{self.media_type};base64,{self.data}"


class Address(Request):
    """Something on the web."""

    type: Literal["url"]
    url: str = Field(pattern=r"^https?://\S+$")


class ImageBlock(Block):
    """An image."""

    type: Literal["image"]
    source: Annotated[Bytes | Address, Discriminator("type")]

    def part(self) -> dict[str, Any]:
        """Return it as a part of a chat message."""
        return {"type": "image_url", "image_url": {"url": self.source.url}}


class DocumentBlock(Block):
    """A file."""

    type: Literal["document"]
    source: Bytes
    title: str | None = None

    def part(self) -> dict[str, Any]:
        """Return it as a part of a chat message."""
        named = {"filename": self.title} if self.title else {}
        return {"type": "file", "file": {**named, "file_data": self.source.url}}


class ToolUseBlock(Block):
    """A call of a tool in an earlier answer."""

    type: Literal["tool_use"]
    id: str = Field(min_length=1, max_length=200)
    name: str = Field(pattern=NAME)
    input: dict[str, Any]
    caller: dict[str, Any] | None = None

    def call(self) -> dict[str, Any]:
        """Return it as a chat message has it."""
        function = {"name": self.name, "arguments": canonical_json(self.input)}
        return {"id": self.id, "type": "function", "function": function}


class ToolResultBlock(Block):
    """What a tool gave back; only text."""

    type: Literal["tool_result"]
    tool_use_id: str = Field(min_length=1, max_length=200)
    content: str | Annotated[list[TextBlock], Field(max_length=MOST_PARTS)] | None = None
    is_error: bool | None = None

    def message(self) -> dict[str, Any]:
        """Return it as a chat message; a failure says so in its words."""
        text = _joined(self.content)
        if self.is_error and not text.lower().startswith("error"):
            text = f"Error: {text}"
        return {"role": "tool", "content": text, "tool_call_id": self.tool_use_id}


UserBlock = Annotated[
    TextBlock | ImageBlock | DocumentBlock | ToolResultBlock, Discriminator("type")
]
AssistantBlock = Annotated[TextBlock | ToolUseBlock | ThoughtPart, Discriminator("type")]


class UserTurn(Request):
    """What the user, or a tool, says."""

    role: Literal["user"]
    content: str | Annotated[list[UserBlock], Field(fail_fast=True, max_length=MOST_PARTS)]

    def messages(self) -> list[dict[str, Any]]:
        """Return it as chat messages: each result of a tool is one of its own."""
        if isinstance(self.content, str):
            return [{"role": "user", "content": self.content}]
        results = [each.message() for each in self.content if isinstance(each, ToolResultBlock)]
        rest = [each for each in self.content if not isinstance(each, ToolResultBlock)]
        if all(isinstance(each, TextBlock) for each in rest):
            text = "".join(each.text for each in rest if isinstance(each, TextBlock))
            return [*results, *([{"role": "user", "content": text}] if rest or not results else [])]
        parts = [
            {"type": "text", "text": each.text} if isinstance(each, TextBlock) else each.part()
            for each in rest
        ]
        return [*results, {"role": "user", "content": parts}]


class AssistantTurn(Request):
    """An earlier answer; what it thought is left out."""

    role: Literal["assistant"]
    content: str | Annotated[list[AssistantBlock], Field(fail_fast=True, max_length=MOST_PARTS)]

    def messages(self) -> list[dict[str, Any]]:
        """Return it as a chat message."""
        if isinstance(self.content, str):
            return [{"role": "assistant", "content": self.content}]
        text = "".join(each.text for each in self.content if isinstance(each, TextBlock))
        calls = [each.call() for each in self.content if isinstance(each, ToolUseBlock)]
        message = {"role": "assistant", "content": text}
        return [{**message, "tool_calls": calls[:MOST_CALLS]} if calls else message]


class SystemTurn(Request):
    """What whoever set up the conversation adds on its way."""

    role: Literal["system"]
    content: str | Annotated[list[TextBlock], Field(fail_fast=True, max_length=MOST_PARTS)]

    def messages(self) -> list[dict[str, Any]]:
        """Return it as a chat message."""
        return [{"role": "system", "content": _joined(self.content)}]


class OfferedTool(Block):
    """A tool that the model may use; those that Anthropic itself runs are not among them."""

    type: Literal["custom"] | None = None
    name: str = Field(pattern=NAME)
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None

    def tool(self) -> dict[str, Any]:
        """Return it as a chat request has it."""
        told = {"name": self.name, "description": self.description, "strict": self.strict}
        known = {name: value for name, value in told.items() if value is not None}
        return {"type": "function", "function": {**known, "parameters": self.input_schema}}


class ToolChoice(Request):
    """Whether a tool may, must or must not be used."""

    type: Literal["auto", "any", "none", "tool"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Request):
    """Whether the model thinks, and whether it is told: as its entry in candidates.yaml says."""

    type: Literal["disabled", "adaptive"]
    display: str | None = None


class Schema(Request):
    """The form of the answer."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")

    def response_format(self) -> dict[str, Any]:
        """Return it as a chat request has it."""
        told = {"name": "answer", "schema": self.schema_, "strict": True}
        return {"type": "json_schema", "json_schema": told}


class OutputConfig(Request):
    """How the answer is made; the effort, too, is as the candidate's entry says."""

    effort: str | None = None
    format: Schema | None = None


class ClearedThoughts(Request):
    """Thoughts of earlier turns are to be left out; here they always are."""

    type: Literal["clear_thinking_20251015"]
    keep: Any = None


class ContextManagement(Request):
    """What of a long conversation is to be left out."""

    edits: Annotated[list[ClearedThoughts], Field(max_length=MOST_PARTS)] | None = None


class MessagesRequest(Request):
    """Body of POST /v1/messages."""

    model: str = Field(min_length=1)
    max_tokens: Whole = Field(ge=1)
    messages: Annotated[
        list[Annotated[UserTurn | AssistantTurn | SystemTurn, Discriminator("role")]],
        Field(fail_fast=True, min_length=1, max_length=MOST_MESSAGES),
    ]
    system: str | Annotated[list[TextBlock], Field(max_length=MOST_PARTS)] | None = None
    stream: bool | None = None
    temperature: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    top_p: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    top_k: Whole | None = Field(default=None, ge=0)
    stop_sequences: Annotated[list[str], Field(max_length=4)] | None = None
    tools: Annotated[list[OfferedTool], Field(fail_fast=True, max_length=MOST_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    context_management: ContextManagement | None = None

    # Taken and not passed on: they concern the account that asks, or a cache.
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    cache_control: dict[str, Any] | None = None
    # Refused in words that make Anthropic's own clients send the whole conversation.
    thread: dict[str, Any] | None = Field(default=None, description="Refused")

    @model_validator(mode="after")
    def _begins_with_the_user(self) -> MessagesRequest:
        if not isinstance(self.messages[0], UserTurn | AssistantTurn):
            raise ValueError("messages can't begin with role 'system'; that is the field system")
        return self

    @model_validator(mode="after")
    def _names_a_tool(self) -> MessagesRequest:
        choice = self.tool_choice
        names = {tool.name for tool in self.tools or ()}
        if choice is not None and choice.type == "tool" and choice.name not in names:
            raise ValueError(f"tool_choice names {choice.name!r}, which isn't among the tools")
        if choice is not None and choice.type == "any" and not names:
            raise ValueError("tool_choice 'any' needs tools")
        return self

    @property
    def asks(self) -> str | None:
        """Who asks, if the request says so."""
        user = (self.metadata or {}).get("user_id")
        return user if isinstance(user, str) else None

    def conversation(self) -> list[dict[str, Any]]:
        """Return the messages as chat requests have them; Refused where only a part was sent."""
        if self.thread is not None:
            why = "unsupported parameter: 'thread'; send the whole conversation"
            raise Refused(400, why, code=THREADS, param="thread")
        system = _joined(self.system)
        first = [{"role": "system", "content": system}] if system else []
        return [*first, *(each for turn in self.messages for each in turn.messages())]

    @property
    def parameters(self) -> dict[str, Any]:
        """What is passed on to the candidate, as chat requests have it."""
        form = self.output_config and self.output_config.format
        told: dict[str, Any] = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "stop": self.stop_sequences or None,
            "response_format": form and form.response_format(),
            **self._about_tools(),
        }
        return {name: value for name, value in told.items() if value is not None}

    def _about_tools(self) -> dict[str, Any]:
        if not self.tools:
            return {}
        choice, chosen = self.tool_choice, None
        if choice is not None and choice.type == "tool":
            chosen = {"type": "function", "function": {"name": choice.name}}
        is_single = choice is not None and choice.disable_parallel_tool_use
        words = {"auto": "auto", "any": "required", "none": "none"}
        return {
            "tools": [tool.tool() for tool in self.tools],
            "tool_choice": chosen or (choice and words[choice.type]),
            "parallel_tool_calls": False if is_single else None,
        }


def _joined(content: str | list[TextBlock] | None) -> str:
    if isinstance(content, list):
        return "".join(block.text for block in content)
    return content or ""
