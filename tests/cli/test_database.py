"""`init`, `migrate`, `db`, `verify`, `rebuild`, `config`, `health`."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from llm_cost_ops.server.settings import DatabaseSettings
from tests.cli.conftest import Run, call, write_lines


class TestInit:
    def test_schema_and_organization_and_no_key(self, run: Run, place: Path) -> None:
        ran = run("init", "--database-url", "sqlite:new.db", "--organization", "Acme")
        assert ran.code == 0
        assert "schema created" in ran.out
        assert "Organization Acme (org-acme): created" in ran.out
        assert "sk_" not in ran.out + ran.err
        assert (place / "new.db").exists()

    def test_a_second_time_says_so(self, run: Run, ledger: str) -> None:
        ran = run("init")
        assert ran.code == 0
        assert ran.out.startswith("Already initialised: nothing to do.")

    def test_force_deletes_nothing(self, run: Run, ledger: str, place: Path) -> None:
        run("ingest", write_lines(place / "c.jsonl", [call(1)]))
        shown = run("init", "--force", "-o", "json").json()
        assert (shown["schema_created"], shown["upgraded"]) == (False, False)
        assert run("verify", "-o", "json").json()["records"] == 1

    def test_a_further_organization(self, run: Run, ledger: str) -> None:
        shown = run("init", "--organization", "Acme", "-o", "json").json()
        assert shown["organization"] == {"id": "org-acme", "name": "Acme", "slug": "acme"}
        assert shown["organization_created"]
        again = run("init", "--organization", "Acme", "-o", "json").json()
        assert not again["organization_created"]

    def test_seed_tells_of_the_price_book(self, run: Run, ledger: str) -> None:
        assert run("init", "--seed", "-o", "json").json()["price_book"]["models"] > 1000

    def test_a_password_is_masked(self, run: Run) -> None:
        ran = run("init", "--database-url", "postgresql://me:hidden@127.0.0.1:1/x")
        assert ran.code == 5
        assert "hidden" not in ran.out + ran.err

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("sqlite:/no/such/place.db", "The database does not answer. (unable to open database"),
            ("sqlite:text.db", "cannot read or write its files. (file is not a database)"),
            ("postgresql://me:hidden@127.0.0.1:1/x", "port 1 failed: Connection refused)"),
            ("mysql://me:hidden@127.0.0.1:1/x", "(Can't connect to MySQL server on '127.0.0.1'"),
        ],
    )
    def test_why_a_database_cannot_be_used(
        self, run: Run, place: Path, url: str, said: str
    ) -> None:
        (place / "text.db").write_text("no database at all " * 100, encoding="utf-8")
        ran = run("init", "--database-url", url)
        assert (ran.code, ran.err.count("\n")) == (5, 1)
        assert said in ran.err
        assert "hidden" not in ran.err

    @pytest.mark.parametrize("url", ["nonsense:", "sqlite::memory:", "postgresql://x"])
    def test_an_address_that_cannot_be(self, run: Run, url: str) -> None:
        ran = run("init", "--database-url", url)
        assert ran.code in (2, 5)
        assert ran.err.count("\n") == 1


class TestSchema:
    def test_nothing_yet(self, run: Run, place: Path) -> None:
        shown = run("db", "status", "--database-url", "sqlite:none.db", "-o", "json").json()
        assert (shown["schema"], shown["current"]) == ("empty", None)
        assert not (place / "none.db").exists()

    @pytest.mark.parametrize(
        "arguments", [("migrate",), ("migrate", "run"), ("db", "migrate")], ids=" ".join
    )
    def test_every_spelling_upgrades(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "sqlite:new.db")
        shown = run(*arguments, "-o", "json").json()
        assert shown["up_to_date"]
        assert run("migrate", "status", "-o", "json").json() == shown

    @pytest.mark.parametrize(
        "arguments",
        [("migrate", "revert"), ("migrate", "reset"), ("db", "rollback", "--to", "base")],
        ids=" ".join,
    )
    def test_undoing_must_be_agreed_to(
        self, run: Run, ledger: str, arguments: tuple[str, ...]
    ) -> None:
        refused = run(*arguments)
        assert refused.code == 2
        assert "say --yes" in refused.err
        assert run("migrate", "status", "-o", "json").json()["up_to_date"]
        assert run(*arguments, "--yes").code == 0
        assert not run("migrate", "status", "-o", "json").json()["up_to_date"]

    def test_check(self, run: Run, ledger: str) -> None:
        assert run("db", "check", "-o", "json").json() == {"ok": True, "problems": []}
        run("migrate", "reset", "--yes")
        assert run("db", "check").code == 1

    def test_without_a_schema_commands_say_what_to_do(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, place: Path
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "sqlite:new.db")
        for arguments in (["summary"], ["verify"], ["auth", "create-api-key", "--name", "x"]):
            ran = run(*arguments)
            assert ran.code == 5
            assert "run `cost-ops init`" in ran.err
        assert not (place / "new.db").exists()

    def test_steps_are_positive(self, run: Run, ledger: str) -> None:
        assert run("migrate", "revert", "--steps", "0", "--yes").code == 2


class TestProof:
    def test_the_documented_shape(self, run: Run, ledger: str, place: Path) -> None:
        run("ingest", write_lines(place / "c.jsonl", [call(1), call(2)]))
        shown = run("verify", "-o", "json").json()
        assert shown["ok"] is True
        assert shown["records"] == 2
        assert shown["total_cost"] == "0.015"
        assert shown["first_difference"] is None

    def test_a_difference_is_named_and_rebuilding_mends_it(
        self, run: Run, ledger: str, place: Path
    ) -> None:
        run("ingest", write_lines(place / "c.jsonl", [call(1)]))
        with sqlite3.connect(ledger.removeprefix("sqlite:///")) as database:
            database.execute("UPDATE rollup_daily SET requests = requests + 1")
        database.close()
        ran = run("verify", "-o", "json")
        assert ran.code == 1
        assert ran.document()["ok"] is False
        difference = ran.document()["first_difference"]
        assert difference["rollup"] == "rollup_daily"
        assert set(difference) == {"rollup", "key", "ledger", "stored"}
        assert "differ from" in run("verify").out
        assert run("rebuild", "-o", "json").json()["rollup_rows"] == 3
        assert run("verify").code == 0

    def test_one_organization(self, run: Run, ledger: str) -> None:
        assert run("verify", "--organization", "default").code == 0
        assert run("rebuild", "--organization", "default").code == 0
        assert run("verify", "--organization", "nobody").code == 2


class TestConfig:
    def test_each_value_has_its_source_and_secrets_are_masked(
        self, run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (place / "c.toml").write_text(
            '[server]\nport = 9000\n[security]\nsecret_key = "%s"\n' % ("s" * 40)
        )
        monkeypatch.setenv("DATABASE_URL", "postgresql://me:hidden@db/costs")
        ran = run("config", "show", "-c", "c.toml", "-o", "json")
        rows = {row["setting"]: row for row in ran.rows()}
        assert rows["server.port"]["value"] == "9000"
        assert "c.toml" in rows["server.port"]["source"]
        assert rows["database.url"]["source"] == "env DATABASE_URL"
        assert rows["server.host"]["source"] == "default"
        assert "hidden" not in ran.out
        assert "sss" not in ran.out

    def test_a_flag_wins_and_says_so(self, run: Run, ledger: str) -> None:
        rows = run(
            "config", "show", "--changed", "--database-url", "sqlite:x.db", "-o", "json"
        ).rows()
        assert [row["source"] for row in rows if row["setting"] == "database.url"] == [
            "flag --database-url"
        ]

    def test_one_setting(self, run: Run) -> None:
        assert run("config", "get", "server.port").out == "8080\n"
        assert run("config", "get", "server.nonsense").code == 2

    def test_wrong_ones_are_all_named(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COST_OPS_SERVER_PORT", "many")
        monkeypatch.setenv("LOG_LEVEL", "loud")
        ran = run("config", "validate")
        assert ran.code == 2
        assert "COST_OPS_SERVER_PORT" in ran.err
        assert "LOG_LEVEL" in ran.err
        assert run("summary").code == 2

    def test_good_ones(self, run: Run) -> None:
        assert run("config", "validate", "-o", "json").json()["ok"] is True


class TestHealth:
    def test_of_the_local_database(self, run: Run, ledger: str) -> None:
        assert run("health", "-o", "json").json()["status"] == "healthy"

    def test_it_is_that_of_the_database_whatever_organizations_there_are(
        self, run: Run, ledger: str
    ) -> None:
        run("init", "--organization", "Acme")
        assert run("health", "-o", "json").json()["status"] == "healthy"

    def test_a_database_that_does_not_answer(self, run: Run) -> None:
        ran = run("health", "--database-url", "postgresql://me@127.0.0.1:1/x")
        assert ran.code == 5
        assert ran.err.startswith("Error [SERVICE_UNAVAILABLE]")


def test_the_ledgers_way_on_each_database(
    run: Run, database_settings: DatabaseSettings, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """init, key, import twice, query, undo and proof on SQLite, PostgreSQL and MariaDB."""
    monkeypatch.setenv("DATABASE_URL", database_settings.url)
    assert run("init").code == 0
    assert run("auth", "create-api-key", "--name", "x").code == 0
    file = write_lines(place / "c.jsonl", [call(n) for n in range(5)])
    first = run("ingest", file, "--batch-size", 2, "-o", "json").json()
    second = run("ingest", file, "--batch-size", 2, "-o", "json").json()
    assert (first["created"], second["created"], second["duplicates"]) == (5, 0, 5)
    groups = run("query", "--range", "all-time", "--group-by", "model", "-o", "json").rows()
    assert [(row["model"], row["total_cost"]) for row in groups] == [("gpt-4o", "0.0375")]
    import_id = first["data"][0]["import_id"]
    assert run("imports", "undo", import_id, "-o", "json").json()["voided"] == 5
    shown = run("verify", "-o", "json").json()
    assert (shown["ok"], shown["records"], shown["total_cost"]) == (True, 0, 0)
    assert run("db", "status").code == 0
