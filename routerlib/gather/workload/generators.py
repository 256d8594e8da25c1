"""Make verifiable prompts of one kind by name, size and seed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from routerlib.gather.workload import FAMILIES, make_prompts
from routerlib.records.prompt import Prompt

if TYPE_CHECKING:
    import pandas as pd

# reasoning-gym draws item i from seed + i: seeds that are neighbours would share nearly all items.
_SEED_STEP = 1_000_000
# Above the seeds of the families, which use the same package.
_FIRST_SEED = 1_000_000_000
# Items drawn per prompt wanted, before a generator counts as used up.
_ITEMS_PER_PROMPT = 20

# Generators of reasoning-gym with one short answer, which a judge of this library grades without
# running anything. Those named as a family is are left to the family.
_GYM: dict[str, tuple[str, str]] = {
    "acre": ("reasoning", "exact"),
    "aiw": ("reasoning", "exact"),
    "base_conversion": ("math", "exact"),
    "basic_arithmetic": ("math", "numeric"),
    "binary_alternation": ("reasoning", "numeric"),
    "bitwise_arithmetic": ("code", "exact"),
    "caesar_cipher": ("other", "exact"),
    "calendar_arithmetic": ("reasoning", "exact"),
    "circuit_logic": ("reasoning", "exact"),
    "coin_flip": ("math", "numeric"),
    "color_cube_rotation": ("reasoning", "exact"),
    "count_bits": ("math", "numeric"),
    "count_primes": ("math", "numeric"),
    "course_schedule": ("reasoning", "exact"),
    "decimal_chain_sum": ("math", "numeric"),
    "dice": ("math", "numeric"),
    "family_relationships": ("reasoning", "exact"),
    "figlet_font": ("extract", "exact"),
    "game_of_life_halting": ("reasoning", "exact"),
    "gsm_symbolic": ("math", "numeric"),
    "knights_knaves": ("reasoning", "exact"),
    "largest_island": ("reasoning", "numeric"),
    "leg_counting": ("math", "numeric"),
    "letter_counting": ("other", "numeric"),
    "letter_jumble": ("other", "exact"),
    "mahjong_puzzle": ("reasoning", "exact"),
    "maze": ("reasoning", "numeric"),
    "number_format": ("math", "numeric"),
    "number_sequence": ("reasoning", "numeric"),
    "path_star": ("reasoning", "exact"),
    "rectangle_count": ("reasoning", "numeric"),
    "rotten_oranges": ("reasoning", "numeric"),
    "self_reference": ("reasoning", "numeric"),
    "simple_geometry": ("math", "numeric"),
    "spell_backward": ("other", "exact"),
    "string_insertion": ("other", "exact"),
    "string_manipulation": ("reasoning", "exact"),
    "syllogism": ("reasoning", "exact"),
    "time_intervals": ("reasoning", "exact"),
    "word_sequence_reversal": ("other", "exact"),
    "word_sorting": ("other", "exact"),
    "zebra_puzzles": ("reasoning", "exact"),
}

# Found by making the same items under several values of PYTHONHASHSEED, version 0.1.25.
_NOT_REPEATABLE = frozenset(
    {
        "codeio",
        "isomorphic_strings",
        "knight_swap",
        "polynomial_multiplication",
        "ransom_note",
        "word_ladder",
    }
)


def generators() -> pd.DataFrame:
    """List what `generate_prompts` can make."""
    import pandas as pd

    rows = [(name, "routerlib", each.task, each.judge) for name, each in FAMILIES.items()]
    rows += [(name, "reasoning-gym", task, judge) for name, (task, judge) in _GYM.items()]
    return pd.DataFrame(rows, columns=["name", "made_by", "task", "judge"]).set_index("name")


def generate_prompts(name: str, size: int, seed: int = 0) -> list[Prompt]:
    """Make verifiable prompts of one kind.

    `size`: how many, at least 1.
    """
    if size < 1 or seed < 0:
        raise ValueError(f"size must be at least 1 and seed at least 0, got {size!r} and {seed!r}")
    if name in FAMILIES:
        return make_prompts(size, seed, [name])
    _refuse_unfit(name)
    prompts: dict[str, Prompt] = {}
    for prompt in _items(name, size * _ITEMS_PER_PROMPT, seed):
        prompts.setdefault(prompt.prompt_id, prompt)
        if len(prompts) == size:
            return list(prompts.values())
    raise ValueError(
        f"{name!r} has only {len(prompts)} distinct prompts for seed {seed}, {size} were asked for"
    )


def _refuse_unfit(name: str) -> None:
    if name in _GYM:
        return
    if name in _NOT_REPEATABLE:
        raise ValueError(
            f"{name!r} of reasoning-gym makes other items in every process, so that no seed names "
            "them; choose another generator: routerlib prompts --list"
        )
    meant = get_close_matches(name, [*FAMILIES, *_GYM], n=1)
    raise ValueError(
        f"there is no generator {name!r} with one short answer that a judge can compare"
        + (f"; did you mean {meant[0]!r}?" if meant else "; see routerlib prompts --list")
    )


def _items(name: str, n_items: int, seed: int) -> Iterator[Prompt]:
    with warnings.catch_warnings():
        # A dependency of the package compares strings with "is".
        warnings.simplefilter("ignore")
        import reasoning_gym

    n_items = min(n_items, _SEED_STEP)
    first = _FIRST_SEED + seed * _SEED_STEP
    task, judge = _GYM[name]
    for item in reasoning_gym.create_dataset(name, seed=first, size=n_items):
        yield Prompt.from_text(
            item["question"],
            task=task,
            reference=str(item["answer"]),
            judge=judge,
            source=f"reasoning-gym/{name}",
        )
