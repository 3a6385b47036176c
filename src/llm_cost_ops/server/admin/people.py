"""Who is meant by an id or an address, and who is made with role, teams and welcome at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llm_cost_ops.server.access.powers import grantable, refuse_stronger
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin import letters
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity import teams, users
from llm_cost_ops.server.identity.fields import PersonError
from llm_cost_ops.server.identity.users import NewUser, User


def make_user(
    session: WriteSession,
    actor: Actor,
    principal: Principal,
    new: NewUser,
    *,
    team_texts: Sequence[str] = (),
    welcome: bool = False,
) -> User:
    """A user who is a member of the teams, named by id or name, from the start. Raises what
    `create_user` raises, BeyondOwn for a role that the caller does not hold, given now or to an id
    that calls have named before."""
    if new.role is not None:
        grantable(session, principal, new.role)
    made = users.create_user(session, actor, new)
    refuse_stronger(session, principal, made.id)
    for team_id in team_ids(session, actor.organization_id, team_texts):
        teams.add_members(session, actor, team_id, [made.id])
    if welcome:
        letters.post(session, actor, "welcome", made.id)
    return made


def team_ids(session: ReadSession, organization_id: str, texts: Iterable[str]) -> list[str]:
    """The ids of teams that are named by id or name. Raises PersonError."""
    found: list[str] = []
    for text in texts:
        team = teams.find_team(session, organization_id, text.strip())
        if team is None:
            raise PersonError(f"{text} is no team of the organization", field="teams")
        found.append(team.id)
    return list(dict.fromkeys(found))


def user_ids(session: ReadSession, organization_id: str, texts: Iterable[str]) -> list[str]:
    """The ids of users who are named by id or address. Raises PersonError."""
    found: list[str] = []
    for text in texts:
        user = users.get_user(session, organization_id, text)
        if user is None and "@" in text:
            user = users.find_by_email(session, organization_id, text)
        if user is None:
            raise PersonError(f"{text} is no user of the organization", field="members")
        found.append(user.id)
    return list(dict.fromkeys(found))
