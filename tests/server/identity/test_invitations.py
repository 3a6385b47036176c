"""Invitations: a link that works once makes one user."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession, read, write_retrying
from llm_cost_ops.server.identity import accounts, invitations, teams, users
from llm_cost_ops.server.identity.fields import PersonError
from llm_cost_ops.server.identity.invitations import Invited, NewInvitation
from llm_cost_ops.server.identity.links import LinkRefused
from llm_cost_ops.server.identity.role_grants import RoleUnknown, roles_of
from tests.support.directory import NOW_US, ORGANIZATION, did, organization, person, team


def invited(database: Database, **more: Any) -> Invited:
    new = NewInvitation(**{"email": "ann@example.com", "role": "analyst", **more})
    return did(database, invitations.invite, new)


def accepted(database: Database, secret: str, now_us: int = NOW_US, **more: Any) -> users.User:
    def work(session: WriteSession) -> users.User:
        return invitations.accept_invitation(session, secret, now_us=now_us, **more)

    return write_retrying(database, work)


def test_who_accepts_becomes_a_user(database: Database) -> None:
    organization(database)
    made_team = team(database)
    made = invited(database, team_ids=[made_team.id], name="Ann")
    with read(database) as session:
        seen = invitations.look_at_invitation(session, made.secret, now_us=NOW_US)
    assert (seen, seen.state(NOW_US)) == (made.invitation, "pending")
    user = accepted(database, made.secret, NOW_US + 5, name="Ann Lee")
    assert (user.email, user.name, user.is_active) == ("ann@example.com", "Ann Lee", True)
    with read(database) as session:
        found = invitations.get_invitation(session, ORGANIZATION, made.invitation.id)
        assert found is not None
        assert (found.state(NOW_US), found.user_id) == ("accepted", user.id)
        assert roles_of(session, ORGANIZATION, [user.id]) == {user.id: ("analyst",)}
        assert teams.members_of(session, ORGANIZATION, made_team.id) == [user.id]
        account = accounts.get_account(session, user.account_id or "")
        assert account is not None
        assert account.email_verified_at == NOW_US + 5
        text = str(session.execute(select(audit_log)).all())
    assert made.secret not in text


@pytest.mark.check(8)
def test_accepted_by_several_at_once_has_one_winner(database: Database) -> None:
    organization(database)
    secret = invited(database).secret
    start = threading.Barrier(4)
    outcomes: list[str] = []

    def race() -> None:
        start.wait()
        try:
            outcomes.append(accepted(database, secret).kind)
        except LinkRefused:
            outcomes.append("refused")

    racers = [threading.Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(outcomes) == ["person", "refused", "refused", "refused"]


def test_ends_after_a_week(database: Database) -> None:
    organization(database)
    made = invited(database)
    ends = NOW_US + invitations.LIVES_US
    assert made.invitation.state(ends) == "expired"
    with pytest.raises(LinkRefused):
        accepted(database, made.secret, ends)
    accepted(database, made.secret, ends - 1)


def test_revoked(database: Database) -> None:
    organization(database)
    made = invited(database)
    gone = did(database, invitations.revoke_invitation, made.invitation.id)
    assert gone.state(NOW_US) == "revoked"
    assert did(database, invitations.revoke_invitation, made.invitation.id) == gone
    with pytest.raises(LinkRefused):
        accepted(database, made.secret)
    with pytest.raises(invitations.InvitationUnknown):
        did(database, invitations.revoke_invitation, "inv_0")
    other = invited(database)
    accepted(database, other.secret)
    with pytest.raises(invitations.InvitationEnded):
        did(database, invitations.revoke_invitation, other.invitation.id)


def test_a_later_invitation_replaces_an_open_one(database: Database) -> None:
    organization(database)
    first, second = invited(database), invited(database, email="ANN@example.com")
    with pytest.raises(LinkRefused):
        accepted(database, first.secret)
    accepted(database, second.secret)
    with read(database) as session:
        listed = invitations.list_invitations(
            session, ORGANIZATION, limit=5, email="Ann@example.com"
        )
        states = [each.state(NOW_US) for each in listed]
        assert sorted(states) == ["accepted", "revoked"]
        after = invitations.list_invitations(session, ORGANIZATION, limit=5, after=listed[0].id)
        assert after == listed[1:]
        assert invitations.list_invitations(session, "org-other", limit=5) == []


def test_who_is_a_user_already_is_not_invited(database: Database) -> None:
    organization(database)
    made = invited(database)
    person(database, "ann")
    with pytest.raises(users.UserExists):
        invited(database)
    with pytest.raises(users.UserExists):
        accepted(database, made.secret)


@pytest.mark.parametrize(
    ("new", "error", "field"),
    [
        ({"email": "ann"}, PersonError, "email"),
        ({"role": "emperor"}, RoleUnknown, "role"),
        ({"team_ids": ["nobody"]}, PersonError, "teams"),
        ({"name": "a\nb"}, PersonError, "name"),
    ],
)
def test_who_cannot_be_invited(
    database: Database, new: dict[str, Any], error: Any, field: str
) -> None:
    organization(database)
    with pytest.raises(error) as caught:
        invited(database, **new)
    assert caught.value.field == field
