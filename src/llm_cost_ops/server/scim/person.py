"""A person as a SCIM resource, and a SCIM resource as the columns of a person.

Name, address, external id and the enterprise attributes have columns that others change too: they
are read from there. The rest is the document that the identity provider gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_cost_ops.core.instant import from_micros
from llm_cost_ops.server.scim.asked import location
from llm_cost_ops.server.scim.resources import (
    Email,
    EnterpriseUser,
    Membership,
    Name,
    Person,
    Role,
    User,
)
from llm_cost_ops.server.scim.store import PersonRow

_PLAIN = ("displayName", "title", "userType", "preferredLanguage", "locale", "timezone")
_ENTERPRISE = (
    "employee_number",
    "cost_center",
    "organization",
    "division",
    "department",
    "manager",
)
"""Fields of the extension, which are as well the keys of a user's metadata."""
_UNSAID = "activeUnassigned"


@dataclass(frozen=True, slots=True)
class Told:
    """What a resource says of a person: what has columns in `users`, and the rest."""

    user_name: str
    email: str | None
    columns: Mapping[str, Any]
    metadata: Mapping[str, Any]
    active: bool | None
    roles: Sequence[Mapping[str, Any]] | None
    document: Mapping[str, Any]


def person_of(
    row: PersonRow,
    roles: Sequence[tuple[str, str]],
    teams: Sequence[tuple[str, str]],
    root: str,
) -> User:
    """The resource. `roles` are keys with names, `teams` ids with names."""
    said = row.document
    values: dict[str, Any] = {
        "id": row.id,
        "externalId": row.external_id,
        "userName": row.user_name or row.email or row.id,
        "name": _name(row),
        **{attribute: said.get(attribute) for attribute in _PLAIN},
        "emails": _emails(row),
        "groups": [_membership(team_id, name, root) for team_id, name in teams] or None,
        "roles": _roles(said.get("roles") or (), roles) or None,
        "active": None if said.get(_UNSAID) and row.disabled_at is None else not row.disabled_at,
        "meta": {
            "resourceType": "User",
            "created": from_micros(row.created_at),
            "lastModified": from_micros(row.updated_at or row.created_at),
            "location": location(root, "Users", row.id),
        },
    }
    if row.name != _shown_name(said, row):
        values["displayName"] = row.name
    person = Person.model_validate(values)
    enterprise = {name: row.metadata[name] for name in _ENTERPRISE if row.metadata.get(name)}
    if enterprise:
        person[EnterpriseUser] = EnterpriseUser.model_validate(enterprise)
    return person


def _name(row: PersonRow) -> Name | None:
    formatted = row.document.get("formatted")
    if not (formatted or row.given_name or row.family_name):
        return None
    return Name(formatted=formatted, family_name=row.family_name, given_name=row.given_name)


def _shown_name(said: Mapping[str, Any], row: PersonRow) -> str | None:
    """The name that the columns and the document make together, as `name_of` made it."""
    return name_of(
        said.get("displayName"),
        said.get("formatted"),
        row.given_name,
        row.family_name,
        row.user_name or row.email or row.id,
    )


def name_of(
    display: str | None,
    formatted: str | None,
    given: str | None,
    family: str | None,
    user_name: str,
) -> str:
    """What a person is called."""
    return display or formatted or " ".join(part for part in (given, family) if part) or user_name


def _emails(row: PersonRow) -> list[Email] | None:
    said = [Email.model_validate(each) for each in row.document.get("emails") or ()]
    if not said:
        return [Email.model_validate({"value": row.email, "primary": True})] if row.email else None
    main = main_email(said)
    if row.email and main is not None and (main.value or "").lower() != row.email:
        main.value = row.email
    return said


def main_email(emails: Sequence[Email] | None) -> Email | None:
    """The primary address, or the first."""
    if not emails:
        return None
    return next((email for email in emails if email.primary), emails[0])


def _membership(team_id: str, name: str, root: str) -> Membership:
    return Membership.model_validate(
        {
            "value": team_id,
            "$ref": location(root, "Groups", team_id),
            "display": name,
            "type": "direct",
        }
    )


def _roles(said: Sequence[Mapping[str, Any]], held: Sequence[tuple[str, str]]) -> list[Role]:
    """The roles that are held, those that the provider gave as it wrote them."""
    names = dict(held)
    found: list[Role] = []
    for each in said:
        if names.pop(each["key"], None) is not None:
            found.append(Role.model_validate({k: v for k, v in each.items() if k != "key"}))
    return [*found, *(Role.model_validate({"value": name}) for name in names.values())]


def told_by(person: User, before: PersonRow | None, *, follows: bool) -> Told:
    """What a resource says. `before` is the person that it changes. `follows` when its address is
    one that the server took from the user name, with which it then changes."""
    said: Mapping[str, Any] = before.document if before else {}
    name = person.name or Name()
    user_name = person.user_name or ""
    emails = person.emails or []
    document: dict[str, Any] = {
        attribute: value
        for attribute, value in person.model_dump().items()
        if attribute in _PLAIN and value is not None
    }
    if name.formatted:
        document["formatted"] = name.formatted
    if not follows:
        document["emails"] = [email.model_dump() for email in emails]
    if said.get("roles"):
        document["roles"] = said["roles"]
    if person.active is None:
        document[_UNSAID] = True
    main = main_email(emails)
    email = main.value if main else None
    if follows and "@" in user_name:
        email = user_name
    enterprise = person[EnterpriseUser]
    metadata = dict(before.metadata) if before else {}
    for field in _ENTERPRISE:
        value = getattr(enterprise, field) if enterprise else None
        if field == "manager":
            value = value.value if value else None
        if value:
            metadata[field] = value
        else:
            metadata.pop(field, None)
    return Told(
        user_name=user_name,
        email=email,
        columns={
            "name": name_of(
                person.display_name, name.formatted, name.given_name, name.family_name, user_name
            ),
            "given_name": name.given_name,
            "family_name": name.family_name,
            "external_id": person.external_id,
        },
        metadata=metadata,
        active=person.active,
        roles=None if person.roles is None else [role.model_dump() for role in person.roles],
        document=document,
    )
