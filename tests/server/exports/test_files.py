"""Exports: every format holds the same rows, and they add up to what the ledger says."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from llm_cost_ops.server.analytics import stream
from llm_cost_ops.server.db.session import snapshot
from llm_cost_ops.server.exports import arrow, sheets
from llm_cost_ops.server.exports import calls as calls_table
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.ledger.verify import verify
from tests.support.application import Application
from tests.support.calls import accepted, body_of, error, record, send, usage
from tests.support.factories import make_call, record_calls, rerate_call, void_calls

EXPORT = "/api/v1/costs/export"
_NS = {"s": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
COSTS = ("0.0000000001", "12.3", None, "0", "99999999.9999999999", "-0.5")


def export(app: Application, form: str = "csv", **parameters: Any) -> bytes:
    answer = app.get(EXPORT, params={"format": form, **parameters})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.content


def rows(app: Application, **parameters: Any) -> list[list[str]]:
    text = export(app, **parameters).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


def table(app: Application, **parameters: Any) -> list[dict[str, str]]:
    head, *rest = rows(app, **parameters)
    return [dict(zip(head, row, strict=True)) for row in rest]


def some_calls(app: Application, count: int, **fields: Any) -> list[str]:
    calls = [
        make_call(
            f"2026-10-{1 + n % 28:02}T12:00:00.25Z",
            COSTS[n % len(COSTS)],
            organization_id=app.organization_id,
            **{"user_id": 'ü,"x"', "tags": ["a", "b"], "metadata": {"n": [1, None]}, **fields},
        )
        for n in range(count)
    ]
    return record_calls(app.database, calls)


def of_csv(data: bytes) -> list[dict[str, Any]]:
    found = csv.DictReader(io.StringIO(data.decode(), newline=""))
    return [{k: v or None for k, v in row.items()} for row in found]


def of_jsonl(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in data.splitlines()]


def of_arrow(data: bytes) -> list[dict[str, Any]]:
    return pa.ipc.open_file(data).read_all().to_pylist()


READERS: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {
    "csv": of_csv,
    "json": lambda data: json.loads(data, parse_float=Decimal)["data"],
    "jsonl": of_jsonl,
    "parquet": lambda data: pq.read_table(io.BytesIO(data)).to_pylist(),
    "arrow": of_arrow,
}


def cost(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def test_every_format_adds_up_to_the_ledger(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "NARROW_ROWS", 7)
    monkeypatch.setattr(stream, "BATCH_ROWS", 7)
    monkeypatch.setattr(arrow, "GROUP_ROWS", 10)
    ids = some_calls(application, 40)
    void_calls(application.database, ids[3:5], application.organization_id)
    for call_id, new in ((ids[0], "2.0000000007"), (ids[7], None)):
        rerate_call(application.database, call_id, new, organization_id=application.organization_id)
    with snapshot(application.database) as session:
        proof = verify(session, application.organization_id)
    assert proof.ok
    first: list[tuple[Any, ...]] = []
    for form, reader in READERS.items():
        found = reader(export(application, form))
        assert len(found) == proof.records == 38, form
        costs = [cost(row["total_cost"]) for row in found]
        assert sum(filter(None, costs), Decimal(0)) == proof.total_cost, form
        assert costs.count(None) == sum(row["cost_status"] == "unpriced" for row in found) > 0
        shown = [(row["id"], cost(row["total_cost"]), row["user_id"]) for row in found]
        first = first or shown
        assert shown == first, form
    totals = json.loads(export(application, "json"), parse_float=Decimal)["totals"]
    assert [each["total_cost"] for each in totals] == [proof.total_cost]


def test_what_types_the_columns_have(sqlite_application: Application) -> None:
    some_calls(sqlite_application, 2)
    made = pq.read_table(io.BytesIO(export(sqlite_application, "parquet")))
    types = {field.name: str(field.type) for field in made.schema}
    assert types["total_cost"] == "decimal128(38, 10)"
    assert types["timestamp"] == "timestamp[us, tz=UTC]"
    assert types["total_tokens"] == "int64"
    (line, _) = of_jsonl(export(sqlite_application, "jsonl"))
    assert line["timestamp"] == "2026-10-01T12:00:00.250000Z"
    assert (line["tags"], line["metadata"]) == (["a", "b"], {"n": [1, None]})
    assert line["list_cost"] == line["total_cost"] == Decimal("0.0000000001")


FORMULAS = ("=1+1", "+x", "-x", "@x", "\t=1", "\rx", " =1", "＝1", "a\r\nb", "x\x00y")


def test_no_text_becomes_a_formula_and_numbers_stay_numbers(
    sqlite_application: Application,
) -> None:
    calls = [
        make_call("2026-10-01", "-1.5", organization_id=sqlite_application.organization_id,
                  feature=text.replace("\x00", ""), tags=[text.replace("\x00", "")])
        for text in FORMULAS
    ]  # fmt: skip
    record_calls(sqlite_application.database, calls)
    for row, text in zip(table(sqlite_application), FORMULAS, strict=True):
        bare = text.replace("\x00", "")
        dangerous = not bare[0].isalnum()
        cell = bare.replace("\t=", "\t'=")  # where tabs separate cells, one begins there
        assert row["feature"] == (f"'{cell}" if dangerous else cell)
        assert row["total_cost"] == "-1.5"
    sheet = sheet_of(export(sqlite_application, "xlsx"))
    assert {cell[1] for row in sheet for cell in row if cell[0] == "feature"} >= {"=1+1", "+x"}


def test_no_formula_begins_at_a_separator_of_another_country(
    sqlite_application: Application,
) -> None:
    texts = ("a;=1+1", "a, -cmd", "a\t@x", "a,-1.5,x", "a=b-c")
    calls = [
        make_call("2026-10-01", "1", organization_id=sqlite_application.organization_id,
                  feature=text, metadata={"n": [1, -2, Decimal("-0.5")]})
        for text in texts
    ]  # fmt: skip
    record_calls(sqlite_application.database, calls)
    data = export(sqlite_application, include_fields="feature,metadata").decode()
    numbers = "[1,-2,-0.5]"
    assert [line.split('","')[0] for line in data.splitlines()[1:]] == [
        '"a;\'=1+1', '"a, \'-cmd', '"a\t\'@x', '"a,-1.5,x', '"a=b-c',
    ]  # fmt: skip
    for row in of_csv(data.encode()):
        assert json.loads(row["metadata"]) == {"n": json.loads(numbers)}


@pytest.mark.parametrize("parameters", [{"format": "json"}, {"bom": "true"}, {}])
def test_what_cannot_be_read_is_no_half_of_a_file(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, str]
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise Problem(503, "SERVICE_UNAVAILABLE", "The database is away.")
        yield

    monkeypatch.setattr(calls_table, "call_batches", broken)
    error(sqlite_application.get(EXPORT, params=parameters), 503, "SERVICE_UNAVAILABLE")


def parts(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def sheet_of(data: bytes, number: int = 2) -> list[list[tuple[str, str]]]:
    """The rows below the header of a sheet: names of columns with texts or numbers."""
    found = parts(data)
    assert not any("<f>" in text for name, text in found.items() if "worksheets/" in name)
    tree = ElementTree.fromstring(found[f"xl/worksheets/sheet{number}.xml"])  # noqa: S314 - ours
    lines: list[dict[str, str]] = []
    for row in tree.iterfind(".//s:row", _NS):
        cells: dict[str, str] = {}
        for each in row.iterfind("s:c", _NS):
            place = re.sub(r"\d", "", each.attrib["r"])
            text = each.find(".//s:t", _NS)
            value = text if text is not None else each.find("s:v", _NS)
            cells[place] = "" if value is None else value.text or ""
        lines.append(cells)
    head = lines[0]
    return [[(head[place], text) for place, text in line.items()] for line in lines[1:]]


def test_a_workbook_has_its_rows_a_summary_and_charts(
    sqlite_application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "MAX_ROWS", 6)
    ids = some_calls(sqlite_application, 12)
    rerate_call(sqlite_application.database, ids[0], "0.0000000003",
                organization_id=sqlite_application.organization_id)  # fmt: skip
    data = export(sqlite_application, "excel")
    found = parts(data)
    names = re.findall(r'<sheet name="([^"]+)"', found["xl/workbook.xml"])
    assert names == ["Summary", "Data", "Data 2", "Data 3"]
    assert [len(sheet_of(data, number)) for number in (2, 3, 4)] == [5, 5, 2]
    first = dict(sheet_of(data)[4])
    assert first["total_cost"] == "100000000.0000000"  # the 16 digits that Excel can tell
    assert "total_cost" in {name for name, _ in sheet_of(data)[0]}
    summary = found["xl/sharedStrings.xml"]
    exact = sum((Decimal(c) for c in COSTS if c is not None), Decimal("0.0000000001")) * 2
    assert f"<t>{exact}</t>" in summary
    assert [name for name in found if "charts/chart" in name]
    assert [name for name in found if "tables/table" in name]


def test_an_absent_value_alone_in_its_line_is_no_blank_line(
    sqlite_application: Application,
) -> None:
    some_calls(sqlite_application, 3)  # one has no price
    assert len(rows(sqlite_application, include_fields="total_cost")) == 4
    assert export(sqlite_application, include_fields="project_id").decode() == (
        'project_id\r\n""\r\n""\r\n""\r\n'
    )


def test_groups_need_no_type(sqlite_application: Application) -> None:
    some_calls(sqlite_application, 3)
    calls = rows(sqlite_application)
    assert rows(sqlite_application, group_by="") == calls
    for nothing in ("", [], None):
        ordered = sqlite_application.post("/api/v1/exports", json={"group_by": nothing})
        assert ordered.json()["type"] == "costs", ordered.text
    asked = {"group_by": "provider", "include_fields": ""}
    assert rows(sqlite_application, **asked) == rows(sqlite_application, type="aggregates", **asked)
    body = {"format": "json", "group_by": ["provider"]}
    ordered = sqlite_application.post("/api/v1/exports", json=body)
    assert ordered.json()["type"] == "aggregates", ordered.text
    for chosen in ({"type": "costs"}, {"format": "focus"}):
        refused = sqlite_application.get(EXPORT, params={"group_by": "provider", **chosen})
        assert "group_by" in error(refused, 422, "VALIDATION_ERROR")["field_errors"]


def test_columns_are_those_that_were_named(sqlite_application: Application) -> None:
    some_calls(sqlite_application, 1)
    named = {"include_fields": "provider,model,cost,tokens"}
    assert rows(sqlite_application, **named)[0] == ["provider", "model", "cost", "tokens"]
    one = rows(sqlite_application, include_fields="cost")
    assert one == [["cost"], ["0.0000000001"]]
    assert "usage" in rows(sqlite_application, type="usage")[0]
    refused = error(
        sqlite_application.get(EXPORT, params={"include_fields": "nope"}), 422, "VALIDATION_ERROR"
    )
    assert "provider" in refused["field_errors"]["include_fields"]


def test_csv_as_a_country_writes_it(sqlite_application: Application) -> None:
    some_calls(sqlite_application, 3)
    german = {"delimiter": "semicolon", "decimal": "comma", "bom": "true", "totals": "true"}
    data = export(sqlite_application, include_fields="provider,cost,currency", **german)
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.decode("utf-8-sig").split("\r\n") == [
        "provider;cost;currency",
        '"openai";0,0000000001;"USD"',
        '"openai";12,3;"USD"',
        '"openai";;"USD"',
        '"TOTAL, 1 unpriced";12,3000000001;"USD"',
        "",
    ]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"format": "pdf"}, "format"),
        ({"type": "nothing"}, "type"),
        ({"compression": "rar"}, "compression"),
        ({"delimiter": "pipe"}, "delimiter"),
        ({"decimal": "comma"}, "decimal"),
        ({"decimal": "x"}, "decimal"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"nope": "x"}, "nope"),
        ({"type": "aggregates", "include_fields": "cost"}, "include_fields"),
        ({"type": "aggregates", "group_by": "nope"}, "group_by"),
        ({"group_by": "model", "type": "costs"}, "group_by"),
        ({"totals": "maybe"}, "totals"),
        ({"totals": "true", "include_fields": "cost,tokens"}, "totals"),
        ({"totals": "true", "type": "aggregates", "group_by": "tag"}, "totals"),
        ({"totals": "true", "format": "parquet"}, "totals"),
        ({"totals": "true", "format": "focus"}, "totals"),
        ({"delimiter": "semicolon", "format": "json"}, "delimiter"),
        ({"delimiter": "tab", "format": "focus"}, "delimiter"),
        ({"decimal": "comma", "format": "jsonl"}, "decimal"),
        ({"bom": "true", "format": "xlsx"}, "bom"),
        ({"focus_version": "1.2"}, "focus_version"),
        ({"focus_grain": "day", "format": "json"}, "focus_grain"),
        ({"focus_file": "parquet", "format": "parquet"}, "focus_file"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    sqlite_application: Application, parameters: dict[str, str], field: str
) -> None:
    refused = error(sqlite_application.get(EXPORT, params=parameters), 422, "VALIDATION_ERROR")
    assert field in refused["field_errors"]


def test_an_option_of_another_format_may_be_given_as_if_it_was_not(
    sqlite_application: Application,
) -> None:
    some_calls(sqlite_application, 2)
    idle = {"delimiter": "comma", "decimal": "point", "bom": "false", "totals": "no"}
    assert export(sqlite_application, "jsonl", **idle) == export(sqlite_application, "jsonl")


def test_compressed_files_are_the_same_files(sqlite_application: Application) -> None:
    some_calls(sqlite_application, 5)
    plain = export(sqlite_application)
    assert gzip.decompress(export(sqlite_application, compression="gzip")) == plain
    packed = export(sqlite_application, compression="zstd")
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == plain
    answer = sqlite_application.get(EXPORT, params={"compression": "gzip", "type": "usage"})
    assert answer.headers["content-disposition"] == 'attachment; filename="usage.csv.gz"'
    assert answer.headers["content-type"] == "application/gzip"


def test_instants_in_a_time_zone(sqlite_application: Application) -> None:
    some_calls(sqlite_application, 1)
    (row,) = table(sqlite_application, timezone="Europe/Berlin")
    assert row["timestamp"] == "2026-10-01T14:00:00.250000+02:00"
    for form in ("csv", "jsonl", "json"):
        asked = [{"format": form}, {"format": form, "timezone": "UTC"}]
        plain, named = (sqlite_application.get(EXPORT, params=each).content for each in asked)
        assert b"12:00:00.250000Z" in plain
        assert named == plain
    assert table(sqlite_application, start_date="2026-10-02") == []


def test_groups_are_those_of_the_aggregate(sqlite_application: Application) -> None:
    some_calls(sqlite_application, 12)
    asked = {"group_by": "model,day", "metrics": "p50,list_cost,cost_per_request"}
    shown = body_of(sqlite_application.get("/api/v1/costs/aggregate", params=asked))["data"]
    found = table(sqlite_application, type="aggregates", **asked)
    assert len(found) == len(shown) == 12
    for row, group in zip(found, shown, strict=True):
        for name, text in row.items():
            value = group[name]
            assert text == "" if value is None else str(value) == text or Decimal(text) == value
    whole = table(sqlite_application, type="aggregates")
    assert [row["requests"] for row in whole] == ["12"]


def test_totals_hold_what_adds_up_and_is_known(sqlite_application: Application) -> None:
    some_calls(sqlite_application, 12)
    some_calls(sqlite_application, 3, cost_e10=None, cost_status="unpriced", currency="EUR")
    asked = {"type": "aggregates", "group_by": "model,day,currency", "totals": "true"}
    euro, dollar = table(sqlite_application, **asked)[-2:]
    assert (dollar["model"], dollar["currency"]) == ("TOTAL, 2 unpriced", "USD")
    assert dollar["requests"] == "12"
    assert (dollar["min"], dollar["max"], dollar["avg"]) == ("", "", "")
    assert Decimal(dollar["total_cost"]) == 2 * sum(Decimal(c or 0) for c in COSTS)
    assert (euro["currency"], euro["requests"], euro["total_cost"]) == ("EUR", "3", "")
    whole = json.loads(export(sqlite_application, "json"), parse_float=Decimal)["totals"]
    assert [(each["currency"], each["total_cost"] is None) for each in whole] == [
        ("EUR", True),
        ("USD", False),
    ]
    found = parts(export(sqlite_application, "xlsx"))
    assert "not known" in found["xl/sharedStrings.xml"]


def test_an_empty_export_is_a_file_of_its_kind(sqlite_application: Application) -> None:
    for form, reader in READERS.items():
        assert reader(export(sqlite_application, form)) == [], form
    assert sheet_of(export(sqlite_application, "xlsx")) == []
    assert len(rows(sqlite_application)) == 1


def test_who_may_export_and_what_is_kept_of_it(sqlite_application: Application) -> None:
    record(sqlite_application, usage("a", timestamp="2026-10-01T00:00:00Z"))
    for scopes, status in ((("read:costs",), 403), (("export:data",), 403)):
        key = sqlite_application.new_key(*scopes)
        answer = sqlite_application.get(EXPORT, key=key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            status,
            "INSUFFICIENT_PERMISSIONS",
        )
    key = sqlite_application.new_key("read:costs", "export:data")
    assert sqlite_application.get(EXPORT, key=key).status_code == 200
    (entry,) = accepted(
        sqlite_application.get("/api/v1/audit", params={"action": "export.created"})
    )["data"]
    assert (entry["after"]["type"], entry["after"]["format"]) == ("costs", "csv")
    other = sqlite_application.another()
    assert len(rows(other)) == 1
    send(other, "/usage", usage("b", timestamp="2026-10-01T00:00:00Z"))
    assert len(rows(other)) == 2


@pytest.mark.parametrize(
    ("module", "form", "extra"),
    [("pyarrow", "parquet", "files"), ("xlsxwriter", "xlsx", "reports")],
)
def test_without_a_library(
    sqlite_application: Application,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    form: str,
    extra: str,
) -> None:
    load = arrow.importlib.import_module

    def missing(name: str, package: str | None = None) -> Any:
        if name == module:
            raise ImportError(name)
        return load(name, package)

    monkeypatch.setattr(arrow.importlib, "import_module", missing)
    answer = sqlite_application.get(EXPORT, params={"format": form})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3600")
    assert f"llm-cost-ops[{extra}]" in answer.json()["error"]["message"]
