"""What went wrong with a call, and what to do about it: the body decides, then the status."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from routerlib.gather.calls.complaints import Complaint, read_complaint
from routerlib.gather.calls.pacing import LONGEST_ASKED_S, asked_wait_s

NO_CREDIT = "no_credit"
BAD_KEY = "bad_key"
NO_MODEL = "no_model"
WRONG_ADDRESS = "wrong_address"
FLAGGED = "flagged"
TOO_LONG = "too_long"
UNSUPPORTED = "unsupported"
BUSY = "busy"
RATE = "rate"
LONG_WAIT = "long_wait"


class Sign(NamedTuple):
    """By which codes and words one kind of fault is told.

    `codes`: whole codes, types or exception names.
    `words`: parts of the text; those with ``*`` hold any characters there.
    `weak_codes`: codes that other faults have too; they count after everybody's words.
    """

    kind: str
    codes: str
    words: str
    weak_codes: str = ""


# In the order of testing; who says which stands in docs/providers.md.
SIGNS: tuple[Sign, ...] = (
    Sign(
        TOO_LONG,
        "context_length_exceeded, exceed_context_size_error, string_above_max_length, "
        "max_tokens_exceeded, token_limit_exceeded, string_too_long, request_too_large, "
        "payload_too_large, error:1261",
        "maximum context length|context length exceeded|context window|prompt is too long|"
        "exceed context limit|input is too long|too many input tokens|exceeds the context|"
        "exceeds the maximum number of tokens|range of input length should be|"
        "input token length too long|exceeded model token limit|exceeds the available context|"
        "longer than the model's context|requested token count exceeds|"
        "inputs` tokens + `max_new_tokens|reduce the length|current length is * while limit is|"
        "input length * exceeds|request too large for model",
    ),
    Sign(
        FLAGGED,
        "content_filter, content_policy_violation, moderation_blocked, invalid_prompt, "
        "cyber_policy_violation, bio_policy, misalignment_policy_violation, "
        "image_content_policy_violation, data_inspection_failed, datainspectionfailed, "
        "responsibleaipolicyviolation, error:1300, error:1301, base_resp:1026, base_resp:1027, "
        "flagged_input, contentfilter, refusal, safety_check_failed, modelarts.81011, "
        "sensitive_words_detected, prohibited_content, safety, blocklist, jailbreak",
        "content exists risk|considered high risk|content management policy|content policy|"
        "flagged as potentially|violating our usage policy|violates our usage|our safety system|"
        "content filter|usage guidelines|inappropriate content|new_sensitive|input was flagged|"
        "prompt was flagged|request was flagged|flagged by|prohibited content|"
        "the response was blocked|prompt was blocked|safety_check_type|sensitive content|"
        "blocked by guardrail|guardrail intervened|moderation|敏感|违规",
    ),
    Sign(
        NO_CREDIT,
        "insufficient_quota, billing_hard_limit_reached, billing_not_active, billing_error, "
        "credit_balance_exhausted, organization_spend_limit_exceeded, "
        "project_spend_limit_exceeded, organization_usage_limit_exceeded, "
        "contract_spend_limit_reached, enforced_spend_limit_reached, payment_required, "
        "exceeded_current_quota_error, arrearage, allocationquota.freetieronly, "
        "servicequotaexceededexception, error:1113, error:1308, error:1309, error:1310, "
        "base_resp:1008, base_resp:2056, insufficient_balance, insufficient_credits",
        "insufficient balance|insufficient quota|insufficient credit|insufficient account balance|"
        "insufficient funds|balance is not enough|balance is insufficient|"
        "credit balance is too low|billing hard limit|used all available credits|"
        "monthly spending limit|doesn't have any credits|run out of credits|out of credits|"
        "exceeded your current quota|monthly included credits|requires more credits|"
        "no credits remaining|account overdue|in good standing|payment required|spending limit|"
        "quota exhausted|free tier of the model has been exhausted|"
        "free quota has been exhausted|user quota is not enough|pre-consumed quota failed|"
        "prepayment credits are depleted|key limit exceeded|欠费|余额不足|额度不足",
    ),
    Sign(
        BAD_KEY,
        "invalid_api_key, authentication_error, invalid_authentication_error, "
        "incorrect_api_key_error, invalid_api_key_error, unauthenticated, api_key_invalid, "
        "api_key_service_blocked, access_token_expired, invalidapikey, "
        "unrecognizedclientexception, expiredtokenexception, invalidsignatureexception, "
        "account_deactivated, authentication, unauthorized, error:1000, error:1001, error:1002, "
        "error:1003, error:1004, error:1110, error:1111, error:1112, error:1120, error:1121, "
        "base_resp:1004, base_resp:2049",
        "incorrect api key|invalid api key|api key not valid|api key expired|"
        "no api key provided|missing api key|api key is missing|no auth credentials|"
        "user not found|authentication fail|authentication required|invalid authentication|"
        "invalid bearer token|invalid x-api-key|invalid token|invalid credentials|"
        "api key was reported as leaked|account has been deactivated|account has been suspended|"
        "account has been disabled|invalid subscription key|api key you provided|unauthorized|"
        "invalid authorization|api key is invalid|api key * is invalid",
        "permission_error, permission_denied_error, permission_denied, permission-denied, "
        "accessdenied, accessdeniedexception",
    ),
    Sign(
        NO_MODEL,
        "model_not_found, deploymentnotfound, operationnotsupported, modelnotfound, "
        "modelnotexist, invalid_model, model_decommissioned, model_not_active, "
        "model_terms_required, resource_not_found_error, error:1211, error:1221, error:1222, "
        "error:1220, error:1311, top:1500, base_resp:5007",
        "model * does not exist|model * not exist|model not exist|try pulling it first|"
        "unknown model|not a valid model|invalid model|no endpoints found|no available channel|"
        "model * has been deprecated|decommissioned|model * no longer available|end of life|"
        "unable to access model|publisher model|model not found|"
        "inaccessible, and/or not deployed|model is not supported|no allowed providers|"
        "model identifier is invalid|is not supported for generatecontent|model * not found|"
        "no such model|does not have access to model|deployment * does not exist|"
        "model is not available|模型不存在",
        "not_found_error, notfounderror, resourcenotfoundexception",
    ),
    Sign(
        UNSUPPORTED,
        "unsupported_parameter, unsupported_value, unknown_parameter, extra_forbidden, "
        "error:1210, error:1214, error:1215",
        "unsupported parameter|unsupported value|unknown parameter|unrecognized request argument|"
        "extra inputs are not permitted|extra fields not permitted|cannot both be specified|"
        "is deprecated for this model|unknown name|property * is unsupported|"
        "argument not supported|does not support parameter|is not supported with this model|"
        "not supported by this model|does not support tools|does not support thinking|"
        "is not supported for this model|only 1 is allowed|additional properties are not allowed|"
        "unexpected keyword|unknown field|unrecognized field|is not allowed for this model|"
        "unsupported field|unrecognized parameter|invalid parameter",
    ),
    Sign(
        BUSY,
        "overloaded_error, engine_overloaded_error, server_error, capacity_exceeded, "
        "over_capacity, provider_overloaded, provider_unavailable, modelnotreadyexception, "
        "modelerrorexception, modeltimeoutexception, internalserverexception, "
        "serviceunavailableexception, unavailable_error, unavailable, timeout_error, "
        "deadline_exceeded, overloaded, error:1234, error:1305, error:1312, base_resp:1000, "
        "base_resp:1001, base_resp:1024, base_resp:1033, top:3505",
        "overloaded|server busy|server is busy|currently loading|loading model|model too busy|"
        "too much traffic|no healthy upstream|high demand|system is too busy|"
        "service tier capacity exceeded|temporarily unavailable|please try again later|"
        "over capacity|upstream idle timeout",
    ),
    Sign(
        RATE,
        "rate_limit_exceeded, rate_limit_error, rate_limit_reached_error, throttling, "
        "throttling.ratequota, throttling.allocationquota, throttlingexception, limit_requests, "
        "limit_burst_rate, too_many_requests, error:1302, error:1303, error:1313, "
        "base_resp:1002, base_resp:1039, base_resp:1041, base_resp:2045, "
        "openrouter_in_flight_budget",
        "rate limit|too many requests|requests per minute|tokens per minute|please slow down",
        "resource_exhausted",
    ),
)  # fmt: skip
_PER_DAY = re.compile(r"per[ _-]?day|daily|\b(?:rpd|tpd)\b", re.I)
_WRONG_ADDRESS = re.compile(
    r"^not found$|page not found|invalid url|route not found|no route|cannot post|"
    r"^404|nginx|resource not found", re.I,
)  # fmt: skip
_TOKENS_AT_ONCE = re.compile(r"limit:? ([\d,]+)(?:, used:? ([\d,]+))?, requested:? ([\d,]+)", re.I)
_QUOTED = re.compile(r"['\"`]([A-Za-z_][\w.]{1,60})['\"`]")
_AFTER_COLON = re.compile(r"(?:supplied|parameter\(s\)|argument\w*|model|field):\s*([\w, ]+)", re.I)
_BEFORE_COLON = re.compile(r"\b(\w+): extra", re.I)
_INVALID = re.compile(r"\b(?:invalid|parameter|field) (\w+)", re.I)
_INSTEAD = re.compile(r"use ['\"`](\w+)['\"`] instead", re.I)

_RETRIED_STATUS = frozenset({408, 409, 425, 429})
_LASTING = frozenset({
    NO_CREDIT, BAD_KEY, NO_MODEL, WRONG_ADDRESS, FLAGGED, TOO_LONG, UNSUPPORTED, LONG_WAIT,
})  # fmt: skip
_TELL_NOTHING_BELOW = 400


@dataclass(frozen=True)
class Fault:
    """What a provider's error means.

    `kind`: None = nothing that is known.
    `wait_s`: seconds to wait before the next request; None = not told.
    `parameters`: what is not supported; `instead`: what it names in place of the first.
    """

    text: str
    kind: str | None = None
    status: int | None = None
    wait_s: float | None = None
    parameters: tuple[str, ...] = ()
    instead: str | None = None

    @property
    def error_type(self) -> str:
        """The type that is logged."""
        if self.kind in _LASTING:
            return str(self.kind)
        return "provider" if self.status is None else f"http_{self.status}"

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed later."""
        if self.kind in _LASTING:
            return False
        if self.kind in (BUSY, RATE):
            return True
        return self.status is None or self.status in _RETRIED_STATUS or self.status >= 500

    def within(self, max_wait_s: float) -> Fault:
        """Return the same fault where waits up to so many seconds are kept, and no longer ones.

        >>> told = read_fault(429, "Too many requests, try again in 7m", {})
        >>> told.kind, told.within(600.0).kind, told.within(600.0).wait_s
        ('long_wait', 'rate', 420.0)
        """
        if not self.wait_s or not (self.is_passing or self.kind == LONG_WAIT):
            return self
        if self.wait_s > max_wait_s:
            return replace(self, kind=LONG_WAIT)
        return replace(self, kind=RATE) if self.kind == LONG_WAIT else self


