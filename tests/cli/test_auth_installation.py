"""`auth`: OAuth clients, and the keys that sign access tokens."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run

CREATE = ("auth", "create-oauth-client", "--name", "reports", "--scopes", "read:costs")


@pytest.mark.usefixtures("ledger")
class TestOAuthClients:
    def test_from_beginning_to_end(self, run: Run) -> None:
        ran = run(*CREATE, "--service")
        assert (ran.code, ran.out[:3], ran.out.count("\n")) == (0, "cs_", 1)
        assert ran.out.strip() not in ran.err
        (row,) = run("auth", "list-oauth-clients", "-o", "json").rows()
        assert row["grant_types"] == ["client_credentials"]
        again = run("auth", "rotate-oauth-client", row["client_id"])
        assert (again.code, again.out[:3], again.out != ran.out) == (0, "cs_", True)
        shown = run("auth", "describe-oauth-client", row["client_id"], "-o", "json").json()
        assert (shown["name"], "client_secret" in shown) == ("reports", False)
        assert run("auth", "delete-oauth-client", row["client_id"]).code == 0
        assert run("auth", "list-oauth-clients", "-o", "json").rows() == []
        assert run("auth", "delete-oauth-client", row["client_id"]).code == 4

    def test_a_public_one(self, run: Run) -> None:
        address = ("--redirect-uri", "https://app.example.com/callback")
        ran = run(*CREATE, "--public", *address)
        assert (ran.code, ran.out[:4], "no secret" in ran.err) == (0, "cli_", True)

    def test_one_without_an_address(self, run: Run) -> None:
        ran = run(*CREATE)
        assert (ran.code, ran.out, "redirect_uris" in ran.err) == (2, "", True)


@pytest.mark.usefixtures("ledger")
class TestSigningKeys:
    def test_they_follow_each_other(self, run: Run) -> None:
        assert run("auth", "list-signing-keys", "-o", "json").rows() == []
        first = run("auth", "rotate-signing-key", "-o", "json").json()
        second = run("auth", "rotate-signing-key", "-o", "json").json()
        rows = run("auth", "list-signing-keys", "-o", "json").rows()
        assert {(row["kid"], row["state"]) for row in rows} == {
            (first["kid"], "accepted"),
            (second["kid"], "signs"),
        }
        third = run("auth", "rotate-signing-key", "--at-once", "-o", "json").json()
        rows = run("auth", "list-signing-keys", "-o", "json").rows()
        assert [row["kid"] for row in rows] == [third["kid"]]
        assert "secret" not in rows[0]

    def test_it_is_in_the_log_of_the_installation(
        self, run: Run, ledger: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from sqlalchemy import create_engine, text

        made = run("auth", "rotate-signing-key", "-o", "json").json()
        engine = create_engine(ledger)
        with engine.connect() as connection:
            rows = connection.execute(
                text("SELECT organization_id, resource_id FROM audit_log WHERE action = :action"),
                {"action": "auth.signing_key.rotated"},
            ).all()
        engine.dispose()
        assert [tuple(row) for row in rows] == [("system", made["kid"])]

    def test_no_server_does_it(self, run: Run) -> None:
        for name in ("list-signing-keys", "rotate-signing-key"):
            assert run("auth", name, "--api-url", "http://127.0.0.1:1").code == 2
