"""A file is made of its rows alone: by which pages they were read makes no difference to a byte."""

from __future__ import annotations

import io
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import delete, insert

from llm_cost_ops.core.months import window_of
from llm_cost_ops.core.period import DAY_US
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.server.analytics import stream
from llm_cost_ops.server.analytics.selection import Selection
from llm_cost_ops.server.db import joined
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.exports import arrow
from llm_cost_ops.server.exports.asked import Sources, Wanted
from llm_cost_ops.server.exports.books import as_booked
from llm_cost_ops.server.exports.calls import columns_of
from llm_cost_ops.server.exports.columns import Column, Exported, Kind
from llm_cost_ops.server.exports.forms import Form, written
from llm_cost_ops.server.ledger.closed import DayClosed
from llm_cost_ops.server.ledger.tables import closed_days, usage_records
from tests.support.application import Application
from tests.support.calls import accepted, send, usage
from tests.support.factories import make_call, micros, record_calls

COLUMNS = (
    Column("id", Kind.TEXT), Column("tokens", Kind.COUNT), Column("total_cost", Kind.MONEY),
    Column("currency", Kind.TEXT), Column("timestamp", Kind.INSTANT), Column("tags", Kind.JSON),
    Column("model", Kind.TEXT),
)  # fmt: skip
FORMATS = ("csv", "json", "jsonl", "parquet", "arrow", "xlsx")
Row = tuple[Any, ...]


def some_rows(count: int, longest: int = 40) -> list[Row]:
    chance = random.Random(count)

    def row(n: int) -> Row:
        absent, text = chance.random() < 0.3, "é" * chance.randrange(longest)
        cost = None if absent else chance.randrange(-(10**12), 10**12)
        tags, model = None if n % 3 else f'["{text}"]', "USD" if n % 50 < 40 else "gpt-4o"
        return (f"usg_{n}", n % 7, cost, "USD", n * 10**9, tags, model)

    return [row(n) for n in range(count)]


def batches(rows: Sequence[Row], *sizes: int) -> Iterator[Sequence[Row]]:
    """The rows by these numbers of them, again and again."""
    start = turn = 0
    while start < len(rows):
        size = sizes[turn % len(sizes)]
        yield rows[start : start + size]
        start, turn = start + size, turn + 1


def file_of(form: str, rows: Sequence[Row], *sizes: int, compression: str | None = None) -> bytes:
    table = Exported("x", COLUMNS, batches(rows, *sizes))
    return b"".join(written(table, Form(form, compression=compression, created_us=0)))


@pytest.mark.parametrize(
    ("form", "compression"), [*((form, None) for form in FORMATS), ("csv", "gzip"), ("csv", "zstd")]
)
def test_other_pages_make_the_same_file(
    monkeypatch: pytest.MonkeyPatch, form: str, compression: str | None
) -> None:
    rows = some_rows(300)
    for group_rows, group_bytes in ((50_000, 2**20), (100, 2**20), (7, 2**20), (64, 500)):
        monkeypatch.setattr(arrow, "GROUP_ROWS", group_rows)
        monkeypatch.setattr(arrow, "GROUP_BYTES", group_bytes)
        ways = ((300,), (1,), (7,), (64, 5), (100,), (13, 90, 3))
        made = {file_of(form, rows, *sizes, compression=compression) for sizes in ways}
        assert len(made) == 1, (group_rows, group_bytes)


def test_long_texts_are_cut_into_pages_of_parquet_alike() -> None:
    rows = some_rows(4_000, longest=2_000)
    assert file_of("parquet", rows, 4_000) == file_of("parquet", rows, 500, 777)


