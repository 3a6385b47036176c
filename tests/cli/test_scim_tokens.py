"""`auth`: SCIM tokens made, listed and revoked."""

from __future__ import annotations

import re

import pytest

from llm_cost_ops.server.access.secret import well_formed
from tests.cli.conftest import Run, program

CREATE = ("auth", "create-scim-token", "--name", "Okta")

pytestmark = pytest.mark.usefixtures("ledger")


def test_standard_output_is_the_token_and_nothing_else() -> None:
    done = program(*CREATE)
    assert done.returncode == 0
    assert re.fullmatch(r"scim_[A-Za-z0-9]{49}\n", done.stdout)
    assert well_formed(done.stdout[:-1])
    assert done.stdout[:-1] not in done.stderr


def test_made_listed_and_revoked(run: Run) -> None:
    made = run(*CREATE, "--assigns-roles", "-o", "json").json()
    assert made["assigns_roles"] is True
    listed = run("auth", "list-scim-tokens", "-o", "json").json()
    (row,) = listed["data"] if isinstance(listed, dict) else listed
    assert (row["id"], row["is_active"]) == (made["id"], True)
    assert "token" not in row
    assert run("auth", "revoke-scim-token", "--id", made["id"]).code == 0
    assert run("auth", "revoke-scim-token", made["id"]).code == 0
    assert "revoked" in run("auth", "list-scim-tokens").out


@pytest.mark.parametrize("arguments", [(), ("sct_1", "--id", "sct_2")])
def test_one_token_must_be_named(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("auth", "revoke-scim-token", *arguments).code == 2


def test_an_organization_of_several(run: Run) -> None:
    run("init", "--organization", "Acme")
    assert run(*CREATE).code == 2
    assert run(*CREATE, "--organization", "Acme").code == 0
