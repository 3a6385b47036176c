"""Views for tools that read by SQL: their names, their columns, and their statements.

Names and columns are promises; tables are not. Each view shows one organization: its id stands in
the statement, so that no setting of a session can widen it. Money is decimal with ten places, on
SQLite its digits as text, because SQLite has no decimal type; there, whole units of 1e-10 stand at
the end of each view, because a SUM of text is a binary number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.server.db.urls import DatabaseKind

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,50}", re.ASCII)
_DECIMAL = {"postgresql": "NUMERIC(38,10)", "mysql": "DECIMAL(38,10)"}
E10 = 10_000_000_000


class ViewsError(DomainError):
    """Views that cannot be made."""


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column, what its values are (money, count, text, day, instant, units), and what it says.
    Units are on SQLite alone."""

    name: str
    kind: str
    meaning: str


def _columns(*rows: tuple[str, str, str]) -> tuple[ViewColumn, ...]:
    return tuple(ViewColumn(*row) for row in rows)


VIEWS: dict[str, tuple[str, tuple[ViewColumn, ...]]] = {
    "bi_calls": (
        "A row per call, net of its corrections; voided calls are not there.",
        _columns(
            ("id", "text", "the call"),
            ("event_id", "text", "the caller's id of it"),
            ("source", "text", "where it was reported from"),
            ("called_at", "instant", "when it was made, UTC"),
            ("provider", "text", "who sells the model"),
            ("model", "text", "the model"),
            ("project_id", "text", "its project"),
            ("project_name", "text", "the name of that; the id where it has none"),
            ("team_id", "text", "its team"),
            ("team_name", "text", "the name of that; the id where it has none"),
            ("user_id", "text", "its user"),
            ("environment", "text", "such as production"),
            ("feature", "text", "what it was for"),
            ("calls", "count", "how many calls the row stands for"),
            ("input_tokens", "count", "with those of the cache"),
            ("output_tokens", "count", "with those of reasoning"),
            ("total_tokens", "count", "both"),
            ("cost", "money", "what it cost; null while no price is known"),
            ("currency", "text", "ISO 4217"),
            ("cost_status", "text", "priced, partially_priced, unpriced"),
            ("cost_e10", "units", "`cost`"),
        ),
    ),
    "bi_daily_costs": (
        "A row per UTC day, provider, model, project and currency; days whose calls retention "
        "removed are there, too.",
        _columns(
            ("day", "day", "UTC"),
            ("provider", "text", "who sells the model"),
            ("model", "text", "the model"),
            ("project_id", "text", "empty for calls without a project"),
            ("project_name", "text", "its name; the id where it has none"),
            ("currency", "text", "ISO 4217"),
            ("calls", "count", "how many"),
            ("unpriced_calls", "count", "how many of them have no price: their cost is not in it"),
            ("input_tokens", "count", "with those of the cache"),
            ("output_tokens", "count", "with those of reasoning"),
            ("total_tokens", "count", "both"),
            ("cost", "money", "what they cost"),
            ("list_cost", "money", "what they would have cost without discounts"),
            ("cost_e10", "units", "`cost`"),
            ("list_cost_e10", "units", "`list_cost`"),
        ),
    ),
    "bi_budgets": (
        "A row per budget and period in which something was counted; one without a period for a "
        "budget that nothing was counted in.",
        _columns(
            ("id", "text", "the budget"),
            ("name", "text", "its name"),
            ("currency", "text", "ISO 4217"),
            ("period_start", "instant", "when the period began, UTC"),
            ("amount", "money", "its amount in that period, with adjustments"),
            ("spent", "money", "what calls cost"),
            ("reserved", "money", "what is held for calls that are not settled"),
            ("calls", "count", "how many"),
            ("unpriced_calls", "count", "how many of them have no price"),
            ("total_tokens", "count", "their tokens"),
            ("amount_e10", "units", "`amount`"),
            ("spent_e10", "units", "`spent`"),
            ("reserved_e10", "units", "`reserved`"),
        ),
    ),
    "bi_exchange_rates": (
        "The rates that the organization gave.",
        _columns(
            ("from_currency", "text", "ISO 4217"),
            ("to_currency", "text", "ISO 4217"),
            ("day", "day", "from when on it counts"),
            ("rate", "money", "what one unit was worth; all its digits"),
            ("source", "text", "who says so"),
        ),
    ),
    "bi_charges": (
        "What providers charged that is no call: commitments, other purchases, and credits.",
        _columns(
            ("id", "text", "the charge"),
            ("kind", "text", "commitment, purchase, credit"),
            ("provider", "text", "who sells"),
            ("name", "text", "what it is"),
            ("currency", "text", "ISO 4217"),
            ("amount", "money", "what was paid, or what a credit gives"),
            ("granted", "money", "what calls may draw from a commitment"),
            ("start_day", "day", "its first day, UTC"),
            ("end_day", "day", "its last day; null without one"),
            ("billing_period", "text", "the month in whose books it is: `2026-10`"),
            ("invoice_id", "text", "the provider's invoice"),
            ("amount_e10", "units", "`amount`"),
            ("granted_e10", "units", "`granted`"),
        ),
    ),
}


