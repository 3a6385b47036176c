"""Charts of rows: bars, budgets against their limits, and the heat map."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from llm_cost_ops.core.money import EXACT
from llm_cost_ops.core.report.document import Cell, Chart
from llm_cost_ops.server.reports.drawing.looks import INK, QUIET, RULE, Looks, ink_on, tint
from llm_cost_ops.server.reports.drawing.scale import Number, numbers, scale_of, tick, unit
from llm_cost_ops.server.reports.drawing.svg import Svg
from llm_cost_ops.server.reports.drawing.values import UNKNOWN, compact, places_of, rounded, shown

MOST_ROWS = 40
_ROW = 14.0
_BAR = 9.0
_LABEL = 7.5
_SHORT = "Shortened names stand in full in the table."
_FULL_BAR = Decimal(200)
_PARTLY = 0.45


def bars(svg: Svg, chart: Chart, looks: Looks) -> tuple[float, str | None]:
    """The longest first, each with its value; what is not known comes last, without a bar."""
    values = numbers(chart)
    order = sorted(
        range(len(values)), key=lambda at: (values[at] is None, -(values[at] or Decimal(0)), at)
    )
    kept = order[:MOST_ROWS]
    left, short = _names(svg, [chart.categories[at] for at in kept], 14)
    scale = scale_of(values[at] for at in kept)
    cells = chart.series[0].values
    labels = _labels(chart, cells, kept)
    right = max(map(svg.measure, labels)) + 6
    width = svg.width - left - right
    zero = left + width * scale.share(Decimal(0))
    bottom = 14 + _ROW * len(kept)
    svg.text(svg.width, 8, unit(chart), size=_LABEL, anchor="end", colour=QUIET)
    for value in scale.ticks:
        x = left + width * scale.share(value)
        svg.line([(x, 12), (x, bottom)], RULE)
        svg.text(x, 8, tick(value), size=_LABEL, anchor="middle", colour=QUIET)
    for row, at in enumerate(kept):
        y = 14 + _ROW * row
        value = values[at]
        if value is None:
            svg.text(zero + 4, y + 8, UNKNOWN, colour=QUIET)
            continue
        end = left + width * scale.share(value)
        svg.rect(zero, y + 1, end - zero, _BAR, looks.primary if value >= 0 else looks.accent)
        svg.text(max(zero, end) + 4, y + 8.5, labels[row])
    svg.line([(zero, 12), (zero, bottom)], INK, 0.8)
    more = len(order) - len(kept)
    notes = [_SHORT] if short else []
    if more:
        notes.append(f"{more} more are not drawn.")
    return bottom + 4, " ".join(notes) or None


def _labels(chart: Chart, cells: Sequence[Cell], kept: Sequence[int]) -> list[str]:
    wanted = [cells[at] if at < len(cells) else None for at in kept]
    places = places_of(chart.kind, chart.currency, wanted)
    return [shown(chart.kind, cell, currency=chart.currency, places=places) for cell in wanted]


def _names(svg: Svg, names: Sequence[str], top: float) -> tuple[float, bool]:
    """Names of rows beginning at `top`; where what they name may begin, and whether one was
    shortened."""
    widest = min(svg.width * 0.36, max(map(svg.measure, names)) + 4)
    short = False
    for row, name in enumerate(names):
        label = svg.fit(name, widest)
        short = short or label != svg.fit(name, 10_000)
        svg.text(widest, top + _ROW * row + 8.5, label, anchor="end")
    return widest + 6, short


def bullet(svg: Svg, chart: Chart, looks: Looks) -> tuple[float, str | None]:
    """What was spent, as a share of its limit: the black mark at 100 % is the limit, what is above
    it has the accent's colour, what is known in part a lighter one. Budgets of any size are thus
    compared."""
    known, least, limit = (numbers(chart, name) for name in ("spent", "at least", "limit"))
    spent = [part if whole is None else whole for whole, part in zip(known, least, strict=True)]
    shares = [_share(*pair) for pair in zip(spent, limit, strict=True)]
    kept = range(min(len(shares), MOST_ROWS))
    left, short = _names(svg, chart.categories[: len(kept)], 14)
    scale = scale_of([Decimal(100), *(min(share, _FULL_BAR) for share in shares if share)])
    places = places_of(
        chart.kind, chart.currency, [cell for s in chart.series for cell in s.values]
    )
    labels = [_of(spent[at], limit[at], shares[at], places) for at in kept]
    labels = [label if least[at] is None else f"≥ {label}" for at, label in enumerate(labels)]
    right = max(map(svg.measure, labels)) + 8
    width = svg.width - left - right
    bottom = 14 + _ROW * len(kept)
    for value in scale.ticks:
        x = left + width * scale.share(value)
        svg.line([(x, 12), (x, bottom)], RULE)
        svg.text(x, 8, f"{tick(value)} %", size=_LABEL, anchor="middle", colour=QUIET)
    svg.text(svg.width, 8, unit(chart), size=_LABEL, anchor="end", colour=QUIET)
    zero, full = (left + width * scale.share(Decimal(at)) for at in (0, 100))
    for row in kept:
        y = 14 + _ROW * row
        share = shares[row]
        svg.text(svg.width - right + 8, y + 8.5, labels[row])
        if share is None:
            svg.text(zero + 4, y + 8.5, "not comparable", colour=QUIET)
            continue
        svg.rect(zero, y + 1, full - zero, _BAR, "#e6e6e6")
        end = left + width * scale.share(min(share, _FULL_BAR))
        colour = looks.primary if least[row] is None else tint(looks.primary, _PARTLY)
        svg.rect(zero, y + 1, min(end, full) - zero, _BAR, colour)
        if end > full:
            svg.rect(full, y + 1, end - full, _BAR, looks.accent)
        if share > _FULL_BAR:
            svg.area([(end, y), (end + 5, y + 5.5), (end, y + 11)], looks.accent)
        svg.rect(full - 1, y - 1, 2, _BAR + 4, INK)
    notes = ["Bars are shares of each budget’s limit, which the black mark stands for."]
    if any(each is not None for each in least):
        notes.append("A lighter bar, ≥: some calls have no known cost, so that more is spent.")
    if any(share is not None and share > _FULL_BAR for share in shares):
        notes.append("An arrow: more than 200 %.")
    if len(shares) > len(kept):
        notes.append(f"{len(shares) - len(kept)} more are not drawn.")
    return bottom + 4, " ".join([*notes, *([_SHORT] if short else [])])


def _share(spent: Number, limit: Number) -> Number:
    if spent is None or limit is None or limit <= 0:
        return None
    return EXACT.divide(spent, limit).scaleb(2)


def _of(spent: Number, limit: Number, share: Number, places: int) -> str:
    first = UNKNOWN if spent is None else rounded(spent, places)
    second = UNKNOWN if limit is None else rounded(limit, places)
    return f"{first} of {second}" + ("" if share is None else f" ({rounded(share, 0)} %)")


def heat(svg: Svg, chart: Chart, looks: Looks) -> tuple[float, str | None]:
    """The darker, the more; zero is white with its digit, what is not known is crossed out, what is
    below zero has the accent's colour."""
    kept = chart.series[:MOST_ROWS]
    values = [numbers(chart, at=at) for at in range(len(kept))]
    known = [abs(value) for row in values for value in row if value is not None]
    most = max(known, default=Decimal(0)) or Decimal(1)
    top = 30.0
    left, short = _names(svg, [each.name for each in kept], top)
    cell = (svg.width - left) / len(chart.categories)
    _heads(svg, chart.categories, left, cell, top)
    digits_fit = cell >= max((svg.measure(compact(value), 6.5) for value in known), default=0) + 2
    for row, line in enumerate(values):
        for at, value in enumerate(line):
            x, y = left + cell * at, top + _ROW * row
            if value is None:
                svg.cross(x, y, cell, _ROW, QUIET)
                continue
            fill = _fill(value, most, looks)
            svg.rect(x, y, cell, _ROW, fill, RULE)
            if digits_fit:
                ink = ink_on(fill)
                middle = x + cell / 2
                svg.text(middle, y + 9.5, compact(value), size=6.5, anchor="middle", colour=ink)
    _key(svg, chart, most, looks, {_sign(value) for line in values for value in line})
    more = len(chart.series) - len(kept)
    notes = [_SHORT] if short else []
    if more:
        notes.append(f"{more} more are not drawn.")
    return top + _ROW * len(kept) + 4, " ".join(notes) or None


