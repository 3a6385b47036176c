"""A store function that forms a query takes the tenant and uses it.

Prevents one organization reading another's costs: a query without its tenant returns everybody's
rows, and every test with a single organization passes. A query that must cross tenants
(retention, verification) says so with a reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tools.lint.source import PACKAGE, Finding, Source

NAME = "tenant-scope"
SCOPES = frozenset({"organization_id", "organization_ids", "scope", "principal"})
_BUILDERS = {"select", "update", "delete", "text"}
_SQL = re.compile(r"\s*(SELECT\b|UPDATE\s+\w|DELETE\s+FROM\b|WITH\s+\w+.*\bAS\b)", re.DOTALL)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def check(source: Source) -> Iterator[Finding]:
    if not source.inside(PACKAGE / "server") or not source.path.name.startswith("store"):
        return
    if not source.is_python:
        return
    prepared = set(_module_queries(source.tree))
    for function in source.functions():
        if not _forms_query(function, prepared):
            continue
        given = _parameters(function) & SCOPES
        if not given:
            message = f"{function.name}() forms a query without {' or '.join(sorted(SCOPES))}"
            yield Finding(source.path, function.lineno, NAME, message)
        elif not given & _names_read(function):
            message = f"{function.name}() takes {', '.join(sorted(given))} and never uses it"
            yield Finding(source.path, function.lineno, NAME, message)


def _module_queries(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        if any(_is_query(node) for node in ast.walk(value)):
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _forms_query(function: _Function, prepared: set[str]) -> bool:
    docstring = ast.get_docstring(function, clean=False)
    for statement in function.body[1 if docstring is not None else 0 :]:
        for node in ast.walk(statement):
            if _is_query(node) or (isinstance(node, ast.Name) and node.id in prepared):
                return True
    return False


def _is_query(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and _SQL.match(node.value) is not None
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    if isinstance(function, ast.Name):
        return function.id in _BUILDERS
    # `sa.select(...)` and `table.delete()`, but not `some_dict.update(...)` with arguments.
    if not isinstance(function, ast.Attribute) or function.attr not in _BUILDERS:
        return False
    owner = function.value.id if isinstance(function.value, ast.Name) else ""
    return owner in {"sa", "sqlalchemy"} or not (node.args or node.keywords)


def _parameters(function: _Function) -> set[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return {argument.arg for argument in every}


def _names_read(function: _Function) -> set[str]:
    return {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
