"""`budgets`: made, listed, looked at and checked on the local database and on a server."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Ran, Run, call
from tests.support.live import LiveServer


def ingest(run: Run, number: int) -> Ran:
    """Record a call of now, which costs 0.0075."""
    fields = {name: value for name, value in call(number).items() if name != "timestamp"}
    return run("ingest", "-f", "-", stdin=json.dumps(fields).encode())


CREATE = ("budgets", "create", "--name", "all", "--amount", "10.5")


@pytest.mark.usefixtures("ledger")
class TestLocal:
    def test_what_was_made_is_listed(self, run: Run) -> None:
        made = run(*CREATE, "--enforcement", "hard", "--thresholds", "50,80", "-o", "json").json()
        assert (made["amount"], made["limit"], made["spent"]) == ("10.5", "10.5", 0) or (
            made["amount"], made["limit"], made["spent"],
        ) == ("10.5", "10.5", "0")  # fmt: skip
        rows = run("budgets", "list", "-o", "json").rows()
        assert [row["id"] for row in rows] == [made["id"]]
        table = run("budgets", "list").out
        assert "10.5" in table
        assert "hard" in table
        assert run("budgets", "list", "-o", "csv").out.count("\n") == 2

    def test_a_scope_has_dimensions_with_values(self, run: Run) -> None:
        scope = ("--scope", "team_id=a", "--scope", "team_id=b", "--scope", "model=m")
        made = run(*CREATE, *scope, "-o", "json").json()
        assert made["scope"] == {"team_id": ["a", "b"], "model": "m"}
        assert run(*CREATE, "--scope", "team_id").code == 2
        assert run(*CREATE, "--scope", "colour=red").code != 0

    def test_one_budget_shows_where_it_is_heading(self, run: Run) -> None:
        made = run(*CREATE, "-o", "json").json()
        shown = run("budgets", "get", made["id"])
        assert shown.code == 0
        assert "remaining  10.5 USD" in shown.out
        assert run("budgets", "get", "bud_00000000000000000000000000").code != 0

    def test_removed_is_gone(self, run: Run) -> None:
        made = run(*CREATE, "-o", "json").json()
        assert run("budgets", "delete", made["id"]).code == 0
        assert "No budgets." in run("budgets", "list").err + run("budgets", "list").out

    def test_the_check_fails_above_the_threshold_only(self, run: Run) -> None:
        assert run("budgets", "create", "--name", "all", "--amount", "0.01").code == 0
        assert ingest(run, 1).code == 0
        assert run("budgets", "check").code == 0
        exact = run("budgets", "check", "--threshold", "0.0075")
        assert (exact.code, "OK" in exact.out) == (0, True)
        above = run("budgets", "check", "--threshold", "0.0074999999")
        assert (above.code, "exceeded" in above.out) == (1, True)
        assert ingest(run, 2).code == 0
        assert run("budgets", "check").code == 1
        assert run("verify").code == 0
        assert str(run("rebuild", "-o", "json").json()["budgets"]) == "1"
        assert run("verify").code == 0

    def test_the_check_fails_when_one_of_several_budgets_is_exceeded(self, run: Run) -> None:
        assert run(*CREATE, "--scope", "project_id=other").code == 0
        small = ("budgets", "create", "--name", "s", "--amount", "0.007", "--scope", "model=gpt-4o")
        made = run(*small, "-o", "json").json()
        assert run("budgets", "check").code == 0
        assert ingest(run, 1).code == 0
        ran = run("budgets", "check")
        assert (ran.code, made["id"] in ran.out) == (1, True)
        assert run("budgets", "check", "--threshold", "1").code == 0

    def test_without_a_budget_the_check_says_so(self, run: Run) -> None:
        ran = run("budgets", "check")
        assert ran.code not in (0, 1)
        assert "budget" in ran.err


def test_on_a_server(run: Run, live_server: LiveServer) -> None:
    remote = ("--api-url", live_server.base_url, "--api-key", live_server.new_organization()[1])
    assert run("budgets", "create", "--name", "x", "--amount", "5", *remote).code == 0
    assert run("budgets", "check", "--threshold", "1", *remote).code == 0
    assert len(run("budgets", "list", "-o", "json", *remote).rows()) == 1
