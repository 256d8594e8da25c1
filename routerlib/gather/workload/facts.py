"""Facts that the task families draw from, read from the tables beside this file."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml


def read_table(name: str) -> dict[str, Any]:
    """Read a YAML table that ships with the workload."""
    text = (files("routerlib.gather.workload") / name).read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


_FACTS = read_table("facts.yaml")

CAPITALS: dict[str, str] = _FACTS["capitals"]
LOCAL_CAPITALS: dict[str, dict[str, str]] = _FACTS["local_capitals"]
ANTONYMS: dict[str, dict[str, str]] = _FACTS["antonyms"]
PAST_TENSES: dict[str, str] = _FACTS["past_tenses"]
TRANSLATION_LANGUAGES = ("French", "German", "Spanish", "Italian")
TRANSLATIONS: dict[str, list[str]] = _FACTS["translations"]  # in the order of those languages
SENTENCES: dict[str, list[str]] = _FACTS["sentences"]
HEADLINES: dict[str, list[str]] = _FACTS["headlines"]
CLOSED_LISTS: dict[tuple[str, str], str] = {
    (language, kind): members
    for language, lists in _FACTS["closed_lists"].items()
    for kind, members in lists.items()
}
