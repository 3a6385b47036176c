"""Plain SQL clients, as the role of the views and as who runs the server."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
import pymysql
from sqlalchemy import URL, make_url

from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.bi.install import Installed
from tests.support.application import Application

PASSWORD = "a-password-'of\\-the-views"


def actor(app: Application) -> Actor:
    return Actor(app.organization_id, None, None, app.clock.micros())


def address(app: Application) -> URL:
    return make_url(app.database.settings.url)


@contextlib.contextmanager
def client(app: Application, made: Installed, *, password: str = PASSWORD) -> Iterator[Any]:
    """A connection of the driver alone, as the role."""
    url = address(app)
    if app.database.kind == "sqlite":
        connection: Any = sqlite3.connect(str(url.database))
    elif app.database.kind == "postgresql":
        connection = psycopg.connect(
            host=url.host, port=url.port or 5432, dbname=url.database, user=made.role,
            password=password, autocommit=True,
        )  # fmt: skip
    else:
        connection = pymysql.connect(
            host=url.host or "", port=url.port or 3306, user=made.role, password=password,
            database=made.schema,
        )  # fmt: skip
    with contextlib.closing(connection):
        yield connection


def rows(connection: Any, query: str) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(query)
    return [tuple(row) for row in cursor.fetchall()]


def operate(app: Application, *statements: str) -> list[tuple[Any, ...]]:
    """Statements of who runs the server; the rows of the last."""
    found: list[tuple[Any, ...]] = []
    with app.database.writer.connect() as connection:
        for statement in statements:
            result = connection.exec_driver_sql(
                statement, execution_options={"no_parameters": True}
            )
            found = [tuple(row) for row in result] if result.returns_rows else []
        connection.commit()
    return found
