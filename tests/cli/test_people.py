"""`org`, `users` and `teams` on the local database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.usefixtures("ledger")
def test_people_by_commands(run: Run, tmp_path: Path) -> None:
    def said(*arguments: str, code: int = 0) -> str:
        ran = run(*arguments)
        assert ran.code == code, ran.err
        return ran.out

    assert "Europe/Berlin" in said("org", "update", "--time-zone", "Europe/Berlin")
    assert "Europe/Berlin" in said("org", "show")
    assert "Europe/Berlin" in said("org", "list")
    user = run("users", "create", "ann@example.com", "--role", "admin", "-o", "json").json()
    assert "ann@example.com" in said("users", "list", "--role", "admin")
    assert "ann@example.com" in said("users", "show", user["id"])
    refused = run("users", "disable", user["id"])
    assert refused.code != 0
    assert "only administrator" in refused.err
    added = run("org", "add-user", "bob@example.com", "--role", "admin", "-o", "json").json()
    assert "disabled" in said("users", "disable", user["id"]) + said("users", "list")
    said("users", "enable", user["id"])
    said("org", "remove-user", added["id"])
    team = run("teams", "create", "ML Team", "--member", "ann@example.com", "-o", "json").json()
    assert "ML Team" in said("teams", "list")
    assert "ML Team" in said("teams", "show", team["id"])
    file = tmp_path / "users.csv"
    file.write_text("email,teams\ncy@example.com,ML Team\nnobody,\n")
    assert "valid" in said("users", "import", str(file), "--dry-run", code=1)
    assert "created" in said("users", "import", str(file), code=1)
    said("teams", "delete", team["id"])
    assert run("teams", "show", team["id"]).code != 0
    other = run("org", "create", "--name", "Other", "--admin-email", "d@example.com", "-o", "json")
    assert other.json()["slug"] == "other"
