"""No binary float next to money.

Prevents totals that differ from the ledger in the last digits: 0.1 + 0.2 is not 0.3, the error
grows with every row, and an exported sum no longer equals the invoice it is checked against.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tools.lint.source import PACKAGE, Finding, Source

NAME = "no-float-money"
_MONEY = frozenset(
    "amount amounts cost costs discount fee fees money price prices rate rates spend spent "
    "subtotal total totals".split()
)
# A money word beside one of these measures something else: `total_seconds`, `sample_rate`.
_OTHER = frozenset(
    "burst bytes count duration elapsed hit hits latency limit limiter limits ms per_second "
    "percent percentile progress ratio requests rows sample second seconds size timeout".split()
)
# Doors where floats are somebody else's protocol, and end or begin right there.
DOORS = frozenset(
    {
        PACKAGE / "client/amount.py",  # callers of the SDK may pass floats
        PACKAGE / "client/fields.py",
        PACKAGE / "server/http/metrics.py",  # a Prometheus sample is a float
    }
)
_WORD = re.compile(r"[a-z]+")


def check(source: Source) -> Iterator[Finding]:
    if not source.is_python or not source.inside(PACKAGE) or source.path in DOORS:
        return
    for node in ast.walk(source.tree):
        for name, evidence in _pairs(node):
            if is_money(name) and _has_float(evidence):
                line = getattr(evidence, "lineno", getattr(node, "lineno", 0))
                yield Finding(source.path, line, NAME, f"float beside {name!r}: use Decimal")


def is_money(name: str) -> bool:
    words = set(_WORD.findall(name.lower()))
    return bool(words & _MONEY) and not words & _OTHER


def _pairs(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """(name, the expression that must not be a float) for every way the two can meet."""
    match node:
        case ast.arg(arg=name, annotation=ast.expr() as annotation):
            yield name, annotation
        case ast.keyword(arg=str(name), value=value):
            yield name, value
        case ast.AnnAssign(target=target, annotation=annotation, value=value):
            yield _name(target), annotation
            if value is not None:
                yield _name(target), value
        case ast.Assign(targets=targets, value=value):
            yield from ((_name(target), value) for target in targets)
        case ast.AugAssign(target=target, value=value):
            yield _name(target), value
        case ast.Dict(keys=keys, values=values):
            yield from ((_name(key), value) for key, value in zip(keys, values, strict=True) if key)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _signature(node)
        case ast.Compare(left=left, comparators=[right]) | ast.BinOp(left=left, right=right):
            yield _name(left), right
            yield _name(right), left
        case ast.Call(func=ast.Name(id="float"), args=[argument]):
            yield from ((name, node) for name in _names(argument))
        case _:
            return


def _signature(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, ast.AST]]:
    if function.returns is not None:
        yield function.name, function.returns
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    for argument, default in zip(reversed(positional), reversed(arguments.defaults), strict=False):
        yield argument.arg, default
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield argument.arg, default


def _has_float(node: ast.AST) -> bool:
    """A float literal, the name `float` or a call of it; other calls' arguments do not count."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float)
    if isinstance(node, ast.Name):
        return node.id == "float"
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "float"
    if isinstance(node, ast.Lambda | ast.Compare):
        return False
    return any(_has_float(child) for child in ast.iter_child_nodes(node))


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Constant(value=str(name)):
            return name
        case ast.Subscript(slice=part):
            return _name(part)
        case _:
            return ""


def _names(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name | ast.Attribute | ast.Subscript):
            yield _name(part)
