"""A series and its forecast, drawn with characters."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import plotille  # pyright: ignore[reportMissingTypeStubs]

if TYPE_CHECKING:
    from llm_cost_ops.core.series import Series
    from llm_cost_ops.forecasting.forecast import Forecast

HEIGHT = 12
_WIDEST = 100
_MARGIN = 24
"""Columns that the labels of the vertical axis take."""
_LABELS = 13
"""Of them, those before the first column of the plot itself."""
_PAST_FOR_EACH_AHEAD = 3
_PAST, _AHEAD = "\N{BOX DRAWINGS LIGHT HORIZONTAL}", "\N{BOX DRAWINGS DOUBLE HORIZONTAL}"


def plot(past: Series, made: Forecast) -> str:
    """The last steps of the series, the forecast, and its interval as two further lines.

    A rule under them changes from single to double where the forecast begins, for those who see
    no colours.
    """
    ahead = len(made.predictions)
    shown = min(len(past), max(_PAST_FOR_EACH_AHEAD * ahead, 2 * HEIGHT))
    first = len(past) - shown
    known = [(i, float(v)) for i, v in enumerate(past.values) if v is not None and i >= first]
    steps = range(len(past), len(past) + ahead)
    last = known[-1]

    def line(values: list[float]) -> tuple[list[int], list[float]]:
        return [last[0], *steps], [last[1], *values]

    plots: Any = plotille
    figure = plots.Figure()
    columns = shutil.get_terminal_size((80, 24)).columns
    figure.width, figure.height = max(min(columns - _MARGIN, _WIDEST), 20), HEIGHT
    low = min(*(value for _, value in known), *(each.lower for each in made.predictions))
    high = max(*(value for _, value in known), *(each.upper for each in made.predictions))
    figure.set_x_limits(first, len(past) + ahead - 1)
    figure.set_y_limits(low, high if high > low else low + (abs(low) or 1.0))
    figure.origin = False  # its axes would look like values of a series that begins in the plot
    figure.x_label, figure.y_label = "", ""
    figure.register_label_formatter(float, _label)
    figure.x_ticks_fkt = _no_tick
    figure.plot([step for step, _ in known], [value for _, value in known])
    figure.plot(*line([each.value for each in made.predictions]))
    figure.plot(*line([each.lower for each in made.predictions]))
    figure.plot(*line([each.upper for each in made.predictions]))
    drawn: str = figure.show()
    lines = [text.rstrip() for text in drawn.splitlines()][1:-2]
    begin = round((len(past) - first) / (shown + ahead - 1) * (figure.width - 1))
    legend = [
        _PAST * begin + _AHEAD * (figure.width - begin),
        f"{_PAST} the series, {past.label(first)} .. {past.label(len(past) - 1)}",
        f"{_AHEAD} {ahead} ahead from {past.label(len(past))}: the forecast between its bounds",
    ]
    return "\n".join([*lines, *(" " * _LABELS + text for text in legend), ""])


def _no_tick(_value: float, _next: float) -> str:
    return ""


def _label(value: float, chars: int, delta: float, left: bool = False) -> str:  # noqa: ARG001
    text = f"{value:.4g}"
    return f"{text:<{chars}}" if left else f"{text:>{chars}}"
