"""What an export is asked for: which table, which columns, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from typing import cast

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.focus.columns import VERSIONS
from llm_cost_ops.core.focus.periods import GRAINS, HOUR
from llm_cost_ops.core.grants import EVERYWHERE
from llm_cost_ops.core.instant import parse_instant
from llm_cost_ops.core.months import month_of, month_within, window_of
from llm_cost_ops.core.period import ALL_TIME, Window, time_zone
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.core.providers.names import provider_id
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
from llm_cost_ops.server.audit.store import Filters
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read, report
from llm_cost_ops.server.exports import records
from llm_cost_ops.server.exports.calls import calls, columns_of
from llm_cost_ops.server.exports.columns import Column, Exported
from llm_cost_ops.server.exports.focus import Focus, focus_csv, focus_pages, focus_table
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
from llm_cost_ops.server.exports.records import AUDIT, Records
from llm_cost_ops.server.exports.tally import Tally
from llm_cost_ops.server.exports.text import DELIMITERS, Locale
from llm_cost_ops.server.exports.totals import mark_of
from llm_cost_ops.server.ledger.periods import refuse_archived
from llm_cost_ops.server.pricing import catalogue

COSTS, USAGE, AGGREGATES, CALLS = "costs", "usage", "aggregates", "calls"
FOCUS_FILES = ("csv", "parquet")
TYPES = (COSTS, USAGE, AGGREGATES, CALLS, *records.TYPES)
BILLING_PERIOD = "billing_period"
_NO = ("false", "0", "no")
_OPTIONS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "delimiter": (("csv",), ("comma",)),
    "decimal": (("csv",), ("point",)),
    "bom": (("csv",), _NO),
    "totals": (("csv", "json", "xlsx"), _NO),
    **dict.fromkeys(("focus_version", "focus_grain", "focus_file"), ((FOCUS,), ())),
}
"""Which formats have an option, and as what it may be given to the others: as if it was not."""
_TYPE_NAMES = {"cost": COSTS, "analytics": AGGREGATES, "aggregate": AGGREGATES,
               "prices": records.PRICING, "budget": records.BUDGETS}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sources:
    """What a file is made from, for an organization of this name and currency. What is dated after
    `now_us` has not happened."""

    database: Database
    book: Callable[[], PriceBook]
    currency: str
    name: str | None
    now_us: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """An export that can be made. `columns` are those of calls, `question` that of groups,
    `records` what is no call."""

    kind: str
    form: Form
    selection: Selection
    columns: tuple[Column, ...] = ()
    question: Question = field(default_factory=Question)
    records: Records | None = None
    month: str | None = None
    """The billing period whose books are exported."""

    def chunks(self, sources: Sources, tally: Tally | None = None) -> Iterator[bytes]:
        """The file, piece by piece; `tally` counts its rows. Raises FilesMissing, and of a closed
        month, behind the last piece, DomainError if calls were archived meanwhile."""
        made = self._made(sources, tally)
        return made if self.form.created_us is None else self._still_booked(sources, made)

    def _still_booked(self, sources: Sources, chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield from chunks
        if self.month is not None:
            with read(sources.database) as session:
                refuse_archived(session, self.selection.organization_id, self.month)

    def _made(self, sources: Sources, tally: Tally | None) -> Iterator[bytes]:
        focus = self.form.focus
        if focus is None:
            table = self._table(sources)
            # Days are counted as the period is cut: a month's books have those of UTC.
            days = UTC if self.month is not None else self.selection.zone
            form = replace(self.form, days=days)
            return written(table if tally is None else tally.of(table), form)
        pages = focus_pages(
            sources.database, self.selection, focus, sources.name, sources.now_us, self.month,
            named=self.form.created_us is None,  # what is closed does not change with a name
        )  # fmt: skip
        if tally is not None:
            pages = tally.of_pages(pages)
        if self.form.format == "csv":
            return packed(focus_csv(pages, focus), self.form)
        return written(focus_table(pages, focus), self.form)

    def of_period(self, window: Window) -> Wanted:
        """The same calls of other days: of a whole month in UTC, as its books have it."""
        month = None if self.kind == AGGREGATES else month_within(window)
        return replace(self, selection=self.selection.within(window), month=month)

    def created(self, at_us: int | None) -> Wanted:
        """The same, dated."""
        return replace(self, form=replace(self.form, created_us=at_us))

    @property
    def name(self) -> str:
        """What the file is called."""
        focus = self.form.focus
        stem = self.kind if focus is None else f"focus-{focus.version}"
        return f"{stem}{self.form.suffix}"

    def expected(self, sources: Sources) -> int | None:
        """About how many rows there will be, None when nobody can tell."""
        if self.kind not in (COSTS, USAGE) or self.form.focus is not None:
            return None
        with report(sources.database) as session:
            answer = aggregate(session, self.selection, Question(), sources.currency)
        return sum(cast("int", row["requests"]) for row in answer.rows)

    def _table(self, sources: Sources) -> Exported:
        database = sources.database
        if self.records is not None:
            return self.records.table(database, sources.book)
        if self.kind == AGGREGATES:
            return groups(database, self.selection, self.question, sources.currency)
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
    """Reads everything that was asked for. Days of FOCUS are those of UTC, as its periods, unless a
    zone is named. Raises Problem 403 and 422."""
    form = _form(asked)
    kind = _kind(asked, form)
    if form.focus is not None:
        at = replace(at, time_zone="UTC")
    names = asked.names("include_fields", "columns", "fields")
    if form.focus is not None and (kind != COSTS or names):
        asked.errors["format"] = "focus is of costs, and has the columns of the specification"
        names = ()
    columns: tuple[Column, ...] = ()
    question = Question()
    if kind in records.TYPES:
        return _of_records(asked, principal, at, kind, form, names)
    if kind == AGGREGATES:
        if names:
            asked.errors["include_fields"] = "belongs to calls: name group_by and metrics"
        question = question_of(asked)
        if form.totals and any(each.tag is not None for each in question.dimensions):
            asked.errors["totals"] = "would count a call of several tags more than once"
    else:
        try:
            columns = columns_of(kind, names)
        except DomainError as error:
            asked.note(error, "include_fields")
        if form.totals and columns and mark_of(columns) is None:
            asked.errors["totals"] = "needs a column of text, which says that the line is a total"
    month = _billing_period(asked, kind)
    selection = selection_of(asked, principal, at)
    asked.check()
    if month is not None:
        selection = selection.within(window_of(month))
    elif kind != AGGREGATES:
        month = month_within(selection.window)
    return Wanted(kind, form, selection, columns, question, month=month)


def _kind(asked: Asked, form: Form) -> str:
    given = asked.text("type")
    kind = kind_named(given)
    if kind not in TYPES:
        asked.errors["type"] = f"must be one of: {', '.join(TYPES)}"
        return COSTS
    if given is not None or form.focus is not None:
        return kind
    named = asked.names("group_by")
    if named:
        asked.put("group_by", list(named))
    return AGGREGATES if named else kind


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


def _of_records(
    asked: Asked, principal: Principal, at: Home, kind: str, form: Form, names: tuple[str, ...]
) -> Wanted:
    """What is no call has filters of its own, and those of calls are not read. The audit log is of
    a period, prices and budgets are those of now."""
    columns = records.columns_of(kind, names)
    if columns is None:
        asked.errors["include_fields"] = f"must be among: {', '.join(records.fields_of(kind))}"
    if form.totals:
        asked.errors["totals"] = f"does not belong to {kind}: its rows do not add up"
    filters, prices = _log_filters(asked, kind), _price_filters(asked, kind, at)
    selection = selection_of(asked, replace(principal, reach=EVERYWHERE), at)
    if selection.conditions:
        asked.errors["filters"] = f"of calls do not belong to {kind}"
    window = selection.window
    if kind == AUDIT:
        filters = replace(filters, start_us=window.start_us, end_us=window.end_us)
    elif window != ALL_TIME:
        asked.errors["period"] = f"does not belong to {kind}: they are those of now"
    asked.check()
    found = Records(
        kind, at.organization_id, at.now, principal.reach, columns or (), filters, prices
    )
    return Wanted(kind, form, selection, records=found)


def _log_filters(asked: Asked, kind: str) -> Filters:
    if kind != AUDIT:
        return Filters()
    return Filters(
        action=asked.text("action"),
        user_id=asked.text("user_id"),
        actor=asked.text("actor"),
        resource=asked.text("resource"),
        outcome=asked.text("outcome"),
        request_id=asked.text("request_id"),
    )


def _price_filters(asked: Asked, kind: str, at: Home) -> catalogue.Wanted:
    if kind != records.PRICING:
        return catalogue.Wanted(None, None, at.now, False, None)
    provider, source = asked.text("provider"), asked.text("source")
    if source is not None and source not in catalogue.SOURCES:
        asked.errors["source"] = f"must be one of: {', '.join(catalogue.SOURCES)}"
    moment = at.now
    try:
        date = asked.text("date")
        moment = at.now if date is None else parse_instant(date, "date")
    except DomainError as error:
        asked.note(error, "date")
    provider = provider and (provider_id(provider) or provider)
    active = asked.flag("active_only")
    return catalogue.Wanted(provider, asked.text("model"), moment, active is not False, source)


def _form(asked: Asked) -> Form:
    given = (asked.text("format") or "csv").lower()
    name = ALIASES.get(given, given)
    _refuse_idle(asked, name)
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


def _refuse_idle(asked: Asked, name: str) -> None:
    """An option that the format does not have would be a wish that nobody fulfils."""
    for option, (formats, unset) in _OPTIONS.items():
        given = asked.peek(option)
        if given is None or name in formats or str(given).lower() in unset:
            continue
        asked.errors[option] = f"belongs to {' and '.join(formats)}"


def _focus(asked: Asked) -> Focus:
    version = asked.text("focus_version") or VERSIONS[0]
    if version not in VERSIONS:
        asked.errors["focus_version"] = f"must be one of: {', '.join(VERSIONS)}"
    grain = asked.text("focus_grain") or HOUR
    if grain not in GRAINS:
        asked.errors["focus_grain"] = f"must be one of: {', '.join(GRAINS)}"
    return Focus(version, grain)


def _zone(asked: Asked) -> tzinfo | None:
    """The zone in which instants are written, if another one than UTC was named: it is that of the
    days, too."""
    name = asked.text(*ZONE_NAMES)
    if name is None:
        return None
    asked.put(ZONE_NAMES[0], name)
    try:
        return None if name == "UTC" else time_zone(name)
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
