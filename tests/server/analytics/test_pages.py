"""Lists of calls: every paging family, orders, fields, and rows that arrive between two pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_cost_ops.core.period import Window
from llm_cost_ops.server.analytics.pages import Order, rest
from llm_cost_ops.server.ledger.entry import Entry
from tests.server.analytics.reading import API, ask, refusal
from tests.support.application import Application
from tests.support.factories import (
    make_call,
    micros,
    record_calls,
    recount_call,
    rerate_call,
    void_calls,
)

START = micros("2025-03-01T00:00:00Z")
SECOND = 1_000_000


def calls_of(application: Application, count: int, start: int = START, **fields: Any) -> list[str]:
    """Calls a second apart; three of four share a time with another."""
    made: list[Entry] = [
        make_call(
            start + index // 3 * SECOND, organization_id=application.organization_id, **fields
        )
        for index in range(count)
    ]
    return record_calls(application.database, made)


Family = Callable[[Application, int], Iterator[list[str]]]


def by_cursor(application: Application, size: int) -> Iterator[list[str]]:
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = ask(application, "/costs", limit=size, **more)
        yield [row["id"] for row in page["data"]]
        cursor = page["next_cursor"]
        assert page["has_more"] is (cursor is not None)
        if cursor is None:
            return


def by_newest_cursor(application: Application, size: int) -> Iterator[list[str]]:
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = ask(application, "/costs", per_page=size, order_by="-created_at", **more)
        yield [row["id"] for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def by_page(application: Application, size: int) -> Iterator[list[str]]:
    for number in range(1, 1_000):
        page = ask(application, "/costs", page=number, per_page=size)
        yield [row["id"] for row in page["data"]]
        if not page["has_more"]:
            return


def by_page_size(application: Application, size: int) -> Iterator[list[str]]:
    for number in range(1, 1_000):
        page = ask(application, "/usage/history", page=number, page_size=size)
        yield [row["id"] for row in page["data"]]
        if not page["has_more"]:
            return


def by_offset(application: Application, size: int) -> Iterator[list[str]]:
    """As the documented loop does: until a page is short."""
    offset = 0
    while True:
        rows = ask(application, "/costs", limit=size, offset=offset)["data"]
        yield [row["id"] for row in rows]
        if len(rows) < size:
            return
        offset += size


FAMILIES = [by_cursor, by_newest_cursor, by_page, by_page_size, by_offset]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("count", "size"), [(0, 3), (1, 3), (6, 3), (7, 3), (7, 100)])
def test_every_family_gives_every_row_once(
    sqlite_application: Application, family: Family, count: int, size: int
) -> None:
    ids = calls_of(sqlite_application, count)
    found = [row for page in family(sqlite_application, size) for row in page]
    assert found == (ids[::-1] if family is by_newest_cursor else ids)


def test_pages_are_the_same_on_every_database(application: Application) -> None:
    ids = calls_of(application, 8)
    for family in FAMILIES:
        found = [row for page in family(application, 3) for row in page]
        assert found == (ids[::-1] if family is by_newest_cursor else ids)


@pytest.mark.parametrize("family", FAMILIES)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(size=st.integers(1, 4), arriving=st.lists(st.integers(0, 3), max_size=6))
def test_calls_that_arrive_between_pages_neither_hide_nor_repeat_a_row(
    sqlite_application: Application, family: Family, size: int, arriving: list[int]
) -> None:
    application = sqlite_application.another()
    ids = calls_of(application, 9)
    found: list[str] = []
    later = START + 1_000 * SECOND
    for page in family(application, size):
        found += page
        if arriving:
            later += 100 * SECOND
            calls_of(application, arriving.pop(), start=later)
    assert len(found) == len(set(found))
    assert set(ids) <= set(found)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    size=st.integers(1, 4),
    arriving=st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 2)), max_size=6),
    newest=st.booleans(),
)
def test_a_cursor_holds_its_place_even_when_older_calls_arrive(
    sqlite_application: Application,
    size: int,
    arriving: list[tuple[int, int]],
    newest: bool,
) -> None:
    application = sqlite_application.another()
    ids = calls_of(application, 9)
    found: list[str] = []
    for page in (by_newest_cursor if newest else by_cursor)(application, size):
        found += page
        if arriving:
            shift, count = arriving.pop()
            calls_of(application, count, start=START + shift * SECOND)
    assert len(found) == len(set(found))
    assert [row for row in found if row in ids] == (ids[::-1] if newest else ids)


def test_rows_are_net_of_corrections_and_voided_calls_are_left_out(
    application: Application,
) -> None:
    organization = application.organization_id
    first, second, third, fourth = calls_of(application, 4, input_tokens=10)
    void_calls(application.database, [first], organization)
    rerate_call(application.database, second, "2.5", organization_id=organization)
    rerate_call(application.database, third, None, organization_id=organization)
    entry = make_call(cost="7", organization_id=organization, input_tokens=3)
    recount_call(application.database, fourth, entry, organization)
    rows = ask(application, "/costs")["data"]
    assert [(row["id"], row["cost"], row["cost_status"], row["prompt_tokens"]) for row in rows] == [
        (second, pytest.approx(2.5), "priced", 10),
        (third, None, "unpriced", 10),
        (fourth, 7, "priced", 3),
    ]
    unpriced = ask(application, "/costs", cost_status="unpriced")["data"]
    assert [row["id"] for row in unpriced] == [third]
    dear = ask(application, "/costs", min_cost="2.5", max_cost=7)["data"]
    assert [row["id"] for row in dear] == [second, fourth]


def test_orders_beside_time_are_walked_by_the_cursor_too(application: Application) -> None:
    organization = application.organization_id
    record_calls(
        application.database,
        [
            make_call(START + index, cost, organization_id=organization, input_tokens=index)
            for index, cost in enumerate(["3", None, "1", "2", None, "2"])
        ],
    )
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = ask(
            application, "/costs", order_by="-cost", limit=2, fields="cost,prompt_tokens", **cursor
        )
        found += [(row["cost"], row["prompt_tokens"]) for row in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == [(3, 0), (2, 3), (2, 5), (1, 2), (None, 1), (None, 4)]
    cheapest = ask(application, "/costs", sort="cost", order="asc", limit=1)["data"]
    assert [row["cost"] for row in cheapest] == [1]
    by_two = ask(application, "/costs", order_by=["cost:desc", "-created_at"], limit=3)["data"]
    assert [row["prompt_tokens"] for row in by_two] == [0, 5, 3]


@pytest.mark.parametrize("asked", ["-cost", "cost", "user_id,-cost", "-user_id", "-received_at"])
def test_any_order_holds_its_place_while_calls_arrive(application: Application, asked: str) -> None:
    """Before, among and after those that were seen; with equal, absent and corrected values."""

    def add(prefix: str) -> list[str]:
        costs = ["3", None, "1", "2", None, "2"]
        made = [
            make_call(
                START + index,
                cost,
                organization_id=application.organization_id,
                user_id=f"user-{index % 2}" if index % 3 else None,
                event_id=f"{prefix}-{index}",
            )
            for index, cost in enumerate(costs)
        ]
        return record_calls(application.database, made)

    first = add("first")
    rerate_call(application.database, first[2], "2.5", organization_id=application.organization_id)
    whole = [row["id"] for row in ask(application, "/costs", order_by=asked, fields="id")["data"]]
    found: list[str] = []
    cursor: dict[str, str] = {}
    for turn in range(100):
        page = ask(application, "/costs", order_by=asked, limit=2, fields="id", **cursor)
        found += [row["id"] for row in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        if turn < 3:
            add(f"turn {turn}")
    assert len(found) == len(set(found))
    assert [row for row in found if row in first] == whole
    assert sorted(whole) == sorted(first)


def test_fields_are_those_asked_for(sqlite_application: Application) -> None:
    calls_of(sqlite_application, 1)
    rows = ask(sqlite_application, "/costs", fields=["id", "model,cost"])["data"]
    assert [list(row) for row in rows] == [["id", "model", "cost"]]
    code, fields = refusal(sqlite_application, "/costs", fields="id,nonsense")
    assert code == "VALIDATION_ERROR"
    assert list(fields) == ["fields"]


def test_limits_of_the_two_lists(sqlite_application: Application) -> None:
    calls_of(sqlite_application, 130)
    assert len(ask(sqlite_application, "/costs")["data"]) == 100
    assert len(ask(sqlite_application, "/costs", limit=1_000_000)["data"]) == 130
    assert len(ask(sqlite_application, "/usage/history")["data"]) == 20
    assert len(ask(sqlite_application, "/usage/history", limit=1_000)["data"]) == 100
    assert len(ask(sqlite_application, "/costs/records", limit=2)["data"]) == 2


def test_a_cursor_of_another_query_is_refused(sqlite_application: Application) -> None:
    calls_of(sqlite_application, 4)
    cursor = ask(sqlite_application, "/costs", limit=2)["next_cursor"]
    for more in ({"model": "gpt-4o"}, {"order_by": "-created_at"}, {"order_by": "cost"}):
        code, fields = refusal(sqlite_application, "/costs", cursor=cursor, **more)
        assert (code, list(fields)) == ("VALIDATION_ERROR", ["cursor"])
    assert list(refusal(sqlite_application, "/costs", cursor="AAAA")[1]) == ["cursor"]
    assert len(ask(sqlite_application, "/costs", cursor=cursor, limit=1)["data"]) == 1
    other = sqlite_application.another()
    assert list(refusal(other, "/costs", cursor=cursor)[1]) == ["cursor"]


def test_a_cursor_of_a_named_period_stays_valid_while_time_passes(
    sqlite_application: Application,
) -> None:
    calls_of(sqlite_application, 4, start=micros("2025-03-12T15:00:00Z"))
    page = ask(sqlite_application, "/costs", limit=2, period="last-24-hours")
    clock: Any = sqlite_application.clock
    clock.current = clock.current.replace(minute=45)
    rest = ask(sqlite_application, "/costs", period="last-24-hours", cursor=page["next_cursor"])
    assert len(page["data"]) == len(rest["data"]) == 2


def test_filters_of_the_list(application: Application) -> None:
    organization = application.organization_id
    record_calls(
        application.database,
        [
            make_call(START, organization_id=organization, model_name="a", user_id="Doe, Jane",
                      tags=["x", "y"], metadata={"team": "customer-support", "a.b": 1}),
            make_call(START + 1, organization_id=organization, model_name="b", user_id="u1",
                      tags=["x"], metadata={"team": "sales"}),
            make_call(START + 2, organization_id=organization, model_name="c", provider="google"),
        ],
    )  # fmt: skip

    def models(**parameters: Any) -> list[str]:
        return [row["model"] for row in ask(application, "/costs", **parameters)["data"]]

    assert models(metadata__team="customer-support") == ["a"]
    assert models(**{"metadata.a.b": "1"}) == ["a"]
    assert models(tags="x") == ["a", "b"]
    assert models(tags=["x", "y"]) == models(tags="x,y") == ["a"]
    assert models(tags="X") == []
    assert models(model=["a", "c"]) == models(model="a,c") == ["a", "c"]
    assert models(provider="vertex_ai") == ["c"]
    assert models(user_id=["Doe, Jane", "u2"]) == ["a"]
    rows = ask(application, "/costs")["data"]
    assert models(usage_ids=[rows[0]["id"], rows[2]["id"]]) == ["a", "c"]
    assert models(start_date="2025-03-01", end_date="2025-03-01") == ["a", "b", "c"]
    assert models(start_date="2025-03-02") == []


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"modell": "gpt-4o"}, ["modell"]),
        ({"provider": ""}, ["provider"]),
        ({"start_date": "01/02/2025"}, ["start_date"]),
        ({"timezone": "Mars/Olympus"}, ["timezone"]),
        ({"period": "fortnight"}, ["period"]),
        ({"period": "today", "start_date": "2025-01-01"}, ["period"]),
        ({"min_cost": "NaN"}, ["min_cost"]),
        ({"min_cost": "0.00000000001"}, ["min_cost"]),
        ({"order_by": "tags"}, ["order_by"]),
        ({"order_by": "nonsense"}, ["order_by"]),
        ({"limit": "0"}, ["limit"]),
        ({"offset": "1000001"}, ["offset"]),
        ({"page": "0"}, ["page"]),
        ({"days": "x"}, ["days"]),
        ({"metadata.": "x"}, ["metadata."]),
        ({"usage_ids": ",".join(map(str, range(1001)))}, ["usage_ids"]),
        ({"start_date": ["2025-01-01", "2025-01-02"]}, ["start_date"]),
        ({"start_date": "2025-01-01", "start": "2025-01-02"}, ["start"]),
    ],
)
def test_a_wrong_parameter_is_named(
    sqlite_application: Application, parameters: dict[str, Any], fields: list[str]
) -> None:
    code, found = refusal(sqlite_application, "/costs", **parameters)
    assert (code, list(found)) == ("VALIDATION_ERROR", fields)


def test_a_period_backwards_has_its_own_code(sqlite_application: Application) -> None:
    code, fields = refusal(
        sqlite_application, "/costs", start_date="2025-02-01", end_date="2025-01-31"
    )
    assert (code, list(fields)) == ("INVALID_DATE_RANGE", ["start_date"])


def test_every_fault_is_named_at_once(sqlite_application: Application) -> None:
    _, fields = refusal(sqlite_application, "/costs", start_date="x", nope=1, timezone="y")
    assert set(fields) == {"start_date", "nope", "timezone"}


def test_a_key_without_the_scope_reads_nothing(sqlite_application: Application) -> None:
    key = sqlite_application.new_key("read:models")
    for path in ("/costs", "/costs/summary", "/costs/aggregate", "/analytics", "/usage/history"):
        assert sqlite_application.get(f"{API}{path}", key=key).status_code == 403
        assert sqlite_application.get(f"{API}{path}", key=None).status_code == 401


@pytest.mark.parametrize(
    ("newest_first", "time", "expected"),
    [(False, 15, (15, 20)), (False, 5, (10, 20)), (True, 15, (10, 16)), (True, 25, (10, 20))],
)
def test_a_page_begins_where_the_last_one_ended(
    newest_first: bool, time: int, expected: tuple[int, int]
) -> None:
    """With one bound below, which is the position's: SQLite begins at the first of two."""
    wanted = Order(newest_first=newest_first)
    assert rest(Window(10, 20), wanted, (time, "rec")) == Window(*expected)
