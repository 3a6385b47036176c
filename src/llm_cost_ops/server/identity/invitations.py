"""Invitations: somebody with an e-mail address may become a user, by a link that works once.

Whoever holds the link has shown that the address is theirs, so the account's address counts as
proven. Of several who accept at once, one succeeds.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity import links, teams, users
from llm_cost_ops.server.identity.fields import PersonError, clean_email, clean_optional
from llm_cost_ops.server.identity.last_admin import hold_organization
from llm_cost_ops.server.identity.role_grants import role_key
from llm_cost_ops.server.identity.tables import accounts, invitations
from llm_cost_ops.server.identity.users import NewUser, User, UserExists

LIVES_US = 7 * 86_400_000_000
"""A week."""
MAX_TEAMS = 100
PURPOSE = "invite"
_ROW = invitations.c


class InvitationUnknown(DomainError):
    """No such invitation in this organization."""

    code = "NOT_FOUND"


class InvitationEnded(DomainError):
    """An invitation that was accepted cannot be revoked."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation. Times in microseconds since 1970 UTC. `user_id` is who accepted it."""

    id: str
    organization_id: str
    email: str
    name: str | None
    role: str
    team_ids: tuple[str, ...]
    invited_by: str | None
    created_at: int
    expires_at: int
    accepted_at: int | None
    revoked_at: int | None
    user_id: str | None

    def state(self, now_us: int) -> str:
        """`pending`, `accepted`, `revoked` or `expired`."""
        if self.accepted_at is not None:
            return "accepted"
        if self.revoked_at is not None:
            return "revoked"
        return "pending" if now_us < self.expires_at else "expired"


@dataclass(frozen=True, slots=True)
class Invited:
    """A new invitation, and the secret of its link, which is sent once and stored nowhere."""

    invitation: Invitation
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInvitation:
    """An invitation to be."""

    email: str
    role: str
    name: str | None = None
    team_ids: Sequence[str] = ()
    lives_us: int = LIVES_US


