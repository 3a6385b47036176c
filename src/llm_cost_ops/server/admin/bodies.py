"""Shapes of what administration is told. What is left out of a change stays."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, Field

from llm_cost_ops.server.http.routing import Wire

MAX_LISTED = 1_000
Text = Annotated[str, Field(min_length=1, max_length=255)]
Maybe = Annotated[str, Field(max_length=255)] | None
Email = Annotated[str, Field(min_length=3, max_length=320)]
Role = Annotated[str, Field(min_length=1, max_length=64)]
Listed = Annotated[list[Text], Field(max_length=MAX_LISTED)]
Metadata = Annotated[dict[str, Any], Field(max_length=100)]
Month = Annotated[int, Field(ge=1, le=12)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Amount = Any
"""An amount in the organization's currency: a JSON number or a decimal string."""


class Named(Wire):
    """A body may name the organization, if it is the caller's own."""

    organization_id: Annotated[str, Field(max_length=100)] | None = None


class NewOrganization(Named):
    """`POST /api/v1/organizations`."""

    name: Text
    slug: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    currency: Annotated[str, Field(min_length=3, max_length=3)] | None = None
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    settings: Metadata | None = None
    fiscal_year_start_month: Month | None = None
    data_retention_days: Days | None = None
    admin_email: Email | None = None


class ChangedOrganization(Named):
    """`PATCH /api/v1/organizations/{organization_id}`."""

    name: Text | None = None
    slug: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    currency: Annotated[str, Field(min_length=3, max_length=3)] | None = None
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    settings: Metadata | None = None
    fiscal_year_start_month: Month | None = None
    data_retention_days: Days | None = None


class AddedUser(Named):
    """`POST /api/v1/organizations/{organization_id}/users`."""

    user_email: Email = Field(validation_alias=AliasChoices("user_email", "email"))
    role: Role
    name: Maybe = None


class NewUserBody(Named):
    """`POST /api/v1/users`. `user_id` is the id that calls name, where they do."""

    email: Email
    name: Maybe = None
    first_name: Maybe = None
    last_name: Maybe = None
    role: Role | None = None
    teams: Listed = Field(default_factory=list[str])
    metadata: Metadata | None = None
    external_id: Maybe = None
    active: bool = True
    user_id: Text | None = None
    send_welcome_email: bool = False


class ChangedUser(Named):
    """`PATCH /api/v1/users/{user_id}`."""

    email: Email | None = None
    name: Text | None = None
    first_name: Maybe = None
    last_name: Maybe = None
    metadata: Metadata | None = None
    external_id: Maybe = None
    active: bool | None = Field(default=None, validation_alias=AliasChoices("active", "is_active"))


class NewServiceAccount(Named):
    """`POST /api/v1/service-accounts`."""

    name: Text
    role: Role | None = None
    teams: Listed = Field(default_factory=list[str])
    metadata: Metadata | None = None
    user_id: Text | None = None


class NewTeamBody(Named):
    """`POST /api/v1/teams`. `members` are ids or e-mail addresses; `team_id` is what calls name."""

    name: Text
    description: Annotated[str, Field(max_length=2_000)] | None = None
    parent_id: Text | None = None
    budget: Amount = None
    metadata: Metadata | None = None
    members: Listed = Field(default_factory=list[str])
    external_id: Maybe = None
    team_id: Text | None = None


class ChangedTeam(Named):
    """`PATCH /api/v1/teams/{team_id}`. `parent_id` null or empty makes it a top one."""

    name: Text | None = None
    description: Annotated[str, Field(max_length=2_000)] | None = None
    parent_id: Maybe = None
    budget: Amount = None
    metadata: Metadata | None = None
    external_id: Maybe = None


class Members(Named):
    """`POST /api/v1/teams/{team_id}/members`: ids or e-mail addresses."""

    members: Listed


class NewInvitationBody(Named):
    """`POST /api/v1/invitations`."""

    email: Email
    role: Role
    name: Maybe = None
    teams: Annotated[list[Text], Field(max_length=100)] = Field(default_factory=list[str])
    expires_in_days: Annotated[int, Field(ge=1, le=30)] = 7


class ChangedProject(Named):
    """`PATCH /api/v1/projects/{project_id}`."""

    name: Text


class Revenue(Named):
    """`PUT /api/v1/projects/{project_id}/revenue`: what a project earned in a month."""

    period: Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")]
    amount: Amount
    currency: Annotated[str, Field(min_length=3, max_length=3)] | None = None


class NewCostCenter(Named):
    """`POST /api/v1/cost-centers`."""

    code: Text
    name: Text
    owner: Maybe = None
    metadata: Metadata | None = None


class ChangedCostCenter(Named):
    """`PATCH /api/v1/cost-centers/{cost_center_id}`."""

    name: Text | None = None
    owner: Maybe = None
    metadata: Metadata | None = None


class Import(Named):
    """`POST /api/v1/users/import`: the text of a CSV file."""

    csv: Annotated[str, Field(min_length=1, max_length=4_000_000)]
    dry_run: bool = False
    send_welcome_email: bool = False
