"""Comparing text byte by byte, without LIKE's wildcards or a collation's opinions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String, collate, func, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.functions import FunctionElement

from llm_cost_ops.server.db.urls import DatabaseKind

PADDED = "utf8mb4_bin"
"""Binary, but "a" equals "a ": trailing spaces are ignored in comparisons and unique keys."""


def contains(kind: DatabaseKind, text: ColumnElement[Any], part: str) -> ColumnElement[bool]:
    """Whether `text` has `part` in it; case matters, and `%` and `_` are themselves."""
    if kind is DatabaseKind.SQLITE:  # its LIKE ignores case
        return func.instr(text, part) > 0
    if kind is DatabaseKind.MYSQL:
        text = collate(text, PADDED)
    return text.contains(part, autoescape=True)


def starts_with(kind: DatabaseKind, text: ColumnElement[Any], start: str) -> ColumnElement[bool]:
    """Whether `text` begins with `start`; case matters, and `%` and `_` are themselves."""
    if kind is DatabaseKind.SQLITE:
        return func.substr(text, 1, len(start)) == literal(start)
    if kind is DatabaseKind.MYSQL:
        text = collate(text, PADDED)
    return text.startswith(start, autoescape=True)


class exactly(FunctionElement[str]):
    """An expression compared and grouped byte by byte, also where its collation says otherwise."""

    type = String()
    inherit_cache = True
    name = "exactly"


@compiles(exactly)
def _exactly(element: exactly, compiler: Any, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(exactly, "mysql")
def _exactly_mysql(element: exactly, compiler: Any, **options: Any) -> str:
    inner = compiler.process(element.clauses, **options)
    return f"({inner} COLLATE {unpadded_collation(mariadb=compiler.dialect.is_mariadb)})"


def unpadded_collation(*, mariadb: bool) -> str:
    """The binary collation in which trailing spaces count; MySQL has it since 8.0.17."""
    return "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"


@compiles(CreateTable, "mysql")
def _create_table_mysql(element: CreateTable, compiler: Any, **options: Any) -> str:
    """Tables declare `utf8mb4_bin`, the name that MySQL and MariaDB share; they get the unpadded.

    Otherwise two event ids that differ by a trailing space would be one call on MySQL only.
    """
    made: str = compiler.visit_create_table(element, **options)
    return made.replace(
        f"COLLATE {PADDED}", f"COLLATE {unpadded_collation(mariadb=compiler.dialect.is_mariadb)}"
    )
