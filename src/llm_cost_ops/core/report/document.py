"""What a report consists of, whatever it is drawn as (PDF, Excel, HTML, Markdown).

A cell is of its column's kind: `text` a str; `count` an int; `money` an int in 1e-10 of the
currency; `number` a Decimal; `ratio` a Decimal where 1 is 100 %; `date` a `datetime.date`;
`instant` an int in microseconds since 1970 UTC. None is "not known" in every kind and is never
drawn as 0.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

Kind = Literal["text", "count", "money", "number", "ratio", "date", "instant"]
Cell = str | int | Decimal | date | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `currency` (ISO 4217) for money alone. `places` are the decimal places
    shown; None: as many as its values need."""

    title: str
    kind: Kind = "text"
    currency: str | None = None
    places: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, each row as long as `columns`; `totals` is a last row set apart.

    `query` is the request that answers the same figures (method, path and parameters).
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    totals: tuple[Cell, ...] | None = None
    note: str | None = None
    query: str | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One key figure; `change` is its relative change to the period compared with, if any."""

    label: str
    kind: Kind
    value: Cell
    currency: str | None = None
    change: Decimal | None = None
    query: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Key figures beside each other."""

    items: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Series:
    """Values of a chart, one for each of its categories."""

    name: str
    values: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of series over categories.

    `stacked`: stacked columns or areas over time, one layer a series. `bars`: horizontal bars of
    the one series, longest first. `heat`: a cell for each category (across) and series (down).
    `band`: series named `actual`, `forecast`, `low`, `high` over time. `bullet`: series `spent` and
    `limit`, a bar against a mark for each category; `at least` instead of `spent` where more may be
    spent than is known. `alt` says in words what the chart shows.
    """

    form: Literal["stacked", "bars", "heat", "band", "bullet"]
    title: str
    alt: str
    categories: tuple[str, ...]
    series: tuple[Series, ...]
    kind: Kind = "money"
    currency: str | None = None
    query: str | None = None


Block = Table | Figures | Text | Chart


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a report, listed in the table of contents."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Style:
    """The looks of an organization: a PNG or JPEG logo, and colours as `#rrggbb`."""

    logo: bytes | None = None
    primary: str = "#1f4e79"
    accent: str = "#c55a11"


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report. `period` names the days it is about; `made_at` in microseconds UTC."""

    title: str
    organization: str
    period: str
    timezone: str
    currency: str
    made_at: int
    sections: tuple[Section, ...]
    style: Style = Style()
    subtitle: str | None = None
