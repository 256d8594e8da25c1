"""Candidate models read from candidates.yaml."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from routerlib.types import CandidateModel, Price, Role, check_names
from routerlib.weights import KNOWN

if TYPE_CHECKING:
    from decimal import Decimal

POOLS = ("local", "openai")

_TOKENS_TO_PRICE = 1000
_CAPS = ("max_tokens", "max_completion_tokens")
# Nominal price of the embedded pool: US dollars per million input tokens and billion parameters,
# and how many times that an output token costs.
_NOMINAL_USD = 0.10
_NOMINAL_OUTPUT_FACTOR = 4


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
    input_usd_per_mtok: float = Field(ge=0)
    output_usd_per_mtok: float = Field(ge=0)
    cached_input_usd_per_mtok: float | None = Field(default=None, ge=0)
    source: str = "candidates.yaml"
    as_of: str | None = None


class _Entry(_Strict):
    name: str = Field(min_length=1)
    model: str = Field(min_length=1)
    provider: str = "custom"
    base_url: str | None = Field(default=None, pattern=r"^https?://")
    api_key_env: str | None = None
    price: _PriceEntry | None = None
    max_concurrency: int = Field(default=4, ge=1)
    requests_per_minute: float | None = Field(default=None, gt=0)
    timeout_s: float = Field(default=120.0, gt=0)
    max_attempts: int = Field(default=4, ge=1)
    system: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    roles: list[Role] = Field(default_factory=list)
    expected_s: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _has_an_endpoint(self) -> _Entry:
        if self.provider not in PROVIDERS:
            raise ValueError(f"provider must be one of {', '.join(PROVIDERS)}")
        if self.provider == "custom" and self.base_url is None:
            raise ValueError("give a provider or a base_url")
        _check_parameters(self.parameters)
        if self.provider == "local":
            _check_local(self.model)
        return self


def _check_local(model: str) -> None:
    if model not in KNOWN and not Path(model).expanduser().is_file():
        raise ValueError(
            f"no local model {model!r}: give the path of a GGUF file, or one of {', '.join(KNOWN)}"
        )


def _check_parameters(parameters: dict[str, Any]) -> None:
    if parameters.get("stream"):
        raise ValueError("parameters.stream is not supported, leave it out")
    for name in _CAPS:
        cap = parameters.get(name, 1)
        if not isinstance(cap, int) or cap < 1:
            raise ValueError(f"parameters.{name} must be a whole number of at least 1, got {cap!r}")
    for name in parameters:
        meant = get_close_matches(name, _CAPS, n=1, cutoff=0.8)
        if meant and name not in _CAPS:  # a misspelled cap would be no cap, and cost money
            raise ValueError(f"unknown parameter {name!r}, did you mean {meant[0]!r}?")
    try:
        json.dumps(parameters, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"parameters must be plain JSON values: {error}") from error


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
    """Return the named candidates, in the order of the names.

    Raises
    ------
    ValueError
        If a name is unknown, listing those that are known.
    """
    known = {candidate.name: candidate for candidate in candidates}
    for name in names:
        if name not in known:
            raise ValueError(f"unknown candidate {name!r}; known are {', '.join(known)}")
    return [known[name] for name in names]


def _read(source: str | Path) -> tuple[str, str]:
    if str(source) in POOLS:
        resource = files("routerlib").joinpath("pools", f"{source}.yaml")
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
    price = Price(**checked.price.model_dump()) if checked.price else _list_price(checked, label)
    fields = checked.model_dump(exclude={"price", "base_url", "api_key_env", "roles"})
    return CandidateModel(
        **fields,
        base_url=checked.base_url or provider.base_url,
        api_key_env=checked.api_key_env or provider.api_key_env,
        price=price,
        roles=tuple(checked.roles),
    )


def _complaint(error: ValidationError) -> str:
    """Say what is wrong with the first wrong field."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        meant = get_close_matches(field, _Entry.model_fields, n=1)
        advice = f", did you mean {meant[0]}?" if meant else ""
        return f"unknown field {field!r}{advice or '; known are ' + ', '.join(_Entry.model_fields)}"
    got = f", got {first['input']!r}" if field and first["type"] != "missing" else ""
    message = first["msg"].removeprefix("Value error, ")
    return f"{field + ': ' if field else ''}{message}{got}"


def _list_price(entry: _Entry, label: str) -> Price:
    from genai_prices import Usage, calc_price

    if entry.provider == "local" and entry.model in KNOWN:
        input_usd = _NOMINAL_USD * KNOWN[entry.model].parameters_b
        output_usd = _NOMINAL_OUTPUT_FACTOR * input_usd
        return Price(round(input_usd, 4), round(output_usd, 4), source="nominal, by parameters")
    table = PROVIDERS[entry.provider].price_table
    now = datetime.now(UTC)
    refusal = (
        f"{label}: no price is known for model {entry.model!r}; write one into its entry, such as "
        "price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.4}"
    )
    if table is None:
        raise ValueError(refusal)

    def usd_per_mtok(usage: Usage) -> float:
        found = calc_price(
            usage, model_ref=entry.model, provider_id=table, genai_request_timestamp=now
        )
        price: Decimal = found.total_price
        return float(price * 1_000_000 / _TOKENS_TO_PRICE)

    try:
        return Price(
            input_usd_per_mtok=usd_per_mtok(Usage(input_tokens=_TOKENS_TO_PRICE)),
            output_usd_per_mtok=usd_per_mtok(Usage(output_tokens=_TOKENS_TO_PRICE)),
            cached_input_usd_per_mtok=usd_per_mtok(
                Usage(input_tokens=_TOKENS_TO_PRICE, cache_read_tokens=_TOKENS_TO_PRICE)
            ),
            source="genai-prices",
            as_of=now.date().isoformat(),
        )
    except LookupError as error:
        raise ValueError(refusal) from error


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
