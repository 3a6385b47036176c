"""Whose schema, database or role stands under a name: only our own is replaced or dropped.

The name may be anybody's, because whoever installs may call it as they like, and that user may drop
anything. So ours is what says so. PostgreSQL: comments on schema and role. MySQL and MariaDB, which
have no comments on databases and users: the views themselves, in which the organization and the
ledger's database stand, and a user who may read them and nothing else. SQLite: the views.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, exc, make_url, text

from llm_cost_ops.server.bi.views import VIEWS, ViewsError
from llm_cost_ops.server.db.engine import Database

_NO_SUCH_USER = 1141


@dataclass(frozen=True, slots=True)
class Standing:
    """Which of both stands already. What stands is ours."""

    schema: bool
    role: bool


def standing(
    database: Database, connection: Connection, name: str, organization_id: str
) -> Standing:
    """What stands under `name`. Raises ViewsError where it is not this organization's."""
    if database.kind == "sqlite":
        _on_sqlite(connection, organization_id)
        return Standing(schema=True, role=False)
    url = make_url(database.settings.url)
    if database.kind == "postgresql":
        return _on_postgresql(connection, name, organization_id, url.username)
    return _on_mysql(connection, name, organization_id, url.username)


def schema_mark(organization_id: str) -> str:
    """The comment on a schema of PostgreSQL that is ours."""
    return f"cost-ops bi: {organization_id}"


def role_mark(organization_id: str, base: str) -> str:
    """The comment on a role of PostgreSQL that is ours. Roles are the whole server's, and a copy of
    the ledger there has the same organizations: hence the database."""
    return f"cost-ops bi: {organization_id} of database {base}"


def base_of(connection: Connection) -> str:
    """The ledger's database."""
    return str(connection.scalar(text("SELECT current_database()")))


def refuse_what_hangs_on_it(connection: Connection, name: str) -> None:
    """On PostgreSQL: what others made of our views, and what else the role holds, is theirs to
    remove. Raises ViewsError."""
    hanging = [*_named(connection, _READERS, name), *_named(connection, _HELD, name)]
    if hanging:
        raise ViewsError(
            f"{name} is used elsewhere: {_some(hanging)}. Drop or revoke that first", field="role"
        )


def _on_sqlite(connection: Connection, organization_id: str) -> None:
    rows = connection.execute(text("SELECT name, type, sql FROM sqlite_master")).all()
    foreign = [
        name
        for name, kind, said in rows
        if name in VIEWS and (kind != "view" or f"'{organization_id}'" not in said)
    ]
    if foreign:
        raise ViewsError(
            f"the file has {_some(foreign)} of another organization: run bi remove with it first",
            field="organization",
        )


def _on_postgresql(
    connection: Connection, name: str, organization_id: str, url_user: str | None
) -> Standing:
    base, *users = connection.execute(
        text("SELECT current_database(), current_user, session_user")
    ).one()
    _refuse_own(name, [base, *users, url_user])
    schema = connection.execute(
        text("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :name"),
        {"name": name},
    ).first()
    if schema is not None:
        if schema[0] != schema_mark(organization_id):
            raise _foreign("a schema", name, schema[0] or "it has no comment of ours")
        _refuse_others_in_it(name, _named(connection, _IN_SCHEMA, name, views=list(VIEWS)))
    role = connection.execute(text(_ROLE), {"name": name}).first()
    if role is not None:
        mark = role_mark(organization_id, base)
        if role[0] != mark:
            raise _foreign("a role", name, role[0] or "it has no comment of ours")
        if role[1]:
            raise _foreign("a role", name, "it may do more than read, or is a member of another")
    return Standing(schema is not None, role is not None)


def _on_mysql(
    connection: Connection, name: str, organization_id: str, url_user: str | None
) -> Standing:
    base, user = connection.execute(text("SELECT DATABASE(), CURRENT_USER()")).one()
    _refuse_own(name, [base, user.rpartition("@")[0], url_user])
    schema = _first(
        connection, "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = :name", name
    )
    if schema:
        _refuse_foreign_database(connection, name, organization_id, base)
    grants = _grants(connection, name)
    if grants is None:
        return Standing(schema, role=False)
    # Without the database nothing says that the user is ours.
    if not schema:
        raise _foreign("a user", name, "it has no views of ours")
    more = [grant for grant in grants if not _reads_alone(grant, name)]
    if more:
        raise _foreign("a user", name, f"it has other rights, {_some(more)}")
    return Standing(schema=True, role=True)


