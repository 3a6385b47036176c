"""Installing the views, with a role that can read them and nothing else.

PostgreSQL: a schema of the organization with security barrier views, and a login role that may use
that schema. MySQL and MariaDB: a database of the organization with views that read as who made them
(SQL SECURITY DEFINER), and a user who may select from that database. SQLite: the views alone, in
the ledger's own file, of one organization; who can read the file can read all of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, make_url

from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.bi.views import ViewsError, statements
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, write_retrying

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}", re.ASCII)
MAX_CONNECTIONS = 20
STATEMENT_SECONDS = 300
_AS_WRITTEN = {"no_parameters": True}
"""A percent sign is one, and no place of a parameter."""
_PASSWORD = re.compile(r"[\x21-\x7e]{12,200}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Installed:
    """What was made. `role` is None on SQLite, which has no roles."""

    views: tuple[str, ...]
    schema: str | None
    role: str | None


def default_name(organization_id: str) -> str:
    """What schema and role of an organization are called unless somebody says otherwise."""
    return f"bi_{re.sub('[^a-z0-9]+', '_', organization_id.lower())}"[:31].rstrip("_")


def install(
    database: Database, actor: Actor, *, name: str | None = None, password: str | None = None
) -> Installed:
    """Make the views, or make them anew, and the role with its password. The database's user needs
    the right to make roles and schemas.

    Raises ViewsError naming the argument; an error of the database where a right is missing.
    """
    called = _checked_name(name or default_name(actor.organization_id))
    role = None if database.kind == "sqlite" else called
    if role is not None and (password is None or not _PASSWORD.fullmatch(password)):
        raise ViewsError("must have 12 to 200 visible ASCII characters", field="password")
    found = statements(database.kind, actor.organization_id, _home(database))
    made = Installed(tuple(found), role, role)

    def work(session: WriteSession) -> None:
        _run(session.connection, _statements(database, session.connection, found, called, password))
        actor.record(
            session, "bi.installed", "bi", called, None, {"role": role, "views": list(found)}
        )

    write_retrying(database, work)
    return made


def remove(database: Database, actor: Actor, *, name: str | None = None) -> None:
    """Drop the views and the role. Raises ViewsError."""
    called = _checked_name(name or default_name(actor.organization_id))
    views = statements(database.kind, actor.organization_id)
    if database.kind == "postgresql":
        drop = [f'DROP SCHEMA IF EXISTS "{called}" CASCADE', *_without_role(called)]
    elif database.kind == "sqlite":
        drop = [f"DROP VIEW IF EXISTS {view}" for view in views]
    else:
        drop = [f"DROP DATABASE IF EXISTS `{called}`", f"DROP USER IF EXISTS '{called}'@'%'"]

    def work(session: WriteSession) -> None:
        _run(session.connection, drop)
        actor.record(session, "bi.removed", "bi", called, {"role": called}, None)

    write_retrying(database, work)


def _statements(
    database: Database,
    connection: Connection,
    views: dict[str, str],
    name: str,
    password: str | None,
) -> Sequence[str]:
    if database.kind == "sqlite":
        return [
            *(f"DROP VIEW IF EXISTS {view}" for view in views),
            *(f"CREATE VIEW {view} AS {query}" for view, query in views.items()),
        ]
    if database.kind == "postgresql":
        return _of_postgresql(connection, views, name, password or "")
    return [
        f"CREATE DATABASE IF NOT EXISTS `{name}`",
        *(
            f"CREATE OR REPLACE SQL SECURITY DEFINER VIEW `{name}`.`{view}` AS {query}"
            for view, query in views.items()
        ),
        f"CREATE USER IF NOT EXISTS '{name}'@'%'",
        f"ALTER USER '{name}'@'%' IDENTIFIED BY {_quoted(password or '', backslash=True)} "
        f"WITH MAX_USER_CONNECTIONS {MAX_CONNECTIONS}",
        f"GRANT SELECT ON `{name}`.* TO '{name}'@'%'",
    ]


def _of_postgresql(
    connection: Connection, views: dict[str, str], name: str, password: str
) -> Sequence[str]:
    known = connection.exec_driver_sql(
        "SELECT 1 FROM pg_roles WHERE rolname = %(name)s", {"name": name}
    ).first()
    # The server sees a verifier and no password, so that none stands in its log.
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - the connection is open
    verifier = driver.pgconn.encrypt_password(
        password.encode(), name.encode(), b"scram-sha-256"
    ).decode()
    base = connection.exec_driver_sql("SELECT current_database()").scalar_one()
    login = (
        f"LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT {MAX_CONNECTIONS} "
        f"PASSWORD {_quoted(verifier)}"
    )
    return [
        *([] if known else [f'CREATE ROLE "{name}"']),
        f'ALTER ROLE "{name}" {login}',
        f'ALTER ROLE "{name}" SET default_transaction_read_only = on',
        f'ALTER ROLE "{name}" SET statement_timeout = {STATEMENT_SECONDS * 1000}',
        f'ALTER ROLE "{name}" SET search_path = "{name}"',
        f'DROP SCHEMA IF EXISTS "{name}" CASCADE',
        f'CREATE SCHEMA "{name}"',
        *(
            f'CREATE VIEW "{name}".{view} WITH (security_barrier = true) AS {query}'
            for view, query in views.items()
        ),
        f'GRANT CONNECT ON DATABASE "{base}" TO "{name}"',
        f'GRANT USAGE ON SCHEMA "{name}" TO "{name}"',
        f'GRANT SELECT ON ALL TABLES IN SCHEMA "{name}" TO "{name}"',
    ]


def _without_role(name: str) -> Sequence[str]:
    return [
        f"DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{name}') THEN "
        f"EXECUTE 'DROP OWNED BY \"{name}\"'; EXECUTE 'DROP ROLE \"{name}\"'; END IF; END $$"
    ]


def _run(connection: Connection, wanted: Sequence[str]) -> None:
    for statement in wanted:
        connection.exec_driver_sql(statement, execution_options=_AS_WRITTEN)


def _home(database: Database) -> str | None:
    """Where our tables are, as it stands before a table's name."""
    if database.kind == "mysql":
        return f"`{make_url(database.settings.url).database}`"
    return None if database.kind == "sqlite" else "public"


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ViewsError(
            "must have 1 to 31 lower-case letters, digits and underscores", field="role"
        )
    return name


def _quoted(text: str, *, backslash: bool = False) -> str:
    escaped = text.replace("\\", "\\\\") if backslash else text
    return "'" + escaped.replace("'", "''") + "'"
