from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from fault_server import fault_server
from hypothesis import given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from serving import candidate, rows, serving


@pytest.fixture(scope="module")
def log_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "logs.db"


@pytest.fixture(scope="module")
def document(log_path: Path) -> Iterator[schemathesis.BaseSchema]:
    """The OpenAPI document of a running server, read from it."""
    with fault_server() as provider:
        candidates = [candidate("small", provider.url), candidate("large", provider.url)]
        with serving(candidates, log_path) as served:
            yield schemathesis.openapi.from_url(f"{served.base_url}/openapi.json")


OPERATIONS = [
    ("GET", "/health"),
    ("GET", "/models"),
    ("POST", "/route"),
    ("POST", "/inference"),
    ("POST", "/feedback"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{name}"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/responses"),
]
TAKES_INPUT = [each for each in OPERATIONS if each[0] == "POST"]


def test_every_operation_is_tried(document: schemathesis.BaseSchema) -> None:
    listed = {(each.ok().method.upper(), each.ok().path) for each in document.get_all_operations()}
    assert listed == set(OPERATIONS)


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [(*each, schemathesis.GenerationMode.POSITIVE) for each in OPERATIONS]
    + [(*each, schemathesis.GenerationMode.NEGATIVE) for each in TAKES_INPUT],
)
def test_the_server_keeps_to_its_own_document(
    document: schemathesis.BaseSchema,
    method: str,
    path: str,
    mode: schemathesis.GenerationMode,
) -> None:
    # That one message at least holds text, and that results follow their calls, is beyond a
    # schema's words, so there, and only there, a valid body may be refused.
    is_chat = path.endswith(("completions", "messages", "responses"))
    excluded = [positive_data_acceptance] if is_chat else []

    @given(case=document[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=20)
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(excluded_checks=excluded)

    check()


def test_every_answer_to_it_was_logged(document: schemathesis.BaseSchema, log_path: Path) -> None:
    decisions = rows(log_path, "select count(*) from decisions")
    assert rows(log_path, "select count(distinct decision_id) from calls") == decisions
