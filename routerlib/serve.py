"""A router behind HTTP: POST /inference, and an OpenAI-compatible /v1/chat/completions."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from routerlib.inference import Answer, ask
from routerlib.routers import Router, RuleRouter, load_router
from routerlib.types import CandidateModel, Prompt

if TYPE_CHECKING:
    from fastapi import FastAPI

    from routerlib.log import CallLog

_ROUTED = "router"
_COST_WEIGHT = f"{_ROUTED}:cost_weight="


class InferenceRequest(BaseModel):
    """Body of POST /inference."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1)
    task: str | None = None
    cost_weight: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class ChatMessage(BaseModel):
    """One message of a conversation."""

    role: str
    content: str


class ChatRequest(BaseModel):
    """Body of POST /v1/chat/completions; parameters of the answer are those of candidates.yaml."""

    model: str = _ROUTED
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool = False


def make_app(router: Router, candidates: Sequence[CandidateModel], log: CallLog) -> FastAPI:
    """Make the web application around one router.

    Parameters
    ----------
    router : Router
        Who decides.
    candidates : sequence of CandidateModel
        All that it may choose.
    log : CallLog
        Where decisions and calls are written.

    Returns
    -------
    FastAPI
        POST /inference, POST /v1/chat/completions, GET /v1/models, GET /health.
    """
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse

    app = FastAPI(title="routerlib")
    endpoints = _Endpoints(router, candidates, log)
    app.get("/health")(endpoints.health)
    app.get("/v1/models")(endpoints.models)
    app.post("/inference")(endpoints.inference)
    app.post("/v1/chat/completions")(endpoints.chat)

    @app.exception_handler(_Refused)
    def refuse(_: object, refused: _Refused) -> JSONResponse:
        return JSONResponse({"error": {"message": str(refused)}}, refused.status)

    return app


class _Refused(Exception):
    """A request that gets no answer, with the HTTP status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def _refusing(status: int) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise _Refused(status, str(error)) from error


class _Endpoints:
    """What each address does."""

    def __init__(self, router: Router, candidates: Sequence[CandidateModel], log: CallLog) -> None:
        self._router = router
        self._candidates = candidates
        self._log = log

    def health(self) -> dict[str, str]:
        """Say that the server is up, and who decides."""
        name, router_hash = self._router.name, self._router.router_hash_
        return {"status": "ok", "router": name, "router_hash": router_hash}

    def models(self) -> dict[str, Any]:
        """List what the field ``model`` of a chat request may name."""
        names = [_ROUTED, *self._names()]
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}

    def inference(self, request: InferenceRequest) -> dict[str, Any]:
        """Route a prompt, ask the chosen model, and say why it was chosen."""
        with _refusing(422):
            prompt = Prompt.from_text(request.prompt, task=request.task)
        return _inference_body(self._answer(prompt, cost_weight=request.cost_weight))

    def chat(self, request: ChatRequest) -> dict[str, Any]:
        """Answer an OpenAI-style chat request; the response names the model that answered."""
        if request.stream:
            raise _Refused(400, "streaming is not supported; send stream=false")
        with _refusing(422):
            prompt = Prompt(tuple(message.model_dump() for message in request.messages))
            how = _how(request.model, self._names())
        return _chat_body(self._answer(prompt, **how))

    def _names(self) -> list[str]:
        return [candidate.name for candidate in self._candidates]

    def _answer(self, prompt: Prompt, **how: Any) -> Answer:
        with _refusing(503):
            answer = ask(
                prompt, router=self._router, candidates=self._candidates, log=self._log, **how
            )
        if not answer.text:
            call = answer.call
            why = f"{call.candidate} gave no answer: {call.status} {call.error or ''}"
            raise _Refused(502, why.strip())
        return answer


def serve(
    model_path: Path | None,
    candidates: Sequence[CandidateModel],
    log: CallLog,
    port: int = 8000,
) -> None:
    """Serve a router on loopback until interrupted.

    Parameters
    ----------
    model_path : Path or None
        The router file; None = rules decide, by the candidates' roles.
    candidates : sequence of CandidateModel
        All that it may choose.
    log : CallLog
        Where decisions and calls are written.
    port : int, default=8000
        Port on 127.0.0.1.

    Raises
    ------
    RuntimeError
        If the port is in use or the extra ``serve`` is not installed.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise RuntimeError("serving needs routerlib with the extra 'serve'") from error
    router = (
        RuleRouter.from_candidates(candidates) if model_path is None else load_router(model_path)
    )
    app = make_app(router, candidates, log)
    with _free_socket(port) as bound:
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[bound])


def _free_socket(port: int) -> Any:
    import socket

    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        bound.close()
        raise RuntimeError(f"port {port} is in use; choose another with --port") from error
    return bound


def _how(model: str, names: Sequence[str]) -> dict[str, Any]:
    """Read what the field ``model`` of a chat request asks for."""
    if model == _ROUTED:
        return {}
    if model.startswith(_COST_WEIGHT):
        cost_weight = float(model.removeprefix(_COST_WEIGHT))
        if not (math.isfinite(cost_weight) and cost_weight >= 0):
            raise ValueError(f"cost_weight must be finite and at least 0, got {cost_weight!r}")
        return {"cost_weight": cost_weight}
    if model not in names:
        raise ValueError(f"unknown model {model!r}; known are {_ROUTED}, {', '.join(names)}")
    return {"model": model}


def _inference_body(answer: Answer) -> dict[str, Any]:
    return {
        "model": answer.decision.model,
        "answer": answer.text,
        "status": answer.call.status,
        "reason": answer.decision.reason,
        "estimates": {name: _plain(known) for name, known in answer.decision.estimates.items()},
        "usage": _usage(answer),
        "cost_usd": _known(answer.cost_usd),
        "latency_s": answer.call.latency_s,
        "decision_id": answer.decision_id,
    }


def _chat_body(answer: Answer) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.text}
    finish_reason = answer.call.finish_reason or "stop"
    return {
        "id": f"routerlib-{answer.call_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": answer.decision.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": _usage(answer),
    }


def _usage(answer: Answer) -> dict[str, int] | None:
    usage = answer.call.usage
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _plain(known: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _known(value) for name, value in known.items()}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON has no NaN
