"""What an export is asked for: which table, which columns, and how it is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.focus.columns import VERSIONS
from llm_cost_ops.core.focus.periods import GRAINS, HOUR
from llm_cost_ops.core.months import month_of, month_within, window_of
from llm_cost_ops.core.period import time_zone
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.analytics.aggregate import Question, aggregate, question_of
from llm_cost_ops.server.analytics.asked import Asked
from llm_cost_ops.server.analytics.request import (
    END_NAMES,
    PERIOD_NAMES,
    START_NAMES,
    ZONE_NAMES,
    Home,
    selection_of,
)
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import report
from llm_cost_ops.server.exports.calls import calls, columns_of
from llm_cost_ops.server.exports.columns import Column, Exported
from llm_cost_ops.server.exports.focus import Focus, focus_csv, focus_rows, focus_table
from llm_cost_ops.server.exports.forms import (
    ALIASES,
    FOCUS,
    MEDIA_TYPES,
    SUFFIXES,
    Form,
    packed,
    written,
)
from llm_cost_ops.server.exports.groups import groups
from llm_cost_ops.server.exports.tally import Tally
from llm_cost_ops.server.exports.text import DELIMITERS, Locale

COSTS, USAGE, AGGREGATES, CALLS = "costs", "usage", "aggregates", "calls"
FOCUS_FILES = ("csv", "parquet")
TYPES = (COSTS, USAGE, AGGREGATES, CALLS)
BILLING_PERIOD = "billing_period"
_TYPE_NAMES = {"cost": COSTS, "analytics": AGGREGATES, "aggregate": AGGREGATES}


@dataclass(frozen=True, slots=True)
class Wanted:
    """An export that can be made. `columns` are those of calls, `question` that of groups."""

    kind: str
    form: Form
    selection: Selection
    columns: tuple[Column, ...] = ()
    question: Question = field(default_factory=Question)
    month: str | None = None
    """The billing period whose books are exported."""

    def chunks(
        self, database: Database, currency: str, name: str | None, tally: Tally | None = None
    ) -> Iterator[bytes]:
        """The file, piece by piece, of the organization with this name; `tally` counts its rows.
        Raises FilesMissing."""
        focus = self.form.focus
        if focus is None:
            table = self._table(database, currency)
            return written(table if tally is None else tally.of(table), self.form)
        pages = focus_rows(database, self.selection, focus, name, self.month)
        if tally is not None:
            pages = tally.of_pages(pages)
        if self.form.format == "csv":
            return packed(focus_csv(pages, focus), self.form)
        return written(focus_table(pages, focus), self.form)

    def created(self, at_us: int | None) -> Wanted:
        """The same, dated."""
        return replace(self, form=replace(self.form, created_us=at_us))

    @property
    def name(self) -> str:
        """What the file is called."""
        focus = self.form.focus
        stem = self.kind if focus is None else f"focus-{focus.version}"
        return f"{stem}{self.form.suffix}"

    def expected(self, database: Database, currency: str) -> int | None:
        """About how many rows there will be, None when nobody can tell."""
        if self.kind == AGGREGATES or self.form.focus is not None:
            return None
        with report(database) as session:
            answer = aggregate(session, self.selection, Question(), currency)
        return sum(cast("int", row["requests"]) for row in answer.rows)

    def _table(self, database: Database, currency: str) -> Exported:
        if self.kind == AGGREGATES:
            return groups(database, self.selection, self.question, currency)
        return calls(database, self.selection, self.kind, self.columns, self.month)

    def told(self) -> dict[str, object]:
        """What the audit log keeps of it."""
        window = self.selection.window
        return {
            "type": self.kind,
            "format": self.form.format if self.form.focus is None else FOCUS,
            "start_us": window.start_us,
            "end_us": window.end_us,
            **({} if self.month is None else {"billing_period": self.month}),
        }


def kind_named(text: object) -> str:
    """The type that a text names, whether there is such a one or not."""
    name = text if isinstance(text, str) and text else COSTS
    return _TYPE_NAMES.get(name, name)


def wanted_of(asked: Asked, principal: Principal, at: Home) -> Wanted:
    """Reads everything that was asked for. Raises Problem 403 and 422."""
    kind = kind_named(asked.text("type"))
    if kind not in TYPES:
        asked.errors["type"] = f"must be one of: {', '.join(TYPES)}"
        kind = COSTS
    form = _form(asked)
    names = asked.names("include_fields", "columns", "fields")
    if form.focus is not None and (kind != COSTS or names):
        asked.errors["format"] = "focus is of costs, and has the columns of the specification"
        names = ()
    columns: tuple[Column, ...] = ()
    question = Question()
    if kind == AGGREGATES:
        if names:
            asked.errors["include_fields"] = "belongs to calls: name group_by and metrics"
        question = question_of(asked)
    else:
        try:
            columns = columns_of(kind, names)
        except DomainError as error:
            asked.note(error, "include_fields")
    month = _billing_period(asked, kind)
    selection = selection_of(asked, principal, at)
    asked.check()
    if month is not None:
        selection = selection.within(window_of(month))
    elif kind != AGGREGATES:
        month = month_within(selection.window)
    return Wanted(kind, form, selection, columns, question, month)


def _billing_period(asked: Asked, kind: str) -> str | None:
    """The month whose books are wanted; dates beside it would say something else."""
    text = asked.text(BILLING_PERIOD)
    if text is None:
        return None
    others = [n for n in (*START_NAMES, *END_NAMES, *PERIOD_NAMES, "days") if asked.holds(n)]
    if others:
        asked.errors[BILLING_PERIOD] = f"cannot be combined with {others[0]}"
    elif kind == AGGREGATES:
        asked.errors[BILLING_PERIOD] = "is of calls: groups count calls by their dates"
    try:
        return month_of(text, BILLING_PERIOD)
    except DomainError as error:
        asked.note(error, BILLING_PERIOD)
        return None


def _form(asked: Asked) -> Form:
    given = (asked.text("format") or "csv").lower()
    name = ALIASES.get(given, given)
    focus = _focus(asked) if name == FOCUS else None
    if focus is not None:
        name = asked.text("focus_file") or "csv"
        if name not in FOCUS_FILES:
            asked.errors["focus_file"] = f"must be one of: {', '.join(FOCUS_FILES)}"
            name = "csv"
    if name not in MEDIA_TYPES:
        asked.errors["format"] = f"must be one of: {', '.join((*MEDIA_TYPES, FOCUS))}"
        name = "csv"
    compression = asked.text("compression", "compress")
    compression = {"none": None, "gz": "gzip", "zst": "zstd"}.get(compression or "none",
                                                                  compression)  # fmt: skip
    if compression is not None and compression not in SUFFIXES:
        asked.errors["compression"] = "must be gzip, zstd or none"
        compression = None
    totals = asked.flag("totals") or False
    return Form(name, focus, compression, _zone(asked), _locale(asked), totals)


def _focus(asked: Asked) -> Focus:
    version = asked.text("focus_version") or VERSIONS[0]
    if version not in VERSIONS:
        asked.errors["focus_version"] = f"must be one of: {', '.join(VERSIONS)}"
    grain = asked.text("focus_grain") or HOUR
    if grain not in GRAINS:
        asked.errors["focus_grain"] = f"must be one of: {', '.join(GRAINS)}"
    return Focus(version, grain)


def _zone(asked: Asked) -> tzinfo | None:
    """The zone in which instants are written, if one was named: it is that of the days, too."""
    name = asked.text(*ZONE_NAMES)
    if name is None:
        return None
    asked.put(ZONE_NAMES[0], name)
    try:
        return time_zone(name)
    except DomainError:
        return None  # `selection_of` refuses it


def _locale(asked: Asked) -> Locale:
    delimiter = asked.text("delimiter") or "comma"
    decimal = asked.text("decimal") or "point"
    if delimiter not in DELIMITERS:
        asked.errors["delimiter"] = f"must be one of: {', '.join(DELIMITERS)}"
        delimiter = "comma"
    if decimal not in ("point", "comma"):
        asked.errors["decimal"] = "must be point or comma"
    elif decimal == "comma" and delimiter == "comma":
        asked.errors["decimal"] = "cannot be a comma between cells that commas separate"
    mark = asked.flag("bom") or False
    return Locale(DELIMITERS[delimiter], "," if decimal == "comma" else ".", mark)
