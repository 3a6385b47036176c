"""What SCIM changes is what the rest of the product sees, and the other way round."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import select, update

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.access.tables import api_keys
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.identity import teams, users
from tests.support.application import Application
from tests.support.directory import actor
from tests.support.scim import ENTERPRISE, GROUP, USER, Provider


def stored(provider: Provider, user_id: str) -> users.User | None:
    own = provider.application
    with read(own.database) as session:
        return users.get_user(session, own.organization_id, user_id)


def change(provider: Provider, user_id: str, **changes: Any) -> None:
    """Change a person as an administrator does."""
    own = provider.application
    with write(own.database) as session:
        who = actor(own.organization_id, own.clock.micros())
        users.update_user(session, who, user_id, changes)


def test_columns_of_a_person(provider: Provider) -> None:
    said: dict[str, Any] = {
        ENTERPRISE: {"department": "Research", "manager": {"value": "m-1"}, "costCenter": "4130"}
    }
    made = provider.user(externalId="e-1", displayName="Ann L.", **said)
    user = stored(provider, made["id"])
    assert user is not None
    assert (user.email, user.name, user.given_name) == ("ann@example.com", "Ann L.", "Ann")
    assert user.external_id == "e-1"
    assert user.metadata == {"department": "Research", "manager": "m-1", "cost_center": "4130"}
    assert user.account_id is not None


def test_what_others_change_is_shown(provider: Provider) -> None:
    said: dict[str, Any] = {ENTERPRISE: {"department": "Research"}}
    made = provider.user(displayName="Ann L.", **said)
    change(
        provider,
        made["id"],
        name="Dr. Ann",
        email="doctor@example.com",
        metadata={"department": "Sales", "badge": 7},
    )
    seen = provider.get(f"/Users/{made['id']}").json()
    assert seen["displayName"] == "Dr. Ann"
    assert seen["emails"][0]["value"] == "doctor@example.com"
    assert seen[ENTERPRISE] == {"department": "Sales"}
    assert seen["meta"]["version"] != made["meta"]["version"]
    provider.patch(f"/Users/{made['id']}", {"op": "remove", "path": f"{ENTERPRISE}:department"})
    user = stored(provider, made["id"])
    assert user is not None
    assert user.metadata == {"badge": 7}


def test_a_person_whom_no_provider_made(provider: Provider) -> None:
    own = provider.application
    with write(own.database) as session:
        who = actor(own.organization_id, own.clock.micros())
        made = users.create_user(session, who, users.NewUser(email="bob@example.com", name="Bob"))
    (found,) = provider.found("Users", 'userName eq "Bob@example.com"')
    assert (found["id"], found["displayName"]) == (made.id, "Bob")
    taken = provider.request("POST", "/Users", {"schemas": [USER], "userName": "bob@example.com"})
    assert taken.json()["scimType"] == "uniqueness"
    adopted = provider.patch(
        f"/Users/{made.id}", {"op": "add", "value": {"externalId": "e-1", "title": "Dr."}}
    )
    assert adopted.json()["externalId"] == "e-1"


def test_a_group_is_a_team(provider: Provider) -> None:
    ann = provider.user()["id"]
    group = provider.group("Engineering", ann, externalId="g-1")
    own = provider.application
    with read(own.database) as session:
        team = teams.known_team(session, own.organization_id, group["id"])
        members = teams.members_of(session, own.organization_id, group["id"])
    assert (team.name, team.external_id, members) == ("Engineering", "g-1", [ann])


def test_a_member_that_is_a_group(provider: Provider) -> None:
    inner = provider.group("Inner")
    body = {
        "schemas": [GROUP],
        "displayName": "Outer",
        "members": [{"value": inner["id"], "type": "Group"}],
    }
    assert provider.request("POST", "/Groups", body).status_code == 400


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_the_last_administrator_stays(provider: Provider, method: str) -> None:
    admin = provider.user(roles=[{"value": "admin"}])
    path = f"/Users/{admin['id']}"
    refused = (
        provider.request("DELETE", path)
        if method == "DELETE"
        else provider.patch(path, {"op": "replace", "path": "active", "value": False})
    )
    assert refused.status_code == 409
    assert "administrator" in refused.json()["detail"]
    demoted = provider.patch(path, {"op": "remove", "path": "roles"})
    assert demoted.status_code == 409
    assert provider.get(path).json() == admin


@pytest.mark.parametrize("kind", ["Users", "Groups"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_what_belongs_to_another_organization(
    shared: Application, provider: Provider, kind: str, method: str
) -> None:
    made = provider.user() if kind == "Users" else provider.group("Engineering")
    other = Provider.of(shared.another())
    body: Any = None if method in ("GET", "DELETE") else made
    if method == "PATCH":
        body = {"Operations": [{"op": "replace", "path": "displayName", "value": "Mine"}]}
    foreign = other.request(method, f"/{kind}/{made['id']}", body)
    nobody = other.request(method, f"/{kind}/{made['id'][:-2]}zz", body)
    assert foreign.status_code == nobody.status_code == 404
    assert foreign.json() == nobody.json()
    assert other.get(f"/{kind}").json()["totalResults"] == 0
    assert provider.get(f"/{kind}/{made['id']}").json() == made


def test_a_member_of_another_organization(shared: Application, provider: Provider) -> None:
    foreign = Provider.of(shared.another()).user()["id"]
    body = {"schemas": [GROUP], "displayName": "G", "members": [{"value": foreign}]}
    assert provider.request("POST", "/Groups", body).status_code == 400


def test_the_same_user_name_in_two_organizations(shared: Application, provider: Provider) -> None:
    provider.user()
    assert Provider.of(shared.another()).user()["userName"] == "ann@example.com"


def test_every_change_is_in_the_audit_log(provider: Provider) -> None:
    user = provider.user(title="Dr.")
    group = provider.group("Engineering", user["id"])
    provider.patch(f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": "Prof."})
    provider.patch(f"/Users/{user['id']}", {"op": "replace", "path": "active", "value": False})
    provider.request("DELETE", f"/Groups/{group['id']}")
    provider.request("DELETE", f"/Users/{user['id']}")
    own = provider.application
    statement = select(audit_log).where(audit_log.c.organization_id == own.organization_id)
    with read(own.database) as session:
        rows = list(session.execute(statement.order_by(audit_log.c.id)).mappings())
    actions = [row["action"] for row in rows if row["resource_type"] in ("user", "team")]
    for action in (
        "user.created", "scim.user.updated", "team.created", "team.members_added",
        "user.disabled", "team.deleted", "user.deleted",
    ):  # fmt: skip
        assert action in actions
    changed = [row for row in rows if row["action"] == "scim.user.updated"][-1]
    assert loads(changed["before"])["title"] == "Dr."
    assert loads(changed["after"])["title"] == "Prof."
    made = next(row for row in rows if row["action"] == "user.created")
    assert made["actor_id"].startswith("sct_")


@pytest.mark.parametrize("how", ["active", "delete"])
def test_a_key_of_a_user_ends_with_the_user(provider: Provider, how: str) -> None:
    """Within a second, also where the key was in use a moment before."""
    user = provider.user()
    own = provider.application
    key_id, secret = own.new_key_with_id("read:costs")
    with write(own.database) as session:
        session.execute(update(api_keys).where(api_keys.c.id == key_id).values(user_id=user["id"]))
    probe = "/api/v1/auth/validate"
    assert own.get(probe, key=secret).status_code == 200
    if how == "active":
        operation = {"op": "Replace", "path": "active", "value": "False"}
        assert provider.patch(f"/Users/{user['id']}", operation).status_code == 200
    else:
        assert provider.request("DELETE", f"/Users/{user['id']}").status_code == 204
    until_s = time.monotonic() + 1.0
    while own.get(probe, key=secret).status_code != 401:
        assert time.monotonic() < until_s
