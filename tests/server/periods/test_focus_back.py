"""A FOCUS file with corrections of a closed month can be read again."""

from __future__ import annotations

import io

from llm_cost_ops import importers
from llm_cost_ops.importers import ImportProblem
from tests.server.periods.books import Books
from tests.server.periods.test_close import AT, NOVEMBER, OCTOBER, furnish
from tests.support.calls import accepted, record, usage


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
    assert problems == []
