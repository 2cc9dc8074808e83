"""Conditions on rows of a table, such as ``RMSE < 0.83 and embedding_size <= 64``.

The text is parsed as a Python expression and interpreted here: comparisons of columns with numbers
and words, joined by ``and``, ``or`` and ``not``. Nothing is evaluated by Python.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from recsearch.errors import UsageError

Row = Mapping[str, Any]
Test = Callable[[Row], bool]

EXAMPLE = "--where 'RMSE < 0.83 and embedding_size <= 64'"
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def condition(text: str, columns: Collection[str]) -> Test:
    """Whether a row meets the condition; a comparison with what a row has not is not met.

    Args:
        text: the condition. Columns may have names such as ``NDCG@10`` or ``regularization.user``;
            words that are no columns are values, as in ``state == pruned``.
        columns: names that rows have.

    Raises:
        UsageError: it cannot be read, or compares no column.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as err:
        hint = "Equality is ==." if "=" in text and "==" not in text else f"For example: {EXAMPLE}"
        raise UsageError(f"--where {text!r}: cannot be read.", hint=hint) from err
    return _test(tree.body, frozenset(columns))


def _test(node: ast.expr, columns: frozenset[str]) -> Test:
    if isinstance(node, ast.BoolOp):
        parts = [_test(part, columns) for part in node.values]
        some = any if isinstance(node.op, ast.Or) else all
        return lambda row: some(part(row) for part in parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _test(node.operand, columns)
        return lambda row: not inner(row)
    if isinstance(node, ast.Compare):
        return _comparison(node, columns)
    raise UsageError(
        f"--where: {ast.unparse(node)!r} is no comparison.", hint=f"For example: {EXAMPLE}"
    )


def _comparison(node: ast.Compare, columns: frozenset[str]) -> Test:
    """A chain such as ``0.8 < RMSE <= 0.83``."""
    terms = [node.left, *node.comparators]
    if not any(_name(term) in columns for term in terms):
        word = _name(terms[0])
        near = difflib.get_close_matches(word, sorted(columns), n=1)
        raise UsageError(
            f"--where: {ast.unparse(node)!r} compares no column; there are "
            f"{', '.join(sorted(columns))}.",
            hint=f"Did you mean {near[0]}?" if near else None,
        )
    values = [_value(term, columns) for term in terms]
    pairs = [
        (_operator(op), left, right)
        for op, left, right in zip(node.ops, values[:-1], values[1:], strict=True)
    ]

    def holds(row: Row) -> bool:
        return all(_compare(op, left(row), right(row)) for op, left, right in pairs)

    return holds


def _operator(op: ast.cmpop) -> Callable[[Any, Any], bool]:
    found = _COMPARE.get(type(op))
    if found is None:
        raise UsageError(f"--where: expected one of < <= > >= == !=, for example: {EXAMPLE}")
    return found


def _compare(op: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    if left is None or right is None:
        return False
    try:
        return bool(op(left, right))
    except TypeError:  # a word and a number have no order
        return False


def _value(node: ast.expr, columns: frozenset[str]) -> Callable[[Row], Any]:
    name = _name(node)
    if name in columns:
        return lambda row: row.get(name)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _value(node.operand, columns)
        return lambda row: -inner(row)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        constant = node.value
        return lambda row: constant
    if isinstance(node, ast.Name):
        return lambda row: name
    raise UsageError(
        f"--where: {ast.unparse(node)!r} is neither a column nor a value.",
        hint=f"For example: {EXAMPLE}",
    )


def _name(node: ast.expr) -> str:
    """As columns are named: ``NDCG@10`` and ``RMSE-pooled`` parse as operations, yet are names."""
    return ast.unparse(node).replace(" ", "")
