"""Charts as SVG, the same for PDF and HTML: see `Chart` for what each form means.

What is not known is a gap or a crossed-out mark, never a zero. Long names are shortened here and
stand in full in a table. Neighbouring colours differ in lightness too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llm_cost_ops.core.report.document import Chart
from llm_cost_ops.server.reports.drawing import over_time, rows
from llm_cost_ops.server.reports.drawing.looks import Looks
from llm_cost_ops.server.reports.drawing.svg import Font, Svg

WIDTH = 510
"""Points: what an A4 page has between its margins."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An SVG picture; `note` says what a reader must know to read it, if anything."""

    svg: str
    note: str | None


_FORMS: dict[str, Callable[[Svg, Chart, Looks], tuple[float, str | None]]] = {
    "stacked": over_time.stacked,
    "band": over_time.band,
    "bars": rows.bars,
    "heat": rows.heat,
    "bullet": rows.bullet,
}


def draw_chart(chart: Chart, looks: Looks, font: Font) -> Drawn:
    """The picture of a chart; one without categories or series says that there is nothing."""
    svg = Svg(WIDTH, font)
    if not chart.categories or not chart.series:
        svg.text(WIDTH / 2, 24, "Nothing to draw: no data in this period.", anchor="middle", size=9)
        return Drawn(svg.done(40), None)
    height, note = _FORMS[chart.form](svg, chart, looks)
    return Drawn(svg.done(height), note)