def read_fault(status: int, body: Any, headers: Mapping[str, str]) -> Fault:
    """Return what an answer that reports an error means, under whatever status it came."""
    complaint = read_complaint(body)
    told = complaint.http_status if status < _TELL_NOTHING_BELOW else status
    waits_s = [s for s in (complaint.wait_s, asked_wait_s(headers)) if s is not None]
    wait_s = max(waits_s, default=None)
    kind = _kind(complaint, wait_s) or _kind_of_status(told, complaint)
    if kind in (RATE, BUSY, None) and wait_s and wait_s > LONGEST_ASKED_S:
        kind = LONG_WAIT
    shown = complaint.text or "it gave no reason"
    text = f"HTTP {status}: {shown}" if status >= _TELL_NOTHING_BELOW else (
        f"the provider reports an error under status {status}: {shown}"
    )  # fmt: skip
    unsupported = kind == UNSUPPORTED
    instead = _INSTEAD.search(complaint.text) if unsupported else None
    return Fault(
        text,
        kind,
        told,
        wait_s,
        _named(complaint) if unsupported else (),
        instead[1] if instead else None,
    )


def _kind(complaint: Complaint, wait_s: float | None) -> str | None:
    text = complaint.text.casefold()
    if found := _TOKENS_AT_ONCE.search(text):
        limit, _, requested = (int((n or "0").replace(",", "")) for n in found.groups())
        return TOO_LONG if requested > limit else RATE
    strong = next((sign.kind for sign in SIGNS if complaint.codes & _codes(sign.codes)), None)
    if strong not in (None, BUSY, RATE):
        return strong
    said = next((sign.kind for sign in SIGNS if _says(text, sign)), None)
    if said == NO_CREDIT and wait_s:  # the words for "too fast" at one are "no money" at another
        is_gone = any(_PER_DAY.search(each) for each in (text, *complaint.codes))
        return NO_CREDIT if is_gone else RATE
    if said not in (None, BUSY, RATE):
        return said
    if strong or said:
        return strong or said
    return next((sign.kind for sign in SIGNS if complaint.codes & _codes(sign.weak_codes)), None)


def _codes(listed: str) -> set[str]:
    return set(listed.split(", ")) - {""}


def _says(text: str, sign: Sign) -> bool:
    for words in sign.words.split("|"):
        start, *rest = words.split("*")
        position = text.find(start.strip())
        for part in rest:
            if position < 0:
                break
            position = text.find(part.strip(), position + 1)
        if position >= 0:
            return True
    return False


def _kind_of_status(status: int | None, complaint: Complaint) -> str | None:
    if status in (404, None) and _WRONG_ADDRESS.search(complaint.text):
        return WRONG_ADDRESS
    return {402: NO_CREDIT, 413: TOO_LONG}.get(status or 0)


def _named(complaint: Complaint) -> tuple[str, ...]:
    """Return every name that may be the parameter at fault; who asked knows which it sent."""
    text = complaint.text
    named = [
        *complaint.parameters,
        *_QUOTED.findall(text),
        *(name for listed in _AFTER_COLON.findall(text) for name in re.findall(r"\w+", listed)),
        *_BEFORE_COLON.findall(text),
        *_INVALID.findall(text),
    ]
    return tuple(dict.fromkeys(named))
