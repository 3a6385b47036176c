"""What stands on the server under the name of the role: ours is made anew, all else stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pymysql
import pytest
from sqlalchemy import exc

from llm_cost_ops.server.bi.install import Installed, install, remove
from llm_cost_ops.server.bi.owned import role_mark
from llm_cost_ops.server.bi.views import VIEWS, ViewsError
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.errors import DatabaseUnavailable
from tests.server.bi.clients import PASSWORD, actor, address, client, operate, rows
from tests.support.application import Application
from tests.support.calls import record, usage

Fresh = Callable[[str], str]
AT = "2026-11-05T12:30:00Z"
PASSWORD_OF_OPERATOR = "the-operators-own"
DENIED = pytest.raises((psycopg.Error, pymysql.Error), match=r"denied|permission")


def installed(app: Application, name: str, database: Database | None = None) -> Installed:
    return install(database or app.database, actor(app), name=name, password=PASSWORD)


def removed(app: Application, name: str, database: Database | None = None) -> None:
    remove(database or app.database, actor(app), name=name)


def refused(app: Application, name: str, why: str, database: Database | None = None) -> None:
    for change in (installed, removed):
        with pytest.raises(ViewsError, match=why) as error:
            change(app, name, database)
        assert error.value.field == "role"


def on_mysql(app: Application) -> bool:
    return app.database.kind == "mysql"


def at(app: Application, name: str, table: str) -> str:
    return f"`{name}`.{table}" if on_mysql(app) else f'"{name}".{table}'


def test_an_underscore_in_a_name_stands_for_itself(served: Application, fresh: Fresh) -> None:
    first = fresh("bi_a")
    second = first.replace("bi_a_", "bi_ax")
    other = served.another()
    record(other, usage("foreign", timestamp=AT))
    try:
        made = installed(served, first)
        installed(other, second)
        if on_mysql(served):  # as we granted once; installing again takes it back
            operate(served, f"GRANT SELECT ON `{first}`.* TO '{first}'@'%'")
            with client(served, made) as connection:
                found = rows(connection, f"SELECT event_id FROM {second}.bi_calls")
                assert found == [("foreign",)]
            installed(served, first)
        with client(served, made) as connection:
            assert rows(connection, "SELECT event_id FROM bi_calls") == []
            with DENIED:
                rows(connection, f"SELECT event_id FROM {second}.bi_calls")
        removed(served, first)
    finally:
        removed(other, second)


@pytest.mark.parametrize("furnished", [True, False], ids=["furnished", "empty"])
def test_a_schema_of_others_is_left_alone(
    served: Application, fresh: Fresh, *, furnished: bool
) -> None:
    name = fresh("bi_theirs")
    what = f"DATABASE `{name}`" if on_mysql(served) else f'SCHEMA "{name}"'
    operate(served, f"CREATE {what}")
    if not furnished:
        return refused(served, name, "there already and not of these views|no views of this")
    table = at(served, name, "ledger")
    operate(served, f"CREATE TABLE {table} (x INTEGER)", f"INSERT INTO {table} VALUES (7)")
    refused(served, name, "there already|more in it than our views")
    assert operate(served, f"SELECT x FROM {table}") == [(7,)]


def test_a_role_of_others_is_left_alone(served: Application, fresh: Fresh) -> None:
    name = fresh("bi_theirs")
    if on_mysql(served):
        operate(served, f"CREATE USER '{name}'@'%' IDENTIFIED BY 'their-own-password'")
    else:
        operate(served, f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'their-own-password'")
    refused(served, name, "there already and not of these views")
    theirs = Installed((), None, name)
    with client(served, theirs, password="their-own-password") as connection:
        assert rows(connection, "SELECT 1") == [(1,)]


def test_the_ledgers_own_user_and_database_are_refused(served: Application, fresh: Fresh) -> None:
    name, base = fresh("bi_operator"), fresh("bi_ledger")
    url = address(served).set(username=name, password="the-operators-own")
    if on_mysql(served):
        operate(
            served,
            f"CREATE USER '{name}'@'%' IDENTIFIED BY 'the-operators-own'",
            f"GRANT ALL ON *.* TO '{name}'@'%' WITH GRANT OPTION",
            f"CREATE DATABASE `{base}`",
        )
        url = url.set(database=base)
    else:
        operate(served, f"CREATE ROLE \"{name}\" LOGIN SUPERUSER PASSWORD 'the-operators-own'")
    text = url.render_as_string(hide_password=False)
    database = open_database(replace(served.database.settings, url=text))
    try:
        refused(served, name, "own database or user", database)
        if on_mysql(served):
            refused(served, base, "own database or user", database)
    finally:
        database.dispose()


def test_views_of_another_organization_stay(served: Application, fresh: Fresh) -> None:
    name = fresh("bi_shared")
    record(served, usage("own", timestamp=AT))
    made = installed(served, name)
    refused(served.another(), name, "not of these views")
    with client(served, made) as connection:
        assert rows(connection, "SELECT event_id FROM bi_calls") == [("own",)]
    removed(served, name)


def test_a_file_has_views_of_one_organization(sqlite_application: Application) -> None:
    own, other = sqlite_application, sqlite_application.another()
    install(own.database, actor(own))
    for change in (install, remove):
        with pytest.raises(ViewsError, match="of another organization"):
            change(other.database, actor(other))
    remove(own.database, actor(own))
    install(other.database, actor(other))
    remove(other.database, actor(other))


def test_a_copy_of_the_ledger_on_the_same_server_has_views_of_its_own(
    served: Application, fresh: Fresh
) -> None:
    name = fresh("bi_copied")
    installed(served, name)
    if on_mysql(served):
        for view in VIEWS:
            query = f"SELECT '{served.organization_id}' AS x"
            operate(served, f"CREATE OR REPLACE VIEW {at(served, name, view)} AS {query}")
        return refused(served, name, "not of these views")
    mark = role_mark(served.organization_id, "production")
    operate(served, f"COMMENT ON ROLE \"{name}\" IS '{mark}'")
    refused(served, name, "of database production")


def test_what_others_put_into_the_schema_is_not_dropped(served: Application, fresh: Fresh) -> None:
    name = fresh("bi_lodger")
    installed(served, name)
    table = at(served, name, "lodger")
    operate(served, f"CREATE TABLE {table} (x INTEGER)", f"INSERT INTO {table} VALUES (7)")
    refused(served, name, "more in it than our views: .*lodger")
    assert operate(served, f"SELECT x FROM {table}") == [(7,)]
    operate(served, f"DROP TABLE {table}")
    body = "RETURN 1" if on_mysql(served) else "LANGUAGE SQL RETURN 1"
    operate(served, f"CREATE FUNCTION {at(served, name, 'f')}() RETURNS INTEGER {body}")
    refused(served, name, "more in it than our views")
    operate(served, f"DROP FUNCTION {at(served, name, 'f')}")
    removed(served, name)


def test_a_role_that_may_do_more_is_not_given_a_password(served: Application, fresh: Fresh) -> None:
    name = fresh("bi_more")
    installed(served, name)
    user = f"'{name}'@'%'" if on_mysql(served) else f'"{name}"'
    rights = ["INSERT ON *.*", "SELECT ON mysql.*"] if on_mysql(served) else ["pg_read_all_data"]
    for right in rights:
        operate(served, f"GRANT {right} TO {user}")
        refused(served, name, "other rights|may do more than read")
        operate(served, f"REVOKE {right} FROM {user}")
    removed(served, name)


def test_what_hangs_on_the_views_keeps_them(served: Application, fresh: Fresh) -> None:
    if on_mysql(served):  # which drops nothing of others with a database
        return
    name, theirs = fresh("bi_read"), fresh("reader")
    installed(served, name)
    operate(
        served,
        f"CREATE SCHEMA {theirs}",
        f"CREATE VIEW {theirs}.mine AS SELECT event_id FROM {name}.bi_calls",
    )
    installed(served, name)
    with pytest.raises(ViewsError, match=r"used elsewhere: .*mine"):
        removed(served, name)
    operate(served, f"DROP SCHEMA {theirs} CASCADE", f"GRANT SELECT ON usage_records TO {name}")
    with pytest.raises(ViewsError, match=r"used elsewhere: table usage_records"):
        removed(served, name)
    operate(served, f"REVOKE SELECT ON usage_records FROM {name}")
    removed(served, name)


def test_an_operator_needs_no_more_than_the_page_says(served: Application, fresh: Fresh) -> None:
    """And where a right is missing, nothing is left behind."""
    name, user = fresh("bi_small"), fresh("operator")
    base = address(served).database
    record(served, usage("own", timestamp=AT))
    if on_mysql(served):
        account = f"'{user}'@'%'"
        operate(
            served,
            f"CREATE USER {account} IDENTIFIED BY '{PASSWORD_OF_OPERATOR}'",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON `{base}`.* TO {account} WITH GRANT OPTION",
            f"GRANT SELECT ON mysql.* TO {account}",
            "GRANT CREATE, DROP, SELECT, CREATE VIEW, SHOW VIEW ON "
            rf"`bi\_%`.* TO {account} WITH GRANT OPTION",
        )
        missing = f"GRANT CREATE USER ON *.* TO {account}"
    else:
        operate(
            served,
            f"CREATE ROLE {user} LOGIN NOSUPERUSER PASSWORD '{PASSWORD_OF_OPERATOR}'",
            f'GRANT CREATE ON DATABASE "{base}" TO {user}',
            f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {user}",
        )
        missing = f"ALTER ROLE {user} CREATEROLE"
    url = address(served).set(username=user, password=PASSWORD_OF_OPERATOR)
    text = url.render_as_string(hide_password=False)
    database = open_database(replace(served.database.settings, url=text))
    try:
        with pytest.raises((exc.DBAPIError, DatabaseUnavailable)) as failed:
            installed(served, name, database)
        assert "a-password" not in str(failed.value)  # the password
        assert not stands(served, name)
        operate(served, missing)
        database.dispose()  # MySQL looks at such rights when one connects
        for _ in range(2):
            made = installed(served, name, database)
        with client(served, made) as connection:
            assert rows(connection, "SELECT event_id FROM bi_calls") == [("own",)]
        removed(served, name, database)
        assert not stands(served, name)
    finally:
        database.dispose()


def stands(app: Application, name: str) -> bool:
    query = f"SELECT 1 FROM information_schema.schemata WHERE schema_name = '{name}'"
    role = (
        f"SELECT 1 FROM mysql.user WHERE user = '{name}'"
        if on_mysql(app)
        else (f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'")
    )
    return bool(operate(app, query) or operate(app, role))
