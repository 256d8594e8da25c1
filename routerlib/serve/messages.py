"""Messages of a conversation, as chat requests hold them, and as they are logged and sent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field

from routerlib.records.messages import ATTACHMENTS
from routerlib.serve.fields import MOST_PARTS, Nothing, Request, Whole

MOST_CALLS = 128
_CALL_ID = 200
NAME = r"^[a-zA-Z0-9_.-]{1,128}$"
DATA_URL = r"^(https?://\S+|data:[a-z]+/[a-z0-9.+-]+;base64,[A-Za-z0-9+/=_-]+)$"


class TextPart(Request):
    """One part of a message's content; only text can be routed."""

    type: Literal["text"]
    text: str
    annotations: list[Any] | None = None

    @property
    def said(self) -> str:
        """What of it belongs to the conversation."""
        return self.text


class Url(Request):
    """Where an image is: on the web, or in the address itself (``data:image/png;base64,...``)."""

    url: str = Field(pattern=DATA_URL)
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Request):
    """An image."""

    type: Literal["image_url"]
    image_url: Url


class FileData(Request):
    """A file: its bytes as an address (``data:application/pdf;base64,...``), or an id of it."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Request):
    """A file."""

    type: Literal["file"]
    file: FileData


class Sound(Request):
    """Sound in base64."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Request):
    """Something that is heard."""

    type: Literal["input_audio"]
    input_audio: Sound


UserPart = Annotated[TextPart | ImagePart | FilePart | AudioPart, Discriminator("type")]


class RefusalPart(Request):
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


class CalledFunction(Request):
    """A function that the model calls, its arguments as the text of a JSON object."""

    name: str = Field(pattern=NAME)
    arguments: str
    parsed_arguments: Any = Field(default=None, exclude=True)  # an SDK's own, sent back


class ToolCall(Request):
    """A call of a tool in an earlier answer."""

    id: str = Field(min_length=1, max_length=_CALL_ID)
    type: Literal["function"] = "function"
    function: CalledFunction
    index: Whole | None = Field(default=None, exclude=True)  # of its stream, sent back


ToolCalls = Annotated[list[ToolCall], Field(fail_fast=True, max_length=MOST_CALLS)]
TextParts = Annotated[list[TextPart], Field(fail_fast=True, min_length=1, max_length=MOST_PARTS)]
UserParts = Annotated[list[UserPart], Field(fail_fast=True, min_length=1, max_length=MOST_PARTS)]


class SetupMessage(Request):
    """A message of whoever set up the conversation."""

    role: Literal["system", "developer"]
    content: str | TextParts
    name: str | None = None

    def as_message(self) -> dict[str, Any]:
        """Return it as it is logged and sent."""
        return _message(self.role, _said(self.content), self.name)


class UserMessage(Request):
    """A message of the user."""

    role: Literal["user"]
    content: str | UserParts
    name: str | None = None

    def as_message(self) -> dict[str, Any]:
        """Return it as it is logged and sent: parts only where there is more than text."""
        if isinstance(self.content, str) or all(
            part.type not in ATTACHMENTS for part in self.content
        ):
            return _message(self.role, _said(self.content), self.name)
        parts = [
            part.model_dump(exclude_none=True, exclude={"annotations"}) for part in self.content
        ]
        return _message(self.role, parts, self.name)


class ToolMessage(Request):
    """What a tool gave back."""

    role: Literal["tool"]
    content: str | TextParts
    tool_call_id: str = Field(min_length=1, max_length=_CALL_ID)
    name: str | None = None

    def as_message(self) -> dict[str, Any]:
        """Return it as it is logged and sent."""
        message = _message(self.role, _said(self.content), self.name)
        return {**message, "tool_call_id": self.tool_call_id}


class AssistantMessage(Request):
    """An earlier answer, in the shape in which this server or another one gave it."""

    role: Literal["assistant"]
    content: (
        str | Annotated[list[AssistantPart], Field(fail_fast=True, max_length=MOST_PARTS)] | None
    ) = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: ToolCalls | None = None
    parsed: Any = None

    # Empty, or about the answer, not part of it.
    annotations: list[Any] | None = None
    function_call: Nothing | None = None
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

    def as_message(self) -> dict[str, Any]:
        """Return it as it is logged and sent; a refusal is what was said."""
        message = _message(self.role, _said(self.content) or self.refusal or "", self.name)
        calls = [call.model_dump(exclude_none=True) for call in self.tool_calls or ()]
        return {**message, "tool_calls": calls} if calls else message


def _message(role: str, content: str | list[Any], name: str | None) -> dict[str, Any]:
    return {"role": role, "content": content, **({"name": name} if name else {})}


def _said(content: str | list[Any] | None) -> str:
    return "".join(part.said for part in content) if isinstance(content, list) else content or ""
