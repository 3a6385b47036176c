"""What closed months keep of what calls drew, whatever becomes of the ledger since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import event

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.charges import store
from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.settings import DatabaseSettings
from tests.server.charges.test_charges import spend
from tests.server.charges.test_datasets import FOREVER, enter, focus
from tests.server.periods.books import Books
from tests.server.privacy.test_retention import Place, _place
from tests.support.calls import accepted, select_all


@pytest.fixture
def kept(sqlite_settings: DatabaseSettings, tmp_path: Path) -> Iterator[tuple[Books, Place]]:
    """The app on 1 November, that keeps calls from the middle of September on."""
    for place in _place(sqlite_settings, tmp_path / "archives"):
        place.keep("usage", 45)
        yield Books(place.app, cast("FixedClock", place.app.clock)), place


def test_what_came_for_an_empty_month_is_drawn_in_no_closed_one_when_it_is_archived(
    kept: tuple[Books, Place],
) -> None:
    books, place = kept
    app = books.app
    enter(app, {**FOREVER, "start_date": "2026-05-01", "granted": "10"})
    spend(app, "3", "2026-05-10T00:00:00Z")
    spend(app, "6.5", "2026-09-20T00:00:00Z")
    accepted(books.close("2026-09"))
    closed = focus(app, billing_period="2026-09")
    billed = [row for row in closed if row["BilledCost"] != "0.0"]
    assert billed == [], "7 were left"
    spend(app, "4", "2026-07-10T00:00:00Z")
    books.at("2026-11-01T11:00:00")
    accepted(books.close("2026-10"))
    place.run()
    assert select_all(app, "SELECT day FROM closed_days WHERE day = 20644"), "10 July is gone"
    assert focus(app, billing_period="2026-09") == closed


def test_a_month_keeps_what_was_drawn_from_thousands(place: Books) -> None:
    """MySQL and MariaDB end a plain text at 64 kB."""
    app = place.app
    (first,) = enter(app, FOREVER)
    with write(app.database) as session:
        one = store.get(session, app.organization_id, first)
        assert one is not None
        for number in range(2_000):
            store.add(session, replace(one, id=f"chg_{number:026}"))
    accepted(place.close("2026-10"))
    ((drawn,),) = select_all(app, "SELECT drawn FROM periods WHERE month = '2026-10'")
    assert len(loads(drawn)) == 2_001


def test_many_commitments_take_few_statements(place: Books) -> None:
    """Credits that are bought again each week, for three years, and one that runs for longer."""
    app = place.app
    (first,) = enter(app, {**FOREVER, "start_date": "2022-01-01", "end_date": "2026-11-30",
                           "granted": "100"})  # fmt: skip
    spend(app, "2", "2022-01-01T00:00:00Z")
    spend(app, "3", "2023-05-05T12:00:00Z")
    with write(app.database) as session:
        one = store.get(session, app.organization_id, first)
        assert one is not None
        for week in range(150):
            day = 19_700 + 7 * week  # from 9 December 2023 to 24 October 2026
            store.add(session, replace(one, id=f"chg_{week:026}", granted_e10=10**10,
                                       start_day=day, end_day=day + 6))  # fmt: skip
    for week in (0, 1, 70, 149):
        at = f"{date(2023, 12, 9) + timedelta(days=7 * week)}"
        spend(app, "0.75", f"{at}T00:00:00Z")
        spend(app, "0.5", f"{at}T23:59:59.999999Z")
    seen: list[str] = []
    event.listen(app.database.reader, "before_cursor_execute", lambda *given: seen.append(given[2]))
    listed = loads(app.get("/api/v1/charges?limit=1000").text)["data"]
    drawn = {row["id"]: row["drawn"] for row in listed if row["drawn"]}
    weeks = {f"chg_{week:026}": 1 for week in (0, 1, 70, 149)}
    assert drawn == {first: 6, **weeks}
    (call,) = focus(app, start_date="2026-10-17T12:00:00Z", end_date="2026-10-18T00:00:00Z")
    assert call["BilledCost"] == "0.0"
    assert focus(app, billing_period="2026-11") == []
    assert len(seen) < 120


def test_what_retention_removed_has_drawn(kept: tuple[Books, Place]) -> None:
    books, place = kept
    app = books.app
    enter(app, {**FOREVER, "start_date": "2026-08-01", "end_date": "2026-08-25", "granted": "10"},
          {**FOREVER, "start_date": "2026-08-24", "granted": "20"})  # fmt: skip
    spend(app, "4", "2026-08-21T00:00:00Z", project_id="web")
    spend(app, "7", "2026-08-24T00:00:00Z")
    spend(app, "12", "2026-08-28T00:00:00Z", project_id="web")
    spend(app, "9", "2026-10-10T00:00:00Z", project_id="web")
    conditions = ({}, {"project_id": "web"}, {"billing_period": "2026-10"},
                  {"start_date": "2026-08-24", "end_date": "2026-10-31", "project_id": "web"},
                  {"end_date": "2026-10-10"})  # fmt: skip
    before = [focus(app, **asked) for asked in conditions]
    assert before[0][-1]["BilledCost"] == "2.0"
    place.run()
    for asked, was in zip(conditions, before, strict=True):
        rows = focus(app, **asked)
        calls = [row for row in was if row["x_ModelId"]]
        assert rows == [row for row in was if row not in calls or row == calls[-1]], asked
