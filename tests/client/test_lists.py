from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops import CostRecord, Page
from llm_cost_ops.client.resources import lists
from llm_cost_ops.exceptions import APIError, ValidationError
from llm_cost_ops.testing import FakeServer
from tests.client.answering import add, answers

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)


def test_list_without_a_limit_is_the_whole_list(api: Any, fake: FakeServer) -> None:
    add(fake, 2500)
    rows = api(api.costs.list)
    assert isinstance(rows, Page)
    assert len(rows) == len({row.id for row in rows}) == 2500
    assert not rows.has_more
    assert sum(row.total_cost for row in rows.data) == rows.total_cost == Decimal("3126.25")
    assert len(fake.requests) == 3


def test_list_without_a_limit_ends_somewhere(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add(fake, 30)
    monkeypatch.setattr(lists, "LIST_ALL_ROWS", 20)
    rows = api(api.costs.list)
    assert (len(rows), rows.has_more) == (20, True)
    assert "iterate with list_stream()" in caplog.text
    caplog.clear()
    assert len(api(api.costs.list, limit=20)) == 20
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("limit", "count", "more", "requests"),
    [
        (1, 1, True, 1),
        (999, 999, True, 1),
        (1000, 1000, True, 1),
        (1001, 1001, True, 2),
        (2100, 2100, False, 3),
        (1_000_000, 2100, False, 3),
        (0, 0, False, 0),
    ],
)
def test_a_limit_above_the_servers_is_collected(
    api: Any, fake: FakeServer, limit: int, count: int, more: bool, requests: int
) -> None:
    add(fake, 2100)
    rows = api(api.costs.list, limit=limit)
    assert (len(rows), rows.has_more, len(fake.requests)) == (count, more, requests)
    assert len({row.id for row in rows}) == count


def test_pages(api: Any, fake: FakeServer) -> None:
    add(fake, 250)
    seen: list[str] = []
    page = 1
    while True:
        response = api(api.costs.list, page=page, per_page=100)
        seen += [row.id for row in response.data]
        if not response.has_more:
            break
        page += 1
    assert page == 3
    assert len(set(seen)) == 250
    assert len(fake.requests) == 3


def test_a_page_may_be_sized_by_limit(api: Any, fake: FakeServer) -> None:
    add(fake, 25)
    assert [len(api(api.costs.list, page=n, limit=10)) for n in (1, 2, 3)] == [10, 10, 5]
    assert len(api(api.costs.list, per_page=7)) == 7
    assert len(api(api.costs.list, page_size=8)) == 8


def test_large_pages_are_collected(api: Any, fake: FakeServer) -> None:
    add(fake, 2600)
    first = api(api.costs.list, page=1, per_page=1300)
    second = api(api.costs.list, page=2, per_page=1300)
    assert (len(first), first.has_more, len(second), second.has_more) == (1300, True, 1300, False)
    assert len({row.id for row in (*first, *second)}) == 2600


def test_offsets(api: Any, fake: FakeServer) -> None:
    add(fake, 230)
    rows = [api(api.costs.list, limit=100, offset=offset) for offset in (0, 100, 200, 300)]
    assert [len(page) for page in rows] == [100, 100, 30, 0]
    assert not rows[3]
    assert len({row.id for page in rows for row in page}) == 230


def test_cursors(api: Any, fake: FakeServer) -> None:
    add(fake, 25)
    first = api(api.costs.list, limit=10)
    second = api(api.costs.list, limit=10, cursor=first.next_cursor)
    rest = api(api.costs.list, cursor=second.next_cursor)
    assert [len(page) for page in (first, second, rest)] == [10, 10, 5]
    assert len({row.id for page in (first, second, rest) for row in page}) == 25


@pytest.mark.parametrize("method", ["list_stream", "list_paginated"])
def test_streams(api: Any, fake: FakeServer, method: str) -> None:
    add(fake, 2500)
    rows = api.rows(getattr(api.costs, method), organization_id=None)
    assert len({row.id for row in rows}) == 2500
    assert isinstance(rows[0], CostRecord)
    assert len(fake.requests) == 3
    assert len(api.rows(getattr(api.costs, method), limit=7, page_size=3)) == 7
    assert [r.query["limit"] for r in list(fake.requests)[3:]] == [["3"], ["3"], ["1"]]


def test_a_stream_reads_no_further_than_it_is_asked(fake: FakeServer) -> None:
    add(fake, 2500)
    with fake.client() as client:
        stream = client.costs.list_stream()
        assert not fake.requests
        next(stream)
        assert len(fake.requests) == 1


