"""`auth`: keys made on the local database and on a server, and what they may do."""

from __future__ import annotations

import re

import pytest

from llm_cost_ops.server.access.secret import well_formed
from tests.cli.conftest import Run, program

CREATE = ("auth", "create-api-key", "--name", "x")


def made(run: Run, *arguments: str) -> dict[str, object]:
    return run(*CREATE, *arguments, "-o", "json").json()


@pytest.mark.usefixtures("ledger")
class TestCreate:
    def test_standard_output_is_the_key_and_nothing_else(self, run: Run) -> None:
        ran = run(*CREATE)
        assert ran.code == 0
        assert ran.out.endswith("\n")
        assert well_formed(ran.out[:-1])
        assert ran.out[:-1] not in ran.err

    def test_as_a_program_too(self, ledger: str) -> None:
        done = program(*CREATE)
        assert done.returncode == 0
        assert re.fullmatch(r"sk_live_[A-Za-z0-9]{49}\n", done.stdout)

    def test_quiet_says_nothing_else_at_all(self, run: Run) -> None:
        assert run("-q", *CREATE).err == ""

    def test_it_may_do_everything_unless_told_otherwise(self, run: Run) -> None:
        assert made(run)["scopes"] == ["*"]

    @pytest.mark.parametrize(
        ("text", "scopes"),
        [
            ("read:costs", ["read:costs"]),
            ("costs:write, read:costs", ["read:costs", "write:costs"]),
            ("developer", ["read:api_keys", "read:costs", "write:costs"]),
            (
                "viewer,write:pricing",
                ["read:budgets", "read:costs", "read:reports", "write:pricing"],
            ),
            ("admin", ["*"]),
            ("*", ["*"]),
        ],
    )
    def test_scopes_are_permissions_or_roles(self, run: Run, text: str, scopes: list[str]) -> None:
        assert made(run, "--scopes", text)["scopes"] == scopes

    @pytest.mark.parametrize("text", ["", " , ", "nonsense", "fly:costs"])
    def test_scopes_that_are_none(self, run: Run, text: str) -> None:
        ran = run(*CREATE, "--scopes", text)
        assert (ran.code, ran.out) == (2, "")

    @pytest.mark.parametrize(
        ("given", "until"),
        [
            ("2030-12-31", "2031-01-01T00:00:00Z"),
            ("2030-12-31T10:00:00Z", "2030-12-31T10:00:00Z"),
        ],
    )
    def test_a_day_is_valid_to_its_end(self, run: Run, given: str, until: str) -> None:
        assert made(run, "--expires", given)["expires_at"] == until

    @pytest.mark.parametrize("given", ["2001-01-01", "soon"])
    def test_an_expiry_that_cannot_be(self, run: Run, given: str) -> None:
        ran = run(*CREATE, "--expires", given)
        assert (ran.code, ran.out) == (2, "")

    def test_several_organizations_must_be_told_apart(self, run: Run) -> None:
        run("init", "--organization", "Acme")
        ran = run(*CREATE)
        assert (ran.code, ran.out) == (2, "")
        assert "org-acme" in ran.err
        assert made(run, "--organization", "Acme")["organization_id"] == "org-acme"


@pytest.mark.usefixtures("ledger")
class TestListAndRevoke:
    @pytest.mark.parametrize("group", [("auth",), ("auth", "api-key")], ids=" ".join)
    def test_by_every_spelling(self, run: Run, group: tuple[str, ...]) -> None:
        key = run(*group, "create", "--name", "x", "-o", "json").json()
        listed = run(*group, "list", "-o", "json").rows()
        assert [(row["id"], row["is_active"]) for row in listed] == [(key["id"], True)]
        assert "key" not in listed[0]
        assert run(*group, "revoke", key["id"]).code == 0
        assert not run(*group, "list", "-o", "json").rows()[0]["is_active"]

    def test_the_documented_names(self, run: Run) -> None:
        key = made(run)
        assert "active" in run("auth", "list-api-keys").out
        assert run("auth", "revoke-api-key", "--id", str(key["id"])).code == 0
        assert run("auth", "revoke-api-key", "--id", str(key["id"])).code == 0
        assert "revoked" in run("auth", "list-api-keys").out

    def test_one_key_must_be_named(self, run: Run) -> None:
        assert run("auth", "revoke-api-key").code == 2
        assert run("auth", "revoke-api-key", "key_a", "--id", "key_b").code == 2

    def test_an_unknown_key(self, run: Run) -> None:
        ran = run("auth", "revoke-api-key", "--id", "key_nonsense")
        assert ran.code == 4
        assert ran.err.startswith("Error [NOT_FOUND]")


@pytest.mark.usefixtures("ledger")
class TestChanges:
    def test_a_key_is_described_and_updated(self, run: Run) -> None:
        key = made(run, "--env", "test", "--networks", "203.0.113.7, 10.0.0.0/8")
        assert str(key["key"]).startswith("sk_test_")
        shown = run("auth", "describe-key", "--id", str(key["id"]), "-o", "json").json()
        assert shown["allowed_networks"] == ["10.0.0.0/8", "203.0.113.7/32"]
        assert "key" not in shown
        changed = run(
            "auth", "update-key", str(key["id"]), "--name", "new", "--scopes", "read:costs",
            "--networks", "", "-o", "json",
        ).json()  # fmt: skip
        assert (changed["name"], changed["scopes"]) == ("new", ["read:costs"])
        assert changed["allowed_networks"] == []
        assert run("auth", "update-key", str(key["id"])).code == 2

    @pytest.mark.parametrize("group", [("auth",), ("auth", "api-key")], ids=" ".join)
    def test_a_key_is_rotated(self, run: Run, group: tuple[str, ...]) -> None:
        key = made(run)
        rotated = run(*group, "rotate", str(key["id"]), "--overlap-seconds", "0")
        assert rotated.code == 0
        assert rotated.out.startswith("sk_live_")
        assert len(rotated.out.split()) == 1
        rows = run("auth", "list-api-keys", "-o", "json").rows()
        assert sorted(row["is_active"] for row in rows) == [False, True]
        assert run(*group, "rotate", str(key["id"])).code != 0
