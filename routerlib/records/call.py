"""One request to a candidate model: whom one asks, its tokens, its money, its score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from routerlib.records.amounts import check_amount
from routerlib.records.canonical import tagged_hash

CallStatus = Literal["ok", "truncated", "refused", "empty", "error", "timeout"]
CALL_STATUSES: tuple[str, ...] = get_args(CallStatus)
# A cell whose call ended so is not asked again; until then it is missing.
FINISHED_STATUSES = ("ok", "truncated", "refused", "empty")


# Parts a candidate model can play for the RuleRouter, written in candidates.yaml.
Role = Literal["cheapest", "cheap", "coder", "strongest"]
ROLES: tuple[str, ...] = get_args(Role)

# What a request may need of a candidate model, written in candidates.yaml under supports.
Ability = Literal["tools", "images", "files", "audio", "json_schema", "logprobs"]
ABILITIES: tuple[str, ...] = get_args(Ability)

_TOKENS_PER_PRICE_UNIT = 1_000_000


@dataclass(frozen=True)
class Usage:
    """Tokens of one call, as the provider counted them.

    `input_tokens, output_tokens`: tokens, at least 0. Output includes reasoning tokens.
    `cached_input_tokens, reasoning_tokens`: tokens, at least 0; parts of the two numbers above.
    `cache_write_tokens`: input tokens that the provider's cache took in, of those not read from it.
    `cache_write_1h_tokens`: how many of these it keeps for an hour, as far as it is told.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0

    def __post_init__(self) -> None:
        for name, n_tokens in vars(self).items():
            if n_tokens < 0:
                raise ValueError(f"{name} must be at least 0, got {n_tokens!r}")


@dataclass(frozen=True)
class Price:
    """What a candidate model charges, in US dollars per million tokens.

    Parameters
    ----------
    input_usd_per_mtok, output_usd_per_mtok : float
        US dollars per million tokens, at least 0.
    cached_input_usd_per_mtok : float or None, default=None
        Price of input tokens served from the provider's cache; None = the input price.
    source : str, default="candidates.yaml"
        Where the price comes from.
    as_of : str or None, default=None
        ISO date for which it was valid.
    cache_write_usd_per_mtok : float or None, default=None
        Price of input tokens that the provider's cache took in; None = the input price.
    cache_write_1h_usd_per_mtok : float or None, default=None
        Price of those that it keeps for an hour, where it is told how many these are; None = as
        of the others that it took in.

    Examples
    --------
    >>> Price(0.15, 0.60).cost_usd(Usage(input_tokens=1_000_000, output_tokens=500_000))
    0.45
    """

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None = None
    source: str = "candidates.yaml"
    as_of: str | None = None
    cache_write_usd_per_mtok: float | None = None
    cache_write_1h_usd_per_mtok: float | None = None

    def __post_init__(self) -> None:
        for name in (
            "input_usd_per_mtok",
            "output_usd_per_mtok",
            "cached_input_usd_per_mtok",
            "cache_write_usd_per_mtok",
            "cache_write_1h_usd_per_mtok",
        ):
            value = getattr(self, name)
            if value is not None:
                check_amount(name, value)

    def cost_usd(self, usage: Usage) -> float:
        """Return the US dollars that this usage costs.

        Parameters
        ----------
        usage : Usage
            Tokens of one call.

        Returns
        -------
        float
            US dollars, at least 0.
        """
        input_price = self.input_usd_per_mtok
        cached_price, write_price = (
            input_price if price is None else price
            for price in (self.cached_input_usd_per_mtok, self.cache_write_usd_per_mtok)
        )
        hour_price = self.cache_write_1h_usd_per_mtok
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        written = min(usage.cache_write_tokens, usage.input_tokens - cached)
        for_an_hour = min(usage.cache_write_1h_tokens, written)
        micro_usd = (
            (usage.input_tokens - cached - written) * input_price
            + cached * cached_price
            + (written - for_an_hour) * write_price
            + for_an_hour * (write_price if hour_price is None else hour_price)
            + usage.output_tokens * self.output_usd_per_mtok
        )
        return micro_usd / _TOKENS_PER_PRICE_UNIT


@dataclass(frozen=True)
class CacheRule:
    """What a provider keeps of the beginning that requests share, and charges less for.

    Parameters
    ----------
    least_tokens : int, default=1024
        Shared tokens below which nothing is kept.
    block_tokens : int or None, default=128
        Beyond those it keeps whole blocks of so many; None = all tokens of a whole earlier request,
        and nothing of one that only began in the same way (breakpoints).
    lifetime_s : float, default=300
        Seconds after the last request with that beginning until it is forgotten.
    write_factor : float, default=1
        Times the input price that tokens cost which are kept for the first time.

    Examples
    --------
    >>> CacheRule(lifetime_s=600).lifetime_s
    600
    """

    least_tokens: int = 1024
    block_tokens: int | None = 128
    lifetime_s: float = 300.0
    write_factor: float = 1.0