def _fill(value: Decimal, most: Decimal, looks: Looks) -> str:
    if not value:
        return "#ffffff"
    share = 0.08 + 0.92 * float(abs(value) / most)
    return tint(looks.primary if value > 0 else looks.accent, share)


def _heads(svg: Svg, categories: Sequence[str], left: float, cell: float, top: float) -> None:
    widest = min(70.0, max(svg.measure(name, _LABEL) for name in categories))
    every = max(1, -int(-(widest + 4) // cell))
    for at in range(0, len(categories), every):
        name = svg.fit(categories[at], max(widest, cell * every - 4), _LABEL)
        x = min(left + cell * (at + 0.5), svg.width - svg.measure(name, _LABEL) / 2)
        svg.text(x, top - 4, name, size=_LABEL, anchor="middle", colour=QUIET)


def _sign(value: Number) -> str:
    if value is None:
        return UNKNOWN
    return "below zero" if value < 0 else ""


def _key(svg: Svg, chart: Chart, most: Decimal, looks: Looks, signs: set[str]) -> None:
    """What the colours mean; marks that the map does not have are left out."""
    svg.text(0, 9, "0", size=_LABEL, colour=QUIET)
    for step in range(10):
        fill = "#ffffff" if step == 0 else _fill(most * step / 9, most, looks)
        svg.rect(8 + step * 8, 2, 8, 8, fill, RULE)
    label = f"{compact(most)} {unit(chart)}".strip()
    svg.text(92, 9, label, size=_LABEL, colour=QUIET)
    x = 92 + svg.measure(label, _LABEL) + 14
    for sign in sorted(filter(None, signs)):
        if sign == UNKNOWN:
            svg.cross(x, 2, 10, 8, QUIET)
        else:
            svg.rect(x, 2, 10, 8, _fill(-most / 2, most, looks), RULE)
        svg.text(x + 14, 9, sign, size=_LABEL, colour=QUIET)
        x += 28 + svg.measure(sign, _LABEL)
