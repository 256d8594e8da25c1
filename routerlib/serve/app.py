"""The web application: which address does what."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from routerlib.records.call import OF_CONVERSATION
from routerlib.records.prompt import Prompt
from routerlib.serve import requests, responses
from routerlib.serve.answering import Service
from routerlib.serve.anthropic_answers import MessageBody, told_at
from routerlib.serve.documentation import documentation_page
from routerlib.serve.faults import Refused, refusing
from routerlib.serve.guard import Guard
from routerlib.serve.parsing import ParsedRoute
from routerlib.serve.protocols import Continues, Protocols
from routerlib.serve.response_answers import ResponseBody
from routerlib.serve.streaming import answer_headers
from routerlib.serve.wishes import IN_STEPS, ROUTED, Wish, unknown_name

if TYPE_CHECKING:
    from routerlib.records.call import CandidateModel

_OPENAI = "/v1/"
_TWICE = "/v1/v1/"
_DOCUMENTATION = "/docs"

_REFUSALS = {
    400: "The body is no JSON, holds too much, or a field of a chat request is wrong",
    401: "The key is wrong or missing",
    403: "The request names another host than this machine",
    408: "The body came too slowly",
    413: "The body is too large",
    415: "The body is compressed",
    422: "A field is wrong, or the body isn't declared as JSON",
    500: "A fault of the server, which its log explains",
    503: "The log can't be written, or too many requests are under way",
}
_UNKNOWN = {404: "Nothing is known by this name or number"}
_FAILED = {402: "The budget is spent", 502: "No candidate gave an answer"}


def make_application(service: Service, key: str | None = None) -> FastAPI:
    """Make the web application around a service.

    `key`: what every caller must show; None = callers on this machine need none.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.open()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="routerlib",
        description="Decides which model answers a prompt, asks it, and logs both.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages come in part from other hosts
        redoc_url=None,
        responses=_documented(_REFUSALS),
    )
    app.router.route_class = ParsedRoute
    _add_pages(app)
    _add_addresses(app, _Endpoints(service))
    _handle_faults(app)
    app.add_middleware(Guard, key=key)
    return app


def _add_pages(app: FastAPI) -> None:
    """Add what describes the other addresses, and so isn't among them."""

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        """Say what this server is, and what its addresses do."""
        return JSONResponse(_index(app))

    @app.get(_DOCUMENTATION, include_in_schema=False)
    async def documentation() -> Response:
        """Describe every address and field, for people."""
        return HTMLResponse(documentation_page(app.openapi(), str(app.openapi_url)))


def _add_addresses(app: FastAPI, endpoints: _Endpoints) -> None:
    """Say what stands at which address, and how it may end."""
    app.get("/health", response_model=responses.HealthBody)(endpoints.health)
    app.get("/models", response_model=responses.ModelsBody)(endpoints.models)
    app.post("/route", response_model=responses.RouteBody)(endpoints.route)
    app.post(
        "/inference",
        response_model=responses.InferenceBody,
        responses=_documented(_UNKNOWN | _FAILED),
    )(endpoints.inference)
    app.post(
        "/feedback",
        response_model=responses.FeedbackBody,
        responses=_documented(_UNKNOWN | {409: "The answer isn't complete"}),
    )(endpoints.feedback)
    app.get("/v1/models", response_model=responses.OpenAIModels)(endpoints.openai_models)
    app.get(
        "/v1/models/{name:path}",
        response_model=responses.OpenAIModel,
        responses=_documented(_UNKNOWN),
    )(endpoints.openai_model)
    _add_protocols(app, Protocols(endpoints.service, endpoints.names))


def _add_protocols(app: FastAPI, protocols: Protocols) -> None:
    """Say the same of what clients of providers ask."""
    ends: dict[int | str, dict[str, Any]] = {
        **_documented(_UNKNOWN | _FAILED),
        200: {"content": _CHAT_CONTENT},
    }
    app.post("/v1/chat/completions", response_model=responses.ChatBody, responses=ends)(
        protocols.chat
    )
    app.post("/v1/messages", response_model=MessageBody, responses=ends)(protocols.messages)
    app.post("/v1/responses", response_model=ResponseBody, responses=ends)(protocols.responses)


_CHAT_CONTENT = {"text/event-stream": {"schema": {"type": "string"}}}


