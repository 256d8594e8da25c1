"""What models charge where candidates.yaml does not say: dated list prices, nominal ones."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from routerlib.records.call import Price

if TYPE_CHECKING:
    from decimal import Decimal

_TOKENS_TO_PRICE = 1000
# Nominal price of the embedded pool: US dollars per million input tokens and billion parameters,
# and how many times that an output token costs.
_NOMINAL_USD = 0.10
_NOMINAL_OUTPUT_FACTOR = 4


def nominal_price(parameters_b: float) -> Price:
    """Return the nominal price of a model that runs on this machine.

    >>> nominal_price(0.5).output_usd_per_mtok
    0.2
    """
    input_usd = _NOMINAL_USD * parameters_b
    output_usd = _NOMINAL_OUTPUT_FACTOR * input_usd
    return Price(_rounded(input_usd), _rounded(output_usd), source="nominal, by parameters")


def _rounded(usd: float) -> float:
    return float(f"{usd:.4g}")  # never to nothing


def list_price(model: str, provider: str) -> Price | None:
    """Look up what a provider charges today, in the table of the package genai-prices.

    >>> list_price("gpt-nobody-knows", "openai") is None
    True
    """
    from genai_prices import Usage, calc_price

    now = datetime.now(UTC)

    def usd_per_mtok(usage: Usage) -> float:
        found = calc_price(
            usage, model_ref=model, provider_id=provider, genai_request_timestamp=now
        )
        price: Decimal = found.total_price
        return float(price * 1_000_000 / _TOKENS_TO_PRICE)

    written = {"input_tokens": _TOKENS_TO_PRICE, "cache_write_tokens": _TOKENS_TO_PRICE}
    try:
        return Price(
            input_usd_per_mtok=usd_per_mtok(Usage(input_tokens=_TOKENS_TO_PRICE)),
            output_usd_per_mtok=usd_per_mtok(Usage(output_tokens=_TOKENS_TO_PRICE)),
            cached_input_usd_per_mtok=usd_per_mtok(
                Usage(input_tokens=_TOKENS_TO_PRICE, cache_read_tokens=_TOKENS_TO_PRICE)
            ),
            cache_write_usd_per_mtok=usd_per_mtok(Usage(**written)),
            cache_write_1h_usd_per_mtok=usd_per_mtok(
                Usage(**written, cache_write_1h_tokens=_TOKENS_TO_PRICE)
            ),
            # The table is as old as the package: the date alone would promise today's prices.
            source=f"genai-prices {version('genai-prices')}",
            as_of=now.date().isoformat(),
        )
    except LookupError:
        return None
