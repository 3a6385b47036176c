"""Installing the views, with a role that can read them and nothing else.

PostgreSQL: a schema of the organization with security barrier views, and a login role that may use
that schema. MySQL and MariaDB: a database of the organization with views that read as who made them
(SQL SECURITY DEFINER), and a user who may select from that database. SQLite: the views alone, in
the ledger's own file, of one organization; who can read the file can read all of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, exc, make_url

from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.bi.owned import (
    Standing,
    base_of,
    refuse_what_hangs_on_it,
    role_mark,
    schema_mark,
    standing,
)
from llm_cost_ops.server.bi.views import ViewsError, statements
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, write_retrying

_NAME = re.compile(r"bi_[a-z0-9_]{1,28}", re.ASCII)
"""The prefix keeps us away from names that are somebody else's."""
_PLAIN = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*", re.ASCII)
_LONGEST = 31
"""MySQL lets users have 32."""
_DIGITS = 10
MAX_CONNECTIONS = 20
STATEMENT_SECONDS = 300
_AS_WRITTEN = {"no_parameters": True}
"""A percent sign is one, and no place of a parameter."""
_PASSWORD = re.compile(r"[\x21-\x7e]{12,200}", re.ASCII)

Step = tuple[str, str | None]
"""A statement, and what undoes it where the database does not."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What was made. `role` is None on SQLite, which has no roles."""

    views: tuple[str, ...]
    schema: str | None
    role: str | None


def default_name(organization_id: str) -> str:
    """What schema and role of an organization are called unless somebody says otherwise.

    Ids that are not plain, or too long, end with a digest: no two share a name. Two underscores
    are in none of the plain ones.
    """
    if _PLAIN.fullmatch(organization_id) and len(organization_id) <= _LONGEST - 3:
        return f"bi_{organization_id}"
    digest = hashlib.sha256(organization_id.encode()).hexdigest()[:_DIGITS]
    stem = re.sub("[^a-z0-9]+", "_", organization_id.lower()).strip("_")
    return f"bi_{stem[: _LONGEST - 5 - _DIGITS].rstrip('_')}__{digest}"


def install(
    database: Database, actor: Actor, *, name: str | None = None, password: str | None = None
) -> Installed:
    """Make the views, or make them anew, and the role with its password. The database's user needs
    the right to make roles and schemas.

    Raises ViewsError naming the argument, also where something stands under the name that is not
    ours; an error of the database where a right is missing.
    """
    called = _checked_name(default_name(actor.organization_id) if name is None else name)
    role = None if database.kind == "sqlite" else called
    if role is not None and (password is None or not _PASSWORD.fullmatch(password)):
        raise ViewsError("must have 12 to 200 visible ASCII characters", field="password")
    found = statements(database.kind, actor.organization_id, _home(database))
    made = Installed(tuple(found), role, role)

    def work(session: WriteSession) -> None:
        now = standing(database, session.connection, called, actor.organization_id)
        wanted = _Wanted(actor.organization_id, called, password or "", found, now)
        _run(session.connection, _making(database, session.connection, wanted))
        actor.record(
            session, "bi.installed", "bi", called, None, {"role": role, "views": list(found)}
        )

    write_retrying(database, work)
    return made


def remove(database: Database, actor: Actor, *, name: str | None = None) -> None:
    """Drop the views and the role. Raises ViewsError, also where they are not ours."""
    called = _checked_name(default_name(actor.organization_id) if name is None else name)
    views = list(statements(database.kind, actor.organization_id))

    def work(session: WriteSession) -> None:
        now = standing(database, session.connection, called, actor.organization_id)
        if database.kind == "sqlite":
            drop = [f"DROP VIEW IF EXISTS {view}" for view in views]
        elif database.kind == "postgresql":
            refuse_what_hangs_on_it(session.connection, called)
            drop = list(_dropping_on_postgresql(session.connection, called, views, now))
        else:
            # The user first: what is left after a failure must be known to be ours by its views.
            drop = [f"DROP USER IF EXISTS '{called}'@'%'", f"DROP DATABASE IF EXISTS `{called}`"]
        _run(session.connection, [(statement, None) for statement in drop])
        actor.record(session, "bi.removed", "bi", called, {"role": called}, None)

    write_retrying(database, work)


@dataclass(frozen=True, slots=True)
class _Wanted:
    organization_id: str
    name: str
    password: str
    views: dict[str, str]
    now: Standing


def _making(database: Database, connection: Connection, wanted: _Wanted) -> Sequence[Step]:
    if database.kind == "mysql":
        return list(_of_mysql(wanted))
    if database.kind == "postgresql":
        return [(each, None) for each in _of_postgresql(connection, wanted)]
    return [
        *((f"DROP VIEW IF EXISTS {view}", None) for view in wanted.views),
        *((f"CREATE VIEW {view} AS {query}", None) for view, query in wanted.views.items()),
    ]