def invite(session: WriteSession, actor: Actor, new: NewInvitation) -> Invited:
    """Invite somebody; an invitation of the same address that is still open ends. Raises
    PersonError, RoleUnknown, UserExists."""
    hold_organization(session, actor.organization_id)
    email = clean_email(new.email)
    role = role_key(session, actor.organization_id, new.role)
    if users.find_by_email(session, actor.organization_id, email) is not None:
        raise UserExists("A user with this e-mail address exists already.", field="email")
    known = teams.parents_of(session, actor.organization_id)
    missing = [each for each in new.team_ids if each not in known]
    if missing or len(new.team_ids) > MAX_TEAMS:
        raise PersonError(f"must be at most {MAX_TEAMS} teams of the organization", field="teams")
    for other in _open(session, actor.organization_id, email):
        _revoke(session, actor, other)
    made = Invitation(
        id=single_id("inv", actor.now_us // 1_000, secrets.randbits(80)),
        organization_id=actor.organization_id,
        email=email,
        name=clean_optional(new.name, "name"),
        role=role,
        team_ids=tuple(dict.fromkeys(new.team_ids)),
        invited_by=actor.actor_id,
        created_at=actor.now_us,
        expires_at=actor.now_us + new.lives_us,
        accepted_at=None,
        revoked_at=None,
        user_id=None,
    )
    values = {name: getattr(made, name) for name in Invitation.__slots__}
    session.execute(insert(invitations), {**values, "team_ids": dumps(made.team_ids)})
    actor.record(session, "invitation.created", "invitation", made.id, None, _told(made))
    secret = links.make_link(
        session,
        PURPOSE,
        now_us=actor.now_us,
        lives_us=new.lives_us,
        organization_id=actor.organization_id,
        detail={"invitation_id": made.id},
    )
    return Invited(made, secret)


def look_at_invitation(session: ReadSession, secret: str, *, now_us: int) -> Invitation:
    """What an open invitation says, without accepting it. Raises LinkRefused."""
    return _behind(session, links.look_at_link(session, secret, PURPOSE, now_us=now_us), now_us)


def accept_invitation(
    session: WriteSession,
    secret: str,
    *,
    now_us: int,
    name: str | None = None,
    request_id: str | None = None,
) -> User:
    """The user that somebody becomes by a link; its account may have no password yet. Raises
    LinkRefused, UserExists when the address became a user in the meantime."""
    link = links.use_link(session, secret, PURPOSE, now_us=now_us)
    invitation = _behind(session, link, now_us)
    taken = session.execute(
        update(invitations)
        .where(_ROW.id == invitation.id, _ROW.accepted_at.is_(None), _ROW.revoked_at.is_(None))
        .values(accepted_at=now_us)
    )
    if taken.rowcount != 1:
        raise links.LinkRefused(links.REFUSED)
    actor = Actor(invitation.organization_id, invitation.id, request_id, now_us)
    made = users.create_user(
        session,
        actor,
        NewUser(email=invitation.email, name=name or invitation.name, role=invitation.role),
    )
    known = teams.parents_of(session, invitation.organization_id)
    for team_id in invitation.team_ids:
        if team_id in known:  # one that was removed meanwhile is no reason to keep somebody out
            teams.add_members(session, actor, team_id, [made.id])
    session.execute(update(invitations).where(_ROW.id == invitation.id).values(user_id=made.id))
    session.execute(
        update(accounts)
        .where(accounts.c.id == made.account_id, accounts.c.email_verified_at.is_(None))
        .values(email_verified_at=now_us)
    )
    actor.record(
        session, "invitation.accepted", "invitation", invitation.id, None, {"user_id": made.id}
    )
    return made


def revoke_invitation(session: WriteSession, actor: Actor, invitation_id: str) -> Invitation:
    """End an invitation; a second time changes nothing. Raises InvitationUnknown,
    InvitationEnded when it was accepted."""
    hold_organization(session, actor.organization_id)
    found = get_invitation(session, actor.organization_id, invitation_id)
    if found is None:
        raise InvitationUnknown("Invitation not found")
    if found.accepted_at is not None:
        raise InvitationEnded("This invitation was accepted: remove the user instead.")
    if found.revoked_at is None and not _revoke(session, actor, found):
        raise InvitationEnded("This invitation was accepted: remove the user instead.")
    return get_invitation(session, actor.organization_id, invitation_id) or found


def get_invitation(
    session: ReadSession, organization_id: str, invitation_id: str
) -> Invitation | None:
    """The invitation with this id."""
    statement = select(invitations).where(
        _ROW.organization_id == organization_id, _ROW.id == invitation_id
    )
    row = session.execute(statement).mappings().first()
    return None if row is None else _invitation(row)


def list_invitations(
    session: ReadSession,
    organization_id: str,
    *,
    limit: int,
    offset: int = 0,
    after: str | None = None,
    email: str | None = None,
) -> list[Invitation]:
    """Newest first, ended ones too. `after` is the id of the last one of the page before."""
    statement = select(invitations).where(_ROW.organization_id == organization_id)
    if email is not None:
        statement = statement.where(_ROW.email == clean_email(email))
    if after is not None:
        statement = statement.where(_ROW.id < after)
    statement = statement.order_by(_ROW.id.desc()).limit(limit).offset(offset)
    return [_invitation(row) for row in session.execute(statement).mappings()]


def _behind(session: ReadSession, link: links.Link, now_us: int) -> Invitation:
    """The open invitation of a link. Raises LinkRefused."""
    invitation_id = str(link.detail.get("invitation_id", ""))
    found = get_invitation(session, link.organization_id or "", invitation_id)
    if found is None or found.state(now_us) != "pending":
        raise links.LinkRefused(links.REFUSED)
    return found


def _open(session: ReadSession, organization_id: str, email: str) -> list[Invitation]:
    statement = select(invitations).where(
        _ROW.organization_id == organization_id,
        _ROW.email == email,
        _ROW.accepted_at.is_(None),
        _ROW.revoked_at.is_(None),
    )
    return [_invitation(row) for row in session.execute(statement).mappings()]


def _revoke(session: WriteSession, actor: Actor, found: Invitation) -> bool:
    """Whether it was still open."""
    ended = session.execute(
        update(invitations)
        .where(
            _ROW.organization_id == actor.organization_id,
            _ROW.id == found.id,
            _ROW.accepted_at.is_(None),
            _ROW.revoked_at.is_(None),
        )
        .values(revoked_at=actor.now_us)
    )
    if ended.rowcount != 1:
        return False
    actor.record(session, "invitation.revoked", "invitation", found.id, _told(found), None)
    return True


def _invitation(row: Mapping[Any, Any]) -> Invitation:
    values: dict[str, Any] = {name: row[name] for name in Invitation.__slots__}
    values["team_ids"] = tuple(loads(row["team_ids"]))
    return Invitation(**values)


def _told(made: Invitation) -> dict[str, object]:
    """What the audit log says of an invitation."""
    return {"email": made.email, "role": made.role, "teams": list(made.team_ids)}
