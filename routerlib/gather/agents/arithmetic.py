"""A calculator for agents: numbers, parentheses and the four operations, and nothing else."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LONGEST = 200  # characters; what is shorter can't nest deeper than Python reads


def calculate(expression: str) -> float:
    """Return the value of an expression.

    Parameters
    ----------
    expression : str
        Of numbers, ``+ - * /`` and parentheses; at most 200 characters.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there is anything else in it, or a division by zero.

    Examples
    --------
    >>> calculate("2 * (3 + 4)")
    14.0
    >>> calculate("2 ** 3")
    Traceback (most recent call last):
        ...
    ValueError: expected numbers, + - * / and parentheses, got '2 ** 3'
    """
    try:
        if len(expression) > _LONGEST:
            raise ValueError("too long")
        value = _value(ast.parse(expression.strip(), mode="eval").body)
        if not math.isfinite(value):
            raise ValueError("too large")
        return value
    except (SyntaxError, ValueError, ArithmeticError) as error:
        raise ValueError(
            f"expected numbers, + - * / and parentheses, got {expression[:_LONGEST]!r}"
        ) from error


def _value(node: ast.expr) -> float:
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    raise ValueError("not arithmetic")