def _of_mysql(wanted: _Wanted) -> Iterator[Step]:
    """Nothing is made IF NOT EXISTS: what somebody made meanwhile is not ours."""
    name, user = wanted.name, f"'{wanted.name}'@'%'"
    if not wanted.now.schema:
        yield f"CREATE DATABASE `{name}`", f"DROP DATABASE `{name}`"
    for view, query in wanted.views.items():
        yield f"CREATE OR REPLACE SQL SECURITY DEFINER VIEW `{name}`.`{view}` AS {query}", None
    login = (
        f"{user} IDENTIFIED BY {_quoted(wanted.password, backslash=True)} "
        f"WITH MAX_USER_CONNECTIONS {MAX_CONNECTIONS}"
    )
    if wanted.now.role:
        yield f"ALTER USER {login}", None
        yield f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {user}", None
    else:
        yield f"CREATE USER {login}", f"DROP USER {user}"
    # By view: an underscore in the name of a database alone would stand for any character.
    for view in wanted.views:
        yield f"GRANT SELECT ON `{name}`.`{view}` TO {user}", None


def _of_postgresql(connection: Connection, wanted: _Wanted) -> Iterator[str]:
    name, base = wanted.name, base_of(connection)
    # The server sees a verifier and no password, so that none stands in its log.
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - the connection is open
    verifier = driver.pgconn.encrypt_password(
        wanted.password.encode(), name.encode(), b"scram-sha-256"
    ).decode()
    if not wanted.now.role:
        yield f'CREATE ROLE "{name}" NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS'
    mark = _quoted(role_mark(wanted.organization_id, base))
    yield f'COMMENT ON ROLE "{name}" IS {mark}'
    yield (
        f'ALTER ROLE "{name}" LOGIN NOINHERIT CONNECTION LIMIT {MAX_CONNECTIONS} '
        f"PASSWORD {_quoted(verifier)}"
    )
    yield f'ALTER ROLE "{name}" SET default_transaction_read_only = on'
    yield f'ALTER ROLE "{name}" SET statement_timeout = {STATEMENT_SECONDS * 1000}'
    yield f'ALTER ROLE "{name}" SET search_path = "{name}"'
    if not wanted.now.schema:
        yield f'CREATE SCHEMA "{name}"'
    yield f'COMMENT ON SCHEMA "{name}" IS {_quoted(schema_mark(wanted.organization_id))}'
    for view, query in wanted.views.items():
        # Replaced, not dropped: what others made of it stays.
        yield (f'CREATE OR REPLACE VIEW "{name}".{view} WITH (security_barrier = true) AS {query}')
    yield f'GRANT CONNECT ON DATABASE "{base}" TO "{name}"'
    yield f'GRANT USAGE ON SCHEMA "{name}" TO "{name}"'
    yield f'GRANT SELECT ON ALL TABLES IN SCHEMA "{name}" TO "{name}"'


def _dropping_on_postgresql(
    connection: Connection, name: str, views: Sequence[str], now: Standing
) -> Iterator[str]:
    """Without CASCADE and DROP OWNED: what we do not know of makes it fail."""
    if now.schema:
        yield from (f'DROP VIEW IF EXISTS "{name}".{view}' for view in views)
        yield f'DROP SCHEMA "{name}"'
    if now.role:
        yield f'REVOKE ALL ON DATABASE "{base_of(connection)}" FROM "{name}"'
        yield f'DROP ROLE "{name}"'


def _run(connection: Connection, steps: Sequence[Step]) -> None:
    """What MySQL did before a failure is undone: it has no transactions of such statements."""
    done: list[str] = []
    try:
        for statement, undo in steps:
            connection.exec_driver_sql(statement, execution_options=_AS_WRITTEN)
            done += [undo] if undo else []
    except Exception as error:
        if isinstance(error, exc.StatementError):
            error.statement = None  # the password may stand in it
        for undo in reversed(done):
            with contextlib.suppress(Exception):  # the failure under way is the one to tell
                connection.exec_driver_sql(undo, execution_options=_AS_WRITTEN)
        raise


def _home(database: Database) -> str | None:
    """Where our tables are, as it stands before a table's name."""
    if database.kind == "mysql":
        return f"`{make_url(database.settings.url).database}`"
    return None if database.kind == "sqlite" else "public"


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ViewsError(
            "must be bi_ and 1 to 28 lower-case letters, digits and underscores", field="role"
        )
    return name


def _quoted(text: str, *, backslash: bool = False) -> str:
    escaped = text.replace("\\", "\\\\") if backslash else text
    return "'" + escaped.replace("'", "''") + "'"
