"""Documents to draw: every kind of block, and what reports meet in practice."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from llm_cost_ops.core.report.document import (
    Chart,
    Column,
    Document,
    Figure,
    Figures,
    Section,
    Series,
    Style,
    Table,
    Text,
)

E10 = 10**10
MADE_AT = 1_793_836_800_000_000  # 2026-11-05T00:00:00Z
MONTHS = tuple(f"2026-{month:02}" for month in range(1, 13))
PLAIN = Style()
QUERY = "GET /api/v1/costs/aggregate?start_date=2026-01-01&end_date=2026-12-31&group_by=model"
MODELS = (
    "gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "claude-opus-4-1", "gemini-2.5-pro",
    "gemini-2.5-flash", "mistral-large-2411", "text-embedding-3-large",
)  # fmt: skip


def document(*sections: Section, style: Style = PLAIN, **changed: str | None) -> Document:
    """A report of those sections; texts of its head may be changed by name."""
    head: dict[str, str | None] = {
        "title": "Cost summary",
        "organization": "Northwind Traders",
        "period": "2026-01-01 to 2026-12-31",
        "timezone": "Europe/Berlin",
        "currency": "USD",
        "subtitle": "All teams and projects",
        **changed,
    }
    return Document(made_at=MADE_AT, sections=sections, style=style, **head)  # type: ignore[arg-type]


def money(units: int, fraction: int = 0) -> int:
    """Whole units of a currency and tenths of a billionth, as cells hold them."""
    return units * E10 + fraction


def figures() -> Figures:
    return Figures(
        (
            Figure(
                "Total cost",
                "money",
                money(1_234_567, 8_912_345_678),
                "USD",
                Decimal("0.1234"),
                QUERY,
            ),
            Figure("Calls", "count", 10_482_113, change=Decimal("-0.021")),
            Figure("Cost per 1,000 calls", "money", money(117, 7_787_100_000), "USD"),
            Figure("Share of cached tokens", "ratio", Decimal("0.3172")),
            Figure("Unpriced calls", "count", None),
        )
    )


def model_rows(count: int = 40) -> tuple[tuple[str, str, int | None, int, Decimal | None], ...]:
    """Models with their calls, cost and share; the last cost is not known, one is negative."""
    rows = []
    for at in range(count):
        name = MODELS[at] if at < len(MODELS) else f"accounts/fireworks/models/llama-v{at}-instruct"
        cost: int | None = money(400_000 // (at + 1), 1_234_567_891 + at)
        if at == count - 1:
            cost = None
        elif at == count - 2:
            cost = -money(12, 5_000_000_000)
        share = None if cost is None else Decimal(cost) / Decimal(money(1_700_000))
        rows.append((name, "openai" if at % 2 else "anthropic", cost, 1_000_000 // (at + 1), share))
    return tuple(rows)


def model_table(count: int = 40) -> Table:
    rows = model_rows(count)
    total = sum(row[2] or 0 for row in rows)
    return Table(
        "Cost by model",
        (
            Column("Model"),
            Column("Provider"),
            Column("Cost", "money", "USD"),
            Column("Calls", "count"),
            Column("Share", "ratio"),
        ),
        rows,
        ("Total", None, total, sum(row[3] for row in rows), None),
        "Calls of a model without a price are counted and have no cost.",
        QUERY,
    )


def trend(layers: int = 6, unknown: bool = False) -> Chart:
    names = (*MODELS, *(f"model-{n}" for n in range(len(MODELS), 60)))[:layers]
    series = tuple(
        Series(name, tuple(money((n + 2) * (8 + at * (layers - n)) * 100) for at in range(12)))
        for n, name in enumerate(names)
    )
    if unknown:
        first = (*series[0].values[:4], None, *series[0].values[5:])
        series = (Series(series[0].name, first), *(
            Series(each.name, (*each.values[:8], None, *each.values[9:])) for each in series[1:]
        ))  # fmt: skip
        series = (Series(series[0].name, (*first[:8], None, *first[9:])), *series[1:])
    return Chart(
        "stacked", "Cost by month and model", "Monthly cost rises from January to December.",
        MONTHS, series, "money", "USD", QUERY,
    )  # fmt: skip


def bars(count: int = 10) -> Chart:
    rows = model_rows(max(count, 3))[:count]
    return Chart(
        "bars", "Models that cost most", "gpt-4o costs most, then gpt-4o-mini.",
        tuple(row[0] for row in rows), (Series("Cost", tuple(row[2] for row in rows)),),
        "money", "USD",
    )  # fmt: skip


def heat(rows: int = 7, columns: int = 24) -> Chart:
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    series = tuple(
        Series(
            days[row] if row < 7 else f"team {row}",
            tuple(
                None
                if (row, at) == (2, 3)
                else 0
                if at < 2
                else (row + 1) * (12 - abs(12 - at)) * 97
                for at in range(columns)
            ),
        )
        for row in range(rows)
    )
    return Chart(
        "heat", "Calls by weekday and hour", "Most calls are made around noon.",
        tuple(f"{at:02}" for at in range(columns)), series, "count",
    )  # fmt: skip


def band() -> Chart:
    days = tuple(
        date.fromordinal(date(2026, 10, 1).toordinal() + at).isoformat() for at in range(60)
    )
    actual = tuple(money(900 + at * 7 + (at % 7) * 60) if at < 40 else None for at in range(60))
    expected = tuple(money(900 + at * 7 + 180) if at >= 39 else None for at in range(60))
    low = tuple(
        None if each is None else each - money(100 + 4 * at) for at, each in enumerate(expected)
    )
    high = tuple(
        None if each is None else each + money(100 + 4 * at) for at, each in enumerate(expected)
    )
    series = (
        Series("actual", (*actual[:10], None, *actual[11:])),
        Series("forecast", expected),
        Series("low", low),
        Series("high", high),
    )
    return Chart(
        "band", "Daily cost and forecast", "Cost rises to about 1,500 USD a day.", days, series,
        "money", "USD", "GET /api/v1/forecasts?horizon_days=20",
    )  # fmt: skip


def bullet() -> Chart:
    names = (
        "Engineering",
        "Support assistant",
        "Research and evaluation of models",
        "Marketing",
        "Legal",
        "Sandbox",
    )
    spent = (money(81_234, 5_600_000_000), money(12_000), money(30_500), money(0), None, money(900))
    limit = (money(100_000), money(10_000), money(10_000), money(5_000), money(1_000), None)
    return Chart(
        "bullet", "Budgets", "Two budgets are exceeded.", names,
        (Series("spent", spent), Series("limit", limit)), "money", "USD",
    )  # fmt: skip


def statement() -> Table:
    """A wide table: months beside each other, with amounts of ten places."""
    rows = tuple(
        (f"Team {n}", *(money(1000 * (n + 1) + at, 10 * n + at + 1) for at in range(12)))
        for n in range(6)
    )
    totals = ("Total", *(sum(row[at] for row in rows) for at in range(1, 13)))  # type: ignore[misc]
    return Table(
        "Chargeback by team and month",
        (Column("Team"), *(Column(month, "money", "USD") for month in MONTHS)),
        rows,
        totals,
    )


def kinds() -> Table:
    return Table(
        "Corrections",
        (
            Column("Day", "date"),
            Column("At", "instant"),
            Column("Note"),
            Column("Factor", "number"),
            Column("Amount", "money", "JPY"),
        ),
        (
            (date(2026, 3, 29), MADE_AT, "Price corrected", Decimal("1.0825"), -money(1_500)),
            (None, None, None, None, None),
            (date(2026, 4, 1), MADE_AT + 3_600_000_000, "Zero is zero", Decimal(0), 0),
        ),
    )


def full(style: Style = PLAIN) -> Document:
    return document(
        Section(
            "Overview",
            (
                figures(),
                Text("Cost rose by 12.3 % against 2025.\n\nMost of it is volume."),
                trend(),
            ),
        ),
        Section("Models", (bars(), model_table())),
        Section("Use", (heat(), kinds())),
        Section("Outlook", (band(), bullet())),
        Section("Chargeback", (statement(),)),
        style=style,
    )


def executive() -> Document:
    return document(
        Section("Costs at a glance", (figures(), trend(3), bars(5))),
        title="Executive summary",
        subtitle=None,
        period="2026-10",
    )


def empty() -> Document:
    nothing = Chart("stacked", "Cost by month", "No cost.", (), (), "money", "USD")
    table = Table("Cost by model", (Column("Model"), Column("Cost", "money", "USD")), ())
    return document(Section("Overview", (Figures(()), nothing, table)), Section("Nothing", ()))


HOSTILE = (
    '=cmd|"/c calc"!A1',
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "{{7*7}} #panic() $x$ *bold* _it_ [link](javascript:alert(1)) `code` \\ | pipe",
    "שלום עולם",
    "مرحبا بالعالم",
    "模型 成本 😀",
    "a\u202ereversed\u202c b",
    "bell\x07 null\x00 escape\x1b[31m \ud800 \ufffe end",
    "line one\nline two\r\n\tthird",
    "x" * 10_000,
    "accounts/fireworks/models/" + "llama_v3p1_405b_instruct_" * 8,
)


def hostile() -> Document:
    """Every text that reports have is one that somebody else may have chosen."""
    rows = tuple((text, text, money(at + 1), None) for at, text in enumerate(HOSTILE))
    table = Table(
        HOSTILE[1],
        (Column(HOSTILE[0]), Column(HOSTILE[2]), Column("Cost", "money", "USD"), Column("x" * 300)),
        rows,
        (HOSTILE[0], None, money(66), None),
        HOSTILE[2],
        HOSTILE[1],
    )
    series = tuple(
        Series(text, tuple(money(n + at) for n in range(len(HOSTILE))))
        for at, text in enumerate(HOSTILE)
    )
    charts = tuple(
        Chart(form, HOSTILE[1], HOSTILE[1] + HOSTILE[5], HOSTILE, series, "money", "USD")
        for form in ("stacked", "bars", "heat")
    )
    budget = Chart(
        "bullet", "B", "b", HOSTILE,
        (Series("spent", series[0].values), Series("limit", series[1].values)), "money", "USD",
    )  # fmt: skip
    figure = Figures(tuple(Figure(text, "text", text, change=Decimal(1)) for text in HOSTILE))
    blocks = (table, *charts, budget, figure, *(Text(text) for text in HOSTILE))
    return document(
        Section(HOSTILE[1], blocks),
        *(Section(text, (Text(text),)) for text in HOSTILE),
        title=HOSTILE[2],
        subtitle=HOSTILE[4],
        organization=HOSTILE[1],
    )
