"""`GET /api/v1/pricing` and what waits for a price: which rows, in which order, page by page."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.application import Application
from tests.support.calls import accepted, body_of, error, put, record, send, set_price, usage

OWN = "/pricing?source=organization&model=aged"


def listed(app: Application, path: str) -> list[dict[str, Any]]:
    answer: dict[str, Any] = accepted(app.get(f"/api/v1{path}"), 200)
    return answer["data"]


def test_a_price_is_shown_in_the_version_that_is_in_force(application: Application) -> None:
    """Not in the newest one, which may begin later: that is not what calls of the day cost."""
    price = set_price(application, "aged")
    later = {"effective_date": "2025-06-10", "input_price_per_million": 20}
    accepted(put(application, f"/pricing/{price['id']}", later), 200)
    for day, version, rate, ends in (
        ("2025-06-09T23:59:59Z", 1, 2, "2025-06-10T00:00:00Z"),
        ("2025-06-10", 2, 20, None),
    ):
        (row,) = listed(application, f"{OWN}&date={day}")
        assert (row["id"], row["version"]) == (price["id"], version)
        assert (row["input_price_per_million"], row["end_date"]) == (Decimal(rate), ends)
    assert listed(application, f"{OWN}&date=2024-12-31") == []


def test_of_two_prices_the_one_that_rates_comes_first(application: Application) -> None:
    old = set_price(application, "aged")
    new = set_price(application, "aged", effective_date="2025-06-01")
    rows = listed(application, f"{OWN}&date=2025-06-15")
    assert [row["id"] for row in rows] == [new["id"], old["id"]]
    stored = record(application, usage("a", model="aged"))["results"][0]
    call = body_of(application.get(f"/api/v1/costs/{stored['id']}"))
    assert call["price_version"] == f"{new['id']}@1"


@pytest.mark.parametrize(
    ("end_date", "priced"),
    [("2025-06-15", True), ("2025-06-14", False), ("2025-06-15T12:00:00Z", False)],
)
def test_a_bare_last_day_is_included(
    sqlite_application: Application, end_date: str, priced: bool
) -> None:
    """D-8; an instant is excluded. The call is at noon."""
    set_price(sqlite_application, "aged", end_date=end_date)
    (result,) = record(sqlite_application, usage("a", model="aged"))["results"]
    assert result["cost_status"] == ("priced" if priced else "unpriced")


def test_a_price_of_one_day(sqlite_application: Application) -> None:
    price = set_price(sqlite_application, "aged", end_date="2025-01-01")
    assert price["end_date"] == "2025-01-02T00:00:00Z"
    before = {"effective_date": "2025-01-02", "end_date": "2025-01-01"}
    answer = send(sqlite_application, "/pricing", {**body_of_price(), **before})
    assert error(answer, 422)["field_errors"] == {"end_date": "must be after effective_date"}


def body_of_price() -> dict[str, Any]:
    return {"provider": "openai", "model": "x", "prices": {"input_tokens": {"price": 1, "per": 1}}}


@pytest.mark.parametrize("path", ["/pricing", "/pricing/unpriced", "/imports"])
def test_an_unknown_filter_is_refused(sqlite_application: Application, path: str) -> None:
    answer = sqlite_application.get(f"/api/v1{path}?modle=x")
    assert error(answer, 422)["field_errors"] == {"modle": "is not a known parameter"}


def test_another_organization_is_refused(sqlite_application: Application) -> None:
    own = sqlite_application.organization_id
    assert sqlite_application.get(f"/api/v1/pricing?organization_id={own}").status_code == 200
    other = sqlite_application.get("/api/v1/pricing?organization_id=org-other")
    error(other, 403, "ORGANIZATION_MISMATCH")


@pytest.mark.parametrize(
    "path", ["/pricing?source=organization", "/pricing/unpriced?provider=x-ai"]
)
def test_every_family_of_paging_gives_every_row_once(
    sqlite_application: Application, path: str
) -> None:
    models = [f"model-{number}" for number in range(5)]
    for model in models:
        set_price(sqlite_application, model)
    record(sqlite_application, *(usage(provider="xai", model=m) for m in models))
    record(sqlite_application, usage(model="of-another-provider"))

    def page(query: str) -> dict[str, Any]:
        found: dict[str, Any] = accepted(sqlite_application.get(f"/api/v1{path}&{query}"), 200)
        return found

    for queries in (
        ("page=1&per_page=2", "page=2&per_page=2", "page=3&per_page=2"),
        ("limit=2", "limit=2&offset=2", "limit=2&offset=4"),
    ):
        pages = [page(query) for query in queries]
        assert [row["model"] for found in pages for row in found["data"]] == models
        assert [found["has_more"] for found in pages] == [True, True, False]
    found = page("limit=2")
    walked = list(found["data"])
    while found["next_cursor"]:
        found = page(f"limit=2&cursor={found['next_cursor']}")
        walked += found["data"]
    assert [row["model"] for row in walked] == models


def test_a_cursor_of_another_list_is_refused(sqlite_application: Application) -> None:
    cursor = accepted(sqlite_application.get("/api/v1/pricing?limit=1"), 200)["next_cursor"]
    answer = sqlite_application.get(f"/api/v1/pricing?limit=1&provider=openai&cursor={cursor}")
    assert list(error(answer, 422)["field_errors"]) == ["cursor"]


@pytest.mark.parametrize(
    ("method", "path", "body", "field", "text"),
    [
        ("POST", "/pricing/rerate", {"start_date": "2025-01-01"}, "end_date", "is required"),
        ("POST", "/pricing/rerate", {"zzz": 1}, "zzz", "is not a known field"),
        ("POST", "/costs/estimate", {"items": [], "zzz": 1}, "zzz", "is not a known field"),
        ("POST", "/imports", {"zzz": 1}, "zzz", "is not a known field"),
    ],
)
def test_a_field_at_fault_is_a_validation_error_that_names_it(
    sqlite_application: Application,
    method: str,
    path: str,
    body: dict[str, Any],
    field: str,
    text: str,
) -> None:
    """C-14: USAGE_001 is for a record that is refused whole."""
    answer = sqlite_application.request(method, f"/api/v1{path}", json=body)
    found = error(answer, 422, "VALIDATION_ERROR")
    assert (found["message"], found["field_errors"]) == (f"{field} {text}", {field: text})
