"""Candidate models read from candidates.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from routerlib.gather.candidates.cache_rules import usual_rule, with_write_price
from routerlib.gather.candidates.facts import Facts, known_facts
from routerlib.gather.candidates.keys import key_complaints
from routerlib.gather.candidates.parameters import KNOWN as KNOWN_PARAMETERS
from routerlib.gather.candidates.parameters import (
    check_extra,
    check_for_ollama,
    check_parameters,
)
from routerlib.gather.candidates.prices import list_price, nominal_price
from routerlib.records.call import ABILITIES, Ability, CacheRule, CandidateModel, Price, Role
from routerlib.records.prompt import check_names
from routerlib.weights.cache import KNOWN

if TYPE_CHECKING:
    import pandas as pd

POOLS = ("local", "openai")

_DEAREST_USD = 1e6  # per million tokens, a dollar a token: more is a slip
_VARIABLE_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
# Words of a URL's query that carry a key.
_SECRET_QUERY = re.compile(r"(key|token|secret|sig)", re.IGNORECASE)


@dataclass(frozen=True)
class _Provider:
    base_url: str | None
    api_key_env: str | None = None
    price_table: str | None = None  # its name in genai-prices


PROVIDERS = {
    "openai": _Provider("https://api.openai.com/v1", "OPENAI_API_KEY", "openai"),
    "anthropic": _Provider("https://api.anthropic.com/v1/", "ANTHROPIC_API_KEY", "anthropic"),
    "gemini": _Provider(
        "https://generativelanguage.googleapis.com/v1beta/openai/", "GEMINI_API_KEY", "google"
    ),
    "mistral": _Provider("https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral"),
    "openrouter": _Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openrouter"),
    "ollama": _Provider("http://127.0.0.1:11434/v1"),
    "vllm": _Provider("http://127.0.0.1:8000/v1"),
    "local": _Provider(None),
    "custom": _Provider(None),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _PriceEntry(_Strict):
    input_usd_per_mtok: float = Field(ge=0, le=_DEAREST_USD)
    output_usd_per_mtok: float = Field(ge=0, le=_DEAREST_USD)
    cached_input_usd_per_mtok: float | None = Field(default=None, ge=0, le=_DEAREST_USD)
    cache_write_usd_per_mtok: float | None = Field(default=None, ge=0, le=_DEAREST_USD)
    cache_write_1h_usd_per_mtok: float | None = Field(default=None, ge=0, le=_DEAREST_USD)
    source: str = "candidates.yaml"
    as_of: str | None = None

    @field_validator("as_of", mode="before")
    @classmethod
    def _is_a_day(cls, as_of: object) -> object:
        return as_of.isoformat() if isinstance(as_of, date) else as_of  # YAML reads 2026-01-01 so


class _CacheEntry(_Strict):
    least_tokens: int = Field(default=1024, ge=0)
    block_tokens: int | None = Field(default=128, ge=1)
    lifetime_s: float = Field(default=300.0, gt=0)
    write_factor: float = Field(default=1.0, ge=1, le=10)


class _Entry(_Strict):
    name: str = Field(min_length=1)
    model: str = Field(min_length=1)
    provider: str = "custom"
    base_url: str | None = None
    api_key_env: str | None = None
    price: _PriceEntry | None = None
    max_concurrency: int = Field(default=4, ge=1)
    requests_per_minute: float | None = Field(default=None, gt=0)
    timeout_s: float = Field(default=120.0, gt=0)
    max_attempts: int = Field(default=4, ge=1)
    max_wait_s: float = Field(default=120.0, ge=0, le=86_400)
    system: str | None = None
    logprobs: bool = False
    parameters: dict[str, Any] = Field(default_factory=dict)
    extra: dict[str, Any] = Field(default_factory=dict)
    roles: list[Role] = Field(default_factory=list)
    expected_s: float | None = Field(default=None, gt=0)
    supports: list[Ability] | dict[Ability, bool] | None = None
    context_tokens: int | None = Field(default=None, ge=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    facts_from: str | None = None
    cache: _CacheEntry | None = None

    @model_validator(mode="before")
    @classmethod
    def _system_stands_beside(cls, entry: dict[str, Any]) -> dict[str, Any]:
        parameters = entry.get("parameters")
        if isinstance(parameters, dict) and "system" in parameters and "system" not in entry:
            rest = {name: value for name, value in parameters.items() if name != "system"}
            return {**entry, "system": parameters["system"], "parameters": rest}
        return entry

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"must be a URL such as http://127.0.0.1:8080/v1, got {url!r}")
        if parts.username or parts.password or _SECRET_QUERY.search(parts.query):
            raise ValueError(
                "must hold no user, password or key; name an environment variable in api_key_env"
            )
        return url

    @field_validator("api_key_env")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name is not None and not _VARIABLE_NAME.fullmatch(name):
            raise ValueError(
                "must be the name, in capitals, of an environment variable such as OPENAI_API_KEY; "
                "if this was a key, take it out of the file"
            )
        return name

    @field_validator("parameters")
    @classmethod
    def _can_be_sent(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        check_parameters(parameters)
        return parameters

    @model_validator(mode="after")
    def _has_an_endpoint(self) -> _Entry:
        if self.provider not in PROVIDERS:
            meant = get_close_matches(self.provider, PROVIDERS, n=1)
            advice = f", did you mean {meant[0]}?" if meant else ""
            raise ValueError(
                f"provider must be one of {', '.join(PROVIDERS)}, got {self.provider!r}{advice}"
            )
        if self.provider == "custom" and self.base_url is None:
            raise ValueError("give a provider or a base_url")
        if self.provider == "local":
            _check_local(self.model)
        if self.provider == "ollama":
            check_for_ollama(self.parameters)
        return self

    @model_validator(mode="after")
    def _extra_can_be_sent(self) -> _Entry:
        check_extra(self.extra, self.parameters)
        return self


# The text of a wrong value may be a secret in these; never shown.
_NEVER_SHOWN = ("base_url", "api_key_env", "parameters", "extra")


def _check_local(model: str) -> None:
    if model not in KNOWN and not Path(model).expanduser().is_file():
        raise ValueError(
            f"no local model {model!r}: give the path of a GGUF file, or one of {', '.join(KNOWN)}"
        )


def load_candidates(source: str | Path) -> list[CandidateModel]:
    """Read the candidate models that may be called.

    Parameters
    ----------
    source : str or Path
        Path of a candidates.yaml, or the name of a pool that ships: ``local`` (three models
        that run on this machine) or ``openai`` (for people with an OpenAI key).

    Returns
    -------
    list of CandidateModel
        In the file's order, each with a price.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If an entry is wrong, naming entry and field, or has no known price.

    Examples
    --------
    >>> [candidate.name for candidate in load_candidates("local")]
    ['smollm2-135m', 'qwen2.5-coder-0.5b', 'qwen2.5-coder-1.5b']
    """
    text, where = _read(source)
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{where} must hold a list of candidates, got {_kind(entries)}")
    candidates = [_candidate(entry, number, where) for number, entry in enumerate(entries, 1)]
    try:
        check_names([candidate.name for candidate in candidates], "candidate")
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return candidates


def default_candidates() -> list[CandidateModel]:
    """Return the embedded pool: three real models that need no key and no network."""
    return load_candidates("local")


def select_candidates(
    candidates: Sequence[CandidateModel], names: Sequence[str]
) -> list[CandidateModel]:
    """Return the named candidates, in the order of the names."""
    known = {candidate.name: candidate for candidate in candidates}
    for name in names:
        if name not in known:
            raise ValueError(f"unknown candidate {name!r}; known are {', '.join(known)}")
    return [known[name] for name in names]


def candidates_frame(candidates: Sequence[CandidateModel]) -> pd.DataFrame:
    """Show whom one may ask, at what price, and whether a key is there; never the key."""
    import pandas as pd

    rows = [
        {
            "candidate": candidate.name,
            "provider": candidate.provider,
            "model": candidate.model,
            "input_usd_per_mtok": candidate.price.input_usd_per_mtok,
            "output_usd_per_mtok": candidate.price.output_usd_per_mtok,
            "price_from": " ".join(filter(None, (candidate.price.source, candidate.price.as_of))),
            "max_tokens": candidate.output_cap,
            "context_tokens": candidate.context_tokens,
            "supports": _told_abilities(candidate),
            "key": _state_of_key(candidate),
        }
        for candidate in candidates
    ]
    return (
        pd.DataFrame(rows)
        .astype({"max_tokens": "Int64", "context_tokens": "Int64"})
        .set_index("candidate")
    )


def _told_abilities(candidate: CandidateModel) -> str:
    known = candidate.supports
    told = [name if known[name] else f"no {name}" for name in ABILITIES if name in known]
    return ", ".join(told) or "unknown"


def _state_of_key(candidate: CandidateModel) -> str:
    if candidate.api_key_env is None:
        return "not needed"
    return f"{'no' if key_complaints([candidate]) else 'in'} {candidate.api_key_env}"


def _read(source: str | Path) -> tuple[str, str]:
    if str(source) in POOLS:
        resource = files("routerlib.gather.candidates").joinpath("pools", f"{source}.yaml")
        return resource.read_text(encoding="utf-8"), f"pool {source!r}"
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no candidates file {path}; give a path, or one of the pools that ship: "
            f"{', '.join(POOLS)}"
        )
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8") from error


def _candidate(entry: object, number: int, where: str) -> CandidateModel:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: entry {number} must be a mapping, got {_kind(entry)}")
    label = f"{where}: candidate {entry.get('name', number)!r}"
    try:
        checked = _Entry.model_validate(entry)
    except ValidationError as error:
        raise ValueError(f"{label}: {_complaint(error)}") from None
    provider = PROVIDERS[checked.provider]
    fields = checked.model_dump(exclude=_WORKED_OUT)
    # From here on they are one: both are sent, hashed and logged alike.
    fields["parameters"] |= checked.extra
    cache = _cache(checked, fields["parameters"])
    is_said = checked.price is not None and checked.price.cache_write_usd_per_mtok is not None
    return CandidateModel(
        **fields,
        base_url=checked.base_url or provider.base_url,
        api_key_env=checked.api_key_env or provider.api_key_env,
        price=with_write_price(_price(checked, label), None if is_said else cache),
        roles=tuple(checked.roles),
        **_facts(checked)._asdict(),
        cache=cache,
    )


# What an entry says in another way than a candidate.
_WORKED_OUT = {
    "price", "base_url", "api_key_env", "roles", "extra",
    "supports", "context_tokens", "max_output_tokens", "facts_from", "cache",
}  # fmt: skip


def _cache(entry: _Entry, parameters: Mapping[str, Any]) -> CacheRule | None:
    """Return what is cached: what the entry says goes before what is usual; null = nothing."""
    if entry.cache is None and "cache" in entry.model_fields_set:
        return None
    base_url = entry.base_url or PROVIDERS[entry.provider].base_url
    usual = usual_rule(entry.provider, entry.model, base_url, parameters)
    if entry.cache is None:
        return usual
    return replace(usual or CacheRule(), **entry.cache.model_dump(exclude_unset=True))


def _facts(entry: _Entry) -> Facts:
    """Return what a candidate can do: what its entry says goes before what is known otherwise."""
    table = PROVIDERS[entry.provider].price_table
    known = known_facts(entry.model, entry.provider, table)
    if isinstance(entry.supports, list):  # a whole list: what isn't on it isn't supported
        told = {name: name in entry.supports for name in ABILITIES}
    else:
        told = {str(name): can for name, can in (entry.supports or {}).items()}
    return known._replace(
        supports={**known.supports, **told},
        context_tokens=entry.context_tokens or known.context_tokens,
        max_output_tokens=entry.max_output_tokens or known.max_output_tokens,
        facts_from=entry.facts_from or known.facts_from,
    )


def _complaint(error: ValidationError) -> str:
    """Say what is wrong with the first wrong field; a misspelled one goes before a missing one."""
    first = min(error.errors(), key=lambda wrong: wrong["type"] != "extra_forbidden")
    loc = [str(part) for part in first["loc"]]
    field = ".".join(loc)
    if first["type"] == "extra_forbidden":
        if len(loc) == 1 and loc[0] in KNOWN_PARAMETERS:
            return f"{field!r} is a parameter of requests; write it under parameters"
        inner: dict[str, type[BaseModel]] = {"price": _PriceEntry, "cache": _CacheEntry}
        known = list(inner.get(loc[0], _Entry).model_fields)
        meant = get_close_matches(loc[-1], known, n=1)
        advice = f"did you mean {meant[0]}?" if meant else "known are " + ", ".join(known)
        return f"unknown field {field!r}{', ' if meant else '; '}{advice}"
    is_shown = field and first["type"] != "missing" and loc[0] not in _NEVER_SHOWN
    got = f", got {first['input']!r}" if is_shown else ""
    message = first["msg"].removeprefix("Value error, ")
    return f"{field + ': ' if field else ''}{message}{got}"


def _price(entry: _Entry, label: str) -> Price:
    if entry.price:
        return Price(**entry.price.model_dump())
    if entry.provider == "local" and entry.model in KNOWN:
        return nominal_price(KNOWN[entry.model].parameters_b)
    table = PROVIDERS[entry.provider].price_table
    price = list_price(entry.model, table) if table else None
    if price is None:
        raise ValueError(
            f"{label}: no price is known for model {entry.model!r}; write one into its entry, such "
            "as price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.4}; zeros where it is free"
        )
    return price


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
