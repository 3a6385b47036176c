"""All rows as NDJSON: the same rows as in pages, none twice, in little memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from llm_cost_ops.core.period import ALL_TIME
from llm_cost_ops.server.analytics import stream
from llm_cost_ops.server.analytics.pages import ROW_FIELDS, Order
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.analytics.stream import stream_calls
from llm_cost_ops.server.db.urls import DatabaseKind
from tests.server.analytics.reading import API, ask, refusal
from tests.support.application import Application
from tests.support.factories import (
    make_call,
    micros,
    record_calls,
    rerate_call,
    void_calls,
)

START = micros("2025-03-01T23:59:59.999999Z")


def lines(application: Application, path: str = "/costs", **parameters: Any) -> list[Any]:
    answer = application.get(
        f"{API}{path}", params=parameters, headers={"Accept": "application/x-ndjson"}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line, parse_float=Decimal) for line in answer.text.splitlines()]


def some_calls(application: Application, count: int) -> list[str]:
    """Calls with every column filled, or empty, in turn."""
    organization = application.organization_id
    full = {
        "project_id": "p", "team_id": "t", "user_id": "ü\"'", "api_key_id": "k", "feature": "f",
        "environment": "e", "status": "success", "latency_ms": 12, "region": "eu",
        "input_tokens": 5, "output_tokens": 7, "cached_tokens": 1, "reasoning_tokens": 2,
        "list_cost_e10": 12_345_678_901, "provider_cost_e10": 5, "price_version": "v1",
        "tags": ["a", "ü\n"], "metadata": {"team": "s", "n": [1, {"m": None}]},
        "usage": {"input_tokens": 5, "input_audio_tokens": 3},
    }  # fmt: skip
    costs = ["0.0000000001", "12.3", None, "0", "99999999.9999999999"]
    return record_calls(
        application.database,
        [
            make_call(
                START + index // 2,
                costs[index % 5],
                organization_id=organization,
                **(full if index % 3 == 0 else {"metadata": {"a": Decimal("1.50")}}),
            )
            for index in range(count)
        ],
    )


def test_the_stream_has_the_rows_of_the_pages(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BATCH_ROWS", 4)
    ids = some_calls(application, 17)
    void_calls(application.database, ids[3:5], application.organization_id)
    for call_id, cost in ((ids[0], "2"), (ids[8], None)):
        rerate_call(
            application.database, call_id, cost, organization_id=application.organization_id
        )
    paged = ask(application, "/costs")["data"]
    streamed = lines(application)
    assert streamed == paged
    assert [list(row) for row in streamed] == [list(ROW_FIELDS)] * 15
    newest = lines(application, order_by="-timestamp")
    assert newest == paged[::-1]
    assert lines(application, cost_status="unpriced") == [
        row for row in paged if row["cost"] is None
    ]


def test_fields_limit_and_the_other_way_to_ask(sqlite_application: Application) -> None:
    ids = some_calls(sqlite_application, 5)
    assert lines(sqlite_application, fields="id", limit=3) == [{"id": i} for i in ids[:3]]
    text = sqlite_application.get(f"{API}/costs?stream=true&fields=id,cost").text
    assert text.splitlines()[:2] == [
        f'{{"id":"{ids[0]}","cost":0.0000000001}}',
        f'{{"id":"{ids[1]}","cost":12.3}}',
    ]
    assert lines(sqlite_application, model="none") == []


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"order_by": "cost"}, "order_by"),
        ({"offset": 5}, "offset"),
        ({"cursor": "x"}, "cursor"),
        ({"limit": "x"}, "limit"),
        ({"nope": "x"}, "nope"),
    ],
)
def test_what_a_stream_cannot_do_is_refused_before_it_begins(
    sqlite_application: Application, parameters: dict[str, Any], field: str
) -> None:
    _, fields = refusal(sqlite_application, "/costs", stream="true", **parameters)
    assert list(fields) == [field]


def test_calls_that_arrive_while_it_runs_are_there_once(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BATCH_ROWS", 3)
    ids = some_calls(sqlite_application, 9)
    found: list[str] = []
    for chunk in chunks(sqlite_application):
        found += [json.loads(line)["id"] for line in chunk.splitlines()]
        some_calls(sqlite_application, 1) if len(found) < 15 else None
    assert len(found) == len(set(found))
    assert set(ids) <= set(found)


def chunks(application: Application) -> Iterator[bytes]:
    selection = Selection(application.organization_id, ALL_TIME, ZoneInfo("UTC"))
    return stream_calls(application.database, selection, Order(), ROW_FIELDS, None)


def test_memory_does_not_grow_with_the_number_of_rows(sqlite_application: Application) -> None:
    peaks: list[int] = []
    for count in (4_000, 16_000):
        some_calls(sqlite_application, count)
        for chunk in chunks(sqlite_application):
            del chunk
        tracemalloc.start()
        rows = sum(chunk.count(b"\n") for chunk in chunks(sqlite_application))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert rows == 20_000
    assert peaks[1] < peaks[0] * 1.3


def test_the_longer_rows_are_the_fewer_are_read_at_a_time(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "NARROW_FIRST", 3)
    monkeypatch.setattr(stream, "NARROW_ROWS", 7)
    monkeypatch.setattr(stream, "NARROW_CHARACTERS", 12_000)
    monkeypatch.setattr(stream, "BATCH_ROWS", 5)
    organization = application.organization_id
    for start, size in ((START, 5_000), (START + 100, 5)):
        record_calls(
            application.database,
            [
                make_call(start + n, organization_id=organization, metadata={"long": "x" * size})
                for n in range(20)
            ],
        )
    selection = Selection(organization, ALL_TIME, ZoneInfo("UTC"))
    names = ["event_id", "metadata", "metadata"]
    pages = list(stream.call_batches(application.database, selection, Order(), columns=names))
    sizes = [len(page) for page in pages]
    assert sum(sizes) == len({row[0] for page in pages for row in page}) == 40
    assert all(row[1] == row[2] and len(row) == 5 for page in pages for row in page)
    if application.database.kind is DatabaseKind.SQLITE:
        assert sizes[:3] == [3, 1, 1]  # twice 5,000 characters a row
        assert sizes[-2] == 7
    else:
        assert sizes[:3] == [3, 5, 5]
