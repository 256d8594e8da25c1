"""Requests in the shape of OpenAI's /v1/responses, as conversations of this server.

The stateless part: nothing is stored under an id, so the whole conversation comes each time.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from routerlib.serve.fields import MOST_MESSAGES, MOST_PARTS, Nothing, Request, Whole
from routerlib.serve.messages import DATA_URL, NAME

MOST_TOOLS = 512
_LONGEST_NAME = 128


class TextInput(Request):
    """Words, of either side."""

    type: Literal["input_text", "output_text", "text"]
    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None

    def part(self) -> dict[str, Any]:
        """Return it as a part of a chat message."""
        return {"type": "text", "text": self.text}


class RefusalInput(Request):
    """A refusal, sent back."""

    type: Literal["refusal"]
    refusal: str

    def part(self) -> dict[str, Any]:
        """Return it as a part of a chat message."""
        return {"type": "text", "text": self.refusal}


class ImageInput(Request):
    """An image, by its address."""

    type: Literal["input_image"]
    image_url: str = Field(pattern=DATA_URL)
    detail: Literal["auto", "low", "high", "original"] | None = None

    def part(self) -> dict[str, Any]:
        """Return it as a part of a chat message."""
        detail = {"detail": self.detail} if self.detail else {}
        return {"type": "image_url", "image_url": {"url": self.image_url, **detail}}


class FileInput(Request):
    """A file, its bytes in its address."""

    type: Literal["input_file"]
    file_data: str
    filename: str | None = None

    def part(self) -> dict[str, Any]:
        """Return it as a part of a chat message."""
        named = {"filename": self.filename} if self.filename else {}
        return {"type": "file", "file": {**named, "file_data": self.file_data}}


Part = Annotated[TextInput | RefusalInput | ImageInput | FileInput, Discriminator("type")]
Parts = Annotated[list[Part], Field(fail_fast=True, max_length=MOST_PARTS)]
Texts = Annotated[list[TextInput], Field(fail_fast=True, max_length=MOST_PARTS)]


class MessageItem(Request):
    """A message of anybody."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: str | Parts
    id: str | None = None
    status: str | None = None
    phase: str | None = None

    def message(self) -> dict[str, Any]:
        """Return it as a chat message: parts only where there is more than text."""
        if isinstance(self.content, str):
            return {"role": self.role, "content": self.content}
        parts = [part.part() for part in self.content]
        if all(part["type"] == "text" for part in parts) or self.role != "user":
            return {"role": self.role, "content": "".join(each.get("text", "") for each in parts)}
        return {"role": self.role, "content": parts}


class CallItem(Request):
    """A call of a function in an earlier answer."""

    type: Literal["function_call"]
    call_id: str = Field(min_length=1, max_length=200)
    name: str = Field(pattern=NAME)
    namespace: str | None = Field(default=None, pattern=NAME)
    arguments: str
    id: str | None = None
    status: str | None = None
    caller: dict[str, Any] | None = None

    def call(self) -> dict[str, Any]:
        """Return it as a chat message has it."""
        function = {"name": _chat_name(self.name, self.namespace), "arguments": self.arguments}
        return {"id": self.call_id, "type": "function", "function": function}


class OutputItem(Request):
    """What a function gave back; only text."""

    type: Literal["function_call_output"]
    call_id: str = Field(min_length=1, max_length=200)
    output: str | Texts
    id: str | None = None
    status: str | None = None

    def message(self) -> dict[str, Any]:
        """Return it as a chat message."""
        whole = self.output
        text = whole if isinstance(whole, str) else "".join(each.text for each in whole)
        return {"role": "tool", "content": text, "tool_call_id": self.call_id}


class ReasoningItem(Request):
    """What was thought, sent back; left out."""

    type: Literal["reasoning"]
    id: str | None = None
    summary: list[Any] | None = None
    content: list[Any] | None = None
    encrypted_content: str | None = None
    status: str | None = None


def _kind(item: Any) -> str:
    told = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
    return str(told or "message")


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[OutputItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(_kind),
]