def test_a_list_by_offset_goes_on_by_offset(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = {"data": [{"id": "a"}, {"id": "b"}], "has_more": True, "next_cursor": None}
    asked = answers(monkeypatch, fake, page, {**page, "has_more": False})
    assert [row.id for row in api(api.costs.list, offset=4)] == ["a", "b"] * 2
    assert ["offset=4" in asked[0], "offset=6" in asked[1]] == [True, True]


def test_a_server_that_repeats_a_cursor_is_not_followed_for_ever(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, fake, {"data": [{"id": "a"}], "has_more": True, "next_cursor": "same"})
    with pytest.raises(APIError, match="same cursor"):
        api(api.costs.list)


@pytest.mark.parametrize("body", [{"data": [], "has_more": True}, [], {"data": []}])
def test_an_empty_page_ends_a_list(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch, body: object
) -> None:
    asked = answers(monkeypatch, fake, body)
    rows = api(api.costs.list)
    assert rows == []
    assert not rows.has_more
    assert len(asked) == 1


def test_a_bare_array_is_a_list(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, fake, [{"id": "a", "cost": 0.5}, {"id": "b", "cost": 0.25}])
    assert api(api.costs.list).total_cost == 0.75
    assert len(api(api.costs.list, limit=1)) == 1


@pytest.mark.parametrize("envelope", [False, True])
def test_a_single_object_may_be_wrapped(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch, envelope: bool
) -> None:
    row = {"id": "cost-123", "model": "gpt-4", "tokens_used": 1000, "cost": 0.03}
    answers(monkeypatch, fake, {"data": row} if envelope else row)
    entry = api(api.costs.create, model="gpt-4", tokens_used=1000, cost=0.03)
    assert (entry.id, entry.model, entry.tokens_used) == ("cost-123", "gpt-4", 1000)


def test_data_beside_other_fields_is_a_field(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, fake, {"id": "x", "data": {"a": 1}})
    assert api(api.costs.get, "x").data.a == 1


@pytest.mark.parametrize(
    ("body", "text"), [(5, "of type int"), ([], "of type list"), (None, "empty")]
)
def test_an_answer_of_another_shape_is_an_error(
    api: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch, body: object, text: str
) -> None:
    answers(monkeypatch, fake, body)
    with pytest.raises(APIError, match=text):
        api(api.costs.get, "x")
    with pytest.raises(APIError):
        api(api.costs.aggregate) if body != [] else api(api.costs.summary)


def test_filters_in_both_documented_shapes(api: Any, fake: FakeServer) -> None:
    client = fake.client()
    for model, user, team in (
        ("a", "u1", "x"),
        ("b", "u1", "y"),
        ("c", "u2", "x"),
        ("a", "u2", "y"),
    ):
        client.costs.create(
            model=model, tokens_used=1, cost=1, user_id=user, metadata={"team": team}, tags=[team]
        )
    assert len(api(api.costs.list, model="a")) == 2
    assert len(api(api.costs.list, filters={"model": ["a", "b"], "user_id": "u1"})) == 2
    assert len(api(api.costs.list, metadata={"team": "x"})) == 2
    assert len(api(api.costs.list, filters={"metadata": {"team": "x"}, "model": ["a"]})) == 1
    assert len(api(api.costs.list, tags=["x"], user_id="u2")) == 1
    ids = [row["id"] for row in fake.rows[1:3]]
    assert {row.id for row in api(api.costs.list, usage_ids=ids)} == set(ids)


def test_fields_and_order(api: Any, fake: FakeServer) -> None:
    add(fake, 5)
    rows = api(
        api.costs.list,
        start_date=NOW - timedelta(days=7),
        end_date=NOW + timedelta(seconds=1),
        fields=["id", "model", "cost", "created_at"],
        limit=1000,
        order_by=["-cost"],
    )
    assert [row.amount for row in rows] == [Decimal(n) / 1000 for n in (5, 4, 3, 2, 1)]
    assert set(rows[0]) == {"id", "model", "cost", "created_at"}


def test_days_are_whole_and_the_last_one_is_included(api: Any, fake: FakeServer) -> None:
    client = fake.client()
    for day in ("2025-01-31T23:59:59Z", "2025-02-01T00:00:00Z"):
        client.costs.create(model="m", tokens_used=1, cost=1, timestamp=day)
    assert len(api(api.costs.list, start_date="2025-01-01", end_date="2025-01-31")) == 1
    assert len(api(api.costs.list, start_date=date(2025, 1, 31), end_date=date(2025, 2, 1))) == 2
    with pytest.raises(ValidationError) as caught:
        api(api.costs.list, start_date="01/02/2025")
    assert caught.value.errors == {"start_date": "must be in ISO 8601 format (YYYY-MM-DD)"}
