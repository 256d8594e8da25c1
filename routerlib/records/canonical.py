"""JSON in one spelling, so that equal values have equal texts and hashes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

_HASH_TAG = "b2:"


def canonical_json(value: Any) -> str:
    """Serialise a value so that equal values give equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def plain_json(value: Any) -> Any:
    """Turn what files and tables hold into JSON values; what JSON lacks becomes text or None.

    `value`: dates, decimals, arrays, NaN and the like, in dicts and lists of any depth.

    >>> from datetime import date
    >>> plain_json({"day": date(2026, 1, 31), "n": float("nan"), 3: (1, 2)})
    {'day': '2026-01-31', 'n': None, '3': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(name): plain_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain_json(each) for each in value]
    if isinstance(value, float):
        return finite_or_none(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    as_plain = getattr(value, "tolist", None)  # numpy's scalars and arrays
    return str(value) if as_plain is None else plain_json(as_plain())


def finite_or_none(value: float) -> float | None:
    """Return a number that JSON can say, None for NaN and infinities.

    >>> finite_or_none(0.5), finite_or_none(float("nan"))
    (0.5, None)
    """
    return float(value) if math.isfinite(value) else None


def tagged_hash(value: Any) -> str:
    """Hash a JSON value into a short identifier that names its algorithm."""
    try:
        payload = canonical_json(value).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text must be valid Unicode, got a lone surrogate at character {error.start}; "
            "decode the source with errors='replace' before logging"
        ) from error
    return _HASH_TAG + hashlib.blake2b(payload, digest_size=16).hexdigest()
