"""Every column that can hold a person's id, name or address, and what an erasure does there.

A test walks all tables: a column that holds text and stands neither here nor in `APART` fails it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Table

from llm_cost_ops.server.access.tables import api_keys
from llm_cost_ops.server.access.tokens.tables import (
    authorization_codes,
    oauth_clients,
    token_families,
)
from llm_cost_ops.server.alerts.tables import (
    alert_channels,
    alert_deliveries,
    alert_history,
    alert_rules,
    alerts,
)
from llm_cost_ops.server.charges.tables import charges
from llm_cost_ops.server.exports.tables import exports
from llm_cost_ops.server.forecasts.tables import anomalies, forecasts
from llm_cost_ops.server.identity.tables import (
    accounts,
    cost_centers,
    invitations,
    one_time_links,
    organizations,
    projects,
    provider_credentials,
    roles,
    team_members,
    teams,
    user_roles,
    users,
)
from llm_cost_ops.server.pricing.tables import price_adjustments, price_versions, reratings
from llm_cost_ops.server.privacy.tables import privacy_requests, retention_policies
from llm_cost_ops.server.rates.tables import exchange_rates
from llm_cost_ops.server.reports.tables import report_templates, reports
from llm_cost_ops.server.schedules.tables import (
    delivery_parts,
    delivery_runs,
    delivery_schedules,
)
from llm_cost_ops.server.scim.tables import scim_tokens, scim_users
from llm_cost_ops.server.signin.tables import (
    external_identities,
    identity_providers,
    known_devices,
    recovery_codes,
    second_factors,
    sessions,
    sign_in_policies,
)
from llm_cost_ops.server.spend.tables import budget_changes, budgets, reservations
from llm_cost_ops.server.webhooks.tables import (
    webhook_attempts,
    webhook_endpoints,
    webhook_events,
)

ID, ACCOUNT, EMAIL = "id", "account", "email"
"""What a column is compared with."""
JSON, TEXT = "json", "text"
"""What else it holds: names inside are looked for."""
RENAME, REMOVE, OWN, BUDGET, SEALED = "rename", "remove", "own", "budget", "sealed"
"""What erasing does: the pseudonym in its place; the row removed; the person's own row, emptied;
by the verbs of budgets; opened, rewritten and sealed again."""


@dataclass(frozen=True, slots=True)
class Place:
    """A column; `holds` and `erased` are of the words above."""

    table: Table
    column: str
    holds: str
    erased: str

    @property
    def name(self) -> str:
        return f"{self.table.name}.{self.column}"


def _each(table: Table, holds: str, erased: str, *columns: str) -> Iterator[Place]:
    for column in columns:
        yield Place(table, column, holds, erased)


PLACES: tuple[Place, ...] = (
    *_each(users, ID, OWN, "id"),
    *_each(users, EMAIL, OWN, "email"),
    *_each(users, ACCOUNT, OWN, "account_id"),
    *_each(users, TEXT, OWN, "name", "given_name", "family_name", "external_id"),
    *_each(users, JSON, OWN, "metadata"),
    *_each(accounts, ACCOUNT, OWN, "id"),
    *_each(accounts, EMAIL, OWN, "email"),
    *_each(accounts, TEXT, OWN, "name", "password_hash"),
    *_each(user_roles, ID, REMOVE, "user_id"),
    *_each(user_roles, ID, RENAME, "granted_by"),
    *_each(team_members, ID, REMOVE, "user_id"),
    *_each(one_time_links, ID, REMOVE, "user_id"),
    *_each(one_time_links, ACCOUNT, REMOVE, "account_id"),
    *_each(invitations, EMAIL, REMOVE, "email"),
    *_each(invitations, ID, REMOVE, "user_id"),
    *_each(invitations, ID, RENAME, "invited_by"),
    *_each(invitations, TEXT, RENAME, "name"),
    *_each(sessions, ID, REMOVE, "user_id"),
    *_each(sessions, ACCOUNT, REMOVE, "account_id"),
    *_each(second_factors, ACCOUNT, REMOVE, "account_id"),
    *_each(recovery_codes, ACCOUNT, REMOVE, "account_id"),
    *_each(known_devices, ACCOUNT, REMOVE, "account_id"),
    *_each(external_identities, ID, REMOVE, "user_id"),
    *_each(external_identities, ACCOUNT, REMOVE, "account_id"),
    *_each(identity_providers, ID, RENAME, "created_by"),
    *_each(sign_in_policies, ID, RENAME, "updated_by"),
    *_each(token_families, ID, REMOVE, "user_id"),
    *_each(token_families, ACCOUNT, REMOVE, "account_id"),
    *_each(authorization_codes, ID, REMOVE, "user_id"),
    *_each(authorization_codes, ACCOUNT, REMOVE, "account_id"),
    *_each(oauth_clients, TEXT, RENAME, "name"),
    *_each(oauth_clients, JSON, RENAME, "redirect_uris"),
    *_each(oauth_clients, ID, RENAME, "created_by"),
    *_each(scim_users, ID, REMOVE, "user_id"),
    *_each(scim_tokens, ID, RENAME, "created_by"),
    *_each(scim_tokens, TEXT, RENAME, "name"),
    *_each(api_keys, ID, RENAME, "user_id", "created_by"),
    *_each(api_keys, TEXT, RENAME, "name"),
    *_each(organizations, JSON, RENAME, "settings"),
    *_each(projects, TEXT, RENAME, "name"),
    *_each(teams, TEXT, RENAME, "name", "description"),
    *_each(teams, JSON, RENAME, "metadata"),
    *_each(cost_centers, TEXT, RENAME, "name", "owner"),
    *_each(cost_centers, JSON, RENAME, "metadata"),
    *_each(exchange_rates, ID, RENAME, "created_by"),
    *_each(charges, ID, RENAME, "created_by"),
    *_each(provider_credentials, TEXT, RENAME, "name"),
    *_each(provider_credentials, ID, RENAME, "created_by"),
    *_each(roles, TEXT, RENAME, "description"),
    *_each(roles, JSON, RENAME, "conditions"),
    *_each(budgets, JSON, BUDGET, "definition"),
    *_each(budgets, TEXT, BUDGET, "name"),
    *_each(budgets, ID, RENAME, "created_by"),
    *_each(budget_changes, TEXT, RENAME, "reason"),
    *_each(budget_changes, ID, RENAME, "actor_id"),
    *_each(reservations, JSON, RENAME, "call"),
    *_each(reservations, ID, RENAME, "created_by"),
    *_each(alert_channels, JSON, SEALED, "config"),
    *_each(alert_channels, TEXT, RENAME, "name"),
    *_each(alert_channels, ID, RENAME, "created_by"),
    *_each(alert_rules, JSON, RENAME, "definition"),
    *_each(alert_rules, TEXT, RENAME, "name"),
    *_each(alert_rules, ID, RENAME, "created_by"),
    *_each(alerts, TEXT, RENAME, "title", "summary"),
    *_each(alerts, JSON, RENAME, "notice", "details"),
    *_each(alert_history, TEXT, RENAME, "text"),
    *_each(alert_history, JSON, RENAME, "details"),
    *_each(alert_history, ID, RENAME, "actor_id"),
    *_each(alert_deliveries, TEXT, RENAME, "said", "detail"),
    *_each(forecasts, JSON, RENAME, "request", "answer"),
    *_each(forecasts, ID, RENAME, "created_by"),
    *_each(reports, JSON, RENAME, "request", "document", "limited_to"),
    *_each(reports, TEXT, RENAME, "title", "error"),
    *_each(reports, ID, RENAME, "created_by"),
    *_each(report_templates, TEXT, RENAME, "name"),
    *_each(report_templates, JSON, RENAME, "sections"),
    *_each(report_templates, ID, RENAME, "created_by"),
    *_each(anomalies, ID, RENAME, "value", "judged_by"),
    *_each(anomalies, TEXT, RENAME, "note"),
    *_each(anomalies, JSON, RENAME, "causes"),
    *_each(price_versions, ID, RENAME, "recorded_by"),
    *_each(price_adjustments, ID, RENAME, "recorded_by"),
    *_each(price_adjustments, TEXT, RENAME, "label"),
    *_each(reratings, ID, RENAME, "applied_by"),
    *_each(reratings, JSON, RENAME, "request"),
    *_each(delivery_schedules, ID, RENAME, "user_id", "created_by"),
    *_each(delivery_schedules, TEXT, RENAME, "name", "paused_reason"),
    *_each(delivery_schedules, JSON, RENAME, "parameters", "destinations"),
    *_each(delivery_runs, TEXT, RENAME, "error"),
    *_each(delivery_parts, JSON, RENAME, "target"),
    *_each(delivery_parts, TEXT, RENAME, "detail"),
    *_each(webhook_endpoints, ID, RENAME, "created_by"),
    *_each(webhook_endpoints, TEXT, RENAME, "description"),
    *_each(webhook_events, JSON, RENAME, "data"),
    *_each(webhook_attempts, TEXT, RENAME, "detail", "head"),
    *_each(privacy_requests, TEXT, RENAME, "subject"),
    *_each(privacy_requests, ID, RENAME, "created_by"),
    *_each(exports, ID, RENAME, "created_by"),
    *_each(exports, JSON, RENAME, "asked"),
    *_each(retention_policies, ID, RENAME, "updated_by"),
)

BY_VERBS: dict[str, str] = {
    **{
        f"{table}.{column}": "ledger.pseudonymise"
        for table in ("usage_records", "usage_corrections")
        for column in ("user_id", "tags", "metadata")
    },
    **{
        f"audit_log.{column}": "audit.erase"
        for column in (
            "actor_id",
            "resource_id",
            "before",
            "after",
            "user_id",
            "user_email",
            "ip",
        )
    },
}
"""Columns of the ledger and of the audit log, whose own verbs erase there."""

APART_NAMES = frozenset(
    """
    organization_id kind status state outcome actor_kind severity currency frequency method
    dimension topic event_type
    format environment provider model model_name region service_tier processing feature cost_status
    price_version price_rule payload_digest request_digest digest prefix last_four scopes
    allowed_networks severities role permissions time_zone timezone expression slug dedup_key action
    resource_type request_id moment date purpose disabled_reason events url factor kinds prices
    structure card lease holder lane dedupe_key resolution held usage raw_usage source
    record_id operation_id import_id alert_id channel_id endpoint_id event_id budget_id rule_id
    schedule_id parent_id episode_id pricing_id other_budget_id team_id project_id api_key_id job_id
    team_ids replaced_by response_id delivery_id event_ids client_id family_id provider_id
    """.split()
)
"""Columns that in no table hold a person: words of ours, numbers as text, networks, ids of things.
Ids that callers choose for projects, teams, keys and events are taken to be none of persons."""

APART: dict[str, str] = {
    **dict.fromkeys(
        (
            "usage_records.recorded_by",
            "usage_corrections.recorded_by",
            "imports.created_by",
            "periods.closed_by",
        ),
        "the id of a credential",
    ),
    **{
        f"{table}.id": "the id of a thing"
        for table in """
        api_keys alert_channels alert_rules alerts alert_history alert_deliveries audit_log
        reports report_templates
        forecasts anomalies organizations projects providers roles teams usage_records
        usage_corrections imports invitations scim_tokens identity_providers
        provider_credentials exchange_rates charges
        retention_archives sessions token_families oauth_clients
        price_versions price_adjustments price_cards reratings outbox jobs schedules budgets
        budget_changes spend_counters reservations webhook_endpoints webhook_events
        webhook_deliveries webhook_attempts privacy_requests exports delivery_schedules
        delivery_runs delivery_parts
        """.split()
    },
    **dict.fromkeys(
        ("scim_users.user_name", "scim_users.user_name_key", "scim_users.document"),
        "removed with the user",
    ),
    **dict.fromkeys(("sessions.address", "sessions.agent"), "removed with the session"),
    "second_factors.secret": "removed with the factor",
    **dict.fromkeys(
        ("external_identities.issuer", "external_identities.subject"), "removed with the identity"
    ),
    **dict.fromkeys(
        (
            "identity_providers.name",
            "identity_providers.issuer",
            "identity_providers.secret",
            "identity_providers.config",
        ),
        "an identity provider, and what stands in its groups and domains",
    ),
    "sign_in_attempts.subject": "a digest, forgotten within days",
    **{
        f"{table}.{column}": "of the chain: a hash, a commitment, its salt, a signature"
        for table, columns in (
            ("audit_log", "who_salt what_salt who_commitment what_commitment previous_hash hash"),
            ("audit_heads", "hash"),
            ("audit_checkpoints", "hash key_id signature"),
            ("audit_gaps", "before_hash after_hash key_id signature"),
        )
        for column in columns.split()
    },
    **dict.fromkeys(
        (
            "signing_keys.kid",
            "signing_keys.algorithm",
            "signing_keys.fingerprint",
            "signing_keys.secret",
            "signing_keys.public_key",
        ),
        "a key of the installation",
    ),
    **dict.fromkeys(
        ("refresh_tokens.used_from", "refresh_tokens.successor", "oauth_clients.secret_digest"),
        "a digest, or sealed under a token that is kept nowhere",
    ),
    "oauth_clients.grant_types": "words",
    "token_families.revoked_for": "a word",
    "authorization_codes.redirect_uri": "removed with the code",
    "authorization_codes.challenge": "removed with the code",
    "alerts.subject": "a digest",
    **dict.fromkeys(("retention_policies.kept", "retention_archives.kept"), "a word"),
    **dict.fromkeys(
        (
            "retention_archives.file",
            "retention_archives.sha256",
            "closed_days.digest",
            "closed_days.archive_id",
            "periods.digest",
            "periods.lines_digest",
            "periods.closing_id",
            "late_entries.entry_id",
            "retention_archives.content_sha256",
        ),
        "an id or a digest",
    ),
    "alerts.status": "a word",
    "team_days.grain": "a word",
    **dict.fromkeys(
        ("reports.type", "reports.status", "reports.format", "reports.needs"), "a word"
    ),
    **dict.fromkeys(
        (
            "report_styles.primary_color",
            "report_styles.accent_color",
            "report_styles.logo",
        ),
        "the looks of an organization",
    ),
    "usage_records.status": "a word",
    "audit_forwards.sink": "a word",
    "audit_forwards.last_error": "what a syslog or web server answered",
    "idempotency_keys.scope": "a digest",
    "idempotency_keys.body": "an answer that is forgotten within a day",
    "imports.name": "the name of a file or log",
    "organizations.name": "an organization",
    "periods.organization_name": "an organization",
    **dict.fromkeys(
        (
            "periods.month",
            "period_lines.month",
            "period_lines.corrects",
            "late_entries.month",
            "late_entries.recognized",
        ),
        "a month",
    ),
    "periods.totals": "sums by currency",
    "providers.name": "a provider",
    "roles.name": "a role",
    "cost_centers.id": "a code such as CC-001",
    "project_revenue.period": "a month",
    "teams.external_id": "a group of an identity provider",
    "price_versions.request": "prices",
    "deployments.deployment": "a deployment",
    "outbox.payload": "ids of things, kept for hours",
    "jobs.payload": "ids of things, and where a mail goes, kept for days",
    "jobs.last_error": "a reason, kept as long as the job",
    "schedules.name": "a schedule",
    "schedules.payload": "ids of things",
    "queue_locks.name": "a lock",
    "delivery_schedules.recurrence": "times and a period",
    "delivery_schedules.catch_up": "a word",
    "delivery_schedules.key_id": "the id of a credential",
    "delivery_schedules.secrets": "sealed, and no person's",
    "delivery_parts.secrets": "sealed, and no person's",
    "delivery_parts.run_id": "the id of a thing",
    "delivery_runs.cause": "a word",
    "delivery_runs.file": "a name of ours",
    "delivery_runs.media_type": "a word",
    "delivery_runs.sha256": "a digest",
    "delivery_runs.facts": "totals",
    "delivery_runs.needs": "permissions",
    "delivery_runs.reach": "conditions of roles: teams, models, projects, environments",
    "delivery_runs.file_key": "made of the id of a thing",
    "schedule_runs.schedule_id": "the id of a thing",
    "one_time_links.detail": "removed with the link",
    "exchange_rates.rate": "digits",
    "exchange_rates.source": "who publishes a rate",
    "exchange_rates.from_currency": "a code",
    "exchange_rates.to_currency": "a code",
    **dict.fromkeys(
        ("charges.kind", "charges.frequency", "charges.unit", "charges.virtual_currency"), "a word"
    ),
    **dict.fromkeys(("charges.quantity", "charges.virtual_units"), "digits"),
    **dict.fromkeys(
        (
            "charges.name",
            "charges.type",
            "charges.contract_id",
            "charges.invoice_id",
            "charges.invoice_issuer",
        ),
        "what a provider sold, which the books of closed months say",
    ),
    "charges.provider": "a provider",
    "charges.currency": "a code",
    "charges.billing_period": "a month",
    "periods.drawn": "amounts by ids of things",
    "provider_credentials.sealed": "sealed, and no person's",
    "webhook_endpoints.secret": "sealed, and no person's",
    "webhook_endpoints.previous_secret": "sealed, and no person's",
    "privacy_requests.detail": "ids and counts of an errand of ours",
    "privacy_requests.certificate": "pseudonyms and counts",
    "restricted_users.digest": "a digest",
    **dict.fromkeys(("exports.status", "exports.kind", "exports.format"), "a word"),
    **dict.fromkeys(("exports.file_name", "exports.file_key"), "made of the id of a thing"),
    "exports.media_type": "a word",
    "exports.reach": "conditions of roles: teams, models, projects, environments",
    "exports.sha256": "a digest",
    "exports.totals": "sums",
    "exports.reason": "a reason of ours",
}
"""Columns that hold text and no person, with the reason."""
