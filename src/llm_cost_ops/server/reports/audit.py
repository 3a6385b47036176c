"""Who did what: changes, exports, sign-ins and refusals of the period."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.period import ALL_TIME
from llm_cost_ops.core.report.document import (
    Cell,
    Column,
    Figure,
    Figures,
    Section,
    Table,
)
from llm_cost_ops.server.access.store import names_of
from llm_cost_ops.server.audit.overview import counted, latest
from llm_cost_ops.server.identity.emails import emails_of
from llm_cost_ops.server.reports.blocks import Options, titled
from llm_cost_ops.server.reports.material import API, Material

LATEST = 200


def audit(material: Material, options: Options) -> Section:
    """How often what was done with which outcome, and the latest entries."""
    session, organization_id = material.session, material.wanted.selection.organization_id
    window = material.wanted.selection.window
    counts = counted(session, organization_id, window)
    by_outcome: dict[str, int] = dict.fromkeys(("success", "denied", "failure"), 0)
    for _, outcome, count in counts:
        by_outcome[outcome] = by_outcome.get(outcome, 0) + count
    query = _query(material)
    figures = Figures(
        tuple(
            Figure(name.capitalize(), "count", count, None, None, query)
            for name, count in by_outcome.items()
        )
    )
    done = Table(
        "What was done",
        (Column("Action"), Column("Outcome"), Column("Entries", "count")),
        tuple(counts),
        ("Total", "", sum(by_outcome.values())),
        "Without recorded usage (usage.create), which is counted by the other reports.",
        query,
    )
    return Section(titled(options, "Audit log"), (figures, done, _entries(material, query)))


def _entries(material: Material, query: str) -> Table:
    organization_id = material.wanted.selection.organization_id
    window = material.wanted.selection.window
    rows = latest(material.session, organization_id, window, LATEST)
    users = {row["user_id"] for row in rows if row["user_id"] and not row["user_email"]}
    emails = emails_of(material.session, organization_id, users)
    actors = {row["actor_id"] for row in rows if row["actor_id"]}
    keys = names_of(material.session, organization_id, actors)

    def shown(found: Mapping[str, Any]) -> tuple[Cell, ...]:
        actor = found["actor_id"]
        name = f"{keys[actor]} ({actor})" if actor in keys else actor
        who = found["user_email"] or emails.get(found["user_id"] or "") or name
        what = f"{found['resource_type']} {found['resource_id']}"
        at_us = int(found["timestamp"])
        return at_us, who or "the operator", found["action"], what, found["outcome"]

    return Table(
        f"The latest {LATEST} entries" if len(rows) == LATEST else "Entries",
        (
            Column("When", "instant"), Column("Who"), Column("Action"), Column("Of what"),
            Column("Outcome"),
        ),
        tuple(map(shown, rows)),
        query=query,
    )  # fmt: skip


def _query(material: Material) -> str:
    window = material.wanted.selection.window
    params: dict[str, str] = {}
    if window.start_us > ALL_TIME.start_us:
        params["start_date"] = format_micros(window.start_us)
    if window.end_us < ALL_TIME.end_us:
        params["end_date"] = format_micros(window.end_us)
    return f"GET {API}/audit{'?' if params else ''}{urlencode(params, safe=':')}"
