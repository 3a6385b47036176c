"""The most that a formula can give while each usage lies anywhere from none to a known maximum.

Interval arithmetic (R. E. Moore, Interval Analysis, 1966): each part of the expression becomes the
least and the greatest value that it can have. The parts are computed, and rounded, as `evaluate`
does, and rounding keeps the order of numbers, so no usage in the ranges costs more than the result.
It is what the full usage costs where more usage never costs less, and may be more elsewhere.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from typing import NamedTuple

from llm_cost_ops.core.errors import FormulaError
from llm_cost_ops.core.pricing.formula import Formula, apply_binary, apply_call, compare


class Range(NamedTuple):
    """From the least to the greatest value, both included."""

    low: Decimal
    high: Decimal


class _Truths(NamedTuple):
    """Which truths are possible."""

    false: bool
    true: bool


_Possible = Range | _Truths
_ZERO = Decimal(0)
_NOTHING = Range(_ZERO, _ZERO)


def most_of(formula: Formula, ranges: Mapping[str, Range]) -> Decimal | None:
    """An upper bound of the formula's value, each name being in its range (0 where none is given);
    None when it has none: a divisor can be 0, or a number leaves what can be computed."""
    try:
        found = _number(formula, formula.tree, ranges)
    except (FormulaError, DecimalException):
        return None
    return max(_ZERO, found.high)


def _number(formula: Formula, node: ast.expr, ranges: Mapping[str, Range]) -> Range:
    found = _possible(formula, node, ranges)
    if isinstance(found, _Truths):
        raise FormulaError("formula uses a comparison as a number", field="expression")
    return found


def _truths(formula: Formula, node: ast.expr, ranges: Mapping[str, Range]) -> _Truths:
    found = _possible(formula, node, ranges)
    if isinstance(found, _Truths):
        return found
    return _Truths(found.low <= 0 <= found.high, found.low != 0 or found.high != 0)


def _possible(formula: Formula, node: ast.expr, ranges: Mapping[str, Range]) -> _Possible:
    match node:
        case ast.Constant():
            value = formula.literal(node)
            return Range(value, value)
        case ast.Name(id=name):
            return ranges.get(name, _NOTHING)
        case ast.BinOp(left=left, op=op, right=right):
            one, two = _number(formula, left, ranges), _number(formula, right, ranges)
            if isinstance(op, ast.Div) and two.low <= 0 <= two.high:
                raise FormulaError("formula cannot be computed for this usage", field="expression")
            return _corners(lambda a, b: apply_binary(op, a, b), one, two)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _truths(formula, operand, ranges)
            return _Truths(inner.true, inner.false)
        case ast.UnaryOp(op=op, operand=operand):
            number = _number(formula, operand, ranges)
            return Range(-number.high, -number.low) if isinstance(op, ast.USub) else number
        case ast.IfExp():
            return _either(formula, node, ranges)
        case ast.BoolOp(op=op, values=values):
            parts = [_truths(formula, value, ranges) for value in values]
            if isinstance(op, ast.And):
                return _Truths(any(p.false for p in parts), all(p.true for p in parts))
            return _Truths(all(p.false for p in parts), any(p.true for p in parts))
        case ast.Compare():
            return _compared(formula, node, ranges)
        case _:
            return _called(formula, node, ranges)


def _corners(operation: Callable[[Decimal, Decimal], Decimal], one: Range, two: Range) -> Range:
    """An operation that rises or falls in each of its operands is extreme at ends of both."""
    found = [operation(a, b) for a in one for b in two]
    return Range(min(found), max(found))


def _either(formula: Formula, node: ast.IfExp, ranges: Mapping[str, Range]) -> _Possible:
    """What the branches give that can be taken."""
    test = _truths(formula, node.test, ranges)
    taken = [
        _possible(formula, branch, ranges)
        for branch, possible in ((node.body, test.true), (node.orelse, test.false))
        if possible
    ]
    if len(taken) == 1:
        return taken[0]
    one, two = taken
    if isinstance(one, Range) and isinstance(two, Range):
        return Range(min(one.low, two.low), max(one.high, two.high))
    if isinstance(one, _Truths) and isinstance(two, _Truths):
        return _Truths(one.false or two.false, one.true or two.true)
    raise FormulaError("formula uses a comparison as a number", field="expression")


def _compared(formula: Formula, node: ast.Compare, ranges: Mapping[str, Range]) -> _Truths:
    numbers = [_number(formula, part, ranges) for part in (node.left, *node.comparators)]
    false, true = False, True
    for op, one, two in zip(node.ops, numbers, numbers[1:], strict=False):
        first = _pair(op, one, two)
        false, true = false or first.false, true and first.true
    return _Truths(false, true)


def _pair(op: ast.cmpop, one: Range, two: Range) -> _Truths:
    if isinstance(op, ast.Eq | ast.NotEq):
        apart = one.high < two.low or two.high < one.low
        alike = one.low == one.high == two.low == two.high
        same = _Truths(not alike, not apart)
        return same if isinstance(op, ast.Eq) else _Truths(same.true, same.false)
    ends = (compare(op, one.low, two.high), compare(op, one.high, two.low))
    return _Truths(not all(ends), any(ends))


def _called(formula: Formula, node: ast.expr, ranges: Mapping[str, Range]) -> Range:
    assert isinstance(node, ast.Call)  # noqa: S101 - every other node kind was handled above
    assert isinstance(node.func, ast.Name)  # noqa: S101 - checked when parsed
    name = node.func.id
    numbers = [_number(formula, argument, ranges) for argument in node.args]
    if name == "abs":
        low, high = numbers[0]
        ends = (abs(low), abs(high))
        return Range(_ZERO if low <= 0 <= high else min(ends), max(ends))
    if name == "round" and len(numbers) == 2 and numbers[1].low != numbers[1].high:
        raise FormulaError("round() takes places that are known here", field="expression")
    return Range(
        apply_call(name, [number.low for number in numbers]),
        apply_call(name, [number.high for number in numbers]),
    )
