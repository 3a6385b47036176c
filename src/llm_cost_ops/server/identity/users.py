"""Users: people and service accounts of an organization, made, changed, disabled and removed.

A user that calls name before it is made is there already, as `seen`; making it keeps its id.
Disabling one ends every credential: the keys that are the user's are revoked, the sessions and
tokens by which the account is this user are refused, and whoever looks up a credential looks at
`disabled_at`. What the account does in other organizations is not touched.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import column, delete, func, insert, or_, select, table, update
from sqlalchemy.exc import IntegrityError

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.ids import single_id
from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.dialects import contains, lock_rows
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity import accounts
from llm_cost_ops.server.identity.fields import (
    PersonError,
    clean_email,
    clean_id,
    clean_metadata,
    clean_name,
    clean_optional,
)
from llm_cost_ops.server.identity.last_admin import hold_organization, refuse_last_admin
from llm_cost_ops.server.identity.role_grants import grant_role, role_key
from llm_cost_ops.server.identity.tables import team_members, user_roles, users

SEEN, PERSON, SERVICE = "seen", "person", "service"
MADE = (PERSON, SERVICE)
_ROW = users.c
_KEYS = table("api_keys", column("organization_id"), column("user_id"), column("revoked_at"))
"""What of API keys ends with their user; their room is above this one."""
_SAID = table("scim_users", column("organization_id"), column("user_id"))
"""What identity providers said of users; that room is above this one too."""
_LINKED = table("external_identities", column("organization_id"), column("user_id"))
"""By whom users sign in; the same."""
_CHANGED = ("name", "given_name", "family_name", "external_id", "email", "metadata")


class UserUnknown(DomainError):
    """No such user in this organization."""

    code = "NOT_FOUND"


class UserExists(DomainError):
    """The id or the e-mail address belongs to a user of the organization already."""

    code = "CONFLICT"


class UserChanged(DomainError):
    """Somebody else changed the user meanwhile."""

    code = "CONFLICT"


@dataclass(frozen=True, slots=True)
class User:
    """A user of one organization. Times in microseconds since 1970 UTC. `version` counts changes.

    `kind` is `person`, `service`, or `seen` for one that only calls have named.
    """

    id: str
    organization_id: str
    kind: str
    name: str | None
    email: str | None
    given_name: str | None
    family_name: str | None
    external_id: str | None
    metadata: Mapping[str, Any]
    account_id: str | None
    created_at: int
    updated_at: int | None
    disabled_at: int | None
    version: int

    @property
    def is_active(self) -> bool:
        return self.kind in MADE and self.disabled_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """A user to be. `user_id` is the id that calls name, if they do; `role` any spelling of one."""

    email: str | None = None
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    external_id: str | None = None
    metadata: Mapping[str, object] | None = None
    role: str | None = None
    active: bool = True
    user_id: str | None = None
    kind: str = PERSON


def get_user(session: ReadSession, organization_id: str, user_id: str) -> User | None:
    """The person or service account with this id."""
    return _one(session, organization_id, _ROW.id == user_id, _ROW.kind.in_(MADE))


def known_user(session: ReadSession, organization_id: str, user_id: str) -> User:
    """Like `get_user`. Raises UserUnknown."""
    found = get_user(session, organization_id, user_id)
    if found is None:
        raise UserUnknown("User not found")
    return found


def find_by_email(session: ReadSession, organization_id: str, email: str) -> User | None:
    """The user with this address, in any spelling. Raises PersonError."""
    return _one(session, organization_id, _ROW.email == clean_email(email))


def find_by_external_id(
    session: ReadSession, organization_id: str, external_id: str
) -> User | None:
    """The user whom an identity provider knows by this id."""
    return _one(session, organization_id, _ROW.external_id == external_id)


def is_ended(session: ReadSession, organization_id: str, user_id: str) -> bool:
    """Whether the user was disabled or removed: no credential of it is good any more. One that
    was never made has not ended."""
    statement = select(_ROW.id).where(
        _ROW.organization_id == organization_id, _ROW.id == user_id, _ROW.disabled_at.is_not(None)
    )
    return session.execute(statement).first() is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFilter:
    """Which users a list shows. `search` is part of a name or an address, in any case."""

    kinds: tuple[str, ...] = (PERSON,)
    active: bool | None = None
    role: str | None = None
    team_id: str | None = None
    search: str | None = None


def list_users(
    session: ReadSession,
    organization_id: str,
    wanted: UserFilter | None = None,
    *,
    limit: int,
    offset: int = 0,
    after: str | None = None,
) -> list[User]:
    """Users by id. `after` is the id of the last one of the page before."""
    statement = select(users).where(
        _ROW.organization_id == organization_id,
        *_conditions(session, organization_id, wanted or UserFilter()),
    )
    if after is not None:
        statement = statement.where(_ROW.id > after)
    statement = statement.order_by(_ROW.id).limit(limit).offset(offset)
    return [_user(row) for row in session.execute(statement).mappings()]


def _conditions(session: ReadSession, organization_id: str, wanted: UserFilter) -> list[Any]:
    found: list[Any] = [_ROW.kind.in_(wanted.kinds)]
    if wanted.active is not None:
        found.append(_ROW.disabled_at.is_(None) if wanted.active else _ROW.disabled_at.is_not(None))
    if wanted.role is not None:
        holders = select(user_roles.c.user_id).where(
            user_roles.c.organization_id == organization_id,
            user_roles.c.role == role_key(session, organization_id, wanted.role),
        )
        found.append(_ROW.id.in_(holders))
    if wanted.team_id is not None:
        members = select(team_members.c.user_id).where(
            team_members.c.organization_id == organization_id,
            team_members.c.team_id == wanted.team_id,
        )
        found.append(_ROW.id.in_(members))
    if wanted.search:
        part = wanted.search.lower()
        name, email = func.lower(func.coalesce(_ROW.name, "")), func.coalesce(_ROW.email, "")
        found.append(or_(contains(session.kind, name, part), contains(session.kind, email, part)))
    return found


def create_user(session: WriteSession, actor: Actor, new: NewUser) -> User:
    """Make a person, who gets an account for the address, or a service account, which has none.

    Raises PersonError, RoleUnknown, UserExists.
    """
    if (new.kind == PERSON) != (new.email is not None):
        raise PersonError("is required" if new.kind == PERSON else "is for people", field="email")
    hold_organization(session, actor.organization_id)
    role = None if new.role is None else role_key(session, actor.organization_id, new.role)
    made, seen = _described(session, actor, new)
    if made.email is not None:
        account = accounts.ensure_account(session, made.email, name=made.name, now_us=actor.now_us)
        made = _with(made, account_id=account.id)
    values = _columns(made)
    if seen:
        session.execute(update(users).where(*_own(made.organization_id, made.id)).values(**values))
    else:
        _insert(session, values)
    actor.record(session, f"{_noun(made)}.created", "user", made.id, None, _told(made))
    if role is not None:
        grant_role(session, actor, made.id, role)
    return made


def _insert(session: WriteSession, values: Mapping[str, Any]) -> None:
    try:
        session.execute(insert(users), values)
    except IntegrityError:  # calls named the same id in this moment
        raise UserExists("A user with this id exists already.", field="user_id") from None


def _described(session: WriteSession, actor: Actor, new: NewUser) -> tuple[User, bool]:
    """The user to be, and whether calls have named it already."""
    email = None if new.email is None else clean_email(new.email)
    if email is not None and find_by_email(session, actor.organization_id, email) is not None:
        raise UserExists("A user with this e-mail address exists already.", field="email")
    user_id = None if new.user_id is None else clean_id(new.user_id, "user_id")
    asked = user_id or email  # calls often name people by their address
    row = None
    if asked is not None:
        held = lock_rows(select(users).where(*_own(actor.organization_id, asked)))
        row = session.execute(held).mappings().first()
    if row is not None and row["kind"] != SEEN:
        raise UserExists("A user with this id exists already.", field="user_id")
    fresh = single_id("usr", actor.now_us // 1_000, secrets.randbits(80))
    made = User(
        id=row["id"] if row is not None else user_id or fresh,
        organization_id=actor.organization_id,
        kind=new.kind,
        name=_name(new, email),
        email=email,
        given_name=clean_optional(new.given_name, "given_name"),
        family_name=clean_optional(new.family_name, "family_name"),
        external_id=clean_optional(new.external_id, "external_id"),
        metadata=clean_metadata(new.metadata),
        account_id=None,
        created_at=actor.now_us if row is None else int(row["created_at"]),
        updated_at=None if row is None else actor.now_us,
        disabled_at=None if new.active else actor.now_us,
        version=1 if row is None else int(row["version"]) + 1,
    )
    return made, row is not None


def _name(new: NewUser, email: str | None) -> str:
    whole = " ".join(part for part in (new.given_name, new.family_name) if part)
    return clean_name(new.name or whole or email or "")


def update_user(
    session: WriteSession,
    actor: Actor,
    user_id: str,
    changes: Mapping[str, Any],
    *,
    version: int | None = None,
) -> User:
    """Change name, given_name, family_name, external_id, email, metadata or active; what is not
    named stays. With a `version` only the user of that version is changed.

    Another address is another account: the one before it no longer belongs to this organization,
    and its password does not come along. Raises UserUnknown, PersonError, UserExists, LastAdmin,
    UserChanged.
    """
    hold_organization(session, actor.organization_id)
    before = known_user(session, actor.organization_id, user_id)
    if version is not None and before.version != version:
        raise UserChanged("Somebody else changed this user meanwhile: read it again.")
    values = _cleaned(session, before, changes)
    if "email" in values and before.kind == PERSON:
        account = accounts.ensure_account(
            session, values["email"], name=before.name, now_us=actor.now_us
        )
        values["account_id"] = account.id
        _end_sessions(session, actor, before)
    if values:
        made = _with(before, **values, version=before.version + 1, updated_at=actor.now_us)
        columns = _columns(made)
        session.execute(update(users).where(*_own(made.organization_id, made.id)).values(**columns))
        actor.record(session, "user.updated", "user", user_id, _told(before), _told(made))
    if changes.get("active") is False:
        return disable_user(session, actor, user_id)
    if changes.get("active") is True:
        return enable_user(session, actor, user_id)
    return known_user(session, actor.organization_id, user_id)


def _cleaned(session: ReadSession, before: User, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that become others. Raises PersonError, UserExists."""
    unknown = sorted(changes.keys() - {*_CHANGED, "active"})
    if unknown:
        raise PersonError("is not a known field", field=unknown[0])
    values: dict[str, Any] = {
        name: clean_optional(changes[name], name)
        for name in ("name", "given_name", "family_name", "external_id")
        if name in changes
    }
    if "name" in values and values["name"] is None:
        values["name"] = clean_name("", "name")
    if "metadata" in changes:
        values["metadata"] = clean_metadata(changes["metadata"])
    if "email" in changes:
        values["email"] = clean_email(changes["email"] or "")
        other = find_by_email(session, before.organization_id, values["email"])
        if other is not None and other.id != before.id:
            raise UserExists("A user with this e-mail address exists already.", field="email")
        if before.kind != PERSON:
            raise PersonError("is for people", field="email")
    return {name: value for name, value in values.items() if value != getattr(before, name)}


