"""The routes of the fake server: each takes the server, the request and ids out of the path."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from llm_cost_ops.client.resources.estimates import estimate_items
from llm_cost_ops.core import jsontext
from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.estimate import estimate_item
from llm_cost_ops.testing import queries
from llm_cost_ops.testing.calls import Row, cost_call, usage_call, with_cost
from llm_cost_ops.testing.refusal import Refusal, invalid

if TYPE_CHECKING:
    from llm_cost_ops.testing.server import FakeServer

MAX_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: `query` maps each parameter to its values."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        try:
            return jsontext.loads(self.body.decode())
        except (DomainError, UnicodeDecodeError) as error:
            raise Refusal(400, "INVALID_REQUEST", str(error)) from None

    def fields(self) -> dict[str, Any]:
        body = self.json()
        if not isinstance(body, dict):
            raise Refusal(400, "INVALID_REQUEST", "the body must be a JSON object")
        return cast("dict[str, Any]", body)


Reply = tuple[int, Any]
Route = tuple[str, re.Pattern[str], Callable[..., Reply]]
Reader = Callable[["FakeServer", object], Row]


def _read_usage(fake: FakeServer, given: object) -> Row:
    row = owned(fake, usage_call(given, fake.now()))
    rerated(fake, row)
    return row


def _read_cost(fake: FakeServer, given: object) -> Row:
    return owned(fake, cost_call(given, fake.now()))


def owned(fake: FakeServer, row: Row) -> Row:
    """The row with the organization of the key. Raises Refusal for another's."""
    own = fake.organization_id
    if own is not None and row["organization_id"] not in (None, own):
        text = "organization_id does not belong to this API key"
        raise Refusal(403, "ORGANIZATION_MISMATCH", text, {"organization_id": text})
    row["organization_id"] = row["organization_id"] or own
    return row


def _payload(given: object) -> dict[str, Any]:
    fields = cast("dict[str, Any]", given)
    return {name: value for name, value in fields.items() if name not in ("event_id", "source")}


def _store(fake: FakeServer, given: object, read: Reader) -> tuple[str, Row]:
    row = read(fake, given)
    status, row = fake.ledger.append(row, _payload(given))
    if status == "created":
        fake.recorded(row)
    return status, row


def post_usage(fake: FakeServer, request: Request) -> Reply:
    status, row = _store(fake, request.json(), _read_usage)
    return (201 if status == "created" else 200), {**row, "result": status}


def post_cost(fake: FakeServer, request: Request) -> Reply:
    status, row = _store(fake, request.json(), _read_cost)
    return (201 if status == "created" else 200), row


def post_usage_batch(fake: FakeServer, request: Request) -> Reply:
    return _batch(fake, request, _read_usage)


def post_cost_bulk(fake: FakeServer, request: Request) -> Reply:
    return _batch(fake, request, _read_cost)


def _batch(fake: FakeServer, request: Request, read: Reader) -> Reply:
    body = request.json()
    records = cast("dict[str, Any]", body).get("records") if isinstance(body, dict) else body
    if not isinstance(records, list):
        raise Refusal(400, "INVALID_REQUEST", "the body must hold records")
    given = cast("list[object]", records)
    if len(given) > MAX_BATCH:
        raise invalid("records", f"must be at most {MAX_BATCH}")
    before = fake.ledger.snapshot()
    results = [_result(fake, index, record, read) for index, record in enumerate(given)]
    failed = [row for row in results if row["status"] in ("invalid", "conflict")]
    if failed and request.query.get("atomic") == ["true"]:
        fake.ledger.restore(before)
        raise _atomic_refusal(failed, len(given))
    statuses = [row["status"] for row in results]
    return (207 if failed else 200), {
        "submitted": len(given),
        "created": statuses.count("created"),
        "duplicates": statuses.count("duplicate"),
        "failed": len(failed),
        "results": results,
    }


def _result(fake: FakeServer, index: int, given: object, read: Reader) -> Row:
    try:
        status, row = _store(fake, given, read)
    except Refusal as refusal:
        if refusal.status == 403:
            raise
        status = "conflict" if refusal.status == 409 else "invalid"
        return {"index": index, "status": status, "error": refusal.error()}
    if read is _read_cost:
        return {**row, "index": index, "status": status}
    shown = ("id", "event_id", "cost_status", "total_cost")
    return {"index": index, "status": status, **{name: row[name] for name in shown}}


def _atomic_refusal(failed: list[Row], submitted: int) -> Refusal:
    fields: dict[str, str] = {}
    for row in failed[:100]:
        for name, text in row["error"].get("field_errors", {}).items():
            fields[f"records[{row['index']}].{name}"] = text
    text = f"{len(failed)} of {submitted} records were refused; nothing was stored"
    return Refusal(422, "VALIDATION_ERROR", text, fields)


