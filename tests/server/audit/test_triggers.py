"""On PostgreSQL: changes of administrative tables in `audit.logs`, without secrets and persons."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.settings import DatabaseSettings


def test_changes_are_noted_without_secrets(postgres_settings: DatabaseSettings) -> None:
    database = open_database(postgres_settings)

    def run(statement: str) -> list[Any]:
        with write(database) as session:
            found = session.execute(text(statement))
            return list(found.all()) if found.returns_rows else []

    run(
        "INSERT INTO accounts (id, email, name, password_hash, token_version, created_at) "
        "VALUES ('acc_1', 'canary@example.com', 'Canary', 'canary-hash', 0, 1)"
    )
    run("UPDATE accounts SET password_hash = 'canary-2'")
    run("UPDATE accounts SET token_version = 1")
    run(
        "INSERT INTO users (organization_id, id, kind, created_at, version) "
        "VALUES ('org-a', 'u1', 'seen', 1, 0), ('org-a', 'u2', 'person', 1, 0)"
    )
    run("DELETE FROM users")
    with read(database) as session:
        rows = session.execute(text("SELECT * FROM audit.logs ORDER BY id")).mappings().all()
    assert [(row["table_name"], row["operation"]) for row in rows] == [
        ("accounts", "INSERT"),
        ("accounts", "UPDATE"),
        ("users", "INSERT"),
        ("users", "DELETE"),
        ("users", "DELETE"),
    ]
    assert "anary" not in str(rows)
    assert "acc_1" in str(rows[0]["new_data"])
    assert rows[1]["old_data"] != rows[1]["new_data"]
    assert rows[0]["user_id"]
    database.dispose()