class _Endpoints:
    """What each address does."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.names = [candidate.name for candidate in service.candidates]

    async def health(self) -> Response:
        """Say that the server is up, who decides, and how its router file stands."""
        routing = self.service.routing
        router = routing.router
        return JSONResponse(
            {
                "status": "ok",
                "router": router.name,
                "router_hash": router.router_hash_,
                "router_file": routing.file_state,
                "router_file_error": routing.file_error,
            }
        )

    async def models(self) -> Response:
        """List the candidate models, and what is known of each."""
        router = self.service.routing.router
        listed = [
            _candidate_body(each, each.name in router.models_) for each in self.service.candidates
        ]
        return JSONResponse(
            {"router": router.name, "cost_weight": router.cost_weight_, "models": listed}
        )

    async def openai_models(self) -> Response:
        """List what the field `model` of a chat request may name."""
        listed = [_openai_model(name) for name in (ROUTED, IN_STEPS, *self.names)]
        return JSONResponse({"object": "list", "data": listed})

    async def openai_model(self, name: str) -> Response:
        """Describe one of the names that `model` may hold."""
        if name not in (ROUTED, IN_STEPS, *self.names):
            raise unknown_name(name, self.names)
        return JSONResponse(_openai_model(name))

    async def route(self, request: requests.RouteRequest) -> Response:
        """Decide which model should answer; nobody is asked, and nothing is logged."""
        decision = await self.service.decide(_single_turn(request), request.cost_weight)
        return JSONResponse(responses.route_body(decision))

    async def inference(
        self, request: requests.RouteRequest, x_routerlib_continues: Continues = ""
    ) -> Response:
        """Decide, ask the chosen model, or the next best where it fails, and say why."""
        wish = Wish(cost_weight=request.cost_weight, continues=x_routerlib_continues or None)
        asking = await self.service.ask(_single_turn(request), wish)
        answer = await asking.answered()
        headers = answer_headers(answer.call.candidate, answer.decision_id)
        return JSONResponse(responses.inference_body(answer), headers=headers)

    async def feedback(self, request: requests.FeedbackRequest) -> Response:
        """Score an answer, or a conversation by its last answer; the last word counts."""
        scored = await self.service.score(
            request.decision_id,
            request.score,
            request.rationale or "",
            is_of_conversation=request.of == OF_CONVERSATION,
        )
        told = {"decision_id": request.decision_id, "score": request.score, **scored._asdict()}
        return JSONResponse(told)


def _index(app: FastAPI) -> dict[str, Any]:
    """Describe the server by what its own document says, so that nothing is left out."""
    return {
        "server": "routerlib",
        "version": version("routerlib"),
        "does": app.description,
        "documentation": _DOCUMENTATION,
        "endpoints": [
            {"method": method.upper(), "path": path, "does": told["description"]}
            for path, methods in app.openapi()["paths"].items()
            for method, told in methods.items()
        ],
    }


def _single_turn(request: requests.RouteRequest) -> Prompt:
    with refusing(422):
        return Prompt.from_text(request.prompt, task=request.task, source="serve")


def _candidate_body(candidate: CandidateModel, is_known: bool) -> dict[str, Any]:
    variable = candidate.api_key_env
    return {
        "name": candidate.name,
        "provider": candidate.provider,
        "input_usd_per_mtok": candidate.price.input_usd_per_mtok,
        "output_usd_per_mtok": candidate.price.output_usd_per_mtok,
        "max_output_tokens": candidate.output_cap or candidate.max_output_tokens,
        "context_tokens": candidate.context_tokens,
        "supports": dict(candidate.supports),
        "facts_from": candidate.facts_from,
        "is_known_to_router": is_known,
        "has_key": variable is None or bool(os.environ.get(variable, "").strip()),
    }


def _openai_model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "routerlib"}


def _documented(refusals: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": responses.ErrorBody, "description": told}
        for status, told in refusals.items()
    }


def _handle_faults(app: FastAPI) -> None:
    """Answer every fault in one shape; what the server did wrong stands in its own log only."""

    @app.exception_handler(Refused)
    async def refuse(request: Request, refused: Refused) -> Response:
        return JSONResponse(told_at(request.url.path, refused), refused.status)

    @app.exception_handler(RequestValidationError)
    async def complain(request: Request, error: RequestValidationError) -> Response:
        refused = _complaint(error, is_openai=request.url.path.startswith(_OPENAI))
        return JSONResponse(told_at(request.url.path, refused), refused.status)

    @app.exception_handler(HTTPException)
    async def fail(request: Request, error: HTTPException) -> Response:
        told = str(error.detail)
        if request.url.path.startswith(_TWICE):
            told = f"{told}: this client adds /v1 itself, so that its base URL must end without it"
        body = told_at(request.url.path, Refused(error.status_code, told))
        return JSONResponse(body, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def break_down(request: Request, error: Exception) -> Response:
        del error  # uvicorn writes it to the server's log
        refused = Refused(500, "a fault of the server; see its log")
        return JSONResponse(told_at(request.url.path, refused), 500)


_NO_OBJECT = ("model_attributes_type", "model_type", "dict_type")


def _asks_for_what_is_not_done(wrong: Mapping[str, Any]) -> bool:
    """Whether a field should have been null, or an empty list."""
    holds_something = wrong["type"] == "too_long" and wrong["ctx"]["max_length"] == 0
    return holds_something or wrong["type"] == "none_required"


def _most_telling(errors: Sequence[Any]) -> Any:
    """Return the first error; of a list that might have been a text, what is wrong inside it."""
    inside = (
        each
        for each in errors
        if each["type"] != "string_type" or not isinstance(each["input"], list)
    )
    return next(inside, errors[0])


def _complaint(error: RequestValidationError, is_openai: bool) -> Refused:
    """Say what is wrong with the first wrong field."""
    first = _most_telling(error.errors())
    # A place among several kinds of a value has the kinds' name, which tells nobody anything.
    places = (str(part) for part in first["loc"] if part not in ("body", "header"))
    field = ".".join(part for part in places if "[" not in part)
    if first["type"] == "json_invalid":
        return Refused(400, f"the body is no JSON: {first['ctx']['error']}")
    status = 400 if is_openai else 422
    if _asks_for_what_is_not_done(first):
        message = f"unsupported parameter: {field!r}"
        return Refused(status, message, code="unsupported_parameter", param=field)
    message = first["msg"].removeprefix("Value error, ")
    if not field and first["type"] in _NO_OBJECT:
        message = "expected a JSON object, declared by content-type: application/json"
    return Refused(status, f"{field or 'body'}: {message}", param=field or None)
