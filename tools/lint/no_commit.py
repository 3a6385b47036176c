"""Only the session edge commits.

Prevents half a fact: a commit in the middle of a use case leaves usage without its cost, or a
rollup without its row, when the next statement fails or the process dies there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tools.lint.source import PACKAGE, Finding, Source

NAME = "no-commit"
EDGES = frozenset(
    {
        PACKAGE / "server/db/session.py",
        PACKAGE / "server/db/migration_lock.py",  # the lock lives outside the migration it guards
        PACKAGE / "server/db/resumable.py",  # the mark of a run must survive the run
    }
)
# Where a new connection is given its mode, before any statement of a use case.
_CONNECT = (str(PACKAGE / "server/db"), "connect_")
_CLOSERS = {"commit", "begin"}  # leaving `with engine.begin()` commits too
_EXECUTORS = {"execute", "exec_driver_sql", "executescript", "text"}


def check(source: Source) -> Iterator[Finding]:
    if not source.is_python or not source.inside(PACKAGE) or source.path in EDGES:
        return
    connects = (str(source.path.parent), source.path.name[: len(_CONNECT[1])]) == _CONNECT
    for node in ast.walk(source.tree):
        reason = _reason(node)
        if reason and not (connects and reason == "autocommit"):
            line = getattr(node, "lineno", 0)
            yield Finding(source.path, line, NAME, f"{reason}: only the session edge commits")


def _reason(node: ast.AST) -> str | None:
    if isinstance(node, ast.keyword):
        return "autocommit" if _autocommit(node.arg, node.value) else None
    if isinstance(node, ast.Assign):
        names = [target.attr for target in node.targets if isinstance(target, ast.Attribute)]
        return "autocommit" if any(_autocommit(name, node.value) for name in names) else None
    if not isinstance(node, ast.Call):
        return None
    called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if called in _CLOSERS:
        return f".{called}()"
    named = node.func.id if isinstance(node.func, ast.Name) else called
    if named in _EXECUTORS and node.args and _statement(node.args[0]).startswith("COMMIT"):
        return "COMMIT"
    return None


def _autocommit(name: str | None, value: ast.expr) -> bool:
    if name == "autocommit":
        return not (isinstance(value, ast.Constant) and value.value is False)
    return name == "isolation_level" and _statement(value) == "AUTOCOMMIT"


def _statement(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.strip().upper()
    return ""