def disable_user(session: WriteSession, actor: Actor, user_id: str) -> User:
    """End every credential of a user; a second time changes nothing. Raises UserUnknown,
    LastAdmin."""
    refuse_last_admin(session, actor.organization_id, user_id)
    before = known_user(session, actor.organization_id, user_id)
    if before.disabled_at is not None:
        return before
    _end_credentials(session, actor, before)
    return _switched(session, actor, before, actor.now_us, "user.disabled")


def enable_user(session: WriteSession, actor: Actor, user_id: str) -> User:
    """Let a user in again. Keys that were revoked stay revoked. Raises UserUnknown."""
    hold_organization(session, actor.organization_id)
    before = known_user(session, actor.organization_id, user_id)
    if before.disabled_at is None:
        return before
    return _switched(session, actor, before, None, "user.enabled")


def _switched(
    session: WriteSession, actor: Actor, before: User, disabled_at: int | None, action: str
) -> User:
    made = _with(
        before, disabled_at=disabled_at, version=before.version + 1, updated_at=actor.now_us
    )
    session.execute(
        update(users).where(*_own(made.organization_id, made.id)).values(**_columns(made))
    )
    states = ({"active": each.is_active} for each in (before, made))
    actor.record(session, action, "user", made.id, *states)
    return made


def remove_user(session: WriteSession, actor: Actor, user_id: str) -> None:
    """Take a user out of the organization. The id stays, as that of recorded calls; name, address,
    roles and teams go. Raises UserUnknown, LastAdmin."""
    refuse_last_admin(session, actor.organization_id, user_id)
    before = known_user(session, actor.organization_id, user_id)
    _end_credentials(session, actor, before)
    for membership in (user_roles, team_members, _SAID, _LINKED):
        session.execute(
            delete(membership).where(
                membership.c.organization_id == actor.organization_id,
                membership.c.user_id == user_id,
            )
        )
    gone = _with(
        before,
        **dict.fromkeys(
            ("name", "email", "given_name", "family_name", "external_id", "account_id")
        ),
        kind=SEEN,
        metadata={},
        disabled_at=actor.now_us,
        updated_at=actor.now_us,
        version=before.version + 1,
    )
    session.execute(
        update(users).where(*_own(actor.organization_id, user_id)).values(**_columns(gone))
    )
    actor.record(session, f"{_noun(before)}.deleted", "user", user_id, _told(before), None)