def _refuse_foreign_database(
    connection: Connection, name: str, organization_id: str, base: str
) -> None:
    found = connection.execute(text(_IN_DATABASE), {"name": name}).all()
    _refuse_others_in_it(name, [each for each, _ in found if each not in VIEWS])
    marks = (f"'{organization_id}'", f"`{base}`.")
    if not found or any(mark not in (said or "") for _, said in found for mark in marks):
        raise _foreign("a database", name, "it has no views of this organization")


def _grants(connection: Connection, name: str) -> list[str] | None:
    """None where there is no such user."""
    try:
        return [str(row[0]) for row in connection.execute(text(f"SHOW GRANTS FOR '{name}'@'%'"))]
    except exc.DBAPIError as error:
        if error.orig is not None and error.orig.args[:1] == (_NO_SUCH_USER,):
            return None
        raise


def _reads_alone(grant: str, name: str) -> bool:
    """Whether a grant is one that we gave: no right, or to read this database or a view in it."""
    said = grant.replace("\\", "")
    if "WITH GRANT OPTION" in said or "WITH ADMIN OPTION" in said:
        return False
    views = "|".join(VIEWS)
    return bool(
        re.match(r"GRANT USAGE ON \*\.\* TO ", said)
        or re.match(rf"GRANT SELECT ON `{name}`\.(\*|`({views})`) TO ", said)
    )


def _refuse_own(name: str, own: Iterable[str | None]) -> None:
    if name in {each.casefold() for each in own if each}:
        raise ViewsError("must not be the ledger's own database or user", field="role")


def _refuse_others_in_it(name: str, others: list[str]) -> None:
    if others:
        raise ViewsError(
            f"{name} has more in it than our views: {_some(others)}. Move that, or give another "
            "name",
            field="role",
        )


def _foreign(what: str, name: str, why: str) -> ViewsError:
    return ViewsError(
        f"{what} {name} is there already and not of these views ({why}). Give another name",
        field="role",
    )


def _some(names: list[str]) -> str:
    few = 5
    return ", ".join(names[:few]) + (f" and {len(names) - few} more" if len(names) > few else "")


def _first(connection: Connection, query: str, name: str) -> bool:
    return connection.execute(text(query), {"name": name}).first() is not None


def _named(connection: Connection, query: str, name: str, **more: Any) -> list[str]:
    return [str(row[0]) for row in connection.execute(text(query), {"name": name, **more})]


_IN_SCHEMA = """
SELECT pg_describe_object(d.classid, d.objid, 0) FROM pg_depend d
JOIN pg_namespace n ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
WHERE n.nspname = :name AND NOT COALESCE(c.relkind = 'v' AND c.relname = ANY(:views), false)
ORDER BY 1
"""
_ROLE = """
SELECT shobj_description(r.oid, 'pg_authid'),
  rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
  OR EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid)
FROM pg_roles r WHERE rolname = :name
"""
_READERS = """
SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0) FROM pg_depend d
JOIN pg_class v ON d.refclassid = 'pg_class'::regclass AND v.oid = d.refobjid
JOIN pg_namespace n ON n.oid = v.relnamespace
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
WHERE n.nspname = :name AND d.deptype = 'n' AND r.ev_class IS DISTINCT FROM v.oid
ORDER BY 1
"""
_HELD = """
SELECT CASE WHEN d.dbid IN (0, b.oid) THEN pg_describe_object(d.classid, d.objid, 0)
  ELSE 'something in database ' || o.datname END
FROM pg_shdepend d JOIN pg_roles r ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid
JOIN pg_database b ON b.datname = current_database()
LEFT JOIN pg_database o ON o.oid = d.dbid
LEFT JOIN pg_class c ON d.dbid = b.oid AND d.classid = 'pg_class'::regclass AND c.oid = d.objid
LEFT JOIN pg_namespace n ON d.dbid = b.oid AND n.oid =
  CASE WHEN d.classid = 'pg_namespace'::regclass THEN d.objid ELSE c.relnamespace END
WHERE r.rolname = :name AND n.nspname IS DISTINCT FROM :name
  AND d.classid <> 'pg_auth_members'::regclass
  AND NOT (d.dbid = 0 AND d.classid = 'pg_database'::regclass AND d.objid = b.oid
           AND d.deptype = 'a')
ORDER BY 1
"""
_IN_DATABASE = """
SELECT t.TABLE_NAME, v.VIEW_DEFINITION FROM information_schema.TABLES t
LEFT JOIN information_schema.VIEWS v
  ON v.TABLE_SCHEMA = t.TABLE_SCHEMA AND v.TABLE_NAME = t.TABLE_NAME
WHERE t.TABLE_SCHEMA = :name
UNION ALL SELECT ROUTINE_NAME, NULL FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = :name
UNION ALL SELECT EVENT_NAME, NULL FROM information_schema.EVENTS WHERE EVENT_SCHEMA = :name
"""
