"""Users: made, found, changed, disabled, removed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.access.issue import issue_key
from llm_cost_ops.server.access.store import get_key
from llm_cost_ops.server.access.tables import api_keys
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.identity import accounts, members, users
from llm_cost_ops.server.identity.fields import PersonError, clean_email, clean_name
from llm_cost_ops.server.identity.last_admin import LastAdmin, OrganizationUnknown, admins
from llm_cost_ops.server.identity.role_grants import (
    RoleUnknown,
    grant_role,
    role_key,
    roles_of,
    set_roles,
    withdraw_role,
)
from llm_cost_ops.server.identity.users import NewUser, UserExists, UserFilter, UserUnknown
from tests.support.directory import (
    NOW_US,
    ORGANIZATION,
    actor,
    did,
    organization,
    person,
    team,
    user,
)


def audited(database: Database, organization_id: str = ORGANIZATION) -> list[str]:
    statement = (
        select(audit_log.c.action)
        .where(audit_log.c.organization_id == organization_id)
        .order_by(audit_log.c.id)
    )
    with read(database) as session:
        return sorted(session.execute(statement).scalars())


def test_a_person_is_what_it_was_made(database: Database) -> None:
    organization(database)
    made = person(
        database,
        email=" Ann.Lee@Example.COM ",
        name="Ann Lee",
        given_name="Ann",
        family_name="Lee",
        external_id="okta-1",
        metadata={"department": "Engineering", "cost_center": "CC-001"},
        role="engineer",
    )
    assert made.id.startswith("usr_")
    assert (made.email, made.kind, made.is_active) == ("ann.lee@example.com", "person", True)
    with read(database) as session:
        assert users.get_user(session, ORGANIZATION, made.id) == made
        assert users.find_by_email(session, ORGANIZATION, "ANN.lee@example.com") == made
        assert users.find_by_external_id(session, ORGANIZATION, "okta-1") == made
        assert users.get_user(session, "org-other", made.id) is None
        assert roles_of(session, ORGANIZATION, [made.id]) == {made.id: ("developer",)}
        account = accounts.find_account(session, "ann.lee@example.com")
    assert account is not None
    assert (account.id, account.has_password, account.name) == (made.account_id, False, "Ann Lee")
    assert audited(database) == ["organization.created", "user.created", "user.role_granted"]


@pytest.mark.parametrize(
    ("new", "error", "field"),
    [
        ({"email": "nobody"}, PersonError, "email"),
        ({"email": "a@b"}, PersonError, "email"),
        ({"email": "a@example.com\r\nBcc: b@example.com"}, PersonError, "email"),
        ({"email": None}, PersonError, "email"),
        ({"name": "a\r\nBcc: b"}, PersonError, "name"),
        ({"name": "x" * 256}, PersonError, "name"),
        ({"role": "emperor"}, RoleUnknown, "role"),
        ({"metadata": {"a": "\x00"}}, PersonError, "metadata"),
        ({"metadata": {"a": "x" * 16_385}}, PersonError, "metadata"),
        ({"user_id": "a/b"}, PersonError, "user_id"),
        ({"kind": "service"}, PersonError, "email"),
    ],
)
def test_who_cannot_be_made(
    database: Database, new: dict[str, Any], error: type[DomainError], field: str
) -> None:
    organization(database)
    with pytest.raises(error) as caught:
        person(database, **{"email": "ann@example.com", **new})
    assert caught.value.field == field
    assert audited(database) == ["organization.created"]
    with read(database) as session:
        assert accounts.find_account(session, "ann@example.com") is None


def test_one_address_is_one_user_of_an_organization_and_one_account(database: Database) -> None:
    for each in (ORGANIZATION, "org-other"):
        organization(database, each)
    first = person(database)
    with pytest.raises(UserExists):
        person(database, email="ANN@example.com")
    second = person(database, who=actor("org-other"))
    assert first.account_id == second.account_id
    assert first.account_id is not None
    with read(database) as session:
        found = accounts.memberships(session, first.account_id)
    assert [each.organization_id for each in found] == ["org-other", ORGANIZATION]


def test_who_calls_have_named_keeps_the_id(database: Database) -> None:
    organization(database)
    seen = {"user-123", "bob@example.com"}
    with write(database) as session:
        members.ensure_members(session, {ORGANIZATION: (set(), seen)}, now_us=NOW_US)
    with read(database) as session:
        assert users.get_user(session, ORGANIZATION, "user-123") is None
    assert person(database, user_id="user-123").id == "user-123"
    assert person(database, "bob").id == "bob@example.com"
    with pytest.raises(UserExists):
        person(database, "eve", user_id="user-123")


def test_who_belongs_to_no_organization(database: Database) -> None:
    with pytest.raises(OrganizationUnknown):
        person(database)


def test_a_list_is_filtered_and_paged(database: Database) -> None:
    organization(database)
    ann = person(database, "ann", role="admin", user_id="1")
    bob = person(database, "bob", role="viewer", user_id="2", active=False)
    cy = person(database, "Cy 100%", email="cy@example.com", user_id="3")
    robot = did(database, users.create_user, NewUser(name="robot", kind="service", user_id="4"))
    made = team(database, members=[bob.id, cy.id])

    def listed(wanted: UserFilter | None = None, **page: Any) -> list[users.User]:
        with read(database) as session:
            return users.list_users(session, ORGANIZATION, wanted, **{"limit": 10, **page})

    assert listed() == [ann, bob, cy]
    assert listed(UserFilter(kinds=users.MADE)) == [ann, bob, cy, robot]
    assert listed(UserFilter(active=True)) == [ann, cy]
    assert listed(UserFilter(active=False)) == [bob]
    assert listed(UserFilter(role="read_only")) == [bob]
    assert listed(UserFilter(team_id=made.id)) == [bob, cy]
    assert listed(UserFilter(search="CY 100%")) == [cy]
    assert listed(UserFilter(search="%")) == [cy]
    assert listed(UserFilter(search="BOB@example")) == [bob]
    assert listed(limit=1, after="1") == [bob]
    assert listed(limit=1, offset=2) == [cy]
    with read(database) as session:
        assert users.list_users(session, "org-other", limit=10) == []


def test_what_is_not_named_stays(database: Database) -> None:
    organization(database)
    made = person(database, metadata={"a": 1})
    changed = did(
        database, users.update_user, made.id, {"name": "Ann B.", "family_name": "B."}, version=1
    )
    assert (changed.name, changed.family_name, changed.version) == ("Ann B.", "B.", 2)
    assert (changed.email, changed.metadata) == (made.email, {"a": 1})
    with pytest.raises(users.UserChanged):
        did(database, users.update_user, made.id, {"name": "x"}, version=1)
    assert did(database, users.update_user, made.id, {"name": "Ann B."}).version == 2
    with pytest.raises(PersonError):
        did(database, users.update_user, made.id, {"kind": "service"})
    with pytest.raises(UserUnknown):
        did(database, users.update_user, "usr_0", {"name": "x"})
    assert user(database, made.id) == changed


def test_another_address_is_another_account(database: Database) -> None:
    """Who administers one organization must not become somebody in another by an address."""
    organization(database)
    ann, bob = person(database, "ann"), person(database, "bob")
    with pytest.raises(UserExists):
        did(database, users.update_user, ann.id, {"email": "Bob@example.com"})
    moved = did(database, users.update_user, ann.id, {"email": "evil@example.com"})
    assert moved.account_id not in (ann.account_id, bob.account_id)
    with read(database) as session:
        before = accounts.find_account(session, "ann@example.com")
        assert before is not None
        assert (before.id, before.token_version) == (ann.account_id, 1)
        assert accounts.memberships(session, before.id) == []


def _key(database: Database, user_id: str, organization_id: str = ORGANIZATION) -> str:
    with write(database) as session:
        key = issue_key(
            session,
            organization_id=organization_id,
            name="k",
            scopes=["read:costs"],
            prefix="sk_test_",
            now_us=NOW_US,
        ).key
        session.execute(api_keys.update().where(api_keys.c.id == key.id).values(user_id=user_id))
    return key.id


def _revoked(database: Database, keys: Sequence[str]) -> list[bool]:
    with read(database) as session:
        found = [get_key(session, ORGANIZATION, key_id) for key_id in keys]
    return [key is not None and key.revoked_at is not None for key in found]


@pytest.mark.parametrize("verb", [users.disable_user, users.remove_user])
def test_the_end_of_a_user_is_the_end_of_every_credential(database: Database, verb: Any) -> None:
    organization(database)
    ann, bob = person(database, "ann"), person(database, "bob")
    keys = [_key(database, ann.id), _key(database, bob.id)]
    with read(database) as session:
        assert not users.is_ended(session, ORGANIZATION, ann.id)
    did(database, verb, ann.id)
    assert _revoked(database, keys) == [True, False]
    with read(database) as session:
        assert users.is_ended(session, ORGANIZATION, ann.id)
        assert not users.is_ended(session, ORGANIZATION, bob.id)
        account = accounts.get_account(session, ann.account_id or "")
        assert account is not None
        assert account.token_version == 1
        assert accounts.memberships(session, account.id) == []


def test_disabled_and_enabled(database: Database) -> None:
    organization(database)
    made = person(database)
    disabled = did(database, users.disable_user, made.id)
    assert (disabled.is_active, disabled.version) == (False, 2)
    assert did(database, users.disable_user, made.id) == disabled
    enabled = did(database, users.update_user, made.id, {"active": True})
    assert (enabled.is_active, enabled.version) == (True, 3)
    assert did(database, users.enable_user, made.id) == enabled
    assert not did(database, users.update_user, made.id, {"active": False}).is_active
    assert audited(database).count("user.disabled") == 2


def test_who_is_removed_leaves_an_id(database: Database) -> None:
    organization(database)
    made = person(database, role="viewer", metadata={"a": 1}, external_id="x")
    group = team(database, members=[made.id])
    did(database, users.remove_user, made.id)
    with read(database) as session:
        assert users.get_user(session, ORGANIZATION, made.id) is None
        assert users.find_by_email(session, ORGANIZATION, "ann@example.com") is None
        assert users.find_by_external_id(session, ORGANIZATION, "x") is None
        assert roles_of(session, ORGANIZATION, [made.id]) == {}
        row = session.execute(select(users.users).where(users.users.c.id == made.id)).one()
        wanted = UserFilter(kinds=("seen",), team_id=group.id)
        assert users.list_users(session, ORGANIZATION, wanted, limit=5) == []
    assert (row.kind, row.email, row.name, row.account_id) == ("seen", None, None, None)
    with pytest.raises(UserUnknown):
        did(database, users.remove_user, made.id)
    again = person(database, user_id=made.id)
    assert (again.id, again.is_active, again.metadata) == (made.id, True, {})


def test_roles(database: Database) -> None:
    organization(database)
    made = person(database)
    assert did(database, grant_role, made.id, "viewer")
    assert not did(database, grant_role, made.id, "viewer")
    did(database, set_roles, made.id, ["analyst", "billing"])
    with read(database) as session:
        assert roles_of(session, ORGANIZATION, [made.id]) == {made.id: ("analyst", "billing")}
        assert roles_of(session, ORGANIZATION, []) == {}
        assert role_key(session, ORGANIZATION, "Org-Admin") == "admin"
    assert did(database, withdraw_role, made.id, "billing")
    assert not did(database, withdraw_role, made.id, "billing")


@pytest.mark.parametrize("verb", ["disable", "remove", "demote", "deactivate"])
def test_the_last_administrator_stays(database: Database, verb: str) -> None:
    organization(database)
    ann = person(database, "ann", role="admin")
    person(database, "bob", role="admin", active=False)
    did(database, users.create_user, NewUser(name="r", kind="service", role="admin"))

    def end(user_id: str) -> None:
        match verb:
            case "disable":
                did(database, users.disable_user, user_id)
            case "remove":
                did(database, users.remove_user, user_id)
            case "demote":
                did(database, set_roles, user_id, ["viewer"])
            case _:
                did(database, users.update_user, user_id, {"active": False, "name": "x"})

    with pytest.raises(LastAdmin):
        end(ann.id)
    assert user(database, ann.id) == ann
    with read(database) as session:
        assert admins(session, ORGANIZATION) == [ann.id]
    cy = person(database, "cy", role="admin")
    end(ann.id)
    with read(database) as session:
        assert admins(session, ORGANIZATION) == [cy.id]


@pytest.mark.check(8)
@pytest.mark.parametrize("verb", [users.disable_user, users.remove_user])
def test_two_administrators_who_end_each_other_have_one_winner(
    database: Database, verb: Any
) -> None:
    organization(database)
    pair = [person(database, name, role="admin").id for name in ("ann", "bob")]
    start = threading.Barrier(2)
    outcomes: list[str] = []

    def race(other: str) -> None:
        start.wait()
        try:
            did(database, verb, other)
            outcomes.append("won")
        except LastAdmin:
            outcomes.append("lost")

    racers = [threading.Thread(target=race, args=(each,)) for each in pair]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(outcomes) == ["lost", "won"]
    with read(database) as session:
        assert len(admins(session, ORGANIZATION)) == 1


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        ("a+b@bücher.example", "a+b@xn--bcher-kva.example"),
        (f"{'a' * 64}@example.com", f"{'a' * 64}@example.com"),
    ],
)
def test_addresses(given: str, stored: str) -> None:
    assert clean_email(given) == stored


@pytest.mark.check(14)
@pytest.mark.parametrize(
    "given",
    [
        "", "a", "@example.com", "a@", "a@@example.com", "a b@example.com", "a@example.com\n",
        "a@example.com\r\nBcc: b@example.com", "a@example.com,b@example.com", "<a@example.com>",
        "a@example", "a@-example.com", "=?utf-8?q?a=0a?=@example.com", f"{'a' * 65}@example.com",
        f"a@{'b' * 250}.com", "a@exa\u2028mple.com", "ä@example.com", '"a b"@example.com',
    ],
)  # fmt: skip
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(PersonError):
        clean_email(given)


@pytest.mark.check(14)
@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", "a\rb", "a\x00", "a\u2028b", "=?utf-8?q?=0a?=", "a\u202eb", "\ud800"]
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(PersonError):
        clean_name(name)
    assert clean_name(" Zoë <img onerror> {{7*7}} ") == "Zoë <img onerror> {{7*7}}"
