"""Charts: where things lie, and that nothing unknown looks like zero."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.report.document import Cell, Chart, Kind, Series, Style
from llm_cost_ops.server.reports.drawing.charts import WIDTH, draw_chart
from llm_cost_ops.server.reports.drawing.looks import OTHER, checked, tint
from llm_cost_ops.server.reports.drawing.scale import scale_of
from llm_cost_ops.server.reports.drawing.svg import Font
from tests.server.reports.drawing import documents
from tests.server.reports.drawing.documents import money

NAME = "{http://www.w3.org/2000/svg}"
LOOKS = checked(Style())
FONT = Font("sans-serif", 0.55)


class Picture:
    """A chart drawn: boxes as (x, y, width, height, fill), texts as (x, y, text)."""

    def __init__(self, chart: Chart) -> None:
        drawn = draw_chart(chart, LOOKS, FONT)
        root = ElementTree.fromstring(drawn.svg)  # noqa: S314
        self.note = drawn.note
        self.height = float(root.attrib["height"])
        self.boxes = [
            (
                *(float(each.attrib[name]) for name in ("x", "y", "width", "height")),
                each.attrib["fill"],
            )
            for each in root.iter(f"{NAME}rect")
        ]
        self.texts = [
            (float(each.attrib["x"]), float(each.attrib["y"]), each.text or "")
            for each in root.iter(f"{NAME}text")
        ]
        self.lines = [each.attrib for each in root.iter(f"{NAME}polyline")]
        self.words = [text for _, _, text in self.texts]

    def filled(self, *colours: str) -> list[tuple[float, float, float, float]]:
        return [(x, y, w, h) for x, y, w, h, fill in self.boxes if fill in colours]  # type: ignore[misc]


def chart(form: str, categories: tuple[str, ...], *series: Series, kind: Kind = "money") -> Chart:
    return Chart(form, "Title", "Words", categories, series, kind, "USD")  # type: ignore[arg-type]


EVERY = [
    documents.trend(1), documents.trend(6), documents.trend(8), documents.trend(40),
    documents.trend(5, unknown=True), documents.bars(1), documents.bars(40), documents.bars(55),
    documents.heat(), documents.heat(40, 31), documents.heat(1, 1), documents.band(),
    documents.bullet(),
]  # fmt: skip


@pytest.mark.parametrize("each", EVERY)
def test_a_chart_stays_inside_its_picture_and_fits_a_page(each: Chart) -> None:
    picture = Picture(each)
    assert picture.height < 620
    for x, y, width, height, _ in picture.boxes:  # type: ignore[misc]
        assert -0.01 <= x
        assert x + width <= WIDTH + 0.01
        assert -0.01 <= y
        assert y + height <= picture.height + 0.01
    assert all(0 <= x <= WIDTH and 0 <= y <= picture.height for x, y, _ in picture.texts)


@pytest.mark.parametrize("each", EVERY)
def test_texts_on_a_line_do_not_run_into_each_other(each: Chart) -> None:
    root = ElementTree.fromstring(draw_chart(each, LOOKS, FONT).svg)  # noqa: S314
    lines: dict[str, list[tuple[float, float]]] = {}
    for text in root.iter(f"{NAME}text"):
        width = FONT.measure(text.text or "", float(text.attrib["font-size"]))
        x = float(text.attrib["x"])
        start = {"start": x, "middle": x - width / 2, "end": x - width}[text.attrib["text-anchor"]]
        lines.setdefault(text.attrib["y"], []).append((start, start + width))
    for spans in lines.values():
        for before, after in pairwise(sorted(spans)):
            assert before[1] <= after[0] + 1


@pytest.mark.parametrize("days", [*range(1, 32), 90, 92])
def test_dates_do_not_run_into_each_other_at_the_edge(days: int) -> None:
    dates = tuple(f"2026-11-{day:02}" for day in range(1, days + 1))
    drawn = chart("stacked", dates, Series("x", tuple(Decimal(day) for day in range(days))))
    named = [x for x, _, text in Picture(drawn).texts if text.startswith("2026-")]
    assert named
    assert all(next_ - x >= FONT.measure(dates[0], 7) for x, next_ in pairwise(named))


def test_layers_add_up_and_what_is_negative_goes_down() -> None:
    series = (Series("x", (money(60),)), Series("y", (money(40),)), Series("z", (-money(50),)))
    picture = Picture(chart("stacked", ("a",), *series))
    x, y, z = (box for box in picture.filled("#0072b2", "#e69f00", "#005f46") if box[3] != 8)
    assert x[3] / y[3] == pytest.approx(1.5, rel=0.01)
    assert y[1] + y[3] == pytest.approx(x[1], abs=0.02)  # y stands on x
    assert z[1] == pytest.approx(x[1] + x[3], abs=0.02)  # z hangs below zero
    assert z[3] == pytest.approx(x[3] * 5 / 6, rel=0.01)


def test_an_unknown_month_is_crossed_out_and_a_partly_known_one_is_marked() -> None:
    series = (Series("x", (money(1), None, None)), Series("y", (money(1), money(1), None)))
    picture = Picture(chart("stacked", ("a", "b", "c"), *series))
    assert picture.words.count("?") == 1
    assert len(picture.filled("#ffffff")) == 1  # the crossed-out box
    assert picture.note is not None
    assert "not known" in picture.note
    assert Picture(chart("stacked", ("a",), Series("x", (0,)))).note is None
    assert "order of the legend" in str(Picture(documents.trend(3)).note)


def test_many_layers_end_in_one_that_is_the_others() -> None:
    picture = Picture(documents.trend(40))
    assert "Other (33)" in picture.words
    assert len(picture.filled(OTHER)) == 1 + 12
    assert "Other" not in "".join(Picture(documents.trend(8)).words)


def test_bars_are_sorted_and_the_unknown_has_none() -> None:
    series = Series("Cost", (money(1), None, money(3), -money(1), 0))
    picture = Picture(chart("bars", ("one", "none", "three", "minus", "zero"), series))
    names = [word for word in picture.words if word in ("one", "none", "three", "minus", "zero")]
    assert names == ["three", "one", "zero", "minus", "none"]
    assert "unknown" in picture.words
    three, one, zero = picture.filled(LOOKS.primary)
    assert three[2] / one[2] == pytest.approx(3, rel=0.01)
    assert zero[2] == 0
    (minus,) = picture.filled(LOOKS.accent)
    assert minus[0] + minus[2] == pytest.approx(one[0], abs=0.02)  # to the left of zero
    assert {"3.00", "1.00", "0.00", "-1.00"} <= set(picture.words)


def test_more_bars_than_fit_are_counted() -> None:
    assert "15 more are not drawn." in str(Picture(documents.bars(55)).note)
    assert "not drawn" not in str(Picture(documents.bars(40)).note)
    assert "1 more are not drawn." in str(Picture(documents.heat(41, 2)).note)
    names = tuple(f"team {at}" for at in range(42))
    amounts = (money(1),) * 42
    budgets = chart("bullet", names, Series("spent", amounts), Series("limit", amounts))
    assert "2 more are not drawn." in str(Picture(budgets).note)


def test_a_heat_map_crosses_out_the_unknown_and_leaves_zero_white() -> None:
    picture = Picture(
        chart("heat", ("a", "b", "c", "d"), Series("x", (0, None, 50, 100)), kind="count")
    )
    assert "0" in picture.words
    assert "unknown" in picture.words
    cells = [box for box in picture.boxes if box[3] == 14]
    assert [box[4] for box in cells][0:2] == ["#ffffff", "#ffffff"]
    assert cells[-1][4] == LOOKS.primary
    assert "below zero" not in picture.words
    assert "below zero" in Picture(documents.heat(7, 30)).words
    crosses = [line for line in picture.lines if line["stroke"] == "#595959"]
    assert len(crosses) == 4  # two in the cell, two in the key


def test_a_forecast_has_a_gap_where_nothing_is_known() -> None:
    picture = Picture(documents.band())
    drawn = [line for line in picture.lines if line["stroke"] == LOOKS.primary]
    assert len(drawn) == 2
    dashed = [line for line in picture.lines if line.get("stroke-dasharray")]
    assert len(dashed) == 1
    assert "not known" in str(picture.note)


def test_budgets_are_compared_with_their_limits() -> None:
    picture = Picture(documents.bullet())
    assert "81,234.56 of 100,000.00 (81 %)" in picture.words
    assert "30,500.00 of 10,000.00 (305 %)" in picture.words
    assert "unknown of 1,000.00" in picture.words
    assert "900.00 of unknown" in picture.words
    assert picture.words.count("not comparable") == 2
    assert len(picture.filled(LOOKS.accent)) == 2  # those above their limit
    assert "more than 200 %" in str(picture.note)


def test_shortened_names_say_where_they_stand_in_full() -> None:
    long = "accounts/fireworks/models/" + "llama-v3p1-405b-instruct-" * 4
    picture = Picture(chart("bars", (long,), Series("Cost", (money(1),))))
    name = next(word for word in picture.words if "…" in word)
    assert name.startswith("accounts/")
    assert name.endswith("instruct-")
    assert picture.note == "Shortened names stand in full in the table."
    short = Picture(chart("bars", ("gpt-4o",), Series("Cost", (money(1),))))
    assert short.note is None


def test_an_axis_names_its_unit() -> None:
    assert "USD" in Picture(documents.trend()).words
    share = chart("stacked", ("a",), Series("x", (Decimal("0.5"),)), kind="ratio")
    assert {"%", "50"} <= set(Picture(share).words)


@pytest.mark.parametrize("each", EVERY)
def test_without_data_a_chart_says_so(each: Chart) -> None:
    text = ["Nothing to draw: no data in this period."]
    assert Picture(replace(each, categories=())).words == text
    assert Picture(replace(each, series=())).words == text
    unknown: tuple[Cell, ...] = (None,) * len(each.categories)
    Picture(replace(each, series=tuple(Series(s.name, unknown) for s in each.series)))


@given(st.lists(st.one_of(st.none(), st.decimals(-(10**9), 10**9, places=6)), max_size=20))
def test_a_scale_holds_every_value_and_zero(values: list[Decimal | None]) -> None:
    scale = scale_of(values)
    known = [each for each in values if each is not None]
    assert scale.low <= min([*known, Decimal(0)])
    assert scale.high >= max([*known, Decimal(0)])
    assert Decimal(0) in scale.ticks
    assert 2 <= len(scale.ticks) <= 8
    assert all(scale.low <= each <= scale.high for each in scale.ticks)


def test_what_is_spent_at_least_is_lighter_and_says_so() -> None:
    limit = Series("limit", (money(10), money(10)))
    series = (Series("spent", (money(4), None)), limit, Series("at least", (None, money(5))))
    picture = Picture(chart("bullet", ("whole", "part"), *series))
    assert len(picture.filled(LOOKS.primary)) == 1
    assert len(picture.filled(tint(LOOKS.primary, 0.45))) == 1
    assert "≥ 5.00 of 10.00 (50 %)" in picture.words
    assert "more is spent" in str(picture.note)
