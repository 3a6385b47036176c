"""What SCIM clients see: the resources, their schemas, and what is tolerated in requests.

The models say everything that `/Schemas` publishes: an attribute that stands here is stored and
given back, every other one of RFC 7643 is ignored in requests. scim2-models is slow to import, so
that only what serves SCIM imports this module, at the first request.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import Field, model_validator
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    Extension,
    Filter,
    Mutability,
    Patch,
    Reference,
    Required,
    Resource,
    ResourceType,
    Schema,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)

from llm_cost_ops.core.jsontext import JsonError, loads
from llm_cost_ops.core.permissions import ROLES
from llm_cost_ops.server.scim.bounds import MAX_BULK_BYTES, MAX_BULK_OPERATIONS, MAX_COUNT

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
Short = Annotated[str, Field(max_length=255)]
GroupReference = Reference["Group"]
UserReference = Reference["User"]


class Name(ComplexAttribute):
    """The parts of a person's name."""

    formatted: Short | None = None
    family_name: Short | None = None
    given_name: Short | None = None


class Email(ComplexAttribute):
    """An e-mail address. The primary one, or the first, is the one that mail goes to."""

    value: Annotated[Short | None, Required.true] = None
    display: Short | None = None
    type: Short | None = Field(None, examples=["work", "home", "other"])
    primary: bool | None = None


class Role(ComplexAttribute):
    """A role of this organization, by its name."""

    value: Short | None = Field(None, examples=sorted(ROLES))
    display: Short | None = None
    type: Short | None = None
    primary: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_entra_sends_it(cls, value: Any) -> Any:
        """Entra sends a role as text, which is its name or a JSON object with it."""
        if not isinstance(value, str):
            return value
        if value.startswith("{"):
            try:
                found = loads(value)
            except JsonError:
                return {"value": value}
            if isinstance(found, dict):
                told = cast("dict[str, Any]", found)
                return {"value": told.get("value"), "display": told.get("displayName")}
        return {"value": value}


class Membership(ComplexAttribute):
    """A team that the person belongs to: changed through the group."""

    value: Annotated[str | None, Mutability.read_only, CaseExact.true] = None
    ref: Annotated[GroupReference | None, Mutability.read_only] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    display: Annotated[str | None, Mutability.read_only] = None
    type: Annotated[str | None, Mutability.read_only] = Field(None, examples=["direct"])


class Manager(ComplexAttribute):
    """Whom the person reports to, by the id that the client gives it."""

    value: Annotated[Short | None, CaseExact.true] = None
    ref: Annotated[UserReference | None, Mutability.read_only] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    display_name: Annotated[str | None, Mutability.read_only] = None

    @model_validator(mode="before")
    @classmethod
    def _as_entra_sends_it(cls, value: Any) -> Any:
        """Entra sends the id alone."""
        return {"value": value} if isinstance(value, str) else value


class EnterpriseUser(Extension):
    """Where a person stands in a company."""

    __schema__ = URN(ENTERPRISE)

    employee_number: Short | None = None
    cost_center: Short | None = None
    organization: Short | None = None
    division: Short | None = None
    department: Short | None = None
    manager: Manager | None = None


class User(Resource[Any]):
    """A person of the organization."""

    __schema__ = URN(USER)

    external_id: Annotated[Short | None, Mutability.read_write, CaseExact.true] = None
    user_name: Annotated[Short | None, Uniqueness.server, Required.true] = None
    name: Name | None = None
    display_name: Short | None = None
    title: Short | None = None
    user_type: Short | None = None
    preferred_language: Short | None = None
    locale: Short | None = None
    timezone: Short | None = None
    active: bool | None = None
    emails: Annotated[list[Email] | None, Required.true, Field(max_length=20)] = None
    groups: Annotated[list[Membership] | None, Mutability.read_only] = None
    roles: Annotated[list[Role] | None, Field(max_length=50)] = None


class Member(ComplexAttribute):
    """A person of a team."""

    value: Annotated[Short | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[UserReference | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])


class Group(Resource[Any]):
    """A team of the organization."""

    __schema__ = URN(GROUP)

    external_id: Annotated[Short | None, Mutability.read_write, CaseExact.true] = None
    display_name: Annotated[Short | None, Uniqueness.server, Required.true] = None
    members: list[Member] | None = None


Person: type[User] = User.__class_getitem__(EnterpriseUser)  # pyright: ignore[reportAssignmentType]
"""A user with the enterprise extension."""

POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
"""Okta and Entra send attributes that a service does not have; Entra removes members by value and
sets `emails[type eq "work"].value` of a user that has no such address."""

CONFIG = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=True, max_operations=MAX_BULK_OPERATIONS, max_payload_size=MAX_BULK_BYTES),
    filter=Filter(supported=True, max_results=MAX_COUNT),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=True),
    etag=ETag(supported=True),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken,
            name="Bearer token",
            description="A SCIM token of the organization in the Authorization header.",
            primary=True,
        )
    ],
)

PROVIDER = ScimProvider(
    models=[User, EnterpriseUser, Group],
    resource_types=[ResourceType.from_resource(Person), ResourceType.from_resource(Group)],
    config=CONFIG,
    policy=POLICY,
)
SCHEMAS: tuple[Schema, ...] = (
    *PROVIDER.schemas,
    ServiceProviderConfig.to_schema(),
    ResourceType.to_schema(),
    Schema.to_schema(),
)
"""What `/Schemas` lists."""
