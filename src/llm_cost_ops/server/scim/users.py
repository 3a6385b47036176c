"""People as SCIM resources: read, made, replaced, patched, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scim2_models import Context

from llm_cost_ops.core.permissions import EVERYTHING
from llm_cost_ops.server.access.powers import refuse_beyond, refuse_stronger
from llm_cost_ops.server.db.session import ReadSession, WriteSession
from llm_cost_ops.server.identity import users as identity
from llm_cost_ops.server.identity.fields import clean_email
from llm_cost_ops.server.identity.last_admin import hold_organization
from llm_cost_ops.server.identity.role_grants import role_key, set_roles
from llm_cost_ops.server.identity.roles import roles_of_user
from llm_cost_ops.server.scim import store
from llm_cost_ops.server.scim.asked import Answer, Asked, Caller
from llm_cost_ops.server.scim.errors import refusal
from llm_cost_ops.server.scim.person import Told, person_of, told_by
from llm_cost_ops.server.scim.resources import Person, User
from llm_cost_ops.server.scim.terms import check_version, given, patched, resource_of, shown
from llm_cost_ops.server.scim.tokens import ID_PREFIX, ROLES_SCOPE

MODEL = Person


def get(session: ReadSession, asked: Asked, user_id: str) -> Answer:
    """One person. Raises Problem 404."""
    return shown(asked, _resource(session, asked.caller, _row(session, asked.caller, user_id)))


def create(session: WriteSession, asked: Asked) -> Answer:
    """Make a person. Raises Problem 409 when the user name or the address is taken."""
    caller = asked.caller
    body, follows = _completed(asked.body)
    person = resource_of(Person, body, Context.RESOURCE_CREATION_REQUEST)
    if person.active is None:
        person.active = True
    told = told_by(person, None, follows=follows)
    hold_organization(session, caller.organization_id)
    _refuse_taken(session, caller, told.user_name, None)
    made = identity.create_user(
        session,
        caller.actor,
        identity.NewUser(
            email=told.email,
            name=told.columns["name"],
            given_name=told.columns["given_name"],
            family_name=told.columns["family_name"],
            external_id=told.columns["external_id"],
            metadata=told.metadata,
            active=bool(told.active),
        ),
    )
    _set_rest(session, caller, made.id, told, None)
    return _answer(session, asked, made.id, 201)


def replace(session: WriteSession, asked: Asked, user_id: str) -> Answer:
    """Replace what a provider says of a person. Roles and activity that it does not name stay.
    Raises Problem 404, 409, 412."""
    hold_organization(session, asked.caller.organization_id)
    before = _row(session, asked.caller, user_id)
    old = _resource(session, asked.caller, before)
    check_version(asked, old)
    body, follows = _completed(asked.body)
    new = resource_of(Person, body, Context.RESOURCE_REPLACEMENT_REQUEST)
    if new.active is None:
        new.active = before.disabled_at is None
    if new.roles is None:
        new.roles = old.roles
    new.replace(old)
    _change(session, asked.caller, before, old, new, follows=follows)
    return _answer(session, asked, user_id, 200)


def patch(session: WriteSession, asked: Asked, user_id: str) -> Answer:
    """Change some attributes of a person. Raises Problem 404, 409, 412."""
    hold_organization(session, asked.caller.organization_id)
    before = _row(session, asked.caller, user_id)
    old = _resource(session, asked.caller, before)
    check_version(asked, old)
    new = patched(old, asked.body)
    if new.roles is None and old.roles is not None:
        new.roles = []
    follows = not before.document.get("emails") and new.emails == old.emails
    _change(session, asked.caller, before, old, new, follows=follows)
    return _answer(session, asked, user_id, 200)


def delete(session: WriteSession, asked: Asked, user_id: str) -> Answer:
    """Take a person out of the organization: every credential ends. Raises Problem 404, 409,
    412."""
    hold_organization(session, asked.caller.organization_id)
    before = _row(session, asked.caller, user_id)
    if asked.if_match is not None:
        check_version(asked, _resource(session, asked.caller, before))
    _refuse_stronger(session, asked.caller, user_id)
    identity.remove_user(session, asked.caller.actor, user_id)
    return Answer(204)


def resources(session: ReadSession, caller: Caller, rows: Sequence[store.PersonRow]) -> list[User]:
    """People with their roles and teams."""
    ids = [row.id for row in rows]
    if not ids:
        return []
    roles = store.roles_of(session, caller.organization_id, ids)
    teams = store.teams_of(session, caller.organization_id, ids)
    return [
        person_of(row, roles.get(row.id, ()), teams.get(row.id, ()), caller.root) for row in rows
    ]


def _row(session: ReadSession, caller: Caller, user_id: str) -> store.PersonRow:
    found = store.people(session, caller.organization_id, store.USER.id == user_id, limit=1)
    if not found:
        raise refusal(404, "User not found")
    return found[0]


def _resource(session: ReadSession, caller: Caller, row: store.PersonRow) -> User:
    return resources(session, caller, [row])[0]


def _answer(session: ReadSession, asked: Asked, user_id: str, status: int) -> Answer:
    row = _row(session, asked.caller, user_id)
    return shown(asked, _resource(session, asked.caller, row), status)


def _completed(body: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """A payload that has both a user name and an address, each of which may stand for the other;
    and whether the address is the user name's."""
    made = dict(body)
    emails = given(body, "emails")
    user_name = given(body, "userName")
    if not emails and isinstance(user_name, str) and "@" in user_name:
        made = {key: value for key, value in made.items() if key.lower() != "emails"}
        made["emails"] = [{"value": user_name, "primary": True}]
        return made, True
    if user_name is None and isinstance(emails, list) and emails:
        first: Any = emails[0]  # pyright: ignore[reportUnknownVariableType]
        if isinstance(first, Mapping):
            made["userName"] = given(first, "value")  # pyright: ignore[reportUnknownArgumentType]
    return made, False


