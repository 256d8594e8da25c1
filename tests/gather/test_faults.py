"""What a provider says goes before the status under which it says it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerlib.gather.calls import faults
from routerlib.gather.calls.complaints import read_complaint
from routerlib.gather.calls.faults import SIGNS, read_fault


def _error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


CASES: list[tuple[int, Any, str | None]] = [
    # credit
    (429, _error("You exceeded your current quota, please check your plan and billing details.",
                 type="insufficient_quota", code="insufficient_quota"), faults.NO_CREDIT),
    (402, _error("Insufficient Balance", type="unknown_error", code="invalid_request_error"),
     faults.NO_CREDIT),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message":
           "Your credit balance is too low to access the Anthropic API."}}, faults.NO_CREDIT),
    (429, _error("Your account is suspended due to insufficient balance",
                 type="exceeded_current_quota_error"), faults.NO_CREDIT),
    (403, {"code": "permission-denied", "error":
           "Your team has used all available credits or reached its monthly spending limit."},
     faults.NO_CREDIT),
    (429, _error("余额不足或无可用资源包,请充值。", code="1113"), faults.NO_CREDIT),
    (200, {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "no"}},
     faults.NO_CREDIT),
    (402, b"", faults.NO_CREDIT),
    (429, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED",
            "message": "You exceeded your current quota. Please retry in 33.5s.", "details": [
                {"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}]}}],
     faults.NO_CREDIT),
    # wait: the same words as no credit at another
    (429, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED",
            "message": "You exceeded your current quota. Please retry in 33.5s."}}], faults.RATE),
    (429, _error("Rate limit reached for model on tokens per minute (TPM): Limit 30000, "
                 "Used 14143, Requested 19737. Please try again in 7.76s."), faults.RATE),
    (429, _error("Rate limit reached on tokens per day (TPD): Limit 100000, Used 99000, "
                 "Requested 1500. Please try again in 7m12s."), faults.LONG_WAIT),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
     faults.BUSY),
    (200, {"object": "error", "message": "too much traffic", "code": 50001}, faults.BUSY),
    # key
    (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
            "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}],
     faults.BAD_KEY),
    (401, {"error": "Unauthorized"}, faults.BAD_KEY),
    (403, {"message": "no access", "__type": "AccessDeniedException"}, faults.BAD_KEY),
    (200, {"base_resp": {"status_code": 2049, "status_msg": "invalid api key"}}, faults.BAD_KEY),
    # model and address
    (404, _error("The model `m` does not exist or you do not have access to it.",
                 code="model_not_found"), faults.NO_MODEL),
    (400, _error("Model Not Exist", type="invalid_request_error"), faults.NO_MODEL),
    (404, _error("model 'm' not found, try pulling it first"), faults.NO_MODEL),
    (400, _error("m is not a valid model ID", code=400), faults.NO_MODEL),
    (404, {"detail": "Not Found"}, faults.WRONG_ADDRESS),
    (404, b"<html><head><title>404 Not Found</title></head></html>", faults.WRONG_ADDRESS),
    # flagged
    (400, _error("filtered", param="prompt", code="content_filter",
                 innererror={"code": "ResponsibleAIPolicyViolation"}), faults.FLAGGED),
    (400, _error("Content Exists Risk", type="invalid_request_error"), faults.FLAGGED),
    (403, _error("The chosen model requires moderation and your input was flagged", code=403,
                 metadata={"reasons": ["violence"], "flagged_input": "..."}), faults.FLAGGED),
    (403, {"code": "permission-denied", "error": "Content violates usage guidelines. Failed "
           "check: SAFETY_CHECK_TYPE_BIO"}, faults.FLAGGED),
    (422, _error("input new_sensitive (1026)"), faults.FLAGGED),
    (400, _error("系统检测到输入内容", code="1301", contentFilter=[{"role": "user"}]),
     faults.FLAGGED),
    (400, {"code": "DataInspectionFailed", "message": "Input data may be bad"}, faults.FLAGGED),
    # too long
    (400, _error("This model's maximum context length is 4096 tokens.", code=400), faults.TOO_LONG),
    (400, {"error": {"code": 400, "message": "too big", "type": "exceed_context_size_error",
                     "n_ctx": 512}}, faults.TOO_LONG),
    (413, _error("Request too large for model `m` on tokens per minute (TPM): Limit 6000, "
                 "Requested 9000", code="rate_limit_exceeded"), faults.TOO_LONG),
    # unsupported
    (400, _error("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                 "'max_completion_tokens' instead.", code="unsupported_parameter"),
     faults.UNSUPPORTED),
    (422, {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc":
           ["body", "seed"], "msg": "Extra inputs are not permitted", "input": "credit"}]}},
     faults.UNSUPPORTED),
    # words inside words
    (400, _error("Provider returned error", code=400, metadata={"provider_name": "p", "raw":
           json.dumps(_error("Insufficient Balance"))}), faults.NO_CREDIT),
    (400, {"error": {"message": "litellm.BadRequestError: Error code: 400 - {'error': "
           "{'message': 'Content Exists Risk', 'code': None}}"}}, faults.FLAGGED),
    # nothing known
    (500, _error("it fell over"), None),
    (400, _error("bad"), None),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), CASES)
def test_the_body_tells_what_went_wrong(status: int, body: Any, kind: str | None) -> None:
    assert read_fault(status, body, {}).kind == kind
    if not isinstance(body, bytes):
        assert read_fault(status, json.dumps(body).encode(), {}).kind == kind


@pytest.mark.parametrize(("status", "body", "kind"), CASES)
def test_the_same_words_mean_the_same_under_200(status: int, body: Any, kind: str | None) -> None:
    if isinstance(body, bytes):
        return
    assert read_fault(200, body, {}).kind == kind


def test_what_a_provider_echoes_is_not_its_word() -> None:
    body = {"detail": [{"loc": ["body"], "msg": "bad", "input": "insufficient balance"}]}
    assert read_fault(422, body, {}).kind is None


def test_the_own_words_are_kept() -> None:
    raw = '{"error": {"message": "Insufficient Balance"}}'
    told = read_complaint({"error": {"message": "Provider returned error", "metadata": {
        "raw": raw}}})  # fmt: skip
    assert told.text == "Provider returned error; Insufficient Balance"
    assert read_fault(400, b"<html><title>502 Bad  Gateway</title>", {}).text == (
        "HTTP 400: 502 Bad Gateway"
    )


@pytest.mark.parametrize(
    ("body", "wait_s"),
    [
        (_error("Please try again in 1m2.5s."), 62.5),
        (_error("Please retry after 24 seconds."), 24.0),
        (_error("please try again after 1 seconds"), 1.0),
        (_error("Try again in 430ms"), 0.43),
        (_error("busy", details=[{"@type": "google.rpc.RetryInfo", "retryDelay": "37s"}]), 37.0),
        ({"error": "Model is currently loading", "estimated_time": 20.0}, 20.0),
        (_error("try again later"), None),
    ],
)
def test_waits_are_read_from_the_body(body: Any, wait_s: float | None) -> None:
    assert read_fault(429, body, {}).wait_s == wait_s


def test_of_several_waits_the_longest_counts() -> None:
    fault = read_fault(429, _error("try again in 2s"), {"retry-after": "5"})
    assert (fault.wait_s, fault.is_passing) == (5.0, True)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("Unsupported parameter: 'seed' is not supported with this model.", "seed"),
        ("Unrecognized request arguments supplied: seed, top_k", "seed"),
        ("seed: Extra inputs are not permitted", "seed"),
        ('Invalid JSON payload received. Unknown name "seed": Cannot find field.', "seed"),
        ("property 'seed' is unsupported, did you mean 'feed'?", "seed"),
        ("Argument not supported on this model: seed", "seed"),
        ("invalid temperature: only 1 is allowed for this model", "temperature"),
        ("`temperature` is deprecated for this model", "temperature"),
    ],
)
def test_the_unsupported_parameter_is_named(message: str, name: str) -> None:
    assert name in read_fault(400, _error(message), {}).parameters


def test_no_sign_is_told_twice() -> None:
    codes = [code for sign in SIGNS for code in sign.codes.split(", ")]
    assert len(codes) == len(set(codes))
