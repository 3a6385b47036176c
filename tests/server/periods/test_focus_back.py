"""Files with corrections of a closed month that are read again."""

from __future__ import annotations

import io

import pytest

from llm_cost_ops import importers
from llm_cost_ops.importers import ImportProblem
from tests.server.exports.test_back import EXPORT, bring, sums
from tests.server.periods.books import Books
from tests.server.periods.test_close import AT, NOVEMBER, OCTOBER, furnish, rerate
from tests.support.calls import accepted, assert_proven, record, select_all, usage


def test_corrections_stand_before_what_is_later(quick: Books) -> None:
    ids = furnish(quick)
    accepted(quick.close(OCTOBER))
    record(quick.app, usage("late", timestamp=AT, model="own", project_id="x"))
    assert quick.app.delete(f"/api/v1/costs/{ids[0]}").status_code == 204
    record(quick.app, usage("o5", timestamp="2026-11-02T00:00:00Z", model="own"))
    data = quick.export(NOVEMBER, "focus")
    assert b",Correction," in data
    found = list(importers.read(io.BytesIO(data), format="focus"))
    problems = [item for item in found if isinstance(item, ImportProblem)]
    assert [each.field for each in problems] == ["ChargeClass"], "of the call that was taken back"


def test_a_correction_that_takes_away_is_refused_whole(quick: Books) -> None:
    app = quick.app
    record(app, usage("gone", timestamp=AT, model="gpt-4o"))
    record(app, usage("kept", timestamp=AT, model="gpt-4o"))
    record(app, usage("priced later", timestamp=AT, model="own"))
    accepted(quick.close(OCTOBER))
    record(app, usage("late", timestamp=AT, model="gpt-4o-mini"))
    query = "SELECT id FROM usage_records WHERE event_id = :event"
    ((gone,),) = select_all(app, query, event="gone")
    assert app.delete(f"/api/v1/costs/{gone}").status_code == 204
    rerate(quick, "1")
    october, november = quick.export(OCTOBER, "focus"), quick.export(NOVEMBER, "focus")
    empty = app.another()
    assert bring(empty, october)["created"] == 2
    before = sums(empty)
    brought = bring(empty, november, refused=2)
    assert (brought["created"], brought["failed"]) == (1, 0)
    late = {key: values for key, values in sums(empty).items() if key not in before}
    assert {key[2] for key in late} == {"gpt-4o-mini"}
    assert {key: values for key, values in sums(empty).items() if key not in late} == before
    dates = {"format": "focus", "start_date": "2026-10-01", "end_date": "2026-11-30"}
    whole = app.another()
    bring(whole, app.get(EXPORT, params=dates).content)
    assert sums(whole) == sums(app)
    assert_proven(whole)


@pytest.mark.parametrize("kind", ["calls", "costs"])
def test_a_difference_does_not_take_the_place_of_its_call(quick: Books, kind: str) -> None:
    app = quick.app
    furnish(quick)
    accepted(quick.close(OCTOBER))
    rerate(quick, "9")
    record(app, usage("late", timestamp=AT, model="own", project_id="late"))
    november = quick.export(NOVEMBER, "jsonl", type=kind)
    differences = november.count(b'"requests":0,')
    assert differences == 3, "of the calls that have another price"
    before = sums(app)
    bring(app, november, refused=differences)
    if kind == "calls":
        assert sums(app) == before, "at home nothing changes"
    empty = app.another()
    unpriced = 0 if kind == "calls" else 1
    bring(empty, quick.export(OCTOBER, "jsonl", type=kind), refused=unpriced)
    known = sums(empty)
    brought = bring(empty, november, refused=differences)
    assert (brought["created"], brought["corrected"], brought["failed"]) == (2, 0, 0)
    found = sums(empty)
    assert {key: found[key] for key in known} == known
    assert_proven(empty)


def test_an_export_without_the_number_of_calls_is_refused(quick: Books) -> None:
    record(quick.app, usage("a", timestamp=AT))
    fields = "timestamp,event_id,provider,model,total_cost,currency,cost_status"
    data = quick.export(OCTOBER, "jsonl", type="calls", include_fields=fields)
    (problem,) = importers.read(io.BytesIO(data), format="cost-ops")
    assert isinstance(problem, ImportProblem)
    assert problem.field == "corrects"
    data = quick.export(OCTOBER, "jsonl", type="calls", include_fields=f"{fields},corrects")
    (item,) = importers.read(io.BytesIO(data), format="cost-ops")
    assert not isinstance(item, ImportProblem)


@pytest.mark.parametrize("kind", ["calls", "costs", "usage"])
def test_a_difference_of_more_calls_is_told_from_calls(quick: Books, kind: str) -> None:
    """A record that stands for three calls, of which there are five when the month is closed."""
    app = quick.app
    counted = {
        "event_id": "grows", "timestamp": AT, "provider": "openai", "model": "gpt-4o",
        "cost": "0.0075", "requests": 3,
    }  # fmt: skip
    accepted(app.post("/api/v1/costs/bulk", json={"records": [counted]}))
    record(app, usage("of november", timestamp="2026-11-02T00:00:00Z", model="gpt-4o"))
    accepted(quick.close(OCTOBER))
    grown = {**counted, "cost": "0.0125", "requests": 5}
    answer = app.post("/api/v1/costs/bulk?correct=true", json={"records": [grown]})
    assert accepted(answer)["corrected"] == 1
    october, november = (quick.export(each, "jsonl", type=kind) for each in (OCTOBER, NOVEMBER))
    assert b'"requests":2,' in november
    assert november.count(b'"corrects":"2026-10"') == 1
    assert b'"corrects":"' not in october
    if kind == "usage":  # has no costs, and is for other tools
        return
    before = sums(app)
    if kind == "calls":
        bring(app, november, refused=1)
        assert sums(app) == before, "at home nothing changes"
    empty = app.another()
    assert bring(empty, october)["created"] == 1
    brought = bring(empty, november, refused=1)
    assert (brought["created"], brought["corrected"], brought["failed"]) == (1, 0, 0)
    assert_proven(empty)


def test_what_corrects_a_closed_month_names_it(quick: Books) -> None:
    """Not so calls that came late: they are whole."""
    app = quick.app
    ids = furnish(quick)
    accepted(quick.close(OCTOBER))
    record(app, usage("late", timestamp=AT, model="own", project_id="late"))
    rerate(quick, "9")
    assert app.delete(f"/api/v1/costs/{ids[0]}").status_code == 204
    (gone,) = [row["event_id"] for row in quick.rows(OCTOBER, type="calls") if row["id"] == ids[0]]
    found = {row["event_id"]: row for row in quick.rows(NOVEMBER, type="calls")}
    told = {name: (row["corrects"], row["requests"]) for name, row in found.items()}
    assert told.pop("late") == ("", "1")
    assert told.pop(gone) == (OCTOBER, "-1")
    assert len(told) > 1
    assert set(told.values()) <= {(OCTOBER, "0"), ("", "1")}
    assert {row["corrects"] for row in quick.rows(OCTOBER, type="calls")} == {""}