@dataclass(frozen=True)
class CandidateModel:
    """An LLM that may be called, and how: one entry of candidates.yaml.

    Parameters
    ----------
    name : str
        How logs, tables and figures call it.
    model : str
        How the provider calls it; for provider ``local`` a pool name or the path of a GGUF file.
    provider : str
        Provider name, ``local`` for the embedded pool, ``custom`` for a bare base URL.
    base_url : str or None
        OpenAI-compatible endpoint; None for ``local``, whose server is started on demand.
    api_key_env : str or None
        Name of the environment variable that holds the key; None = no key needed.
    price : Price
        Dated price.
    max_concurrency : int, default=4
        Requests in flight, at least 1.
    requests_per_minute : float or None, default=None
        Upper limit on the request rate.
    timeout_s : float, default=120
        Seconds until one attempt is given up.
    max_attempts : int, default=4
        Attempts per call, at least 1.
    system : str or None, default=None
        System prompt that this way of asking puts first.
    parameters : dict
        Further request parameters, such as temperature, max_tokens, seed.
    roles : tuple of str, default=()
        Parts it plays for the RuleRouter, from `ROLES`.
    expected_s : float or None, default=None
        Seconds a call occupies the server, for time estimates before anything was measured.
    max_wait_s : float, default=120
        The longest wait that a provider may ask for in its words; for a longer one the candidate
        is switched off.
    logprobs : bool, default=False
        Whether log-probabilities of its answers are asked for, of which a few numbers are kept.
    supports : mapping of str to bool
        What it can do and what not, of `ABILITIES`; what isn't there is unknown.
    context_tokens : int or None, default=None
        Tokens of prompt and answer together that it can take; None = unknown.
    max_output_tokens : int or None, default=None
        Tokens that an answer of it can have; None = unknown.
    facts_from : str, default=""
        Where those three come from, and as of which day; empty = candidates.yaml alone.
    cache : CacheRule or None, default=None
        What its provider caches of prompts by itself; None = nothing, or it isn't known.
    """

    name: str
    model: str
    provider: str
    base_url: str | None
    api_key_env: str | None
    price: Price
    max_concurrency: int = 4
    requests_per_minute: float | None = None
    timeout_s: float = 120.0
    max_attempts: int = 4
    system: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    expected_s: float | None = None
    max_wait_s: float = 120.0
    logprobs: bool = False
    supports: Mapping[str, bool] = field(default_factory=dict)
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    facts_from: str = ""
    cache: CacheRule | None = None

    @cached_property  # each of many cells asks for it
    def params_hash(self) -> str:
        """Tagged hash of everything that changes what is asked: model, system, parameters."""
        return tagged_hash(
            {"model": self.model, "system": self.system, "parameters": dict(self.parameters)}
        )

    @property
    def output_cap(self) -> int | None:
        """The cap on output tokens that is sent, the higher of two, or None when there is none."""
        names = ("max_completion_tokens", "max_tokens")
        caps = [int(self.parameters[name]) for name in names if name in self.parameters]
        return max(caps, default=None)


# In the place of a hash: nobody has told how it was asked, as of a table of outcomes.
UNTOLD = "untold"


@dataclass(frozen=True)
class Call:
    """One request to one candidate model, successful or not; immutable once logged.

    Parameters
    ----------
    prompt_id, candidate, params_hash, repeat
        The cell that was asked.
    status : str
        One of `CALL_STATUSES`; only ``ok`` calls are ever judged.
    response : str or None
        The answer's text.
    usage : Usage or None
        Token counts; None when the provider gave none.
    latency_s : float or None, default=None
        Seconds of the last attempt; None = not known, as in some imports.
    attempts : int or None, default=1
        Attempts made, at least 1; None = not known.
    given_cost_usd : float or None, default=None
        What another tool says it cost, US dollars; counts only where tokens or price are unknown.
    origin : str or None, default=None
        Identity of a call that was imported, so that it comes in once; None = made live.
    asked_at : str or None, default=None
        When it was asked, where that was not when it is logged: ISO date and time, UTC.
    extra : dict or None, default=None
        Further fields that its source had: JSON values.
    """

    prompt_id: str
    candidate: str
    params_hash: str
    status: str
    response: str | None = None
    usage: Usage | None = None
    latency_s: float | None = None
    attempts: int | None = 1
    repeat: int = 0
    finish_reason: str | None = None
    error_type: str | None = None
    error: str | None = None
    decision_id: int | None = None
    given_cost_usd: float | None = None
    origin: str | None = None
    asked_at: str | None = None
    extra: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.status not in CALL_STATUSES:
            raise ValueError(
                f"status must be one of {', '.join(CALL_STATUSES)}, got {self.status!r}"
            )

    @property
    def is_ok(self) -> bool:
        """Whether the call gave a complete answer that a judge may grade."""
        return self.status == "ok"


# Who judges where a person does, and where a person scores answers that were drawn at random.
PERSON = "person"
AUDIT = "audit"
# Who judges where somebody says how a served answer was, or how a whole conversation went: then
# each of its answers is credited with that.
FEEDBACK = "feedback"
OF_CONVERSATION = "conversation"


@dataclass(frozen=True)
class Score:
    """One judge's verdict on one call.

    `score`: in [0, 1], or NaN when the judge could not tell; NaN is never stored.
    """

    judge: str
    score: float
    rationale: str = ""
    extra: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not (math.isnan(self.score) or 0 <= self.score <= 1):
            raise ValueError(
                f"score must lie in [0, 1], got {self.score!r} from judge {self.judge!r}; rescale"
            )

    @property
    def is_scored(self) -> bool:
        """Whether there is a verdict."""
        return not math.isnan(self.score)
