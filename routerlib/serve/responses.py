"""Bodies of responses, as they stand in the OpenAPI document."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from routerlib.gather.calls.answers import Answer
from routerlib.records.canonical import finite_or_none
from routerlib.records.decision import Decision
from routerlib.records.messages import TOOL_CALLS
from routerlib.records.thoughts import THOUGHT

_FINISHES = {"truncated": "length", "refused": "content_filter"}


class Fault(BaseModel):
    """What went wrong, in the shape of OpenAI's API."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """Body of every answer that is not a success."""

    error: Fault


class Usage(BaseModel):
    """Tokens of the answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Expected(BaseModel):
    """What the router expects of a candidate; null where it can't tell."""

    quality: float | None
    cost_usd: float | None
    latency_s: float | None = None
    latency_p90_s: float | None = None
    first_token_s: float | None = None
    first_token_p95_s: float | None = None


class RouteBody(BaseModel):
    """Body of an answer to POST /route."""

    model: str
    reason: str
    propensity: float
    cost_weight: float
    router_hash: str
    estimates: dict[str, Expected]


class InferenceBody(BaseModel):
    """Body of an answer to POST /inference: ``model`` answered, ``chosen`` was chosen."""

    model: str
    chosen: str
    answer: str
    status: str
    reason: str
    propensity: float
    cost_weight: float
    router_hash: str
    estimates: dict[str, Expected]
    failed: list[dict[str, str | None]]
    usage: Usage | None
    cost_usd: float | None
    latency_s: float
    decision_id: int


class FeedbackBody(BaseModel):
    """Body of an answer to POST /feedback."""

    decision_id: int
    model: str
    score: float
    n_answers: int


class HealthBody(BaseModel):
    """Body of an answer to GET /health; a refused router file leaves the router in use as it is."""

    status: Literal["ok"]
    router: str
    router_hash: str
    router_file: Literal["none", "missing", "taken_up", "gone", "refused"]
    router_file_error: str | None


class CandidateBody(BaseModel):
    """One candidate model, as GET /models lists it."""

    name: str
    provider: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    max_output_tokens: int | None
    context_tokens: int | None
    supports: dict[str, bool]
    facts_from: str
    is_known_to_router: bool
    has_key: bool


class ModelsBody(BaseModel):
    """Body of an answer to GET /models."""

    router: str
    cost_weight: float
    models: list[CandidateBody]


class OpenAIModel(BaseModel):
    """One name that the field ``model`` of a chat request may hold."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str


class OpenAIModels(BaseModel):
    """Body of an answer to GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]


class Choice(BaseModel):
    """The only choice of a completion."""

    index: Literal[0] = 0
    message: dict[str, Any]
    finish_reason: str
    logprobs: dict[str, Any] | None = None


