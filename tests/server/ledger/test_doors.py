"""Changes over HTTP: once per Idempotency-Key, and never cut off by the time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest

from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.ledger import imports, rerate, routes, verify
from llm_cost_ops.server.settings import Settings
from tests.support.application import Application, running
from tests.support.calls import (
    JSON,
    accepted,
    assert_proven,
    body_of,
    count,
    error,
    record,
    select_all,
    send,
    set_price,
    usage,
)

JUNE = {"start_date": "2025-06-01", "end_date": "2025-06-30", "dry_run": False}
FLAT = {"type": "per_token", "input_price_per_million": 3, "output_price_per_million": 9}
NEW = {"provider": "openai", "model": "gpt-4o", "effective_date": "2025-02-01",
       "pricing_structure": FLAT}  # fmt: skip


def keyed(app: Application, method: str, path: str, body: object, key: str = "k") -> httpx.Response:
    headers = {**JSON, "Idempotency-Key": key}
    content = None if body is None else dumps(body)
    return app.request(method, f"/api/v1{path}", content=content, headers=headers)


def places(app: Application) -> dict[str, tuple[str, str, object]]:
    """Every change that is no ingest, as method, path and body; each can be made once only or
    leaves a trace each time."""
    price = set_price(app)
    accepted(send(app, "/pricing", {**NEW, "model": "ends"}), 201)
    ends = body_of(app.get("/api/v1/pricing?source=organization&model=ends"))["data"][0]["id"]
    ids = [r["id"] for r in record(app, usage("a"), usage("b"))["results"]]
    begun = accepted(send(app, "/imports", {}), 201)["id"]
    accepted(send(app, f"/usage/batch?import_id={begun}", [usage("i")]), 200)
    discount = accepted(send(app, "/pricing/adjustments", {"label": "d", "factor": 1}), 201)
    return {
        "relabel": ("PATCH", f"/costs/{ids[0]}", {"tags": ["x"]}),
        "relabel whole": ("PUT", f"/costs/{ids[0]}", {"tags": ["y"]}),
        "remove": ("DELETE", f"/costs/{ids[1]}", None),
        "begin an import": ("POST", "/imports", {"name": "f"}),
        "complete it": ("POST", f"/imports/{begun}/complete", {}),
        "undo it": ("POST", f"/imports/{begun}/undo", None),
        "set a price": ("POST", "/pricing", NEW),
        "change it": ("PUT", f"/pricing/{price['id']}", {"input_price_per_million": 7}),
        "end one": ("DELETE", f"/pricing/{ends}", None),
        "discount": ("POST", "/pricing/adjustments", {"label": "e", "factor": "0.5"}),
        "no discount": ("DELETE", f"/pricing/adjustments/{discount['id']}", None),
        "deploy": ("PUT", "/pricing/deployments", {"deployment": "d", "model": "gpt-4o"}),
        "re-rate": ("POST", "/pricing/rerate", JUNE),
    }  # fmt: skip


TRACES = ("audit_log", "usage_corrections", "imports", "price_versions", "price_adjustments",
          "reratings", "deployments")  # fmt: skip


def test_a_change_with_a_key_is_made_once(application: Application) -> None:
    for name, (method, path, body) in places(application).items():
        first = keyed(application, method, path, body, key=name.replace(" ", "-"))
        assert first.is_success, (name, first.text)
        assert "Idempotency-Replayed" not in first.headers
        # What was refused is noted now and then; now, so that it is not between the counts.
        application.portal.call(partial(application.app.state.attempts.flush, all_of_it=True))
        before = [count(application, table) for table in TRACES]
        again = keyed(application, method, path, body, key=name.replace(" ", "-"))
        assert (again.status_code, again.content) == (first.status_code, first.content), name
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.headers.get("Content-Type") == first.headers.get("Content-Type"), name
        assert [count(application, table) for table in TRACES] == before, name
        other = keyed(application, method, path, {"other": 1}, key=name.replace(" ", "-"))
        assert other.status_code in (400, 422), name
    assert_proven(application)


def test_without_a_key_each_request_counts(sqlite_application: Application) -> None:
    for _ in range(2):
        accepted(send(sqlite_application, "/pricing", NEW), 201)
    assert count(sqlite_application, "price_versions") == 2


def test_a_key_belongs_to_its_request(sqlite_application: Application) -> None:
    app = sqlite_application
    first, second = (r["id"] for r in record(app, usage("a"), usage("b"))["results"])
    assert keyed(app, "DELETE", f"/costs/{first}", None).status_code == 204
    assert keyed(app, "DELETE", f"/costs/{second}", None).status_code == 204  # another route
    accepted(keyed(app, "POST", "/pricing", NEW), 201)
    reused = keyed(app, "POST", "/pricing", {**NEW, "model": "x"})
    error(reused, 422, "IDEMPOTENCY_KEY_REUSED")
    other = app.another()
    accepted(keyed(other, "POST", "/pricing", NEW), 201)
    second_key = replace(app, key=app.new_key())
    accepted(keyed(second_key, "POST", "/pricing", NEW), 201)
    assert count(app, "price_versions") == 2
    error(keyed(app, "POST", "/pricing", NEW, key="white space"), 400, "INVALID_REQUEST")


def test_what_was_refused_may_be_tried_again_with_its_key(
    sqlite_application: Application,
) -> None:
    app = sqlite_application
    unknown = "usg_" + "0" * 26
    error(keyed(app, "DELETE", f"/costs/{unknown}", None), 404)
    error(keyed(app, "POST", "/pricing", {**NEW, "processing": "x"}), 422)
    accepted(keyed(app, "POST", "/pricing", NEW), 201)
    assert len(select_all(app, "SELECT scope FROM idempotency_keys")) == 1


def test_twins_at_once_have_one_effect_and_one_answer(application: Application) -> None:
    (made,) = record(application, usage("a"))["results"]

    def both(ask: Callable[[], httpx.Response]) -> list[httpx.Response]:
        with ThreadPoolExecutor(6) as pool:
            return [one.result() for one in [pool.submit(ask) for _ in range(6)]]

    removed = both(lambda: keyed(application, "DELETE", f"/costs/{made['id']}", None))
    assert {answer.status_code for answer in removed} == {204}
    priced = both(lambda: keyed(application, "POST", "/pricing", NEW))
    assert len({answer.content for answer in priced}) == 1
    assert count(application, "price_versions") == 1
    assert count(application, "usage_corrections") == 1
    assert_proven(application, 0)


def test_a_preview_keeps_no_key(sqlite_application: Application) -> None:
    set_price(sqlite_application)
    body = {**JUNE, "dry_run": True}
    assert keyed(sqlite_application, "POST", "/pricing/rerate", body).is_success
    record(sqlite_application, usage("a"))
    again = keyed(sqlite_application, "POST", "/pricing/rerate", body)
    assert body_of(again)["examined"] == 1


LIMIT_S = 2


@pytest.fixture
def hurried(sqlite_application: Application) -> Iterator[Application]:
    """Another server of the same organization, that gives a request little time."""
    settings: Settings = sqlite_application.app.state.settings
    server = replace(settings.server, request_timeout_seconds=LIMIT_S)
    with running(replace(settings, server=server), database=sqlite_application.database) as app:
        yield replace(
            app, organization_id=sqlite_application.organization_id, key=sqlite_application.key
        )


def test_what_may_take_long_is_not_cut_off(
    sqlite_application: Application, hurried: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no time limit takes longer than it here; a read that is as slow is given up."""

    def slow(work: Any) -> Any:
        def late(*arguments: Any, **options: Any) -> Any:
            time.sleep(LIMIT_S + 0.2)
            return work(*arguments, **options)

        return late

    begun = accepted(send(sqlite_application, "/imports", {}), 201)["id"]
    accepted(send(sqlite_application, f"/usage/batch?import_id={begun}", [usage("i")]), 200)
    monkeypatch.setattr(rerate, "preview", slow(rerate.preview))
    monkeypatch.setattr(rerate, "rerate", slow(rerate.rerate))
    monkeypatch.setattr(rerate, "backfill", slow(rerate.backfill))
    monkeypatch.setattr(routes, "verify", slow(verify.verify))
    monkeypatch.setattr(imports, "undo", slow(imports.undo))
    monkeypatch.setattr(imports, "listing", slow(imports.listing))
    price = set_price(hurried)
    accepted(send(hurried, "/pricing/rerate", {**JUNE, "dry_run": True}), 200)
    accepted(send(hurried, "/pricing/rerate", JUNE), 200)
    accepted(hurried.request("PUT", f"/api/v1/pricing/{price['id']}", headers=JSON,
                             content=dumps({"input_price_per_million": 7})), 200)  # fmt: skip
    deploy = {"deployment": "d", "model": "gpt-4o"}
    accepted(hurried.request("PUT", "/api/v1/pricing/deployments", headers=JSON,
                             content=dumps(deploy)), 200)  # fmt: skip
    accepted(hurried.get("/api/v1/ledger/verify"), 200)
    accepted(send(hurried, f"/imports/{begun}/undo", {}), 200)
    error(hurried.get("/api/v1/imports"), 503, "SERVICE_UNAVAILABLE")
