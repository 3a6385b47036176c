"""A report made: its sections read in one transaction, then what they are traced by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from llm_cost_ops.core.money import plain
from llm_cost_ops.core.report.document import (
    Block,
    Cell,
    Chart,
    Column,
    Document,
    Figures,
    Section,
    Table,
    Text,
)
from llm_cost_ops.server.analytics.request import Home
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import report
from llm_cost_ops.server.identity.organizations import get_organization
from llm_cost_ops.server.reports.asked import Wanted
from llm_cost_ops.server.reports.audit import audit
from llm_cost_ops.server.reports.blocks import Made, Maker
from llm_cost_ops.server.reports.budget import budgets
from llm_cost_ops.server.reports.chargeback import chargeback, statements
from llm_cost_ops.server.reports.cost_summary import (
    breakdown,
    comparison,
    drivers,
    totals,
    trend,
    unpriced,
)
from llm_cost_ops.server.reports.executive import executive
from llm_cost_ops.server.reports.forecast import forecast
from llm_cost_ops.server.reports.material import Material, period_text
from llm_cost_ops.server.reports.optimization import cache, optimization
from llm_cost_ops.server.reports.style import style_of
from llm_cost_ops.server.reports.usage_analysis import hours, tokens, usage, usage_trend

MAKERS: Mapping[str, Maker] = {
    "audit": audit,
    "breakdown": breakdown,
    "budgets": budgets,
    "cache": cache,
    "chargeback": chargeback,
    "comparison": comparison,
    "drivers": drivers,
    "executive": executive,
    "forecast": forecast,
    "hours": hours,
    "optimization": optimization,
    "statements": statements,
    "tokens": tokens,
    "totals": totals,
    "trend": trend,
    "unpriced": unpriced,
    "usage": usage,
    "usage_trend": usage_trend,
}

_NAMING = {"executive", "unpriced"}
"""Sections that name what is not in the totals."""
_NOT_OF_CALLS = {"audit", "budgets"}

_TRACED = (
    "Each request answers the figures beside it, as long as nothing is recorded, corrected or "
    "priced anew in the period."
)


def make_report(database: Database, wanted: Wanted, at: Home, now_us: int) -> Document:
    """The document of a report. Raises ReportError (REPORT_001), TooManyGroups."""
    with report(database) as session:
        organization = get_organization(session, wanted.selection.organization_id)
        material = Material(session, wanted, at)
        style = style_of(session, wanted.selection.organization_id)
        made: list[Made] = [MAKERS[name](material, options) for name, options in wanted.plan]
        if _hides(material):
            made.append(unpriced(material, {}))
    sections = [each if isinstance(each, Section) else each() for each in made]
    if not wanted.charts:
        sections = [_without_charts(each) for each in sections]
    return Document(
        wanted.title,
        organization.name if organization else wanted.selection.organization_id,
        period_text(wanted.selection.window, wanted),
        wanted.selection.zone.key,
        material.currency,
        now_us,
        (*sections, _appendix(material, sections)),
        style,
        subtitle=None if wanted.reach.is_everything else f"Of {wanted.reach.text()} alone",
    )


def _hides(material: Material) -> bool:
    """Whether totals lack calls that no section names, as those of a custom report can."""
    names = {name for name, _ in material.wanted.plan}
    if names & _NAMING or names <= _NOT_OF_CALLS:
        return False
    return bool(material.elsewhere or material.overview.unpriced)


def _without_charts(section: Section) -> Section:
    return replace(section, blocks=tuple(b for b in section.blocks if not isinstance(b, Chart)))


def _appendix(material: Material, sections: list[Section]) -> Section:
    """The request behind each figure and table, and the rates."""
    rows: list[tuple[Cell, ...]] = []
    for section in sections:
        for title, query in _queries(section):
            rows += [(section.title, title, line) for line in query.split("\n")]
    blocks: list[Block] = [
        Text(_TRACED),
        Table("Requests", (Column("Section"), Column("What"), Column("Request")), tuple(rows)),
    ]  # fmt: skip
    if material.used:
        blocks.append(_rates(material))
    return Section("Appendix: where the figures come from", tuple(blocks))


def _queries(section: Section) -> list[tuple[str, str]]:
    found: dict[str, list[str]] = {}
    for block in section.blocks:
        if isinstance(block, Figures):
            for each in block.items:
                if each.query is not None:
                    found.setdefault(each.query, []).append(each.label)
        elif not isinstance(block, Text) and block.query is not None:
            found.setdefault(block.query, []).append(block.title)
    return [(", ".join(dict.fromkeys(titles)), query) for query, titles in found.items()]


def _rates(material: Material) -> Table:
    columns = (
        Column("Currency"), Column(f"{material.currency} for one", "number"),
        Column("Of", "date"), Column("Source"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (each.from_currency, Decimal(plain(each.rate)), each.day, each.source)
        for _, each in sorted(material.used.items())
    ]
    return Table(
        "Exchange rates",
        columns,
        tuple(rows),
        note="Given by the organization; the latest that is not of a later day than the end of the "
        "period. Requests answer in the currency that was paid.",
    )