def columns_of(kind: DatabaseKind, view: str) -> tuple[str, ...]:
    """The names of a view's columns on a kind of database."""
    _, columns = VIEWS[view]
    return tuple(each.name for each in columns if kind == "sqlite" or each.kind != "units")


def statements(
    kind: DatabaseKind, organization_id: str, schema: str | None = None
) -> dict[str, str]:
    """The query behind each view. `schema` is where our tables are, for views that stand elsewhere.

    Raises ViewsError for an id that cannot stand in a statement.
    """
    if not _ID.fullmatch(organization_id):
        raise ViewsError(f"the id {organization_id!r} cannot stand in a view")
    at = "" if schema is None else f"{schema}."
    own = f"organization_id = '{organization_id}'"
    say = _Said(kind)
    budgeted, reserved = "s.amount_e10 + s.adjusted_e10", "s.reserved_e10"
    return {
        "bi_calls": (
            "SELECT c.id, c.event_id, c.source, "
            f"{say.instant('r.timestamp')} AS called_at, c.provider, c.model, c.project_id, "
            "COALESCE(p.name, c.project_id) AS project_name, c.team_id, "
            "COALESCE(t.name, c.team_id) AS team_name, c.user_id, c.environment, c.feature, "
            f"{say.whole('r.requests + COALESCE(k.requests, 0)')} AS calls, "
            "c.input_tokens, c.output_tokens, c.total_tokens, "
            f"{say.same('c.total_cost')} AS cost, c.currency, c.cost_status"
            f"{say.also(cost_e10=_whole_units('c.total_cost'))} "
            f"FROM {at}cost_records c JOIN {at}usage_records r ON r.id = c.id "
            "LEFT JOIN (SELECT record_id, SUM(requests) AS requests "
            f"FROM {at}usage_corrections WHERE {own} GROUP BY record_id) k ON k.record_id = r.id "
            f"LEFT JOIN {at}projects p ON p.{own} AND p.id = c.project_id "
            f"LEFT JOIN {at}teams t ON t.{own} AND t.id = c.team_id "
            f"WHERE c.{own} AND r.{own}"
        ),
        "bi_daily_costs": (
            f"SELECT {say.day('d.bucket')} AS day, d.provider, d.model_name AS model, "
            "d.project_id, COALESCE(p.name, d.project_id) AS project_name, d.currency, "
            "d.requests AS calls, d.unpriced AS unpriced_calls, d.input_tokens, "
            "d.output_tokens, d.total_tokens, "
            f"{say.parts('d.cost_whole', 'd.cost_fraction')} AS cost, "
            f"{say.parts('d.list_whole', 'd.list_fraction')} AS list_cost"
            f"{say.also(cost_e10=_sum('d.cost'), list_cost_e10=_sum('d.list'))} "
            f"FROM {at}rollup_daily d "
            f"LEFT JOIN {at}projects p ON p.{own} AND p.id = d.project_id WHERE d.{own}"
        ),
        "bi_budgets": (
            f"SELECT b.id, b.name, {say.member('b.definition', 'currency')} AS currency, "
            f"{say.instant('s.period_start')} AS period_start, "
            f"{say.units(budgeted)} AS amount, "
            f"{say.parts('s.spent_whole', 's.spent_fraction')} AS spent, "
            f"{say.units(reserved)} AS reserved, s.requests AS calls, "
            "s.unpriced AS unpriced_calls, s.tokens AS total_tokens"
            f"{say.also(amount_e10=budgeted, spent_e10=_sum('s.spent'), reserved_e10=reserved)} "
            f"FROM {at}budgets b LEFT JOIN {at}spend_counters s "
            f"ON s.budget_id = b.id AND s.{own} WHERE b.{own} AND b.deleted_at IS NULL"
        ),
        "bi_exchange_rates": (
            f"SELECT x.from_currency, x.to_currency, {say.day('x.day')} AS day, "
            f"{say.digits('x.rate')} AS rate, x.source FROM {at}exchange_rates x WHERE x.{own}"
        ),
        "bi_charges": (
            "SELECT g.id, g.kind, g.provider, g.name, g.currency, "
            f"{say.units('g.amount_e10')} AS amount, {say.units('g.granted_e10')} AS granted, "
            f"{say.day('g.start_day')} AS start_day, {say.day('g.end_day')} AS end_day, "
            "g.billing_period, g.invoice_id"
            f"{say.also(amount_e10='g.amount_e10', granted_e10='g.granted_e10')} "
            f"FROM {at}charges g WHERE g.{own}"
        ),
    }


