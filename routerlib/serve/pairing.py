"""Refuse conversations that no provider takes: results without their calls, images too large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routerlib.records.messages import attachments, calls_of
from routerlib.serve.faults import Refused

# The least of what large providers take: of one attachment, decoded, and of images together.
MOST_ATTACHED_BYTES = 5_000_000
MOST_IMAGES = 100
_DECODED_SHARE = 3 / 4  # of the length in base64


def check_conversation(messages: Sequence[Mapping[str, Any]]) -> None:
    """Raise Refused where calls and results don't pair, or an attachment is too large.

    >>> check_conversation([{"role": "tool", "content": "4", "tool_call_id": "a"}])
    Traceback (most recent call last):
        ...
    routerlib.serve.faults.Refused: messages.0 is a result for 'a', which no call before it has
    """
    open_ids: list[str] = []
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            answered = message["tool_call_id"]
            if answered not in open_ids:
                why = f"is a result for {answered!r}, which no call before it has"
                raise _refused(place, why)
            open_ids.remove(answered)
        elif open_ids:
            raise _refused(place, f"comes before the result of the call {open_ids[0]!r}")
        else:
            open_ids = [call["id"] for call in calls_of(message)]
            if len(set(open_ids)) < len(open_ids):
                raise _refused(place, "has several calls with one id")
    if open_ids:
        raise _refused(len(messages) - 1, f"ends before the result of the call {open_ids[0]!r}")
    _check_attachments(messages)


def _check_attachments(messages: Sequence[Mapping[str, Any]]) -> None:
    n_images = 0
    for kind, part in attachments(messages):
        n_images += kind == "image"
        n_bytes = _attached_bytes(part)
        if n_bytes > MOST_ATTACHED_BYTES:
            told = (
                f"an attached {kind} has {n_bytes} bytes, at most {MOST_ATTACHED_BYTES} are taken"
            )
            raise Refused(413, told, code=f"{kind}_too_large", param="messages")
    if n_images > MOST_IMAGES:
        told = f"the messages hold {n_images} images, at most {MOST_IMAGES} are taken"
        raise Refused(413, told, code="too_many_images", param="messages")


def _attached_bytes(part: Mapping[str, Any]) -> int:
    """Return the bytes that stand in the part itself, decoded."""
    held = part[part["type"]]
    told = str(held.get("url") or held.get("file_data") or held.get("data") or "")
    if told.startswith(("http:", "https:")):
        return 0
    return int(len(told.rpartition(",")[2]) * _DECODED_SHARE)


def _refused(place: int, why: str) -> Refused:
    return Refused(400, f"messages.{place} {why}", param=f"messages.{place}")
