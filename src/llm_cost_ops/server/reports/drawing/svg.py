"""A sheet of SVG to draw charts on: text as text, nothing that runs, nothing from outside."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from llm_cost_ops.server.reports.drawing.looks import INK
from llm_cost_ops.server.reports.drawing.values import clean

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Font:
    """A CSS family, and the width of its usual characters in em: rather too wide than too narrow,
    for the reader's program may set another."""

    family: str
    em: float

    def measure(self, text: str, size: float = 8) -> float:
        """About how wide a text will be."""
        wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
        return size * (self.em * (len(text) - wide) + wide)

    def fit(self, text: str, width: float, size: float = 8) -> str:
        """The text, or its beginning and end when it is wider than that."""
        text = clean(text)
        if self.measure(text, size) <= width:
            return text
        most = max(3, int(width / (size * self.em)) - 1)
        while most > 3 and self.measure(_middle_cut(text, most), size) > width:
            most -= 1
        return _middle_cut(text, most)


class Svg:
    """Positions and sizes in points from the upper left corner."""

    def __init__(self, width: float, font: Font) -> None:
        self.width = width
        self.measure = font.measure
        self.fit = font.fit
        self._font = escape(font.family)
        self._parts: list[str] = []

    def rect(
        self, x: float, y: float, width: float, height: float, fill: str, stroke: str | None = None
    ) -> None:
        """A box; one of negative width or height grows to the left or upwards."""
        left, top = min(x, x + width), min(y, y + height)
        border = f' stroke="{stroke}" stroke-width="0.5"' if stroke else ""
        self._parts.append(
            f'<rect x="{left:.2f}" y="{top:.2f}" width="{abs(width):.2f}" '
            f'height="{abs(height):.2f}" fill="{fill}"{border}/>'
        )

    def line(
        self, points: Sequence[Point], colour: str, width: float = 0.5, dash: str | None = None
    ) -> None:
        """A line through the points; `dash` as in SVG."""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<polyline points="{_points(points)}" fill="none" stroke="{colour}" '
            f'stroke-width="{width}" stroke-linejoin="round"{dashes}/>'
        )

    def area(self, points: Sequence[Point], fill: str) -> None:
        """A filled polygon."""
        self._parts.append(f'<polygon points="{_points(points)}" fill="{fill}"/>')

    def dot(self, x: float, y: float, fill: str) -> None:
        """A point of a line that has no neighbour to be drawn to."""
        self._parts.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="1.6" fill="{fill}"/>')

    def cross(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """The mark of a value that is not known: a box crossed out."""
        self.rect(x, y, width, height, "#ffffff", colour)
        self.line([(x, y), (x + width, y + height)], colour)
        self.line([(x, y + height), (x + width, y)], colour)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 8,
        anchor: str = "start",
        colour: str = INK,
        bold: bool = False,
    ) -> None:
        """Text on the base line `y`; `anchor` start, middle or end."""
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(
            f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{colour}"{weight}>{escape(clean(text))}</text>'
        )

    def done(self, height: float) -> str:
        """The picture, of that height."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:.0f} {height:.0f}" '
            f'width="{self.width:.0f}" height="{height:.0f}" font-family="{self._font}">'
            + "".join(self._parts)
            + "</svg>"
        )


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def _middle_cut(text: str, most: int) -> str:
    tail = most // 3
    return f"{text[: most - tail]}…{text[-tail:]}" if tail else f"{text[:most]}…"