def _refuse_taken(
    session: ReadSession, caller: Caller, user_name: str, user_id: str | None
) -> None:
    """Raises Problem 409 when another person has the user name, or it as the address."""
    taken = store.holder_of_name(session, caller.organization_id, user_name)
    if taken is None and "@" in user_name:
        found = store.people(
            session,
            caller.organization_id,
            store.USER.email == store.name_key(user_name),
            limit=1,
        )
        taken = found[0].id if found else None
    if taken is not None and taken != user_id:
        raise refusal(409, "A user with this userName exists already.", "uniqueness")


def _change(
    session: WriteSession,
    caller: Caller,
    before: store.PersonRow,
    old: User,
    new: User,
    *,
    follows: bool,
) -> None:
    _refuse_stronger(session, caller, before.id)
    told = told_by(new, before, follows=follows)
    if new.user_name != old.user_name:
        _refuse_taken(session, caller, told.user_name, before.id)
    changes: dict[str, Any] = {
        name: value for name, value in told.columns.items() if value != getattr(before, name)
    }
    if dict(told.metadata) != dict(before.metadata):
        changes["metadata"] = told.metadata
    if told.email and clean_email(told.email) != before.email:
        _refuse_address(session, caller, before.id)
        changes["email"] = told.email
    if changes:
        identity.update_user(session, caller.actor, before.id, changes)
    _set_rest(session, caller, before.id, told, before)
    if told.active is False:
        identity.disable_user(session, caller.actor, before.id)
    elif before.disabled_at is not None:
        identity.enable_user(session, caller.actor, before.id)


def _set_rest(
    session: WriteSession,
    caller: Caller,
    user_id: str,
    told: Told,
    before: store.PersonRow | None,
) -> None:
    """The user name, the document and the roles."""
    document = dict(told.document)
    if told.roles is not None:
        said = _set_roles(session, caller, user_id, told.roles)
        document.pop("roles", None)
        if said:
            document["roles"] = said
    for email in document.get("emails") or ():
        clean_email(email["value"], "emails.value")
    old = None if before is None else _told(before.user_name, before.document)
    new = _told(told.user_name, document)
    if old == new:
        return
    store.keep_said(session, caller.organization_id, user_id, told.user_name, document)
    if before is not None:
        store.note_change(session, caller.organization_id, user_id, caller.actor.now_us)
    caller.actor.record(session, "scim.user.updated", "user", user_id, old, new)


def _told(user_name: str | None, document: Mapping[str, Any]) -> dict[str, object]:
    return {"userName": user_name, **document}


def _set_roles(
    session: WriteSession, caller: Caller, user_id: str, wanted: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Give exactly these roles; what the provider said of each, with its key. Raises Problem 403
    when they would change and the caller may not do that."""
    organization_id = caller.organization_id
    said: list[dict[str, Any]] = []
    for role in wanted:
        key = role_key(session, organization_id, str(role.get("value") or ""), "roles.value")
        said.append({**role, "key": key})
    keys = {role["key"] for role in said}
    held = {key for key, _ in store.roles_of(session, organization_id, [user_id]).get(user_id, ())}
    if keys != held:
        _refuse_roles(session, caller, keys ^ held)
        set_roles(session, caller.actor, user_id, keys)
    return said


def _refuse_roles(session: ReadSession, caller: Caller, changed: set[str]) -> None:
    principal = caller.principal
    if not principal.holds(ROLES_SCOPE):
        raise refusal(403, "This credential may not change roles.")
    if _is_token(caller):  # made by somebody who may give any
        return
    refuse_beyond(session, principal, sorted(changed))


def _is_token(caller: Caller) -> bool:
    """Whether an identity provider asks, to whom people belong; not somebody with a key."""
    return caller.principal.key_id.startswith(ID_PREFIX)


def _refuse_stronger(session: ReadSession, caller: Caller, user_id: str) -> None:
    """Raises BeyondOwn for somebody who would change a user who may do more."""
    if not _is_token(caller):
        refuse_stronger(session, caller.principal, user_id)


def _refuse_address(session: ReadSession, caller: Caller, user_id: str) -> None:
    """Raises Problem 403 for a token that may make nobody an administrator and would by giving one
    the address of somebody else."""
    if not _is_token(caller) or caller.principal.holds(ROLES_SCOPE):
        return
    if any(
        EVERYTHING in role.grant.scopes
        for role in roles_of_user(session, caller.organization_id, user_id)
    ):
        raise refusal(403, "This credential may not change the address of an administrator.")