@pytest.mark.parametrize("sizes", [(1,), (4,), (50,)])
def test_a_group_ends_where_it_has_enough(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    monkeypatch.setattr(arrow, "GROUP_ROWS", 10)
    monkeypatch.setattr(arrow, "GROUP_BYTES", 1_000)
    short: list[Row] = [("a", 1, 1, "USD", 0, None, None)]
    long: list[Row] = [("a", 1, 1, "USD", 0, "é" * 250, None)]
    rows = short * 23 + long * 5 + short * 2
    # A short row has 4 bytes of texts, a long one 504, of which two are enough.
    expected = [10, 10, 5, 2, 3]
    kept = pq.ParquetFile(io.BytesIO(file_of("parquet", rows, *sizes))).metadata
    assert [kept.row_group(n).num_rows for n in range(kept.num_row_groups)] == expected
    found = pa.ipc.open_file(file_of("arrow", rows, *sizes))
    assert [found.get_batch(n).num_rows for n in range(found.num_record_batches)] == expected
    assert [each["id"] for each in found.read_all().to_pylist()] == ["a"] * len(rows)


@pytest.mark.parametrize("form", FORMATS)
def test_a_late_call_does_not_change_the_file_of_a_closed_month(
    application: Application, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for name, size in (("NARROW_ROWS", 7), ("NARROW_FIRST", 3), ("BATCH_ROWS", 5)):
        monkeypatch.setattr(stream, name, size)
    monkeypatch.setattr(arrow, "GROUP_ROWS", 10)
    own = application.organization_id
    calls = [make_call(f"2026-10-{1 + n % 28:02}", "1", organization_id=own) for n in range(40)]
    record_calls(application.database, calls)
    accepted(send(application, "/periods/2026-10/close", {}))
    asked = {"billing_period": "2026-10", "format": form}
    before = application.get("/api/v1/costs/export", params=asked).content
    accepted(send(application, "/usage", usage("late", timestamp="2026-10-03T00:00:00Z")), 201)
    assert application.get("/api/v1/costs/export", params=asked).content == before


def test_rows_that_grow_suddenly_are_read_in_smaller_pages(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined, "LONGEST", 4_000)
    monkeypatch.setattr(stream, "NARROW_FIRST", 30)
    monkeypatch.setattr(stream, "NARROW_CHARACTERS", 4_000)
    own, sizes = sqlite_application.organization_id, [10] * 60 + [300] * 40 + [5_000] * 2 + [10] * 9
    calls = [
        make_call(f"2026-10-01T00:{n // 60:02}:{n % 60:02}Z", "1", organization_id=own,
                  metadata={"n": "é" * size})
        for n, size in enumerate(sizes)
    ]  # fmt: skip
    ids = record_calls(sqlite_application.database, calls)
    longest: list[int] = []
    made = stream.joined

    def watched(*arguments: Any) -> Any:
        page = made(*arguments)
        longest.extend([] if page is None else [len(each.text.encode()) for each in page.columns])
        return page

    monkeypatch.setattr(stream, "joined", watched)
    asked = {"format": "jsonl", "include_fields": "id,metadata"}
    found = sqlite_application.get("/api/v1/costs/export", params=asked).text
    lines = [json.loads(line) for line in found.split("\n")[:-1]]
    assert [(line["id"], len(line["metadata"]["n"])) for line in lines] == [
        *zip(ids, sizes, strict=True)
    ]
    assert 300 * 2 < max(longest) <= 4_000


def test_a_workbook_whose_rows_cannot_be_read_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    while_writing: list[Path] = []

    def broken() -> Iterator[Sequence[Row]]:
        yield some_rows(3)
        while_writing.extend(tmp_path.iterdir())
        raise OSError("The database is away.")

    table = Exported("x", COLUMNS, broken())
    with pytest.raises(OSError, match="away"):
        list(written(table, Form("xlsx")))
    assert while_writing
    assert not [*tmp_path.iterdir()]
    some = written(Exported("x", COLUMNS, batches(some_rows(3), 3)), Form("xlsx"))
    assert next(some)
    del some  # a client that has gone
    assert not [*tmp_path.iterdir()]


def test_a_closed_month_that_is_archived_meanwhile_is_no_whole_file(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "NARROW_FIRST", 3)
    app = sqlite_application
    own = app.organization_id
    calls = [make_call(f"2026-10-{1 + n:02}", "1", organization_id=own) for n in range(20)]
    record_calls(app.database, calls)
    accepted(send(app, "/periods/2026-10/close", {}))
    made = stream.joined

    def archived(*arguments: Any) -> Any:
        page = made(*arguments)
        monkeypatch.setattr(stream, "joined", made)
        last = micros("2026-10-20")
        with write(app.database) as session:
            session.execute(delete(usage_records).where(usage_records.c.timestamp >= last))
            day = {"organization_id": own, "day": last // DAY_US, "digest": "", "records": 1,
                   "closed_at": 0}  # fmt: skip
            session.execute(insert(closed_days), day)
        return page

    monkeypatch.setattr(stream, "joined", archived)
    selection = Selection(own, window_of("2026-10"), ZoneInfo("UTC"))
    columns = columns_of("costs", ("id",))
    wanted = Wanted("costs", Form(), selection, columns, month="2026-10")
    wanted, name = as_booked(app.database, own, wanted)
    chunks = wanted.chunks(Sources(app.database, PriceBook.packaged, "USD", name, 0))
    with pytest.raises(DayClosed):
        list(chunks)
