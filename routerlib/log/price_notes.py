"""Say in words which prices a cost was worked out with, and of which date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from routerlib.log import queries
from routerlib.log.judging import IS_ASKED
from routerlib.records.call import Price

_PRICED = """
select candidate, source, coalesce(as_of, left(created_at, 10)) as as_of from prices
qualify row_number() over (partition by candidate order by price_id desc) = 1
"""
# Calls whose cost another tool gave, as far as no price and tokens tell it better.
_GIVEN = f"""
select candidate, count(*) as n from calls
where given_cost_usd is not null and {IS_ASKED}
    and (input_tokens is null or output_tokens is null or not list_contains($priced, candidate))
group by candidate
"""
_ASKED = f"select distinct candidate from calls where status = 'ok' and {IS_ASKED}"


def price_sentence(
    path: queries.Source,
    prices: Mapping[str, Price] | None = None,
    models: Sequence[str] | None = None,
) -> str:
    """Say where the costs of a log come from, and of which date the prices are.

    `models`: only these candidates; None = all that answered.
    """
    names = sorted(models if models is not None else queries.run(path, _ASKED).candidate)
    dated = _dated(path, prices)
    given = queries.run(path, _GIVEN, parameters={"priced": list(dated)})
    n_given = dict(zip(given.candidate, given.n, strict=True))
    sentences = [
        f"{_listed([name for name in names if dated.get(name) == origin])}: tokens x price of "
        f"{origin}."
        for origin in sorted({dated[name] for name in names if name in dated})
    ]
    told = [name for name in names if name in n_given]
    if told:
        n_calls = sum(n_given[name] for name in told)
        sentences.append(
            f"{_listed(told)}: on {n_calls} calls the cost that the imported file gives."
        )
    unknown = [name for name in names if name not in dated and name not in n_given]
    if unknown:
        sentences.append(f"{_listed(unknown)}: no price is known, so the cost is not.")
    return " ".join(["Costs in US dollars.", *sentences])


def _dated(path: queries.Source, prices: Mapping[str, Price] | None) -> dict[str, str]:
    """Return date and source of each candidate's price, in words."""
    if prices is not None:
        return {
            name: f"{price.as_of or 'an unknown date'} ({price.source})"
            for name, price in prices.items()
        }
    logged = queries.run(path, _PRICED)
    rows = zip(logged.candidate, logged.as_of, logged.source, strict=True)
    return {name: f"{as_of} ({source})" for name, as_of, source in rows}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
