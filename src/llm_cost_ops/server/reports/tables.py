"""Reports that were asked for, and sections that are kept for custom ones."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text, UniqueConstraint
from sqlalchemy.dialects import mysql

from llm_cost_ops.server.db.base import (
    TABLE_OPTIONS,
    Id,
    Json,
    Name,
    OrganizationId,
    metadata,
    micros,
)

reports = Table(
    "reports",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("type", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("title", Name, nullable=False),
    Column("format", String(16), nullable=False),
    Column("needs", Name, nullable=False),
    Column("limited_to", Json),
    Column("request", Json, nullable=False),
    Column("document", Json),
    Column("error", Name),
    Column("created_by", Id),
    micros("created_at"),
    micros("finished_at", nullable=True),
    micros("expires_at"),
    micros("making_until", nullable=True),
    Index("ix_reports_organization", "organization_id", "id"),
    Index("ix_reports_expires", "expires_at"),
    **TABLE_OPTIONS,
)
"""`needs` are permissions with commas, `limited_to` the conditions of who asked (null for none),
`request` what was asked for with its period as instants, `document` the report once it is made, of
which every form is drawn. `making_until` is when the claim of who makes it ends."""

report_templates = Table(
    "report_templates",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", OrganizationId, nullable=False),
    Column("name", Name, nullable=False),
    Column("sections", Json, nullable=False),
    Column("created_by", Id),
    micros("created_at"),
    UniqueConstraint("organization_id", "name"),
    **TABLE_OPTIONS,
)
"""`sections` of custom reports, by a name that requests give as `template`."""

report_styles = Table(
    "report_styles",
    metadata,
    Column("organization_id", OrganizationId, primary_key=True),
    Column("primary_color", String(7), nullable=False),
    Column("accent_color", String(7), nullable=False),
    Column("logo", Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")),
    micros("updated_at"),
    **TABLE_OPTIONS,
)
"""The looks of an organization's reports; `logo` is a PNG picture in base64."""
