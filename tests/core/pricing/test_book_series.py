"""Dated and windowed lookups in one context."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.pricing import series as series_module
from llm_cost_ops.core.pricing.card import TimeWindow
from llm_cost_ops.core.pricing.series import CardSeries, Layer, in_window
from tests.support.price_books import AUTUMN, at, card, packaged


def series(*layers: list[object]) -> CardSeries:
    return CardSeries("acme", "m", "exact", [Layer(tuple(cards), ()) for cards in layers])  # pyright: ignore[reportArgumentType]


def name(found: object) -> str | None:
    return found[0].id if isinstance(found, tuple) else None


def test_both_sides_of_a_bound() -> None:
    noon = at("2026-01-01T12:00:00Z")
    dated = series([card(id="a", valid_to=noon), card(id="b", valid_from=noon)])
    assert name(dated.at(noon - timedelta(microseconds=1))) == "a"
    assert name(dated.at(noon)) == "b"


def test_an_offset_is_the_same_instant() -> None:
    noon = at("2026-01-01T12:00:00Z")
    dated = series([card(id="a", valid_to=noon), card(id="b", valid_from=noon)])
    local = datetime(2026, 1, 1, 13, 59, tzinfo=timezone(timedelta(hours=2)))
    assert name(dated.at(local)) == "a"


def test_a_gap_has_no_price() -> None:
    dated = series([card(id="a", valid_to=at("2026-01-01T00:00:00Z"))])
    assert name(dated.at(at("2025-12-31T00:00:00Z"))) == "a"
    assert dated.at(at("2026-01-01T00:00:00Z")) is None


def test_a_layer_with_a_gap_lets_the_next_one_through() -> None:
    own = card(id="own", valid_from=at("2026-06-01T00:00:00Z"))
    both = series([own], [card(id="public")])
    assert name(both.at(at("2026-05-31T00:00:00Z"))) == "public"
    assert name(both.at(at("2026-06-01T00:00:00Z"))) == "own"


NIGHT = (TimeWindow("UTC", frozenset(range(7)), 0, 60),)


def test_a_span_has_one_answer_and_a_window_has_none() -> None:
    noon = at("2026-01-01T12:00:00Z")
    before = noon - timedelta(microseconds=1)
    dated = series([card(id="a", valid_to=noon), card(id="b", valid_from=noon, windows=NIGHT)])
    assert (dated.span(before), dated.span(noon), dated.is_steady) == (0, None, False)
    plain = series([card(id="a", valid_to=noon), card(id="b", valid_from=noon)])
    assert (plain.span(before), plain.span(noon), plain.is_steady) == (0, 1, False)
    steady = series([card(id="a")])
    assert (steady.span(before), steady.span(noon), steady.is_steady) == (0, 0, True)


def test_a_window_wins_inside_and_the_plain_card_outside() -> None:
    hourly = series([card(id="plain"), card(id="night", windows=NIGHT)])
    assert name(hourly.at(at("2026-01-01T00:59:59Z"))) == "night"
    assert name(hourly.at(at("2026-01-01T01:00:00Z"))) == "plain"


def test_outside_its_windows_a_layer_lets_the_next_one_through() -> None:
    mixed = series([card(id="night", windows=NIGHT)], [card(id="public")])
    assert name(mixed.at(at("2026-01-01T00:30:00Z"))) == "night"
    assert name(mixed.at(at("2026-01-01T12:00:00Z"))) == "public"


def test_a_plain_card_of_a_higher_layer_hides_the_windows_below() -> None:
    mixed = series([card(id="own")], [card(id="public"), card(id="night", windows=NIGHT)])
    assert name(mixed.at(at("2026-01-01T00:30:00Z"))) == "own"


def test_a_window_alone_has_no_price_outside() -> None:
    assert series([card(id="night", windows=NIGHT)]).at(AUTUMN) is None


def test_a_window_keeps_local_time_through_a_clock_change() -> None:
    """09:00 in Berlin is 07:00 UTC in summer and 08:00 UTC in winter."""
    office = TimeWindow("Europe/Berlin", frozenset({0, 1, 2, 3, 4}), 540, 1020)
    assert in_window(office, at("2026-10-23T07:00:00Z"))
    assert not in_window(office, at("2026-10-26T07:59:59Z"))
    assert in_window(office, at("2026-10-26T08:00:00Z"))
    assert not in_window(office, at("2026-10-24T08:00:00Z")), "a Saturday"


def test_the_weekday_is_the_local_one() -> None:
    monday = TimeWindow("Asia/Shanghai", frozenset({0}), 0, 1440)
    assert in_window(monday, at("2026-11-15T16:00:00Z"))
    assert not in_window(monday, at("2026-11-15T15:59:59Z"))


def test_known_zones_are_bounded() -> None:
    zones = ["Etc/GMT+1", "Etc/GMT+2", "UTC"]
    for index in range(series_module._MAX_ZONES + 3):  # pyright: ignore[reportPrivateUsage]
        series_module._zones[f"filler-{index}"] = ZoneInfo("UTC")  # pyright: ignore[reportPrivateUsage]
    for zone in zones:
        in_window(TimeWindow(zone, frozenset({0}), 0, 1), AUTUMN)
    assert len(series_module._zones) <= series_module._MAX_ZONES  # pyright: ignore[reportPrivateUsage]


def test_all_cards_that_can_answer() -> None:
    noon = at("2026-01-01T12:00:00Z")
    many = series(
        [card(id="a", valid_to=noon), card(id="b", valid_from=noon), card(id="n", windows=NIGHT)]
    )
    assert sorted(c.id for c in many.cards()) == ["a", "b", "n"]


def test_the_same_answer_is_the_same_object() -> None:
    found = packaged().resolve_series("deepseek", "deepseek-v4-pro")
    assert found is not None
    first = found.at(at("2026-11-16T02:00:00Z"))
    assert first is found.at(at("2026-11-16T03:00:00Z"))
    assert first is found.at(at("2026-11-17T02:00:00Z"))
    assert found is packaged().resolve_series("deepseek", "deepseek-v4-pro")


INSTANTS = st.integers(0, 4 * 366 * 86_400).map(
    lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@given(INSTANTS, st.sampled_from([(e.provider, e.model) for e in packaged().models()][::7]))
def test_a_series_answers_as_a_search_through_all_cards_would(
    instant: datetime, model: tuple[str, str]
) -> None:
    found = packaged().resolve_series(*model)
    if found is None:
        return
    entry = next(e for e in packaged().models() if (e.provider, e.model) == model)
    live = [
        c
        for c in entry.cards
        if (c.region, c.service_tier, c.processing) == (None, "standard", "realtime")
        and (c.valid_from is None or c.valid_from <= instant)
        and (c.valid_to is None or instant < c.valid_to)
        and (not c.windows or any(in_window(w, instant) for w in c.windows))
    ]
    expected = next((c for c in live if c.windows), next((c for c in live if not c.windows), None))
    answer = found.at(instant)
    assert (answer[0].id if answer else None) == (expected.id if expected else None)