class ChatBody(BaseModel):
    """Body of an answer to POST /v1/chat/completions, with ``routerlib`` as an extra field."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None
    routerlib: dict[str, Any]


def route_body(decision: Decision) -> dict[str, Any]:
    """Return the body of an answer to POST /route."""
    return {
        "model": decision.model,
        "reason": decision.reason,
        "propensity": decision.propensity,
        "cost_weight": decision.cost_weight,
        "router_hash": decision.router_hash,
        "estimates": {name: _plain(known) for name, known in decision.estimates.items()},
    }


def inference_body(answer: Answer) -> dict[str, Any]:
    """Return the body of an answer to POST /inference."""
    return {
        **route_body(answer.decision),
        "model": answer.call.candidate,
        "chosen": answer.decision.model,
        "answer": answer.text,
        "status": answer.call.status,
        "failed": failures(answer),
        "usage": usage(answer),
        "cost_usd": finite_or_none(answer.cost_usd),
        "latency_s": answer.call.latency_s,
        "decision_id": answer.decision_id,
    }


def about(answer: Answer) -> dict[str, Any]:
    """Return what the extra field ``routerlib`` of a completion holds."""
    return {
        "decision_id": answer.decision_id,
        "chosen": answer.decision.model,
        "reason": answer.decision.reason,
        "propensity": answer.decision.propensity,
        "failed": failures(answer),
        "cost_usd": finite_or_none(answer.total_usd),
        **({"cascade": _steps(answer)} if answer.judged else {}),
        **({"hedged": answer.hedged} if answer.hedged else {}),
    }


def _steps(answer: Answer) -> dict[str, Any]:
    """Return what a cascade asked, in order, what it thinks of each answer, and why it ended."""
    asked = sorted([*answer.beside, answer], key=lambda each: each.call_id)
    return {
        "asked": [
            {
                "model": each.call.candidate,
                "decision_id": each.decision_id,
                "judged": finite_or_none(answer.judged.get(each.call.candidate, math.nan)),
                "cost_usd": finite_or_none(each.cost_usd),
            }
            for each in asked
        ],
        "reason": answer.stands,
    }


def chat_body(answer: Answer, created: int, logprobs: Any = None) -> dict[str, Any]:
    """Return the body of an answer to POST /v1/chat/completions.

    `logprobs`: as the candidate's server told them; None = it told none, or nobody asked.
    """
    calls = tool_calls(answer)
    message = {
        "role": "assistant",
        "content": None if is_refusal(answer) or (calls and not answer.text) else answer.text,
        "refusal": refusal_text(answer) if is_refusal(answer) else None,
        **({"tool_calls": calls} if calls else {}),
        **thoughts(answer),
    }
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": finish_reason(answer),
        "logprobs": logprobs if isinstance(logprobs, dict) else None,
    }
    return {
        "id": completion_id(answer.decision_id),
        "object": "chat.completion",
        "created": created,
        "model": answer.call.candidate,
        "choices": [choice],
        "usage": usage(answer),
        "routerlib": about(answer),
    }


def completion_id(decision_id: int) -> str:
    """Return the name that a completion goes by."""
    return f"routerlib-{decision_id}"


def is_refusal(answer: Answer) -> bool:
    """Whether the candidate refused and said nothing else."""
    return answer.call.status == "refused" and not answer.text


def refusal_text(answer: Answer) -> str:
    """Return what stands for a refusal without words."""
    return f"{answer.call.candidate} refused to answer"


def tool_calls(answer: Answer) -> list[dict[str, Any]]:
    """Return the calls of tools in an answer, with ids that no other answer has.

    Clients skip a call whose id they have seen; some servers give every call the same, or none.
    """
    calls = (answer.call.extra or {}).get(TOOL_CALLS) or ()
    return [
        {**call, "id": call_id(answer.decision_id, number, call["id"])}
        for number, call in enumerate(calls)
    ]


def call_id(decision_id: int, number: int, told: str) -> str:
    """Return an id of a call that stands in any API, and says which of the candidate's it was."""
    tail = "".join(sign for sign in told if sign.isascii() and sign.isalnum())[-16:]
    return f"call_{decision_id}_{number}_{tail}"


def thoughts(answer: Answer) -> dict[str, str]:
    """Return what the candidate thought, by the name that most clients know; empty = nothing."""
    thought = (answer.call.extra or {}).get(THOUGHT)
    return {"reasoning_content": thought} if isinstance(thought, str) and thought else {}


def finish_reason(answer: Answer) -> str:
    """Return why the answer ended, in OpenAI's words, whatever its provider's are."""
    if answer.call.status == "ok" and tool_calls(answer):
        return "tool_calls"
    return _FINISHES.get(answer.call.status, "stop")


def usage(answer: Answer) -> dict[str, Any] | None:
    """Return the tokens of the answer; None where the provider told none."""
    used = answer.call.usage
    if used is None:
        return None
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": used.cached_input_tokens,
            "cache_write_tokens": used.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
    }


def failures(answer: Answer) -> list[dict[str, str | None]]:
    """Return who was asked before and gave no answer."""
    return [
        {"model": call.candidate, "status": call.status, "error": call.error}
        for call in answer.failed
    ]


def _plain(known: Mapping[str, float]) -> dict[str, float | None]:
    return {
        name: finite_or_none(value)
        for name, value in known.items()
        if name in Expected.model_fields
    }
