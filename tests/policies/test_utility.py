"""Quality is weighed against cost in one place: `routerlib.policies.utility`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import routerlib
from routerlib.policies.utility import (
    NO_HASTE,
    Haste,
    choose_arm,
    choose_arms,
    sweep_cost_weights,
    utilities,
    utility,
)
from routerlib.records.decision import Estimates


def writes_the_formula_out(node: ast.AST) -> bool:
    """Tell whether a weighed cost is added or taken away there."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add | ast.Sub):
        return False
    right = node.right
    if not isinstance(right, ast.BinOp) or not isinstance(right.op, ast.Mult):
        return False
    factors = ast.unparse(right.left), ast.unparse(right.right)
    is_weight = any(factor.endswith("weight") for factor in factors)
    return is_weight and any(re.search(r"cost|usd|paid", factor) for factor in factors)


def test_utility_is_quality_minus_weighed_cost() -> None:
    quality, cost_usd = np.array([[0.5, 0.9]]), np.array([[0.1, 1.1]])
    assert utility(quality, cost_usd, 0.5).tolist() == [[0.45, 0.35]]
    assert utility(0.5, 0.1, 0.5) == 0.45


@pytest.mark.parametrize("haste", [NO_HASTE, Haste(max_latency_s=1.0)])
def test_one_prompt_is_chosen_for_as_many_are(haste: Haste) -> None:
    rng, names = np.random.default_rng(0), ("a", "b", "c", "d")
    for _ in range(200):  # few values, so that ties are many
        quality, cost_usd = rng.integers(3, size=(1, 4)) / 2, rng.integers(1, 4, (1, 4)) / 4
        quality[rng.random((1, 4)) < 0.02] = np.nan
        one = Estimates(names, quality, cost_usd)
        free = Estimates(names, quality, np.where(cost_usd < 0.5, np.nan, cost_usd))
        assert choose_arm(free, 0.0, haste) == choose_arms(free, 0.0, haste)[0]
        for weight in (0.0, 0.5, 2.0):
            assert choose_arm(one, weight, haste) == choose_arms(one, weight, haste)[0]
    for weight in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="cost_weight must be finite"):
            choose_arm(one, weight, haste)


def test_an_unknown_cost_matters_only_where_it_is_weighed() -> None:
    unknown = Estimates(("small", "large"), np.array([[0.5, 0.9]]), np.array([[0.1, np.nan]]))
    assert utility(0.5, float("nan"), 0) == 0.5
    assert utilities(unknown, 0).tolist() == [[0.5, 0.9]]
    assert choose_arms(unknown, 0).tolist() == [1]
    with pytest.raises(ValueError, match="the cost of 'large' is unknown"):
        choose_arms(unknown, 1.0)


def test_the_weighed_array_is_a_new_one() -> None:
    quality = np.array([[0.5, 0.9]])
    assert not np.shares_memory(utility(quality, np.ones((1, 2)), 0), quality)


@pytest.mark.parametrize("cost_weight", [-1.0, float("nan"), float("inf")])
def test_a_cost_weight_is_a_number_of_at_least_0(cost_weight: float) -> None:
    estimates = Estimates(("small", "large"), np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(ValueError, match="cost_weight must be finite and at least 0"):
        choose_arms(estimates, cost_weight)


def test_choices_do_not_change_with_the_currency() -> None:
    rng = np.random.default_rng(0)
    quality, cost = rng.random((20, 3)), rng.random((20, 3))
    dollars, cents = (Estimates(("a", "b", "c"), quality, cost * rate) for rate in (1, 100))
    weights, same = sweep_cost_weights(dollars), sweep_cost_weights(cents)
    for weight, in_cents in zip(weights, same, strict=True):
        np.testing.assert_array_equal(
            choose_arms(dollars, weight + 1e-9), choose_arms(cents, in_cents + 1e-11)
        )


def test_costs_that_hardly_differ_give_no_infinite_cost_weight() -> None:
    estimates = Estimates(("a", "b"), np.array([[0.0, 1.0]]), np.array([[0.0, 1e-308]]))
    assert sweep_cost_weights(estimates).tolist() == [0.0]


def test_no_other_module_writes_the_formula_out() -> None:
    root = Path(routerlib.__file__).parent
    found = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if path.name != "utility.py" and writes_the_formula_out(node)
    ]
    assert found == []
    here = ast.parse("quality - self.cost_weight * spent", mode="eval").body
    assert writes_the_formula_out(here)
