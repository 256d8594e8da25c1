"""Retell what reasoning-gym generates in many phrasings, so that no family is one template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from routerlib.gather.workload.language import Item

# Long fixed text around short numbers would make a whole family near-duplicates of each other,
# which an honest split keeps together: hence many phrasings, most of them short.
_SUM = (
    "{} =",
    "Compute {}.",
    "What do you get for {}?",
    "Work this out: {}",
    "Wie viel ist {}?",
    "Calcule {}",
    "A till shows {}. What is the balance?",
)
_PRODUCT = (
    "{0} * {1} = ?",
    "Product of {0} and {1}?",
    "Multiply: {0} by {1}",
    "How much is {0} x {1}?",
    "Berechne {0} mal {1}.",
    "{0} trucks carry {1} parcels each. How many parcels?",
)
_LCM = (
    "LCM of {0} and {1}?",
    "What is the least common multiple of {0} and {1}?",
    "Find the smallest number that both {0} and {1} divide.",
    "lcm({0}, {1}) = ?",
    "kleinstes gemeinsames Vielfaches von {0} und {1}",
    "Two lights blink every {0} and {1} s. After how many seconds do they blink together again?",
)
_GCD = (
    "GCD of {0} and {1}?",
    "What is the greatest common divisor of {0} and {1}?",
    "Largest number that divides {0} and {1}?",
    "gcd({0}, {1}) = ?",
    "größter gemeinsamer Teiler von {0} und {1}",
    "Find the highest common factor: {0}, {1}",
)
_EQUATION = (
    "Solve for {variable}: {equation}",
    "{equation}. What is {variable}?",
    "Which {variable} makes {equation} true?",
    "Find {variable} when {equation}.",
    "Löse nach {variable} auf: {equation}",
    "Résous {equation} (inconnue : {variable})",
)
_DECIMALS = (
    "{} = ?",
    "Calculate exactly: {}",
    "What is {}?",
    "Evaluate {} without rounding.",
    "Berechne {} genau.",
)
_PRIMES = (
    "Factor {} into primes.",
    "Prime factorization of {}?",
    "Write {} as a product of primes.",
    "Which primes multiplied give {}? Use ×.",
    "Zerlege {} in Primfaktoren.",
    "Décompose {} en facteurs premiers.",
)
_FRACTION = (
    "Simplify {}.",
    "Write {} in lowest terms.",
    "Reduce the fraction {} fully.",
    "{} = ? (lowest terms)",
    "Kürze den Bruch {} vollständig.",
    "Simplifie la fraction {}.",
)


def chain_sum(entry: Mapping[str, Any], rng: Random) -> Item:
    """Ask for the value of a chain of sums and differences."""
    return Item(rng.choice(_SUM).format(entry["metadata"]["expression"]), int(entry["answer"]))


def product(entry: Mapping[str, Any], rng: Random) -> Item | None:
    """Ask for a product of two numbers; factors 0 and 1 are left out, they give it away."""
    factors = entry["metadata"]["expression"].split(" * ")
    if {"0", "1"} & set(factors):
        return None
    return Item(rng.choice(_PRODUCT).format(*factors), int(entry["answer"]))


def lcm(entry: Mapping[str, Any], rng: Random) -> Item | None:
    """Ask for a least common multiple; two equal numbers are left out."""
    return _of_a_pair(entry["metadata"]["numbers"], int(entry["answer"]), _LCM, rng)


def gcd(entry: Mapping[str, Any], rng: Random) -> Item | None:
    """Ask for a greatest common divisor; "1" is kept rare, it would be right without thought."""
    metadata = entry["metadata"]
    if entry["answer"] == "1" and metadata["source_index"] % 6:
        return None
    return _of_a_pair(metadata["numbers"], int(entry["answer"]), _GCD, rng)


def _of_a_pair(
    numbers: Sequence[int], value: int, phrasings: Sequence[str], rng: Random
) -> Item | None:
    if numbers[0] == numbers[1]:
        return None
    return Item(rng.choice(phrasings).format(*numbers), value)


def equation(entry: Mapping[str, Any], rng: Random) -> Item:
    """Ask for the solution of a linear equation."""
    metadata = entry["metadata"]
    text = rng.choice(_EQUATION).format(
        variable=metadata["variable"], equation=metadata["equation"]
    )
    return Item(text, int(entry["answer"]))


def decimals(entry: Mapping[str, Any], rng: Random) -> Item | None:
    """Ask for the value of a decimal expression; divisions are left out, they rarely end."""
    expression = entry["question"].splitlines()[-1].removesuffix("= ?").strip()
    if "/" in expression:
        return None
    return Item(rng.choice(_DECIMALS).format(expression), float(entry["answer"]))


def prime_factors(entry: Mapping[str, Any], rng: Random) -> Item | None:
    """Ask for a factorisation into primes; primes are left out, repeating them is right."""
    if len(entry["metadata"]["factors"]) == 1:
        return None
    text = rng.choice(_PRIMES).format(entry["metadata"]["number"])
    return Item(text, _verifier_reference(entry))


def fraction(entry: Mapping[str, Any], rng: Random) -> Item | None:
    """Ask for lowest terms.

    Whole numbers are left out, they may be written in two ways; so are fractions in lowest
    terms, since repeating them is right.
    """
    metadata = entry["metadata"]
    if metadata["simplified_denominator"] == 1 or metadata["reduction_factor"] == 1:
        return None
    given = f"{metadata['numerator']}/{metadata['denominator']}"
    return Item(rng.choice(_FRACTION).format(given), _verifier_reference(entry))


def _verifier_reference(entry: Mapping[str, Any]) -> dict[str, Any]:
    metadata = dict(entry["metadata"])
    for name in ("difficulty", "source_index"):
        metadata.pop(name)
    return {
        "dataset": metadata.pop("source_dataset"),
        "entry": {"answer": entry["answer"], "metadata": metadata},
    }


def needle(entry: Mapping[str, Any], rng: Random) -> Item:
    """Ask which of many persons does something; naming two of them is wrong."""
    text = entry["question"].strip().replace(" \n", "\n")
    statements = text.splitlines()[0].split(". ")
    names = sorted({statement.split()[0] for statement in statements})
    return Item(text, {"label": entry["answer"], "labels": names})
