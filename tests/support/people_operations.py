"""The operations of organizations, people, teams and structure, for tests of every operation."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.handover_operations import HANDOVER
from tests.support.operation import Operation
from tests.support.report_operations import REPORTS

ALL_OF_FINANCE = ("read:costs", "write:budgets")

PEOPLE: Mapping[str, Operation] = {
    "createExport": Operation("export:data", ({"format": "csv", "period": "last-month"},)),
    **dict.fromkeys(
        ("listExports", "getExport", "deleteExport", "downloadExport"), Operation("export:data")
    ),
    "createOrganization": Operation(
        "write:organizations",
        (
            {
                "name": "Acme",
                "slug": "@new",
                "currency": "EUR",
                "time_zone": "Europe/Berlin",
                "fiscal_year_start_month": 4,
                "data_retention_days": 365,
                "admin_email": "@mail",
            },
            {"name": "@new", "settings": {"theme": "dark"}},
        ),
    ),
    **dict.fromkeys(("listOrganizations", "getOrganization"), Operation(None)),
    "updateOrganization": Operation("write:organizations", ({"time_zone": "Europe/Paris"},)),
    "changeOrganization": Operation("write:organizations", ({"data_retention_days": 30},)),
    "listOrganizationUsers": Operation("read:users"),
    "addOrganizationUser": Operation("write:users", ({"user_email": "@mail", "role": "viewer"},)),
    "removeOrganizationUser": Operation("write:users"),
    "createUser": Operation(
        "write:users",
        (
            {
                "email": "@mail",
                "name": "Ann",
                "role": "viewer",
                "first_name": "Ann",
                "last_name": "Lee",
                "teams": [],
                "metadata": {"department": "x"},
                "external_id": "x",
                "active": True,
                "user_id": "@new",
            },
        ),
    ),
    "updateUser": Operation("write:users", ({"name": "Ann B.", "active": True},)),
    "changeUser": Operation("write:users", ({"metadata": {"a": "b"}, "email": "@mail"},)),
    "importUsers": Operation("write:users", ({"csv": "email,name\na@example.com,A"},)),
    **dict.fromkeys(
        ("disableUser", "enableUser", "deleteUser", "sendWelcomeEmail"), Operation("write:users")
    ),
    **dict.fromkeys(("listUsers", "getUser", "listServiceAccounts"), Operation("read:users")),
    "createServiceAccount": Operation(
        "write:users", ({"name": "robot", "role": "viewer", "user_id": "@new"},)
    ),
    "createInvitation": Operation("write:users", ({"email": "@mail", "role": "viewer"},)),
    "listInvitations": Operation("read:users"),
    "revokeInvitation": Operation("write:users"),
    "createTeam": Operation(
        "write:teams",
        (
            {
                "name": "@new",
                "description": "x",
                "metadata": {"a": "b"},
                "members": [],
                "external_id": "x",
                "team_id": "@new",
            },
        ),
    ),
    "updateTeam": Operation("write:teams", ({"description": "y", "parent_id": None},)),
    "changeTeam": Operation("write:teams", ({"name": "@new"},)),
    "addTeamMembers": Operation("write:teams", ({"members": []},)),
    **dict.fromkeys(("deleteTeam", "removeTeamMember"), Operation("write:teams")),
    **dict.fromkeys(
        ("listTeams", "getTeamTree", "getTeam", "listTeamMembers"), Operation("read:teams")
    ),
    **dict.fromkeys(
        ("listProjects", "listProjectRevenue", "listCostCenters", "getCostCenter"),
        Operation("read:costs"),
    ),
    "changeProject": Operation("write:organizations", ({"name": "x"},)),
    "setProjectRevenue": Operation(
        "write:organizations", ({"period": "2025-11", "amount": "12.5", "currency": "EUR"},)
    ),
    "createCostCenter": Operation(
        "write:organizations",
        ({"code": "@new", "name": "x", "owner": "x", "metadata": {"a": "b"}},),
    ),
    "changeCostCenter": Operation("write:organizations", ({"name": "y"},)),
    "deleteCostCenter": Operation("write:organizations"),
}

ROLES: Mapping[str, Operation] = {
    "createRole": Operation(
        "write:roles",
        (
            {
                "name": "@new",
                "description": "x",
                "permissions": ["write:roles", "roles:write"],
                "conditions": {"team": ["a"], "models": "b", "projects": ["c"]},
            },
            {"name": "@new", "permissions": ["write:roles"]},
        ),
    ),
    "updateRole": Operation("write:roles", ({"description": "y", "conditions": None},)),
    **dict.fromkeys(("listRoles", "getRole", "listUserRoles"), Operation("read:roles")),
    "assignRole": Operation("write:roles", ({"role_id": "viewer"},)),
    **dict.fromkeys(("deleteRole", "withdrawRole"), Operation("write:roles")),
}

KEPT_OF_PEOPLE: Mapping[str, Operation] = {
    **dict.fromkeys(
        (
            "exportAuditEntries",
            "listAuditCheckpoints",
            "listAuditEntries",
            "listAuditLogs",
            "verifyAuditLog",
        ),
        Operation("read:audit"),
    ),
    "verifyAuditLogAgainst": Operation("read:audit", ({"checkpoints": []},)),
    "createPrivacyRequest": Operation(
        "write:privacy",
        ({"kind": "access", "subject": "canary@example.com"},),
    ),
    "listPrivacyRequests": Operation("read:privacy"),
    "getPrivacyRequest": Operation("read:privacy"),
    "getPrivacyCertificate": Operation("read:privacy"),
    "exportPrivacyRequest": Operation("write:privacy"),
    "listProviderCredentials": Operation("write:providers"),
    "putProviderCredential": Operation(
        "write:providers", ({"provider": "openai", "name": "@new", "secret": "x"},)
    ),
    "rotateProviderCredential": Operation("write:providers", ({"secret": "y"},)),
    "deleteProviderCredential": Operation("write:providers"),
    "retryPrivacyRequest": Operation("write:privacy"),
    "listRetention": Operation("read:privacy"),
    **dict.fromkeys(("listPeriods", "getPeriod", "getStatement"), Operation("read:costs")),
    "closePeriod": Operation("write:reports", ({"strict": False},), also=ALL_OF_FINANCE),
    "reopenPeriod": Operation("write:reports", ({"reason": "x"},), also=ALL_OF_FINANCE),
    "listRetentionArchives": Operation("read:privacy"),
    "runRetention": Operation("write:privacy"),
    **dict.fromkeys(
        ("listIdentityProviders", "getIdentityProvider", "getSignInPolicy"),
        Operation("read:organizations"),
    ),
    "setRetention": Operation("write:privacy", ({"days": 30, "archive": False},)),
    **REPORTS,
    **HANDOVER,
}
"""What is kept of people, and how long; reports, and what is handed to other tools."""

SEVERAL = frozenset(
    {
        "changeIdentityProvider",
        "createIdentityProvider",
        "createScimToken",
        "deleteIdentityProvider",
        "revokeScimToken",
        "setSignInPolicy",
    }
)
"""Operations that require several permissions: tests/server/scim and tests/server/signin/sso have
their tests."""