def _end_credentials(session: WriteSession, actor: Actor, user: User) -> None:
    session.execute(
        update(_KEYS)
        .where(
            _KEYS.c.organization_id == actor.organization_id,
            _KEYS.c.user_id == user.id,
            _KEYS.c.revoked_at.is_(None),
        )
        .values(revoked_at=actor.now_us)
    )
    _end_sessions(session, actor, user)


def _end_sessions(session: WriteSession, actor: Actor, user: User) -> None:
    if user.account_id is not None:
        accounts.end_sessions_in(
            session, user.account_id, user.organization_id, user.id, now_us=actor.now_us
        )


def _own(organization_id: str, user_id: str) -> tuple[Any, Any]:
    return (_ROW.organization_id == organization_id, _ROW.id == user_id)


def _one(session: ReadSession, organization_id: str, *conditions: Any) -> User | None:
    statement = select(users).where(_ROW.organization_id == organization_id, *conditions)
    row = session.execute(statement).mappings().first()
    return None if row is None else _user(row)


def _user(row: Mapping[Any, Any]) -> User:
    values = {name: row[name] for name in User.__slots__}
    values["metadata"] = loads(row["metadata"]) if row["metadata"] else {}
    return User(**values)


def _with(user: User, **changes: Any) -> User:
    return User(**{**{name: getattr(user, name) for name in User.__slots__}, **changes})


def _columns(user: User) -> dict[str, Any]:
    values = {name: getattr(user, name) for name in User.__slots__}
    values["metadata"] = dumps(user.metadata) if user.metadata else None
    return values


def _noun(user: User) -> str:
    return "service_account" if user.kind == SERVICE else "user"


def _told(user: User) -> dict[str, object]:
    """What the audit log says of a user."""
    told = {name: getattr(user, name) for name in (*_CHANGED, "kind")}
    return {**told, "active": user.is_active}
