"""Make verifiable prompts about numbers and code: sums in words, expressions, queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from routerlib.gather.workload.language import Item, shuffled_rounds

_TIMES = (
    "What is {a} times {b}?",
    "{a} x {b} = ?",
    "Multiply {a} by {b}.",
    "A grid has {a} rows of {b} squares. How many squares is that?",
    "Wie viel ist {a} mal {b}?",
    "Combien font {a} fois {b} ?",
    "¿Cuánto es {a} multiplicado por {b}?",
)


def times_table(rng: Random) -> Iterator[Item]:
    """Ask for a product of the small or the large multiplication table."""
    for largest in shuffled_rounds(rng, [5, 9, 12, 20]):
        a, b = rng.randint(2, largest), rng.randint(max(2, largest - 8), largest)
        yield Item(rng.choice(_TIMES).format(a=a, b=b), a * b)


_LARGEST = (
    ("Which of these numbers is the largest: {}?", max),
    ("Find the maximum of {}.", max),
    ("Pick the smallest number: {}", min),
    ("{} - which one is the least?", min),
    ("Welche dieser Zahlen ist die größte: {}?", max),
    ("Quel est le plus petit de ces nombres : {} ?", min),
    ("¿Cuál es el número mayor: {}?", max),
)


def extreme_number(rng: Random) -> Iterator[Item]:
    """Ask for the largest or smallest of two to seven numbers, whole, negative or decimal."""
    for kind in shuffled_rounds(rng, ["whole", "long", "negative", "decimal"]):
        numbers = _numbers(rng, kind, rng.randint(2, 7))
        template, pick = rng.choice(_LARGEST)
        yield Item(template.format("; ".join(map(str, numbers))), pick(numbers))


def _numbers(rng: Random, kind: str, n_numbers: int) -> list[Any]:
    if kind == "whole":
        return rng.sample(range(1, 100), n_numbers)
    if kind == "long":  # same leading digits, so that a glance does not tell
        start = rng.randint(100, 999) * 1000
        return rng.sample(range(start, start + 1000), n_numbers)
    if kind == "negative":
        return rng.sample(range(-60, 20), n_numbers)
    whole = rng.randint(0, 12)
    tenths = rng.sample(range(1, 10), n_numbers)
    return [float(f"{whole}.{tenth}{rng.choice(['', rng.randint(1, 9)])}") for tenth in tenths]


_NAMES = ["Mira", "Tom", "Aisha", "Luca", "Petra", "Owen", "Sofia", "Kenji"]
_THINGS = ["marbles", "stamps", "apples", "postcards", "tickets", "shells", "pencils", "buttons"]


def _one_step(rng: Random, name: str, thing: str, scale: int) -> Item:
    a, b = rng.randint(3, 9 * scale), rng.randint(2, 6 * scale)
    if rng.random() < 0.5:
        return Item(
            f"{name} has {a} {thing} and gets {b} more. How many {thing} are there now?", a + b
        )
    return Item(f"{name} had {a + b} {thing} and gave {b} away. How many {thing} are left?", a)


def _two_steps(rng: Random, name: str, thing: str, scale: int) -> Item:
    boxes, each, lost = rng.randint(2, 4 + 2 * scale), rng.randint(3, 8 * scale), rng.randint(1, 5)
    if rng.random() < 0.5:
        return Item(
            f"{name} buys {boxes} boxes with {each} {thing} in each, then loses {lost} {thing}. "
            f"How many {thing} does {name} still have?",
            boxes * each - lost,
        )
    return Item(
        f"{boxes} friends share {boxes * each} {thing} equally. {name}, one of them, finds {lost} "
        f"more. How many {thing} does {name} have in the end?",
        each + lost,
    )


def _prices(rng: Random, name: str, thing: str, scale: int) -> Item:
    price, n_things = rng.randint(2, 4 * scale), rng.randint(2, 7)
    note = (price * n_things // 10 + 1) * 10
    return Item(
        f"One of the {thing} costs {price} euros. {name} takes {n_things} and pays with {note} "
        "euros. How many euros of change come back?",
        note - price * n_things,
    )


def _foreign(rng: Random, name: str, thing: str, scale: int) -> Item:
    a, b = rng.randint(4, 9 * scale), rng.randint(2, 9)
    return rng.choice(
        [
            Item(
                f"{name} liest jeden Tag {a} Seiten. Wie viele Seiten sind das in {b} Tagen?", a * b
            ),
            Item(
                f"{name} avait {a + b} euros et en a dépensé {b}. Combien d'euros reste-t-il ?", a
            ),
            Item(
                f"{name} reparte {a * b} caramelos entre {b} niños por igual. "
                "¿Cuántos caramelos recibe cada niño?",
                a,
            ),
        ]
    )


def word_problem(rng: Random) -> Iterator[Item]:
    """Ask for the result of a small story of one to three steps."""
    kinds: list[Callable[..., Item]] = [_one_step, _two_steps, _two_steps, _prices, _foreign]
    for kind in shuffled_rounds(rng, kinds):
        yield kind(rng, rng.choice(_NAMES), rng.choice(_THINGS), rng.choice([1, 1, 2, 4]))


_VALUE_OF = (
    "What does this Python expression evaluate to? {}",
    "print({}) - what is printed?",
    "Give the value of the Python expression `{}`.",
    "In Python 3, what is the result of\n{}",
)


def python_value(rng: Random) -> Iterator[Item]:
    """Ask for the value of a Python expression with a number as value."""
    makers = [_len_of, _index_of, _remainder, _power, _sum_of_range, _conditional, _count_of]
    for make in shuffled_rounds(rng, makers):
        expression, value = make(rng)
        yield Item(rng.choice(_VALUE_OF).format(expression), value)


def _len_of(rng: Random) -> tuple[str, int]:
    items = [rng.randint(0, 99) for _ in range(rng.randint(2, 9))]
    return f"len({items})", len(items)


def _index_of(rng: Random) -> tuple[str, int]:
    items = [rng.randint(0, 99) for _ in range(rng.randint(3, 6))]
    place = rng.randint(-2, 2)
    return f"{items}[{place}]", items[place]


def _remainder(rng: Random) -> tuple[str, int]:
    a, b = rng.randint(10, 99), rng.randint(3, 9)
    return rng.choice([(f"{a} % {b}", a % b), (f"{a} // {b}", a // b)])


def _power(rng: Random) -> tuple[str, int]:
    a, b, c = rng.randint(2, 6), rng.randint(2, 3), rng.randint(1, 30)
    return f"{a} ** {b} + {c}", a**b + c


def _sum_of_range(rng: Random) -> tuple[str, int]:
    stop = rng.randint(3, 12)
    return f"sum(range({stop}))", sum(range(stop))


def _conditional(rng: Random) -> tuple[str, int]:
    a, b, limit = rng.randint(1, 50), rng.randint(51, 99), rng.randint(2, 40)
    return f"{a} if {b} - {a} > {limit} else {b}", a if b - a > limit else b


def _count_of(rng: Random) -> tuple[str, int]:
    wanted = rng.randint(1, 4)
    items = [rng.randint(1, 4) for _ in range(rng.randint(4, 8))]
    return f"{items}.count({wanted})", items.count(wanted)


_TABLES = {
    "users": ("age", "city", "name"),
    "orders": ("total", "country", "order_date"),
    "books": ("pages", "author", "title"),
    "flights": ("distance_km", "airline", "departure"),
    "employees": ("salary", "department", "last_name"),
}
_TEXT_VALUES = {
    "city": ["Lyon", "Oslo", "Graz"],
    "country": ["Peru", "Kenya", "Japan"],
    "author": ["Woolf", "Borges", "Lem"],
    "airline": ["Condor", "Finnair", "TAP"],
    "department": ["sales", "legal", "research"],
}
_COMPARE = (("greater than", ">"), ("less than", "<"), ("at least", ">="), ("equal to", "="))
_WRITE_SQL = (
    "Write an SQL query on one line: select {wish} from the table {table} where {condition}.",
    "SQL please. Table {table}, wanted: {wish}, condition: {condition}.",
    "Which SQL statement returns {wish} of {table} with {condition}?",
)


def sql_query(rng: Random) -> Iterator[Item]:
    """Ask for a SELECT with one or two conditions, some with an order."""
    for table in shuffled_rounds(rng, list(_TABLES)):
        number, category, sort_key = _TABLES[table]
        words, sign = rng.choice(_COMPARE)
        limit = rng.randint(2, 90)
        conditions = [(f"{number} is {words} {limit}", f"{number} {sign} {limit}")]
        if rng.random() < 0.5:
            value = rng.choice(_TEXT_VALUES[category])
            conditions.append((f"{category} is '{value}'", f"{category} = '{value}'"))
        columns = rng.choice(["*", sort_key, f"{sort_key}, {number}"])
        wish = {"*": "all columns"}.get(columns, f"only {columns}".replace(", ", " and "))
        text = rng.choice(_WRITE_SQL).format(
            wish=wish, table=table, condition=" and ".join(words for words, _ in conditions)
        )
        query = f"SELECT {columns} FROM {table} WHERE " + " AND ".join(sql for _, sql in conditions)
        if rng.random() < 0.3:
            text += f" Sort the rows by {sort_key}."
            query += f" ORDER BY {sort_key}"
        yield Item(text, [query, f"{query} ASC"] if "ORDER" in query else query)