@dataclass(frozen=True, slots=True)
class _Said:
    """Values in the words of a database."""

    kind: DatabaseKind

    def instant(self, column: str) -> str:
        if self.kind == "postgresql":
            return f"(TIMESTAMPTZ 'epoch' + {column} * INTERVAL '1 microsecond')"
        if self.kind == "sqlite":
            return f"strftime('%Y-%m-%d %H:%M:%S', {column} / 1000000, 'unixepoch')"
        return f"TIMESTAMPADD(MICROSECOND, {column}, '1970-01-01 00:00:00')"

    def day(self, column: str) -> str:
        if self.kind == "postgresql":
            return f"(DATE '1970-01-01' + CAST({column} AS INTEGER))"
        if self.kind == "sqlite":
            return f"date({column} * 86400, 'unixepoch')"
        return f"DATE_ADD(DATE '1970-01-01', INTERVAL {column} DAY)"

    def units(self, column: str) -> str:
        """Units of 1e-10."""
        if self.kind == "sqlite":
            return _digits(f"({column}) / {E10}", f"({column}) % {E10}", f"({column})")
        return f"CAST(({column}) * CAST(0.0000000001 AS {self._decimal}) AS {self._decimal})"

    def parts(self, whole: str, fraction: str) -> str:
        """Whole units and what is below them, each of which may be negative or exceed one unit."""
        if self.kind == "sqlite":
            up = f"({whole} + {fraction} / {E10})"
            rest = f"({fraction} % {E10})"
            mixed = f"CASE WHEN {up} > 0 AND {rest} < 0 THEN 1 WHEN {up} < 0 AND {rest} > 0 "
            step = f"({mixed} THEN -1 ELSE 0 END)"
            high, low = f"({up} - {step})", f"({rest} + {step} * {E10})"
            return _digits(high, low, f"(CASE WHEN {high} <> 0 THEN {high} ELSE {low} END)")
        return f"CAST({whole} + {self.units(fraction)} AS {self._decimal})"

    def same(self, column: str) -> str:
        """Money that is decimal already."""
        return column if self.kind == "sqlite" else f"CAST({column} AS {self._decimal})"

    def also(self, **units: str) -> str:
        """Columns in units of 1e-10, where money has no type of its own."""
        if self.kind != "sqlite":
            return ""
        return "".join(f", {expression} AS {name}" for name, expression in units.items())

    def digits(self, column: str) -> str:
        """Digits in a text, with all their places."""
        if self.kind == "sqlite":
            return column
        return f"CAST({column} AS {self._decimal.replace(',10)', ',20)')})"

    def whole(self, expression: str) -> str:
        """A count: sums are decimal in some databases."""
        integer = {"postgresql": "BIGINT", "sqlite": "INTEGER"}.get(self.kind, "SIGNED")
        return f"CAST({expression} AS {integer})"

    def member(self, column: str, name: str) -> str:
        """A text of a JSON object."""
        if self.kind == "postgresql":
            return f"({column} ->> '{name}')"
        found = f"json_extract({column}, '$.{name}')"
        return found if self.kind == "sqlite" else f"JSON_UNQUOTE({found})"

    @property
    def _decimal(self) -> str:
        return _DECIMAL[self.kind]


def _digits(whole: str, fraction: str, sign: str) -> str:
    """The text of an amount; both parts have the sign of `sign`, or are zero."""
    return (
        f"CASE WHEN {sign} IS NOT NULL THEN CASE WHEN {sign} < 0 THEN '-' ELSE '' END || "
        f"printf('%d.%010d', abs({whole}), abs({fraction})) END"
    )


def _sum(name: str) -> str:
    """Units of 1e-10 of an amount in two parts."""
    return f"{name}_whole * {E10} + {name}_fraction"


def _whole_units(column: str) -> str:
    """Units of 1e-10 of an amount that is a text with ten places."""
    return f"CAST(REPLACE({column}, '.', '') AS INTEGER)"
