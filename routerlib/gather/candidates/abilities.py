"""Who can answer a request: what it needs, and what each candidate lacks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from routerlib.records.call import ABILITIES, CandidateModel
from routerlib.records.canonical import canonical_json
from routerlib.records.errors import RouterlibError
from routerlib.records.messages import attachments, calls_of, said
from routerlib.records.prompt import Prompt

_OF_ATTACHMENT = {"image": "images", "file": "files", "audio": "audio"}
# Marks of chat formats around each message, and around tools.
_TOKENS_PER_MESSAGE = 8
# An image in full detail, as most providers count it (Anthropic: at most about 1,600).
_TOKENS_PER_IMAGE = 1_600
# On average over a text no tokenizer seen makes more bytes into a token, but for white space.
_MOST_BYTES_PER_TOKEN = 8


class Unable(RouterlibError, ValueError):
    """Nobody among the candidates can answer; the message says who lacks what."""


class _Family(NamedTuple):
    """How many tokens a family of models makes of text, rather too many than too few.

    `digits`: tokens for each digit. `foreign_bytes`: bytes beyond ASCII for each token.
    """

    digits: float
    foreign_bytes: float


# By the tokenizers of SmolLM2 (49,000 entries: the worst case) and Qwen2.5 (152,000), one text of
# each kind: prose and code come out 20 to 50 % too high, JSON 30 %; lines of a log 6 % too low;
# random letters, as in keys and base64, up to half too low. OpenAI's take three digits as one.
_FAMILIES: tuple[tuple[re.Pattern[str], _Family], ...] = (
    (re.compile(r"(^|/)(gpt|chatgpt|o\d)", re.IGNORECASE), _Family(0.5, 2.8)),
    (re.compile(r"qwen", re.IGNORECASE), _Family(1.0, 2.8)),
)
_OTHERS = _Family(1.0, 1.8)
_ASCII_LETTERS_PER_TOKEN = 3.5
_PLAIN = bytes(b for b in range(128) if bytes([b]).isalpha() or b == 0x20)
_DIGITS = b"0123456789"
_ASCII = bytes(range(128))


class Request(NamedTuple):
    """What is asked, of everybody alike.

    `parameters`: of the request: tools, schemas and the like, which are input too.
    """

    prompt: Prompt
    parameters: Mapping[str, Any]

    @property
    def needs(self) -> tuple[str, ...]:
        """What whoever answers must be able to do, of `ABILITIES`."""
        given, messages = self.parameters, self.prompt.messages
        wanted = {_OF_ATTACHMENT[kind] for kind, _ in attachments(messages)}
        if given.get("tools") or any(calls_of(each) for each in messages):
            wanted.add("tools")
        form = given.get("response_format")
        if isinstance(form, Mapping) and form.get("type") == "json_schema":
            wanted.add("json_schema")
        if given.get("logprobs"):
            wanted.add("logprobs")
        return tuple(name for name in ABILITIES if name in wanted)


class _Size:
    """How long a request is, counted once for all candidates."""

    def __init__(self, request: Request) -> None:
        texts = [said(message) for message in request.prompt.messages]
        if request.parameters:
            texts.append(canonical_json(dict(request.parameters)))
        self._texts = texts
        self._n_images = sum(kind == "image" for kind, _ in attachments(request.prompt.messages))

    @cached_property
    def n_bytes(self) -> int:
        return sum(len(text.encode(errors="replace")) for text in self._texts)

    @property
    def around(self) -> int:
        """Tokens beside those of the texts."""
        return _TOKENS_PER_MESSAGE * len(self._texts) + _TOKENS_PER_IMAGE * self._n_images

    @cached_property
    def _counts(self) -> tuple[int, int, int, int]:
        """Bytes that are letters or spaces, digits, other ASCII, and beyond ASCII."""
        letters = digits = other = foreign = 0
        for text in self._texts:
            raw = text.encode(errors="replace")
            n_foreign = len(raw.translate(None, _ASCII))
            n_digits = len(raw) - len(raw.translate(None, _DIGITS))
            n_plain = len(raw) - len(raw.translate(None, _PLAIN))
            letters, digits, foreign = letters + n_plain, digits + n_digits, foreign + n_foreign
            other += len(raw) - n_foreign - n_digits - n_plain
        return letters, digits, other, foreign

    def likely(self, model: str) -> int:
        """Estimate the tokens for a model, rather too many than too few."""
        family = next((each for name, each in _FAMILIES if name.search(model)), _OTHERS)
        letters, digits, other, foreign = self._counts
        tokens = letters / _ASCII_LETTERS_PER_TOKEN + digits * family.digits + other
        return round(tokens + foreign / family.foreign_bytes) + self.around

    @property
    def least(self) -> int:
        """Tokens that are surely needed."""
        n_signs = sum(len("".join(text.split()).encode(errors="replace")) for text in self._texts)
        return n_signs // _MOST_BYTES_PER_TOKEN


def likely_tokens(model: str, prompt: Prompt, parameters: Mapping[str, Any] | None = None) -> int:
    """Estimate how many tokens a request takes, rather too many than too few.

    `model`: how its provider calls it. `parameters`: tools and schemas are input too.

    >>> likely_tokens("gpt-4o", Prompt.from_text("What is 17 * 23?"))
    15
    """
    return _Size(Request(prompt, parameters or {})).likely(model)


def able(candidates: Sequence[CandidateModel], request: Request) -> list[CandidateModel]:
    """Return the candidates that can answer a request, as far as is known.

    Who is known to lack something is left out; what nobody knows is no reason. A context that is
    likely too short counts the same, unless nobody else is left: then only one that is surely too
    short does.

    Raises `Unable` where nobody is left, with what each one lacks.

    >>> from routerlib.gather.candidates.candidates import load_candidates
    >>> asked = Request(Prompt.from_text("Add 3 and 9."), {"tools": [{"type": "function"}]})
    >>> able(load_candidates("local")[:1], asked)
    Traceback (most recent call last):
        ...
    routerlib.gather.candidates.abilities.Unable: no candidate can answer: smollm2-135m lacks tools
    """
    needs, size = request.needs, _Size(request)
    lacks = {each.name: [name for name in needs if each.supports.get(name) is False]
             for each in candidates}  # fmt: skip
    capable = [each for each in candidates if not lacks[each.name]]
    fitting = [each for each in capable if _fits(each, size, size.likely)]
    fitting = fitting or [each for each in capable if _fits(each, size, lambda _: size.least)]
    if fitting:
        return fitting
    raise Unable(f"no candidate can answer: {_told(candidates, lacks, size)}")


def _fits(candidate: CandidateModel, size: _Size, count: Callable[[str], int]) -> bool:
    room = candidate.context_tokens
    # A token has a byte at least, so that most requests needn't be looked through.
    return room is None or size.n_bytes + size.around <= room or count(candidate.model) <= room


def _told(
    candidates: Sequence[CandidateModel], lacks: Mapping[str, Sequence[str]], size: _Size
) -> str:
    return "; ".join(
        f"{each.name} lacks {', '.join(lacks[each.name])}"
        if lacks[each.name]
        else f"{each.name} takes {each.context_tokens} tokens, and this is about "
        f"{size.likely(each.model)}"
        for each in candidates
    )
