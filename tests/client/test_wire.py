from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.client import wire
from llm_cost_ops.exceptions import ValidationError


def test_numbers_go_out_digit_by_digit() -> None:
    body = {"cost": Decimal("0.0000000001"), "big": Decimal("12345678901.1234567891"), "f": 0.045}
    assert wire.encode(body) == b'{"cost":0.0000000001,"big":12345678901.1234567891,"f":0.045}'


def test_none_is_not_given() -> None:
    assert (
        wire.encode({"a": None, "b": {"c": None}, "d": [None, False]})
        == b'{"b":{},"d":[null,false]}'
    )


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.text(st.characters(codec="utf-8")),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner)
        ),
        max_leaves=20,
    )
)
def test_json_values_come_back(value: object) -> None:
    def without_none(item: object) -> object:
        if isinstance(item, dict):
            return {k: without_none(v) for k, v in item.items() if v is not None}
        return [without_none(i) for i in item] if isinstance(item, list) else item

    assert json.loads(wire.encode(value)) == without_none(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_goes_out_as_the_number_it_prints_as(value: float) -> None:
    sent = json.loads(wire.encode([value]), parse_float=Decimal, parse_int=Decimal)[0]
    assert sent == Decimal(repr(value))


@dataclass
class Call:
    model: str
    prompt_tokens: int
    tags: list[str] = field(default_factory=list)
    user_id: str | None = None


class Pydanticish:
    def model_dump(self) -> dict[str, object]:
        return {"model": "m"}


def test_records_may_be_objects() -> None:
    assert wire.fields_of(Call("m", 1)) == {
        "model": "m",
        "prompt_tokens": 1,
        "tags": [],
        "user_id": None,
    }
    assert wire.fields_of(SimpleNamespace(model="m")) == {"model": "m"}
    assert wire.fields_of(Pydanticish()) == {"model": "m"}
    assert (
        wire.encode({"call": Call("m", 1)}) == b'{"call":{"model":"m","prompt_tokens":1,"tags":[]}}'
    )


@pytest.mark.parametrize("junk", [5, "text", object(), ...])
def test_other_things_are_no_records(junk: object) -> None:
    with pytest.raises(ValidationError, match="record must be"):
        wire.fields_of(junk)


@pytest.mark.parametrize("junk", [{"x": object()}, {"x": float("nan")}, {"x": Decimal("Infinity")}])
def test_what_json_cannot_carry_is_named(junk: object) -> None:
    with pytest.raises(ValidationError):
        wire.encode(junk)


@pytest.mark.parametrize(
    ("given_cost", "sent"),
    [
        (3 * 0.003, "0.0090000000"),
        (0.1 + 0.2, "0.3000000000"),
        (Decimal("0.00000000005"), "0E-10"),
        (Decimal("0.00000000015"), "2E-10"),
        (7, "7.0000000000"),
    ],
)
def test_a_callers_cost_is_rounded_half_even_to_ten_places(given_cost: float, sent: str) -> None:
    assert str(wire.money(given_cost)) == sent


def test_cost_text_is_the_servers_to_judge() -> None:
    assert wire.money("12.5 EUR") == "12.5 EUR"
    assert wire.money(None) is None
    with pytest.raises(ValidationError):
        wire.money(float("inf"))


def test_dates() -> None:
    assert wire.instant(date(2025, 1, 31)) == "2025-01-31"
    assert wire.instant(datetime(2025, 1, 31, 12, tzinfo=UTC)) == "2025-01-31T12:00:00Z"
    east = timezone(timedelta(hours=2))
    assert wire.instant(datetime(2025, 1, 31, 12, tzinfo=east)) == "2025-01-31T10:00:00Z"


def test_a_naive_datetime_is_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert wire.instant(datetime(2025, 1, 31, 12)) == "2025-01-31T17:00:00Z"  # noqa: DTZ001
    finally:
        monkeypatch.undo()
        time.tzset()


def test_query_parameters() -> None:
    params = {
        "model": ["gpt-4", "a,b"],
        "user_id": ["one,two"],
        "group_by": ["provider", "model"],
        "filters": {"team_id": "u", "model": None, "metadata": {"team": "x"}},
        "active": True,
        "start_date": date(2025, 1, 1),
        "min": 0.5,
        "nothing": None,
        "empty": [],
        "order_by": [],
    }
    assert wire.query(params) == [
        ("model", "gpt-4"),
        ("model", "a,b"),
        ("user_id", "one,two"),
        ("user_id", "one,two"),
        ("group_by", "provider,model"),
        ("team_id", "u"),
        ("metadata.team", "x"),
        ("active", "true"),
        ("start_date", "2025-01-01"),
        ("min", "0.5"),
    ]