def get_row(fake: FakeServer, request: Request, row_id: str) -> Reply:  # noqa: ARG001
    return 200, fake.ledger.get(row_id)


def list_rows(fake: FakeServer, request: Request) -> Reply:
    if "group_by" in request.query:
        return aggregate(fake, request)
    return 200, queries.page(_matching(fake, request), request.query)


def patch_cost(fake: FakeServer, request: Request, row_id: str) -> Reply:
    row = fake.ledger.get(row_id)
    for name, value in request.fields().items():
        if name not in ("metadata", "tags"):
            text = "cannot be changed; only metadata and tags can"
            raise Refusal(422, "VALIDATION_ERROR", f"{name} {text}", {name: text})
        row[name] = value
    return 200, row


def delete_cost(fake: FakeServer, request: Request, row_id: str) -> Reply:  # noqa: ARG001
    fake.ledger.void(row_id)
    return 204, None


def summary(fake: FakeServer, request: Request) -> Reply:
    return 200, queries.summary(_matching(fake, request))


def aggregate(fake: FakeServer, request: Request) -> Reply:
    rows = queries.aggregate(_matching(fake, request), request.query)
    return 200, {"data": rows, "has_more": False, "next_cursor": None}


def breakdown(fake: FakeServer, request: Request) -> Reply:
    asked = request.fields()
    dimensions: Any = asked.pop("dimensions", None) or asked.pop("group_by", None) or []
    asked.pop("metrics", None)
    rows = queries.matching(fake.ledger.rows, _as_query(asked), fake.now())
    groups = [dimensions] if isinstance(dimensions, str) else dimensions
    found = [
        {"dimension": name, "value": row[name], **row}
        for name in groups
        for row in queries.dearest_first(queries.aggregate(rows, {"group_by": [name]}))
    ]
    return 200, {"data": found, "has_more": False, "next_cursor": None}


def _as_query(asked: Mapping[str, Any]) -> dict[str, list[str]]:
    flat = {**asked, **asked.get("filters", {})}
    flat.pop("filters", None)
    return {
        name: [str(item) for item in cast("list[object]", value)]
        if isinstance(value, list)
        else [str(value)]
        for name, value in flat.items()
    }


def query_rows(fake: FakeServer, request: Request) -> Reply:
    asked = request.fields()
    if "queries" in asked:
        given = cast("list[dict[str, Any]]", asked["queries"])
        found = [{"query": query, **queries.summary(_asked_rows(fake, query))} for query in given]
        return 200, {"data": found, "has_more": False, "next_cursor": None}
    filters = cast("dict[str, Any]", asked.pop("filters", {}))
    operators: dict[str, dict[str, Any]] = {
        name: cast("dict[str, Any]", value)
        for name, value in filters.items()
        if isinstance(value, dict)
    }
    plain = {name: value for name, value in filters.items() if name not in operators}
    asked = _as_query({**asked, **plain})
    rows = queries.matching(fake.ledger.rows, asked, fake.now())
    return 200, queries.page(queries.compared(rows, operators), asked)


def _asked_rows(fake: FakeServer, asked: Mapping[str, Any]) -> list[Row]:
    return queries.matching(fake.ledger.rows, _as_query(asked), fake.now())


def estimate(fake: FakeServer, request: Request) -> Reply:
    items = request.fields().get("items")
    if not isinstance(items, list):
        raise invalid("items", "is required")
    given = estimate_items(cast("list[dict[str, Any]]", items), {})
    rows = [estimate_item(item, fake.prices.view, now=fake.now()) for item in given]
    return 200, {"data": rows}


def post_price(fake: FakeServer, request: Request) -> Reply:
    row = fake.prices.add(request.fields(), fake.new_id("price"), fake.now())
    _price_what_waited(fake, row)
    return 201, row


def put_price(fake: FakeServer, request: Request, price_id: str) -> Reply:
    row = fake.prices.replace(price_id, request.fields(), fake.now())
    _price_what_waited(fake, row)
    return 200, row


def _price_what_waited(fake: FakeServer, price: Row) -> None:
    """A new price prices the calls of its provider that had none, or not for every kind."""
    for row in fake.ledger.rows:
        if row["provider"] == price["provider"] and row["cost_status"] != "priced":
            rerated(fake, row)


def rerated(fake: FakeServer, row: Row) -> None:
    """Price a call by the prices of now."""
    rated, version, currency = fake.prices.rate(row)
    row.update(cost_status=rated.status, price_version=version, currency=currency)
    with_cost(row, rated.cost)


def get_price(fake: FakeServer, request: Request, price_id: str) -> Reply:  # noqa: ARG001
    return 200, fake.prices.get(price_id)


