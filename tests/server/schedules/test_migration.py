"""The columns that say what a file took: kept files have their key, and the way back loses none."""

from __future__ import annotations

from sqlalchemy import text

from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.settings import DatabaseSettings

_ADD = """
    INSERT INTO delivery_runs
    (id, organization_id, schedule_id, fire_at, cause, status, attempts, expires_at, created_at)
    VALUES (:id, 'org', 'dsc', :slot, 'requested', 'completed', 1, :until, 1)
"""


def test_files_that_are_kept_have_their_key(empty_database: DatabaseSettings) -> None:
    migrations = Migrations()
    migrations.upgrade(empty_database, "0025")
    database = open_database(empty_database)
    with write(database) as session:
        for slot, until in ((1, 5), (2, None)):
            session.execute(text(_ADD), {"id": f"drn_{slot}", "slot": slot, "until": until})
    migrations.upgrade(empty_database, "0026")
    with read(database) as session:
        rows = session.execute(text("SELECT id, file_key FROM delivery_runs ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [("drn_1", "schedules/org/drn_1"), ("drn_2", None)]
    assert migrations.downgrade(empty_database, "0025").current == "0025"
    with read(database) as session:
        assert session.execute(text("SELECT count(*) FROM delivery_runs")).scalar() == 2
    database.dispose()
