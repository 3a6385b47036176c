"""The formula of a custom price: a small expression language that computes in Decimal only.

Numbers, usage kinds as names, + - * /, comparisons, and/or/not, `a if c else b`, and the calls
min, max, round(x[, places]), ceil, floor, abs. Nothing else parses: no attributes, no subscripts,
no power operator, so neither code nor unbounded work can be reached. Limits: 1,000 characters,
200 nodes, depth 20 (RELIABILITY 2.4).
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DecimalException,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)

from llm_cost_ops.core.errors import FormulaError
from llm_cost_ops.core.usage import KINDS, Quantity

MAX_CHARACTERS = 1_000
MAX_NODES = 200
MAX_DEPTH = 20
NAMES = frozenset(KINDS) | {"prompt_tokens", "completion_tokens", "total_tokens"}

_CONTEXT = Context(
    prec=50,
    Emax=50,
    Emin=-50,
    rounding=ROUND_HALF_EVEN,
    traps=[DivisionByZero, InvalidOperation, Overflow],
)
_BINARY: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: _CONTEXT.add,
    ast.Sub: _CONTEXT.subtract,
    ast.Mult: _CONTEXT.multiply,
    ast.Div: _CONTEXT.divide,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Decimal, Decimal], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ALLOWED = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.UAdd, ast.USub, ast.Not, ast.Compare, ast.BoolOp,
    ast.And, ast.Or, ast.IfExp, ast.Call, ast.Name, ast.Load, ast.Constant, *_BINARY, *_COMPARE,
)  # fmt: skip
_ARITY = {
    "min": (1, 8),
    "max": (1, 8),
    "round": (1, 2),
    "ceil": (1, 1),
    "floor": (1, 1),
    "abs": (1, 1),
}

_Value = Decimal | bool


class Formula:
    """A parsed and checked expression. Raises FormulaError when the text is not in the language."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not text.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise FormulaError("formula must not be empty", field="expression")
        if len(text) > MAX_CHARACTERS or not text.isascii():
            raise FormulaError(
                f"formula must be ASCII text of at most {MAX_CHARACTERS} characters",
                field="expression",
            )
        self.text = text
        self.tree = _parse(text).body
        self._literals: dict[int, Decimal] = {}
        self._check(self.tree, 1)

    def evaluate(self, usage: Mapping[str, Quantity]) -> Decimal:
        """The cost of one call. Kinds that were not reported count 0.

        Raises FormulaError when the result is negative, not a number or out of range.
        """
        try:
            value = self._number(self.tree, usage)
        except DecimalException as error:
            raise FormulaError(
                "formula cannot be computed for this usage", field="expression"
            ) from error
        if value < 0:
            raise FormulaError("formula gives a negative cost", field="expression")
        return value

    def literal(self, node: ast.Constant) -> Decimal:
        """The number that a constant of `tree` is, as it was written."""
        return self._literals[id(node)]

    def _check(self, node: ast.expr, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise FormulaError(f"formula is nested deeper than {MAX_DEPTH}", field="expression")
        if isinstance(node, ast.Constant):
            self._literals[id(node)] = _literal(node, self.text)
        elif isinstance(node, ast.Name):
            if node.id not in NAMES:
                raise FormulaError(f"unknown name {node.id!r} in formula", field="expression")
        elif isinstance(node, ast.Call):
            _check_call(node)
            for argument in node.args:
                self._check(argument, depth + 1)
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._check(child, depth + 1)

    def _number(self, node: ast.expr, usage: Mapping[str, Quantity]) -> Decimal:
        value = self._value(node, usage)
        if isinstance(value, bool):
            raise FormulaError("formula uses a comparison as a number", field="expression")
        return value

    def _truth(self, node: ast.expr, usage: Mapping[str, Quantity]) -> bool:
        value = self._value(node, usage)
        return value if isinstance(value, bool) else value != 0

    def _value(self, node: ast.expr, usage: Mapping[str, Quantity]) -> _Value:
        match node:
            case ast.Constant():
                return self.literal(node)
            case ast.Name(id=name):
                return _named(name, usage)
            case ast.BinOp(left=left, op=op, right=right):
                return apply_binary(op, self._number(left, usage), self._number(right, usage))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self._truth(operand, usage)
            case ast.UnaryOp(op=op, operand=operand):
                number = self._number(operand, usage)
                return -number if isinstance(op, ast.USub) else number
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._value(body if self._truth(test, usage) else orelse, usage)
            case ast.BoolOp(op=op, values=values):
                truths = (self._truth(value, usage) for value in values)
                return all(truths) if isinstance(op, ast.And) else any(truths)
            case ast.Compare():
                return self._compare(node, usage)
            case _:
                return self._call(node, usage)

    def _compare(self, node: ast.Compare, usage: Mapping[str, Quantity]) -> bool:
        left = self._number(node.left, usage)
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self._number(comparator, usage)
            if not compare(op, left, right):
                return False
            left = right
        return True

    def _call(self, node: ast.expr, usage: Mapping[str, Quantity]) -> Decimal:
        assert isinstance(node, ast.Call)  # noqa: S101 - every other node kind was handled above
        assert isinstance(node.func, ast.Name)  # noqa: S101 - checked when parsed
        numbers = [self._number(argument, usage) for argument in node.args]
        return apply_call(node.func.id, numbers)


def apply_binary(op: ast.operator, left: Decimal, right: Decimal) -> Decimal:
    """An operation of the language. Raises DecimalException."""
    return _BINARY[type(op)](left, right)


def compare(op: ast.cmpop, left: Decimal, right: Decimal) -> bool:
    """A comparison of the language."""
    return _COMPARE[type(op)](left, right)


def apply_call(name: str, numbers: Sequence[Decimal]) -> Decimal:
    """A function of the language. Raises FormulaError, DecimalException."""
    if name in ("min", "max"):
        return min(numbers) if name == "min" else max(numbers)
    if name == "abs":
        return abs(numbers[0])
    places = int(numbers[1]) if len(numbers) == 2 else 0
    if not 0 <= places <= 20:
        raise FormulaError("round() takes 0 to 20 places", field="expression")
    rounding = {"round": ROUND_HALF_EVEN, "ceil": ROUND_CEILING, "floor": ROUND_FLOOR}[name]
    return numbers[0].quantize(Decimal(1).scaleb(-places), rounding=rounding, context=_CONTEXT)


def _parse(text: str) -> ast.Expression:
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormulaError("formula is not a valid expression", field="expression") from error
    nodes = 0
    for node in ast.walk(tree):
        nodes += 1
        if nodes > MAX_NODES:
            raise FormulaError(f"formula has more than {MAX_NODES} parts", field="expression")
        if not isinstance(node, _ALLOWED):
            raise FormulaError(
                f"{type(node).__name__} is not allowed in a formula", field="expression"
            )
    return tree


def _literal(node: ast.Constant, text: str) -> Decimal:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise FormulaError("only numbers are allowed as constants in a formula", field="expression")
    source = ast.get_source_segment(text.strip(), node) or ""
    if "_" in source or not source.replace(".", "", 1).isdecimal() or len(source) > 40:
        raise FormulaError("numbers in a formula must be plain decimals", field="expression")
    return Decimal(source)


def _check_call(node: ast.Call) -> None:
    if not isinstance(node.func, ast.Name) or node.func.id not in _ARITY or node.keywords:
        raise FormulaError(
            "only min, max, round, ceil, floor and abs can be called", field="expression"
        )
    low, high = _ARITY[node.func.id]
    if not low <= len(node.args) <= high:
        raise FormulaError(f"{node.func.id}() takes {low} to {high} arguments", field="expression")


def _named(name: str, usage: Mapping[str, Quantity]) -> Decimal:
    if name == "total_tokens":
        return Decimal(usage.get("input_tokens", 0)) + Decimal(usage.get("output_tokens", 0))
    kind = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}.get(name, name)
    if kind == "requests":
        return Decimal(usage.get("requests", 1))
    return Decimal(usage.get(kind, 0))
