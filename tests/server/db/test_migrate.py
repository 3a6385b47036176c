"""Migrations: up, down, twice, at the same time, interrupted, from a wheel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, event, inspect, text

from llm_cost_ops.models import Base
from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.errors import DatabaseConfiguration, DatabaseUnavailable, Reason
from llm_cost_ops.server.db.migrate import Migrations, SchemaState
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.settings import DatabaseSettings

ROOT = Path(__file__).resolve().parents[3]
OURS = Migrations()


def state(settings: DatabaseSettings, migrations: Migrations = OURS) -> SchemaState:
    database = open_database(settings)
    try:
        return migrations.state_of(database)
    finally:
        database.dispose()


def tables(settings: DatabaseSettings) -> set[str]:
    database = open_database(settings)
    with read(database) as session:
        inspector = inspect(session.connection)
        names = {*inspector.get_table_names(), *inspector.get_view_names()}
    database.dispose()
    return names - {"alembic_version", "alembic_run"}


def test_up_down_and_up_again(empty_database: DatabaseSettings) -> None:
    before = state(empty_database)
    assert before.current is None
    assert [revision.id for revision in before.pending][:1] == ["0001"]
    after = OURS.upgrade(empty_database)
    assert after == state(empty_database)
    assert after.up_to_date
    assert after.current == after.head == OURS.history()[0].id
    made = tables(empty_database)
    assert {"usage_records", "cost_records", "costs"} <= made
    assert OURS.downgrade(empty_database, "base").current is None
    assert tables(empty_database) == set()
    OURS.upgrade(empty_database)
    assert tables(empty_database) == made


def test_upgrading_twice_changes_nothing(database_settings: DatabaseSettings) -> None:
    before = state(database_settings)
    assert OURS.upgrade(database_settings) == before


def test_migrated_schema_is_the_declared_one(database_settings: DatabaseSettings) -> None:
    database = open_database(database_settings)
    with read(database) as session:
        context = MigrationContext.configure(session.connection, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)
    database.dispose()
    ours = [each for each in differences if "alembic_run" not in str(each)]
    assert ours == []


def test_history_is_newest_first_with_its_first_lines() -> None:
    history = OURS.history()
    assert history[-1].id == "0001"
    assert history[-1].down is None
    assert all(revision.summary and "\n" not in revision.summary for revision in history)


def test_a_schema_from_a_newer_release_is_recognised(database_settings: DatabaseSettings) -> None:
    database = open_database(database_settings)
    with write(database) as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.dispose()
    found = state(database_settings)
    assert (found.current, found.known, found.up_to_date) == ("9999", False, False)


def test_an_unknown_revision_is_refused(database_settings: DatabaseSettings) -> None:
    with pytest.raises(DatabaseConfiguration, match="nonsense"):
        OURS.upgrade(database_settings, "nonsense")


# A directory of two small revisions, for what ours must not do.

ENVIRONMENT = (ROOT / "src/llm_cost_ops/server/db/migrations/env.py").read_text(encoding="utf-8")


def revision(folder: Path, number: int, upgrade: str, downgrade: str) -> None:
    below = f'"{number - 1:04}"' if number > 1 else "None"
    folder.joinpath("versions").mkdir(parents=True, exist_ok=True)
    folder.joinpath("env.py").write_text(ENVIRONMENT, encoding="utf-8")
    folder.joinpath("versions", f"{number:04}_step.py").write_text(
        f'"""Step {number}"""\nimport sqlalchemy as sa\nfrom alembic import op\n'
        f'revision = "{number:04}"\ndown_revision = {below}\nbranch_labels = depends_on = None\n'
        f"def upgrade():\n{textwrap.indent(textwrap.dedent(upgrade), '    ')}\n"
        f"def downgrade():\n{textwrap.indent(textwrap.dedent(downgrade), '    ')}\n",
        encoding="utf-8",
    )


@pytest.fixture
def small(tmp_path: Path) -> Migrations:
    folder = tmp_path / "scripts"
    revision(
        folder,
        1,
        """
        op.create_table("parents", sa.Column("id", sa.Integer, primary_key=True),
                        sa.Column("name", sa.String(20)))
        op.create_index("ix_parents_name", "parents", ["name"])
        op.create_table("children", sa.Column("id", sa.Integer, primary_key=True),
                        sa.Column("parent_id", sa.Integer, sa.ForeignKey("parents.id")))
        """,
        """
        op.drop_table("children")
        op.drop_index("ix_parents_name", table_name="parents")
        op.drop_table("parents")
        """,
    )
    revision(
        folder,
        2,
        """
        with op.batch_alter_table("parents") as batch:
            batch.add_column(sa.Column("born", sa.Integer))
            batch.alter_column("name", existing_type=sa.String(20), type_=sa.String(40))
        op.execute("CREATE VIEW adults AS SELECT id FROM parents WHERE born < 2000")
        """,
        """
        op.execute("DROP VIEW adults")
        with op.batch_alter_table("parents") as batch:
            batch.drop_column("born")
            batch.alter_column("name", existing_type=sa.String(40), type_=sa.String(20))
        """,
    )
    return Migrations(scripts=folder, lock_wait_seconds=0.3)


def test_one_step_at_a_time(empty_database: DatabaseSettings, small: Migrations) -> None:
    small.upgrade(empty_database, "0001")
    assert [each.id for each in state(empty_database, small).pending] == ["0002"]
    assert small.upgrade(empty_database, "+1").current == "0002"
    assert small.downgrade(empty_database, "-1").current == "0001"
    assert tables(empty_database) == {"parents", "children"}


def test_altering_a_table_keeps_the_rows_that_refer_to_it(
    empty_database: DatabaseSettings, small: Migrations
) -> None:
    small.upgrade(empty_database, "0001")
    database = open_database(empty_database)
    with write(database) as session:
        session.execute(text("INSERT INTO parents (id, name) VALUES (1, 'a')"))
        session.execute(text("INSERT INTO children (id, parent_id) VALUES (7, 1)"))
    database.dispose()
    small.upgrade(empty_database)
    small.downgrade(empty_database, "0001")
    database = open_database(empty_database)
    with read(database) as session:
        assert session.scalar(text("SELECT parent_id FROM children")) == 1
    database.dispose()


@pytest.mark.sqlite
def test_sqlite_refuses_a_migration_that_breaks_references(
    tmp_path: Path, small: Migrations
) -> None:
    revision(small.scripts, 3, 'op.execute("INSERT INTO children VALUES (1, 999)")', "pass")
    settings = DatabaseSettings(url=f"sqlite:///{tmp_path}/x.db")
    small.upgrade(settings, "0002")
    with pytest.raises(DatabaseConfiguration, match="children"):
        small.upgrade(settings)
    assert state(settings, small).current == "0002"


class Interrupted(Exception):
    pass


@contextmanager
def interrupted_at(number: int) -> Iterator[list[str]]:
    """Raise instead of running the schema statement with this number, counted from 1."""
    run: list[str] = []

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().upper().startswith(("CREATE", "DROP", "ALTER", "INSERT", "UPDATE")):
            run.append(statement)
            if len(run) == number:
                raise Interrupted

    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield run
    finally:
        event.remove(Engine, "before_cursor_execute", before)


def whole_revisions(settings: DatabaseSettings) -> dict[str | None, set[str]]:
    """The tables of our schema at each revision, and at none."""
    found: dict[str | None, set[str]] = {None: set()}
    for each in reversed(OURS.history()):
        OURS.upgrade(settings, each.id)
        found[each.id] = tables(settings)
    return found


def interrupt_everywhere(
    migrations: Migrations,
    settings: DatabaseSettings,
    act: Callable[[], object],
    undo: Callable[[], object],
    *,
    first: int = 1,
    stride: int = 1,
) -> int:
    """Interrupt `act` at each statement in turn; each time it must complete when run again."""
    undo()
    whole = whole_revisions(settings) if migrations is OURS else {}
    undo()
    act()
    wanted = (state(settings, migrations).current, tables(settings))
    for number in range(first, 1000, stride):
        undo()
        try:
            with interrupted_at(number):
                act()
        except Interrupted:
            if "mysql" not in settings.url and migrations is OURS:
                kept = state(settings, migrations).current
                assert tables(settings) == whole[kept]
        else:
            return number
        act()
        assert (state(settings, migrations).current, tables(settings)) == wanted
    raise AssertionError("more statements than expected")


def test_small_migrations_interrupted_at_each_statement(
    empty_database: DatabaseSettings, small: Migrations
) -> None:
    ends = interrupt_everywhere(
        small,
        empty_database,
        lambda: small.upgrade(empty_database),
        lambda: small.downgrade(empty_database, "base"),
    )
    assert ends > 6
    ends = interrupt_everywhere(
        small,
        empty_database,
        lambda: small.downgrade(empty_database, "base"),
        lambda: small.upgrade(empty_database),
    )
    assert ends > 6


def test_our_migrations_interrupted_on_the_way(
    empty_database: DatabaseSettings, database_kind: str
) -> None:
    """At other statements on each database: all of them take minutes."""
    ends = interrupt_everywhere(
        OURS,
        empty_database,
        lambda: OURS.upgrade(empty_database),
        lambda: OURS.downgrade(empty_database, "base"),
        first={"sqlite": 1, "postgres": 20, "mysql": 39}[database_kind],
        stride=57,
    )
    assert ends > 30


@pytest.mark.mysql
def test_mysql_does_not_resume_what_was_not_interrupted(
    mysql_settings: DatabaseSettings, small: Migrations
) -> None:
    """A table that somebody else made is a conflict, not a step that was done."""
    database = open_database(mysql_settings)
    with write(database) as session:
        session.execute(text("DELETE FROM alembic_version"))
        session.execute(text("CREATE TABLE parents (id INT PRIMARY KEY)"))
    database.dispose()
    with pytest.raises(Exception, match="1050"):
        small.upgrade(mysql_settings)


RUNNER = """
import os, signal, sys
from sqlalchemy import Engine, event
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.settings import DatabaseSettings

