"""Charts over time: stacked columns and the band of a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from llm_cost_ops.core.report.document import Chart
from llm_cost_ops.server.reports.drawing.looks import INK, OTHER, PALETTE, QUIET, RULE, Looks, tint
from llm_cost_ops.server.reports.drawing.scale import Number, Scale, numbers, scale_of, tick, unit
from llm_cost_ops.server.reports.drawing.svg import Point, Svg

_HEIGHT = 150
_LABEL = 7.5
_LONGEST = 84
_GAP_MARK = "A crossed-out mark (×) stands where a value is not known."
_ORDER = "Layers are stacked in the order of the legend, the first at the bottom."
_PARTLY = "“?” above a column: a part of it is not known, so the column is too low."


@dataclass(frozen=True, slots=True)
class _Frame:
    """The rectangle of the plot, and the scale of its height."""

    left: float
    top: float
    width: float
    scale: Scale
    slots: int

    def x(self, slot: float) -> float:
        return self.left + self.width * slot / self.slots

    def y(self, value: Decimal) -> float:
        return self.top + _HEIGHT * (1 - self.scale.share(value))

    @property
    def bottom(self) -> float:
        return self.top + _HEIGHT


def stacked(svg: Svg, chart: Chart, looks: Looks) -> tuple[float, str | None]:
    """Columns of layers; what is below zero is stacked downwards."""
    layers = _layers(chart)
    places = range(len(chart.categories))
    above = [_sum(layers, at, 1) for at in places]
    below = [_sum(layers, at, -1) for at in places]
    colours = [OTHER if name.startswith("Other (") else PALETTE[n % len(PALETTE)]
               for n, (name, _) in enumerate(layers)]  # fmt: skip
    if len(layers) == 1:
        colours = [looks.primary]
    legend = [(name, colour) for (name, _), colour in zip(layers, colours, strict=True)]
    top = _legend(svg, legend) if len(layers) > 1 else 10
    frame = _frame(svg, chart, scale_of([*above, *below]), top)
    notes = [_ORDER] if len(layers) > 2 else []
    for at in places:
        values = [values[at] for _, values in layers]
        if all(value is None for value in values):
            _unknown(svg, frame, at)
            notes.append(_GAP_MARK)
            continue
        _column(svg, frame, at, values, colours)
        if any(value is None for value in values):
            middle = (frame.x(at) + frame.x(at + 1)) / 2
            svg.text(middle, frame.y(above[at]) - 2, "?", anchor="middle", bold=True)
            notes.append(_PARTLY)
    _zero(svg, frame)
    return frame.bottom + 18, " ".join(dict.fromkeys(notes)) or None


def _layers(chart: Chart) -> list[tuple[str, list[Number]]]:
    """The series; from the eighth on they are one, `Other (n)`, if there are more than eight."""
    layers = [(each.name, numbers(chart, at=n)) for n, each in enumerate(chart.series)]
    most = len(PALETTE)
    if len(layers) <= most:
        return layers
    rest = [values for _, values in layers[most - 1 :]]
    merged = [_merged([values[at] for values in rest]) for at in range(len(chart.categories))]
    return [*layers[: most - 1], (f"Other ({len(rest)})", merged)]


def _merged(values: Sequence[Number]) -> Number:
    """A sum that is known only if each part is."""
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if len(known) == len(values) else None


def _sum(layers: list[tuple[str, list[Number]]], at: int, sign: int) -> Decimal:
    values = (values[at] for _, values in layers)
    return sum((value for value in values if value is not None and value * sign > 0), Decimal(0))


def _column(
    svg: Svg, frame: _Frame, at: int, values: Sequence[Number], colours: Sequence[str]
) -> None:
    left, right = frame.x(at), frame.x(at + 1)
    inset = min(8.0, (right - left) * 0.15)
    ends = {True: Decimal(0), False: Decimal(0)}
    for value, colour in zip(values, colours, strict=True):
        if not value:
            continue
        start = ends[value > 0]
        ends[value > 0] = start + value
        y, end = frame.y(start), frame.y(start + value)
        svg.rect(left + inset, y, right - left - 2 * inset, end - y, colour, "#ffffff")


def band(svg: Svg, chart: Chart, looks: Looks) -> tuple[float, str | None]:
    """What was, a line; what is expected, a dashed line in the band of what is likely."""
    series = {name: numbers(chart, name) for name in ("actual", "forecast", "low", "high")}
    light = tint(looks.primary, 0.22)
    legend = [("actual", looks.primary), ("forecast", looks.accent)]
    if any(value is not None for value in series["low"]):
        legend.append(("from low to high", light))
    top = _legend(svg, legend)
    frame = _frame(svg, chart, scale_of(value for each in series.values() for value in each), top)
    for run in _runs(series["low"], series["high"]):
        upper = [(_middle(frame, at), frame.y(high)) for at, _, high in run]
        lower = [(_middle(frame, at), frame.y(low)) for at, low, _ in reversed(run)]
        svg.area([*upper, *lower], light)
    _line(svg, frame, series["forecast"], looks.accent, "4 2")
    _line(svg, frame, series["actual"], looks.primary, None)
    _zero(svg, frame)
    gaps = [
        at
        for at in range(len(chart.categories))
        if series["actual"][at] is None and series["forecast"][at] is None
    ]
    for at in gaps:
        _unknown(svg, frame, at)
    return frame.bottom + 18, _GAP_MARK if gaps else None


def _runs(low: list[Number], high: list[Number]) -> list[list[tuple[int, Decimal, Decimal]]]:
    """Stretches in which both ends are known; one of a single point is made visible."""
    runs: list[list[tuple[int, Decimal, Decimal]]] = []
    before = -2
    for at, (lowest, highest) in enumerate(zip(low, high, strict=True)):
        if lowest is None or highest is None:
            continue
        if at != before + 1:
            runs.append([])
        runs[-1].append((at, lowest, highest))
        before = at
    return runs


def _line(svg: Svg, frame: _Frame, values: list[Number], colour: str, dash: str | None) -> None:
    run: list[Point] = []
    for at, value in enumerate([*values, None]):
        if value is not None:
            run.append((_middle(frame, at), frame.y(value)))
            continue
        if len(run) == 1:
            svg.dot(*run[0], colour)
        elif run:
            svg.line(run, colour, 1.4, dash)
        run = []


def _middle(frame: _Frame, at: int) -> float:
    return frame.x(at + 0.5)


def _unknown(svg: Svg, frame: _Frame, at: int) -> None:
    width = min(8.0, (frame.x(at + 1) - frame.x(at)) * 0.7)
    svg.cross(_middle(frame, at) - width / 2, frame.bottom - 10, width, 8, QUIET)


def _zero(svg: Svg, frame: _Frame) -> None:
    y = frame.y(Decimal(0))
    svg.line([(frame.left, y), (frame.left + frame.width, y)], INK, 0.8)


def _frame(svg: Svg, chart: Chart, scale: Scale, top: float) -> _Frame:
    """Grid, names of ticks and categories; returns where values go."""
    names = [tick(each) for each in scale.ticks]
    left = max(svg.measure(name, _LABEL) for name in names) + 6
    top += 12
    frame = _Frame(left, top, svg.width - left - 2, scale, len(chart.categories))
    svg.text(0, top - 6, unit(chart) or "number", size=_LABEL, colour=QUIET)
    for value, name in zip(scale.ticks, names, strict=True):
        y = frame.y(value)
        svg.line([(left, y), (left + frame.width, y)], RULE)
        svg.text(left - 4, y + 2.5, name, size=_LABEL, anchor="end", colour=QUIET)
    _categories(svg, frame, chart.categories)
    return frame


def _categories(svg: Svg, frame: _Frame, categories: Sequence[str]) -> None:
    """As many names as fit beside each other, the first always. Names at the edges move inwards:
    one that would reach into the one before is left out."""
    slot = frame.width / len(categories)
    widest = min(_LONGEST, max(svg.measure(name, _LABEL) for name in categories))
    every = max(1, -int(-(widest + 6) // slot))
    taken = 0.0
    for at in range(0, len(categories), every):
        name = svg.fit(categories[at], max(widest, slot * every - 6), _LABEL)
        half = svg.measure(name, _LABEL) / 2
        x = min(max(_middle(frame, at), half), frame.left + frame.width - half)
        if x - half < taken:
            continue
        svg.text(x, frame.bottom + 10, name, size=_LABEL, anchor="middle", colour=QUIET)
        taken = x + half + 2


def _legend(svg: Svg, names: Sequence[tuple[str, str]]) -> float:
    """Boxes with names, in as many lines as they need; where the plot may begin."""
    x, y = 0.0, 2.0
    for name, colour in names:
        label = svg.fit(name, 150)
        width = 12 + svg.measure(label) + 10
        if x and x + width > svg.width:
            x, y = 0.0, y + 12
        svg.rect(x, y, 8, 8, colour, QUIET)
        svg.text(x + 12, y + 7, label)
        x += width
    return y + 12
