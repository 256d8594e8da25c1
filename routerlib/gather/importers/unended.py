"""Calls whose answers nobody says why they ended: at their cap they were cut, else complete."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from routerlib.gather.importers.exchange import Exchange
from routerlib.gather.importers.records import Imported, Options, number_or_none


class Ended(NamedTuple):
    """A call with its end; whether that isn't known and it counts as complete."""

    imported: Imported
    is_open: bool


def with_end(imported: Imported, exchange: Exchange) -> Ended:
    """Return a call as cut off where it has as many tokens as it could have."""
    is_open = imported.call.is_ok and imported.call.finish_reason is None
    if is_open and _is_at_its_cap(exchange, imported):
        return Ended(imported._replace(call=replace(imported.call, status="truncated")), False)
    return Ended(imported, is_open)


def tell_open(n_open: int, options: Options) -> None:
    """Say how many answers count as complete though nobody says so."""
    if n_open:
        told = f"{n_open} answers without a word on why they ended count as complete"
        options.understood.append(told)


def _is_at_its_cap(exchange: Exchange, imported: Imported) -> bool:
    asked = exchange.request
    cap = number_or_none(asked.get("max_completion_tokens", asked.get("max_tokens")))
    usage = imported.call.usage
    return cap is not None and usage is not None and usage.output_tokens >= cap
