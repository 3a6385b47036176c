"""How much was used: calls, kinds of tokens, cache hits, hours of the week."""

from __future__ import annotations

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.instant import parse_instant
from llm_cost_ops.core.period import HOUR_US
from llm_cost_ops.core.report.document import (
    Cell,
    Chart,
    Column,
    Figure,
    Figures,
    Section,
    Series,
    Table,
    Text,
)
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.reports.blocks import (
    LAYERS,
    MAX_ROWS,
    NONE_OF,
    Options,
    Ranked,
    against,
    enumerate_totals,
    label_of,
    layers,
    named,
    overlap_note,
    split_trend,
    title_of,
    titled,
)
from llm_cost_ops.server.reports.compared import change_to
from llm_cost_ops.server.reports.material import Material, ratio, total_of

MODELS = ("provider", "model")
KINDS = (
    ("Input", "input_tokens"), ("Cached input", "cached_tokens"),
    ("Cache writes", "cache_write_tokens"), ("Output", "output_tokens"),
    ("Reasoning", "reasoning_tokens"),
)  # fmt: skip
_PARTS = "Cached input and cache writes are part of the input, reasoning of the output."
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def usage(material: Material, options: Options) -> Section:
    """The key figures of use."""
    whole, query = material.overview, material.query("/costs/summary")
    before = material.earlier(())
    ago = None if before is None else before.totals
    counts = [
        ("Calls", whole.requests, None if ago is None else ago.requests),
        ("Tokens", whole.total_tokens, None if ago is None else ago.total_tokens),
        *(
            (label, whole.of_kind(name), None if ago is None else ago.of_kind(name))
            for label, name in KINDS
        ),
    ]
    figures = [
        Figure(label, "count", now, None, change_to(material, before, now, old), query)
        for label, now, old in counts
    ]
    share = ratio(whole.of_kind("cached_tokens"), whole.of_kind("input_tokens"))
    figures.append(Figure("Cached share of input", "ratio", share, None, None, query))
    return Section(titled(options, "Use"), (Figures(tuple(figures)), *against(material, before)))


def usage_trend(material: Material, options: Options) -> Section:
    """Tokens over time."""
    names = layers(options, material)
    made, rows, names = split_trend(material, names)
    sums = {key: total_of(dict(enumerate_totals(each))) for key, each in rows.items()}
    ordered = sorted(sums.items(), key=lambda item: (-item[1].total_tokens, str(item[0])))
    labels = tuple(made.label(place) for place in range(len(made)))
    series = [
        Series(label_of(key), tuple(t.total_tokens for t in rows[key]))
        for key, _ in ordered[:LAYERS]
    ]
    rest = [rows[key] for key, _ in ordered[LAYERS:]]
    if rest:
        columns = zip(*rest, strict=True)
        series.append(Series("other", tuple(sum(t.total_tokens for t in c) for c in columns)))
    told = title_of(names[0]).lower() if names else "all calls"
    alt = f"Tokens by {made.grain} from {labels[0]} to {labels[-1]}."
    chart = Chart(
        "stacked", f"Tokens over time by {told}",
        " ".join(filter(None, (alt, overlap_note(names)))), labels, tuple(series),
        kind="count", query=material.query("/costs/aggregate", group_by=(*names, made.grain)),
    )  # fmt: skip
    return Section(titled(options, "Tokens over time"), (chart,))


def tokens(material: Material, options: Options) -> Section:
    """The kinds of tokens of each group."""
    names = named(options, "group_by", material.wanted.group_by or MODELS)
    ranked = Ranked.of(material.groups(names), MAX_ROWS)

    def row(label: str, totals: Totals) -> tuple[Cell, ...]:
        kinds = [totals.of_kind(name) for _, name in KINDS]
        given = totals.of_kind("input_tokens")
        cached = ratio(totals.of_kind("cached_tokens"), given) if given else NONE_OF
        return (label, totals.requests, totals.total_tokens, *kinds, cached)

    rows = [row(label_of(key), totals) for key, totals in ranked.rows]
    if ranked.others:
        rows.append(row(f"{ranked.others} others", ranked.other))
    table = Table(
        "Kinds of tokens",
        (
            Column(", ".join(map(title_of, names))), Column("Calls", "count"),
            Column("Tokens", "count"), *(Column(label, "count") for label, _ in KINDS),
            Column("Cached share", "ratio"),
        ),
        tuple(rows),
        row("Total", material.overview),
        " ".join(filter(None, (_PARTS, overlap_note(names)))),
        material.query("/costs/aggregate", group_by=names),
    )  # fmt: skip
    return Section(titled(options, "Kinds of tokens"), (table,))


def hours(material: Material, options: Options) -> Section:
    """Calls by the hour of the day and the day of the week, by the clock of the zone."""
    title = titled(options, "Hours of the week")
    made = material.buckets()
    if any(edge % HOUR_US for edge in made.edges):
        return Section(title, (Text(f"The hours of {made.zone.key} are no whole hours of UTC."),))
    try:
        groups = material.groups(("hour",))
    except DomainError as error:
        return Section(title, (Text(f"The period is too long for hours: {error.message}."),))
    found = [[0] * 24 for _ in DAYS]
    for (label,), totals in groups.items():
        local = parse_instant(label, "hour").astimezone(made.zone)
        found[local.weekday()][local.hour] += totals.requests
    most = max(((max(row), day) for row, day in zip(found, DAYS, strict=True)))
    chart = Chart(
        "heat", "Calls by day and hour",
        f"Most calls in one hour of the week: {most[0]}, on {most[1]}.",
        tuple(f"{hour:02}" for hour in range(24)),
        tuple(Series(day, tuple(row)) for day, row in zip(DAYS, found, strict=True)),
        kind="count", query=material.query("/costs/aggregate", group_by=("hour",)),
    )  # fmt: skip
    return Section(title, (chart,))
