"""Make the default workload: prompts of many task families that a program can verify."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from routerlib.gather.judges.numbers import last_value
from routerlib.gather.judges.quantities import number_of
from routerlib.gather.workload import documents as document
from routerlib.gather.workload import gym, language
from routerlib.gather.workload import numbers as number
from routerlib.gather.workload.language import Item
from routerlib.records.prompt import TEMPLATE_SOURCE, Prompt

# reasoning-gym draws item i from seed + i: neighbouring seeds would share nearly all items.
_SEED_STEP = 1_000_000
_SEEDS_PER_RUN = 100
# Items looked at per prompt wanted, before a family counts as used up.
_ITEMS_PER_PROMPT = 60


@dataclass(frozen=True)
class Family:
    """A kind of prompt, how it is graded, and how to make more of it."""

    name: str
    task: str
    judge: str
    items: Callable[[int], Iterator[Item]]


def make_prompts(
    per_family: int, seed: int = 0, families: Sequence[str] | None = None
) -> list[Prompt]:
    """Make verifiable prompts, in an order of which every first part is balanced.

    `per_family`: prompts of each family, at least 1.
    `families`: names in `FAMILIES`; None = all.
    """
    if per_family < 1 or seed < 0:
        raise ValueError(
            f"per_family must be at least 1 and seed at least 0, got {per_family!r} and {seed!r}"
        )
    names = list(FAMILIES) if families is None else list(families)
    unknown = [name for name in names if name not in FAMILIES]
    if unknown:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {unknown[0]!r}")
    made = {name: _distinct_prompts(FAMILIES[name], per_family, seed) for name in names}
    rng = Random(f"order:{seed}")
    return [made[name][i] for i in range(per_family) for name in rng.sample(names, len(names))]


def _ends_with_answer(item: Item) -> bool:
    gold = number_of(item.reference)
    return gold is not None and last_value(item.text) == gold.value


def _distinct_prompts(family: Family, n_prompts: int, seed: int) -> list[Prompt]:
    prompts: dict[str, Prompt] = {}
    for item in islice(family.items(seed), _ITEMS_PER_PROMPT * n_prompts):
        if len(prompts) == n_prompts:
            break
        if family.judge == "numeric" and _ends_with_answer(item):
            continue  # a model that repeats the request must not be right
        prompt = Prompt.from_text(
            item.text,
            task=family.task,
            reference=item.reference,
            judge=family.judge,
            source=f"{TEMPLATE_SOURCE}{family.name}",
        )
        prompts.setdefault(prompt.prompt_id, prompt)
    if len(prompts) < n_prompts:
        raise ValueError(
            f"family {family.name!r} has only {len(prompts)} distinct prompts for seed {seed}, "
            f"{n_prompts} were asked for; ask for fewer per family"
        )
    return list(prompts.values())


def _own(name: str, task: str, judge: str, make: Callable[[Random], Iterator[Item]]) -> Family:
    # A text seed gives the same numbers in every process, whatever PYTHONHASHSEED is.
    return Family(name, task, judge, lambda seed: make(Random(f"{name}:{seed}")))


def _gym(
    name: str,
    task: str,
    judge: str,
    place: int,
    retell: Callable[[Mapping[str, Any], Random], Item | None],
    **settings: Any,
) -> Family:
    """Wrap a generator of reasoning-gym; `retell` gives None for an item that is left out."""

    def items(seed: int) -> Iterator[Item]:
        with warnings.catch_warnings():
            # A dependency of the package compares strings with "is".
            warnings.simplefilter("ignore")
            import reasoning_gym

        rng = Random(f"{name}:{seed}")
        first = (seed * _SEEDS_PER_RUN + place) * _SEED_STEP
        dataset = reasoning_gym.create_dataset(name, seed=first, size=_SEED_STEP, **settings)
        for index in range(_SEED_STEP):
            item = retell(dataset[index], rng)
            if item is not None:
                yield item

    return Family(name, task, judge, items)


_ALL = (
    _own("capital", "chat", "contains", language.capital),
    _own("country_of_capital", "chat", "contains", language.country_of_capital),
    _own("list_three", "chat", "contains", language.list_three),
    _own("include_words", "chat", "contains", language.include_words),
    _own("antonym", "other", "contains", language.antonym),
    _own("past_tense", "other", "contains", language.past_tense),
    _own("upper_case", "other", "verbatim", language.upper_case),
    _own("repeat", "other", "exact", language.repeat),
    _own("translate_word", "translate", "contains", language.translate_word),
    _own("language_id", "classify", "choice", language.language_id),
    _own("topic", "classify", "choice", language.topic),
    _own("extract_email", "extract", "contains", document.extract_email),
    _own("read_json", "extract", "contains", document.read_json),
    _own("make_json", "extract", "json", document.make_json),
    _own("question_on_text", "extract", "contains", document.question_on_text),
    _own("summarize", "summarize", "summary", document.summarize),
    _own("times_table", "math", "numeric", number.times_table),
    _own("extreme_number", "math", "numeric", number.extreme_number),
    _own("word_problem", "reasoning", "numeric", number.word_problem),
    _own("python_value", "code", "numeric", number.python_value),
    _own("sql_query", "code", "sql", number.sql_query),
    _gym("chain_sum", "math", "numeric", 1, gym.chain_sum, max_terms=3, max_digits=2),
    _gym("products", "math", "numeric", 2, gym.product, max_digits=2),
    _gym("lcm", "math", "numeric", 3, gym.lcm, min_value=2, max_value=16),
    _gym("gcd", "math", "numeric", 4, gym.gcd, min_value=4, max_value=60),
    _gym("simple_equations", "math", "numeric", 5, gym.equation, max_terms=2, max_value=12),
    _gym(
        "decimal_arithmetic",
        "math",
        "numeric",
        6,
        gym.decimals,
        min_num_decimal_places=1,
        max_num_decimal_places=2,
        max_terms=2,
    ),
    _gym("prime_factorization", "math", "reasoning_gym", 7, gym.prime_factors, max_value=60),
    _gym(
        "fraction_simplification",
        "math",
        "reasoning_gym",
        8,
        gym.fraction,
        max_value=12,
        max_factor=6,
        styles=("plain",),
    ),
    _gym(
        "needle_haystack",
        "extract",
        "choice",
        9,
        gym.needle,
        min_num_statements=3,
        max_num_statements=16,
    ),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}