def delete_price(fake: FakeServer, request: Request, price_id: str) -> Reply:  # noqa: ARG001
    return 200, fake.prices.end(price_id, fake.now())


def list_prices(fake: FakeServer, request: Request) -> Reply:
    first = {name: values[0] for name, values in request.query.items()}
    rows = fake.prices.list(first, fake.now())
    part = {n: v for n, v in request.query.items() if n in queries.PARTS}
    answer = queries.page(rows, {**part, "order_by": ["effective_date"]})
    del answer["pagination"]["offset"]
    return 200, answer


def unpriced(fake: FakeServer, request: Request) -> Reply:
    groups = queries.aggregate(_matching(fake, request), {"group_by": ["provider,model"]})
    shown = ("provider", "model", "unpriced_count", "partially_priced_count")
    waiting = [
        {**{name: group[name] for name in shown}, "total_tokens": group["tokens"]}
        for group in groups
        if group["unpriced_count"] or group["partially_priced_count"]
    ]
    waiting.sort(key=lambda row: (-row["unpriced_count"], -row["partially_priced_count"]))
    return 200, {"data": waiting, "has_more": False, "next_cursor": None}


def rerate(fake: FakeServer, request: Request) -> Reply:
    """Only calls whose cost changes are counted, and corrected unless it is a dry run."""
    asked = request.fields()
    dry_run = asked.pop("dry_run", True)
    old = new = Decimal(0)
    changed: list[Row] = []
    for row in _asked_rows(fake, asked):
        if row["source"] == "manual":
            continue
        rated = fake.prices.rate(row)[0]
        if (rated.status, rated.cost) == (row["cost_status"], row["total_cost"]):
            continue
        old += row["total_cost"] or 0
        new += rated.cost or 0
        changed.append(row)
    report: Row = {
        "dry_run": dry_run,
        "records": len(changed),
        "old_total": old,
        "new_total": new,
        "difference": new - old,
    }
    if dry_run:
        return 200, report
    for row in changed:
        rerated(fake, row)
    return 200, {**report, "rerate_id": fake.new_id("rer")}


def token(fake: FakeServer, request: Request) -> Reply:  # noqa: ARG001
    return 200, {"access_token": fake.new_id("tok"), "token_type": "Bearer", "expires_in": 3600}


def health(fake: FakeServer, request: Request) -> Reply:  # noqa: ARG001
    return 200, {"status": "healthy", "checks": {}}


def _matching(fake: FakeServer, request: Request) -> list[Row]:
    own = fake.organization_id
    named = request.query.get("organization_id", [])
    if own is not None and any(organization != own for organization in named):
        raise Refusal(403, "ORGANIZATION_MISMATCH", "another organization than the key's")
    return queries.matching(fake.ledger.rows, request.query, fake.now())


def routed(*rows: tuple[str, str, Callable[..., Reply]]) -> list[Route]:
    """Method, path and handler of each route, the path compiled."""
    return [(method, re.compile(path), handler) for method, path, handler in rows]


API = "/api/v1"
ID = "([^/]+)"
ROUTES = routed(
    ("POST", f"{API}/usage", post_usage),
    ("POST", f"{API}/usage/batch", post_usage_batch),
    ("GET", f"{API}/usage/history", list_rows),
    ("GET", f"{API}/usage/(?!history$|batch$){ID}", get_row),
    ("POST", f"{API}/costs", post_cost),
    ("GET", f"{API}/costs", list_rows),
    ("POST", f"{API}/costs/bulk", post_cost_bulk),
    ("GET", f"{API}/costs/summary", summary),
    ("GET", f"{API}/costs/aggregate", aggregate),
    ("POST", f"{API}/costs/breakdown", breakdown),
    ("POST", f"{API}/costs/query", query_rows),
    ("POST", f"{API}/costs/estimate", estimate),
    ("POST", f"{API}/estimates/cost", estimate),
    ("GET", f"{API}/costs/(?!summary$|aggregate$){ID}", get_row),
    ("PATCH", f"{API}/costs/{ID}", patch_cost),
    ("PUT", f"{API}/costs/{ID}", patch_cost),
    ("DELETE", f"{API}/costs/{ID}", delete_cost),
    ("GET", f"{API}/analytics", aggregate),
    ("POST", f"{API}/pricing", post_price),
    ("GET", f"{API}/pricing", list_prices),
    ("GET", f"{API}/pricing/unpriced", unpriced),
    ("POST", f"{API}/pricing/rerate", rerate),
    ("GET", f"{API}/pricing/(?!unpriced$){ID}", get_price),
    ("PUT", f"{API}/pricing/{ID}", put_price),
    ("DELETE", f"{API}/pricing/{ID}", delete_price),
    ("POST", "/oauth/token", token),
    ("GET", "/health", health),
)
