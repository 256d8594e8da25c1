"""The OpenAPI document as a page for people, which needs no script and no other host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TEMPLATES = Path(__file__).parent / "templates"
# How a schema's limits are said.
_LIMITS = {
    "minimum": "at least",
    "ge": "at least",
    "maximum": "at most",
    "le": "at most",
    "minLength": "characters, at least",
    "maxLength": "characters, at most",
    "minItems": "entries, at least",
    "maxItems": "entries, at most",
    "maxProperties": "fields, at most",
    "pattern": "matches",
    "default": "if left out",
}


def documentation_page(document: Mapping[str, Any], document_path: str) -> str:
    """Return the page.

    `document_path`: where programs find the same.
    """
    from jinja2 import Environment, FileSystemLoader

    page = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("documentation.html.j2")
    operations = [
        {"method": method.upper(), "path": path, "told": told, "id": _anchor(method, path)}
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]
    return page.render(
        document=document, document_path=document_path, operations=operations, limits=_LIMITS
    )


def _anchor(method: str, path: str) -> str:
    return f"{method}-{re.sub('[^a-z0-9]+', '-', path.lower()).strip('-')}"
