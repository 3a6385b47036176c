"""Exports that come back: an empty organization that imports one has the totals of the other."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_cost_ops import importers
from llm_cost_ops.client import wire
from llm_cost_ops.core import jsontext
from llm_cost_ops.importers import HEAD_BYTES, ImportProblem, detect, pop_signals
from tests.server.exports.test_focus import furnish
from tests.support.application import Application
from tests.support.calls import accepted, assert_proven, count, record, select_all, send, usage

EXPORT = "/api/v1/costs/export"
JSON = {"Content-Type": "application/json"}
SUMS = (
    "requests", "unpriced", "cost_whole * 10000000000 + cost_fraction",
    "list_whole * 10000000000 + list_fraction",
    "input_tokens", "output_tokens", "total_tokens", "cached_tokens", "cache_write_tokens",
    "reasoning_tokens",
)  # fmt: skip
NOT_CARRIED = frozenset(
    {"id", "organization_id", "price_version", "price_rule", "import_id", "received_at",
     "provider_cost"}
)  # fmt: skip
FILES = [
    ("1.2", "csv", "hour"),
    ("1.2", "parquet", "day"),
    ("1.3", "csv", "day"),
    ("1.3", "parquet", "day"),
    ("1.4", "csv", "day"),
    ("1.4", "parquet", "day"),
]


def exported(app: Application, query: str) -> bytes:
    answer = app.get(f"{EXPORT}?{query}")
    assert answer.status_code == 200, answer.text
    return answer.content


def bring(
    app: Application, data: bytes, format: str | None = None, *, refused: int = 0
) -> dict[str, int]:
    """Import a file as the command does: how many records are new, known, corrected, refused by the
    server; `refused` by the reader."""
    told = format or detect(data[:HEAD_BYTES], "")
    doors: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for item in importers.read(io.BytesIO(data), format=told):
        if isinstance(item, ImportProblem):
            assert refused, item
            refused -= 1
            continue
        correct = "&correct=true" if pop_signals(item) else ""
        door = "costs/bulk" if "cost" in item else "usage/batch"
        doors.setdefault((door, correct), []).append(item)
    assert refused == 0
    import_id = accepted(send(app, "/imports", {"format": told}), 201)["id"]
    found: dict[str, int] = dict.fromkeys(("created", "duplicates", "corrected", "failed"), 0)
    for (door, correct), records in doors.items():
        path = f"/api/v1/{door}?import_id={import_id}{correct}"
        answer = app.post(path, content=wire.encode({"records": records}), headers=JSON)
        assert answer.status_code in (200, 207), answer.text
        for name in found:
            found[name] += answer.json().get(name, 0)
    return found


def sums(app: Application, *without: str) -> Mapping[tuple[str, ...], tuple[int, ...]]:
    """The rollups by day, provider, model, project and currency: money, calls and tokens."""
    keys = "bucket, provider, model_name, project_id, currency"
    names = [name for name in SUMS if name not in without]
    rows = select_all(
        app,
        f"SELECT {keys}, {', '.join(names)} FROM rollup_daily WHERE organization_id = :org",
        org=app.organization_id,
    )
    found = {tuple(map(str, row[:5])): tuple(map(int, row[5:])) for row in rows}
    return {key: values for key, values in found.items() if any(values)}


def rows(app: Application) -> list[dict[str, Any]]:
    """The calls with all that an export of them carries."""
    lines = exported(app, "format=jsonl&type=calls").decode().splitlines()
    found = [jsontext.loads(line) for line in lines]
    kept = [{k: v for k, v in row.items() if k not in NOT_CARRIED} for row in found]
    return sorted(kept, key=lambda row: row["event_id"])


def test_every_call_comes_back_as_it_was(application: Application) -> None:
    furnish(application)
    data = exported(application, "format=jsonl&type=calls")
    empty = application.another()
    brought = bring(empty, data)
    assert brought == {**brought, "created": len(data.splitlines()), "failed": 0}
    assert sums(empty) == sums(application)
    assert rows(empty) == rows(application)
    before = assert_proven(empty)
    again = bring(empty, data)
    assert again == {"created": 0, "duplicates": brought["created"], "corrected": 0, "failed": 0}
    assert assert_proven(empty).totals == before.totals


def test_an_export_that_returns_home_changes_nothing(sqlite_application: Application) -> None:
    app = sqlite_application
    furnish(app)
    before, calls = sums(app), rows(app)
    corrections = count(app, "usage_corrections")
    brought = bring(app, exported(app, "format=jsonl&type=calls"))
    assert (brought["created"], brought["corrected"], brought["failed"]) == (0, 0, 0)
    assert (sums(app), rows(app)) == (before, calls)
    assert count(app, "usage_corrections") == corrections


def test_usual_columns_that_return_home_change_nothing(sqlite_application: Application) -> None:
    app = sqlite_application
    furnish(app)
    before, calls = sums(app), rows(app)
    waiting = sum(row["cost_status"] == "unpriced" for row in calls)
    brought = bring(app, exported(app, "format=jsonl"), refused=waiting)
    assert (brought["created"], brought["corrected"]) == (0, 0)
    assert (sums(app), rows(app)) == (before, calls)


def test_a_later_export_corrects_what_has_changed(sqlite_application: Application) -> None:
    app = sqlite_application
    record(app, usage("a", timestamp="2026-10-05T10:00:00Z", model="own"))
    record(app, usage("b", timestamp="2026-10-05T11:00:00Z"))
    empty = app.another()
    first = bring(empty, exported(app, "format=jsonl&type=calls"))
    assert first["created"] == 2
    call = {"event_id": "a", "model": "own", "provider": "openai", "cost": "1.25",
            "tokens_used": 0, "source": "api", "timestamp": "2026-10-05T10:00:00Z",
            "usage": {"input_tokens": 10, "output_tokens": 5}}  # fmt: skip
    changed = app.post("/api/v1/costs/bulk?correct=true", content=wire.encode([call]), headers=JSON)
    assert changed.json()["corrected"] == 1, changed.text
    second = bring(empty, exported(app, "format=jsonl&type=calls"))
    assert (second["corrected"], second["duplicates"]) == (1, 1)
    assert sums(empty) == sums(app)
    assert_proven(empty)


def test_an_export_with_the_usual_columns_has_the_same_totals(
    sqlite_application: Application,
) -> None:
    app = sqlite_application
    furnish(app)
    calls = rows(app)
    waiting = sum(row["cost_status"] == "unpriced" for row in calls)
    counts = tuple(name for name in SUMS if not name.startswith(("cost_", "list_")))
    for form in ("json", "jsonl"):
        empty = app.another()
        data = exported(app, f"format={form}")
        brought = bring(empty, data, refused=waiting)
        assert (brought["created"], brought["failed"]) == (len(calls) - waiting, 0)
        assert sums(empty, *counts) == sums(app, *counts)
        found = {row["processing"] for row in rows(empty)}
        assert found == {row["processing"] for row in calls} == {"batch", "realtime"}
        assert bring(empty, data, refused=waiting)["created"] == 0


WAITING: list[dict[str, object]] = [
    {"usage": {"output_images": 3}},
    {"usage": {"audio_seconds": "3.25"}},
    {"usage": {"input_tokens": 1000, "output_tokens": 5}, "processing": "batch",
     "service_tier": "priority"},
]  # fmt: skip
"""What gpt-4o has no price for, though it has one for the rest that a row may say."""


def waiting(app: Application) -> None:
    calls = [usage(f"w{n}", timestamp="2026-10-05T10:00:00Z") for n in range(len(WAITING))]
    plain = ("prompt_tokens", "completion_tokens")
    for call, more in zip(calls, WAITING, strict=True):
        record(app, {**{k: v for k, v in call.items() if k not in plain}, **more})
    statuses = [row["cost_status"] for row in rows(app)]
    assert statuses == ["unpriced"] * len(WAITING)


def test_what_had_no_price_there_has_none_here(sqlite_application: Application) -> None:
    app = sqlite_application
    waiting(app)
    empty = app.another()
    assert bring(empty, exported(app, "format=jsonl&type=calls"))["created"] == len(WAITING)
    assert sums(empty) == sums(app)
    assert told(empty) == told(app)
    assert bring(app.another(), exported(app, "format=jsonl"), refused=3)["created"] == 0


def told(app: Application) -> list[str]:
    kept = ("usage", "total_cost", "cost_status", "processing", "service_tier")
    return sorted(str([row[name] for name in kept]) for row in rows(app))


@pytest.mark.parametrize("missing", ["usage", "processing", "service_tier", "region"])
def test_what_had_no_price_is_refused_without_what_a_price_depends_on(
    sqlite_application: Application, missing: str
) -> None:
    app = sqlite_application
    waiting(app)
    record(app, usage("priced", timestamp="2026-10-05T11:00:00Z"))
    header = list(jsontext.loads(exported(app, "format=jsonl&type=calls").decode().splitlines()[0]))
    fields = ",".join(name for name in header if name != missing)
    data = exported(app, f"format=jsonl&type=calls&include_fields={fields}")
    items = list(importers.read(io.BytesIO(data), format="cost-ops"))
    problems = [item for item in items if isinstance(item, ImportProblem)]
    assert [(each.field, each.skipped) for each in problems] == [(missing, False)] * len(WAITING)
    assert "--type calls" in problems[0].message
    assert len(items) == len(WAITING) + 1


def test_a_focus_dataset_of_every_version_has_the_same_totals(
    sqlite_application: Application,
) -> None:
    app = sqlite_application
    furnish(app)
    apart = ("cached_tokens", "cache_write_tokens", "reasoning_tokens", "total_tokens")
    for version, file, grain in FILES:
        query = f"format=focus&focus_version={version}&focus_file={file}&focus_grain={grain}"
        empty = app.another()
        data = exported(app, query)
        brought = bring(empty, data)
        assert brought == {**brought, "failed": 0, "corrected": 0, "duplicates": 0}
        assert sums(empty, *apart) == sums(app, *apart)
    assert kinds(empty) == kinds(app)
    again = bring(empty, data)
    assert again == {**again, "created": 0, "failed": 0, "duplicates": brought["created"]}
    assert_proven(empty)


def test_calls_without_a_price_are_a_record_of_their_own(
    sqlite_application: Application,
) -> None:
    app = sqlite_application
    images = {"usage": {"output_images": 3}}
    more = {"usage": {"output_images": 2, "audio_seconds": "3.25"}}
    partly = {"usage": {"input_tokens": 1000, "output_images": 5}}
    priced = {"usage": {"input_tokens": 1000}, "metadata": {"a": "b"}}
    mixes = {"one": (priced, images), "two": (priced, more, images), "all": (partly, more, priced)}
    for project, calls in mixes.items():
        for place, call in enumerate(calls):
            head = {"event_id": f"{project}{place}", "provider": "openai", "model": "gpt-4o",
                    "timestamp": "2026-10-05T10:00:00Z", "project_id": project}  # fmt: skip
            record(app, {**head, **call})
    for version, file, grain in FILES[::5]:
        query = f"format=focus&focus_version={version}&focus_file={file}&focus_grain={grain}"
        empty = app.another()
        data = exported(app, query)
        assert bring(empty, data)["created"] == 6
        assert sums(empty) == sums(app)
        assert kinds(empty) == kinds(app)
    found = {(row["project_id"], row["cost_status"]): row for row in rows(empty)}
    assert found["one", "unpriced"]["usage"] == {"output_images": 3}
    assert found["one", "priced"]["usage"] == {"input_tokens": 1000}
    assert found["one", "priced"]["metadata"] == {"a": "b"}
    assert found["two", "unpriced"]["requests"] == 2
    assert found["two", "unpriced"]["total_cost"] is None
    assert found["all", "unpriced"]["requests"] == 1
    assert found["all", "partially_priced"]["requests"] == 2
    assert_proven(empty)


def kinds(app: Application) -> dict[str, Decimal]:
    """Quantities by kind, as FOCUS has them."""
    found: dict[str, Decimal] = {}
    lines = exported(app, "format=focus&focus_version=1.4").decode().splitlines()
    for row in csv.DictReader(lines):
        kind = row["x_TokenKind"]
        if kind and kind != "requests":
            quantity = Decimal(row["ConsumedQuantity"] or 0)
            found[kind] = found.get(kind, Decimal(0)) + quantity
    return found


def test_a_focus_file_of_others_is_refused() -> None:
    with pytest.raises(importers.ImportFormatError, match="x_TokenKind"):
        list(importers.read(io.BytesIO(b"BilledCost,SkuId\n1,a\n"), format="focus"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"usage": {"input_tokens": 1, "cache_read_tokens": 2}}, "usage.cache_read_tokens"),
        ({"usage": {"no_such": 1}}, "usage.no_such"),
        ({"usage": {"input_tokens": 3}, "tokens_used": 4}, "tokens_used"),
        ({"usage": {"requests": 3}, "requests": 4}, "requests"),
        ({"requests": -1}, "requests"),
        ({"list_cost": "x"}, "list_cost"),
        ({"cost_status": "priced"}, "cost_status"),
        ({"processing": "later"}, "processing"),
    ],
)
def test_the_door_refuses_what_contradicts_itself(
    sqlite_application: Application, change: dict[str, object], field: str
) -> None:
    cost = {"event_id": "x", "model": "m", "provider": "openai", "cost": "1"}
    refused = send(sqlite_application, "/costs", {**cost, **change})
    assert refused.status_code == 422, refused.text
    assert list(refused.json()["error"]["field_errors"]) == [field]
    assert count(sqlite_application, "usage_records") == 0


TOKENS = st.integers(1, 10**7)
MODELS = st.sampled_from(["gpt-4o", "gpt-4o-mini", "no-such-model"])
CALLS = st.lists(
    st.tuples(MODELS, TOKENS, TOKENS, st.integers(0, 23), st.sampled_from(["web", None])),
    min_size=1,
    max_size=6,
)
COSTS = st.lists(
    st.tuples(
        st.decimals("0.0000000001", 1000, places=10), st.sampled_from(["USD", "EUR"]), MODELS
    ),
    max_size=4,
)


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(calls=CALLS, costs=COSTS)
def test_any_ledger_comes_back(
    sqlite_application: Application, calls: list[Any], costs: list[Any]
) -> None:
    app = sqlite_application.another()
    for place, (model, prompt, completion, hour, project) in enumerate(calls):
        at = f"2026-10-{place + 1:02}T{hour:02}:15:00.123456Z"
        call = usage(f"c{place}", timestamp=at, model=model, prompt_tokens=prompt,
                     completion_tokens=completion, cached_tokens=prompt // 3)  # fmt: skip
        record(app, {**call, **({"project_id": project} if project else {})})
    for place, (cost, currency, model) in enumerate(costs):
        body = {"event_id": f"m{place}", "model": model, "provider": "openai", "cost": str(cost),
                "currency": currency, "timestamp": "2026-10-09T00:00:00Z"}  # fmt: skip
        accepted(send(app, "/costs", body), 201)
    whole, added = app.another(), app.another()
    bring(whole, exported(app, "format=jsonl&type=calls"))
    bring(added, exported(app, "format=focus&focus_version=1.4&focus_grain=day"))
    assert sums(whole) == sums(app)
    assert json.dumps(rows(whole), default=str) == json.dumps(rows(app), default=str)
    apart = ("cached_tokens",)
    assert sums(added, *apart) == sums(app, *apart)
    assert kinds(added) == kinds(app)
