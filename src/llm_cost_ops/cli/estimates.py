"""Estimates for people and spreadsheets: one row per item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llm_cost_ops.cli.output import Column, Listing, Row, show_rows
from llm_cost_ops.cli.profile import Output, Profile
from llm_cost_ops.core.jsontext import loads


def _matched(row: Row) -> dict[str, Any]:
    return row.get("matched") or {}


COLUMNS = (
    Column("id", optional=True),
    Column("provider", read=lambda row: _matched(row).get("provider")),
    Column("model", read=lambda row: _matched(row).get("model")),
    Column("rule", optional=True, read=lambda row: _matched(row).get("rule")),
    Column("total_cost", "cost", "money", read=lambda row: _cost(row)),
    Column("currency"),
    Column("remarks", optional=True, read=lambda row: "; ".join(_remarks(row))),
)
FIELDS = (
    "id", "cost_status", "total_cost", "currency", "provider", "model", "rule", "price_version",
    "usage", "lines", "warnings", "error",
)  # fmt: skip


LINES = (
    Column("kind"),
    Column("quantity", kind="count"),
    Column("price", kind="money"),
    Column("per", kind="count"),
    Column("amount", kind="money"),
)


def show_estimates(profile: Profile, answers: Sequence[str]) -> None:
    """Print answers of `estimate_lines`, which are JSON texts. A single one shows its lines."""
    rows: Iterator[Row] = (loads(answer) for answer in answers)
    if profile.format is Output.TABLE and len(answers) == 1:
        only = next(rows)
        show_rows(profile, [only], Listing(COLUMNS))
        if only.get("lines"):
            show_rows(profile, only["lines"], Listing(LINES))
        return
    if profile.format is Output.CSV:
        rows = ({**row, **_matched(row)} for row in rows)
    show_rows(profile, rows, Listing(COLUMNS, FIELDS, notes=_totals))


def _cost(row: Row) -> Any:
    return "refused" if "error" in row else row.get("total_cost")


def _remarks(row: Row) -> list[str]:
    error = row.get("error")
    if error is not None:
        fields: dict[str, str] = error.get("field_errors") or {}
        return [f"{n} {text}" for n, text in fields.items()] or [error["message"]]
    partial = ["partially priced"] if row.get("cost_status") == "partially_priced" else []
    return [*partial, *row.get("warnings", [])]


def _totals(rows: Sequence[Row]) -> Iterator[str]:
    from llm_cost_ops.cli.totals import total_lines

    if len(rows) > 1:
        yield from total_lines([row for row in rows if "error" not in row])
