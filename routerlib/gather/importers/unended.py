"""Calls whose answers nobody says why they ended: at their cap they were cut, else complete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from routerlib.gather.importers.exchange import Exchange
from routerlib.gather.importers.records import Imported, Options, number_or_none
from routerlib.gather.importers.requests import imported_of


def with_ends(
    exchanges: Iterable[tuple[str, Exchange | str]], options: Options
) -> Iterator[Imported]:
    """Yield one call per exchange, as cut off where it has as many tokens as it could have.

    `exchanges`: where each stands, and the exchange or why it can't come in.
    """
    n_open = 0
    for where, found in exchanges:
        options.ledger.n_rows += 1
        imported = found if isinstance(found, str) else imported_of(found, where, options)
        if isinstance(found, str) or isinstance(imported, str):
            options.ledger.left_out[str(imported)] += 1
            continue
        if imported.call.is_ok and imported.call.finish_reason is None:
            if _is_at_its_cap(found, imported):
                imported = imported._replace(call=replace(imported.call, status="truncated"))
            else:
                n_open += 1
        yield imported
    if n_open:
        told = f"{n_open} answers without a word on why they ended count as complete"
        options.understood.append(told)


def _is_at_its_cap(exchange: Exchange, imported: Imported) -> bool:
    asked = exchange.request
    cap = number_or_none(asked.get("max_completion_tokens", asked.get("max_tokens")))
    usage = imported.call.usage
    return cap is not None and usage is not None and usage.output_tokens >= cap