class FunctionTool(Request):
    """A function that the model may call; tools that OpenAI itself runs are not among them."""

    type: Literal["function"]
    name: str = Field(pattern=NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: Literal[False] | None = None

    def functions(self) -> list[tuple[FunctionTool, str | None]]:
        """Return itself, in no namespace."""
        return [(self, None)]

    def tool(self, namespace: str | None) -> dict[str, Any]:
        """Return it as a chat request has it."""
        function = self.model_dump(exclude={"type", "defer_loading"}, exclude_none=True)
        return {
            "type": "function",
            "function": {**function, "name": _chat_name(self.name, namespace)},
        }


class Namespace(Request):
    """Functions that belong together; each is offered under both names, since chat has one."""

    type: Literal["namespace"]
    name: str = Field(pattern=NAME)
    description: str | None = None
    tools: Annotated[list[FunctionTool], Field(fail_fast=True, max_length=MOST_TOOLS)]

    def functions(self) -> list[tuple[FunctionTool, str | None]]:
        """Return its functions, each with its name."""
        return [(tool, self.name) for tool in self.tools]


def _chat_name(name: str, namespace: str | None) -> str:
    return f"{namespace}__{name}" if namespace else name


OfferedTool = Annotated[FunctionTool | Namespace, Discriminator("type")]


class ChosenFunction(Request):
    """The function that must be called."""

    type: Literal["function"]
    name: str = Field(pattern=NAME)


class Format(Request):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None

    def response_format(self) -> dict[str, Any] | None:
        """Return it as a chat request has it; None = plain text."""
        if self.type == "text":
            return None
        known = self.model_dump(exclude={"type"}, exclude_none=True, by_alias=True)
        told = {"json_schema": known} if self.type == "json_schema" else {}
        return {"type": self.type, **told}


class TextSettings(Request):
    """How the answer is written."""

    format: Format | None = None
    verbosity: str | None = None


class Reasoning(Request):
    """How much the model thinks."""

    effort: str | None = None
    summary: str | None = None
    context: str | None = None


class ResponsesRequest(Request):
    """Body of POST /v1/responses."""

    model: str = Field(min_length=1)
    input: (
        str | Annotated[list[Item], Field(fail_fast=True, min_length=1, max_length=MOST_MESSAGES)]
    )
    instructions: str | None = None
    stream: bool | None = None
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    max_output_tokens: Whole | None = Field(default=None, ge=1)
    tools: Annotated[list[OfferedTool], Field(fail_fast=True, max_length=MOST_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenFunction | None = None
    parallel_tool_calls: bool | None = None
    text: TextSettings | None = None
    reasoning: Reasoning | None = None

    # Taken and not passed on: they concern the account that asks, or what is told besides.
    store: bool | None = None
    include: list[str] | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    service_tier: str | None = None
    stream_options: dict[str, Any] | None = None
    truncation: Literal["disabled", "auto"] | None = None
    client_metadata: dict[str, Any] | None = None

    # Taken where they ask for nothing: nothing is kept between requests.
    background: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    context_management: Nothing | None = None

    @model_validator(mode="after")
    def _names_a_tool(self) -> ResponsesRequest:
        offered = [_chat_name(tool.name, namespace) for tool, namespace in self._functions()]
        names = set(offered)
        if len(offered) > MOST_TOOLS:
            raise ValueError(f"at most {MOST_TOOLS} tools can be offered, got {len(offered)}")
        twice = [name for name in names if offered.count(name) > 1]
        if twice:
            raise ValueError(f"two tools are both called {min(twice)!r}, as namespace__function")
        long = max(offered, key=len, default="")
        if len(long) > _LONGEST_NAME:
            raise ValueError(
                f"a tool's name, as namespace__function, has at most {_LONGEST_NAME} characters, "
                f"got {long!r}"
            )
        choice = self.tool_choice
        if isinstance(choice, ChosenFunction) and choice.name not in names:
            raise ValueError(f"tool_choice names {choice.name!r}, which isn't among the tools")
        if choice == "required" and not names:
            raise ValueError("tool_choice 'required' needs tools")
        return self

    def _functions(self) -> list[tuple[FunctionTool, str | None]]:
        return [each for tool in self.tools or () for each in tool.functions()]

    def named(self, chat_name: str) -> dict[str, str]:
        """Return how this request names a function that a candidate called."""
        for tool, namespace in self._functions():
            if namespace and _chat_name(tool.name, namespace) == chat_name:
                return {"name": tool.name, "namespace": namespace}
        return {"name": chat_name}

    @property
    def asks(self) -> str | None:
        """Who asks, if the request says so."""
        return self.user or self.safety_identifier

    def conversation(self) -> list[dict[str, Any]]:
        """Return the messages as chat requests have them: an answer and its calls are one."""
        first = {"role": "system", "content": self.instructions}
        messages: list[dict[str, Any]] = [first] if self.instructions else []
        if isinstance(self.input, str):
            return [*messages, {"role": "user", "content": self.input}]
        for item in self.input:
            if isinstance(item, MessageItem | OutputItem):
                messages.append(item.message())
            elif isinstance(item, CallItem):
                if not messages or messages[-1]["role"] != "assistant":
                    messages.append({"role": "assistant", "content": ""})
                messages[-1].setdefault("tool_calls", []).append(item.call())
        return messages

    @property
    def parameters(self) -> dict[str, Any]:
        """What is passed on to the candidate, as chat requests have it."""
        text, choice = self.text or TextSettings(), self.tool_choice
        chosen = isinstance(choice, ChosenFunction) and {
            "type": "function",
            "function": {"name": choice.name},
        }
        told: dict[str, Any] = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_completion_tokens": self.max_output_tokens,
            "response_format": text.format and text.format.response_format(),
            "verbosity": text.verbosity,
            "reasoning_effort": self.reasoning and self.reasoning.effort,
        }
        if self._functions():
            told["tools"] = [tool.tool(namespace) for tool, namespace in self._functions()]
            told["tool_choice"] = chosen or choice
            told["parallel_tool_calls"] = self.parallel_tool_calls
        return {name: value for name, value in told.items() if value is not None}