url, kill_at = sys.argv[1], int(sys.argv[2])
seen = []

def before(connection, cursor, statement, *rest):
    if statement.lstrip().upper().startswith(("CREATE", "DROP", "ALTER", "INSERT", "UPDATE")):
        seen.append(statement)
        if len(seen) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "before_cursor_execute", before)
print(Migrations().upgrade(DatabaseSettings(url=url)).current)
"""


def runner(settings: DatabaseSettings, kill_at: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUNNER, settings.url, str(kill_at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kill_at", [2, 21, 40])
def test_a_killed_migration_is_completed_by_the_next(
    empty_database: DatabaseSettings, kill_at: int
) -> None:
    killed = runner(empty_database, kill_at)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert OURS.upgrade(empty_database).up_to_date
    assert "usage_records" in tables(empty_database)


def test_runners_at_the_same_time_take_turns(empty_database: DatabaseSettings) -> None:
    runners = [runner(empty_database) for _ in range(3)]
    results = [each.communicate(timeout=60) for each in runners]
    assert [each.returncode for each in runners] == [0, 0, 0], results
    assert {out.strip() for out, _ in results} == {OURS.history()[0].id}
    assert state(empty_database).up_to_date


@pytest.mark.mysql
def test_migrated_tables_on_mysql_tell_trailing_spaces_apart(
    database_clones: Any, tmp_path: Path
) -> None:
    """In a process of its own: nothing else may have set the collation up."""
    with database_clones["mysql"].empty(tmp_path) as url:
        settings = DatabaseSettings(url=url)
        migrated = runner(settings)
        migrated.communicate(timeout=60)
        assert migrated.returncode == 0
        database = open_database(settings)
        with read(database) as session:
            query = (
                "SELECT table_collation FROM information_schema.tables WHERE table_schema = "
                "DATABASE() AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'alembic%'"
            )
            collations = session.connection.scalars(text(query)).all()
        database.dispose()
    assert len(collations) > 10
    assert set(collations) == {"utf8mb4_nopad_bin"}


def test_a_runner_gives_up_when_another_keeps_the_lock(
    database_settings: DatabaseSettings, small: Migrations
) -> None:
    impatient = Migrations(lock_wait_seconds=0.3)
    with impatient.connection(database_settings) as connection:
        if connection.dialect.name == "sqlite":
            connection.begin()
        with pytest.raises(DatabaseUnavailable) as caught:
            impatient.downgrade(database_settings, "base")
    assert caught.value.reason is Reason.LOCKED
    assert impatient.downgrade(database_settings, "base").current is None


@pytest.mark.sqlite
def test_an_installed_wheel_migrates(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from llm_cost_ops.server.db import migrate\n"
        "from llm_cost_ops.server.settings import DatabaseSettings\n"
        "assert migrate.__file__.startswith(sys.argv[1]), migrate.__file__\n"
        "print(migrate.Migrations().upgrade(DatabaseSettings(url='sqlite:new.db')).current)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "site")]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.stdout.strip() == OURS.history()[0].id, done.stderr
    assert (tmp_path / "new.db").exists()


@pytest.mark.sqlite
def test_the_alembic_command_uses_the_same_scripts(tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{tmp_path}/x.db",
        "COST_OPS_CONFIG": "none",
    }

    def alembic(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "alembic", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environ, check=False, capture_output=True, text=True
        )

    upgraded = alembic("upgrade", "head")
    assert upgraded.returncode == 0, upgraded.stderr
    assert OURS.history()[0].id in alembic("current").stdout
    checked = alembic("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    refused = alembic("upgrade", "head", "--sql")
    assert refused.returncode != 0
    assert "SQL scripts" in refused.stdout + refused.stderr
