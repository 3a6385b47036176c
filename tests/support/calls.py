"""Calls sent to a running app, and what its ledger then holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import text

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.server.db.session import read, snapshot, write
from llm_cost_ops.server.ledger.verify import Verification, verify
from tests.support.application import Application

JSON = {"Content-Type": "application/json"}
NOON = "2025-06-15T12:00:00Z"


def usage(event_id: str | None = None, **fields: Any) -> dict[str, Any]:
    """A usage record of 1,000 prompt and 500 completion tokens of gpt-4o, at noon."""
    record = {
        "provider": "openai",
        "model": "gpt-4o",
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "timestamp": NOON,
        **({} if event_id is None else {"event_id": event_id}),
        **fields,
    }
    return {name: value for name, value in record.items() if value is not None}


def body_of(answer: httpx.Response) -> Any:
    """The JSON of an answer with exact numbers."""
    return loads(answer.text)


def send(app: Application, path: str, value: object, **options: Any) -> httpx.Response:
    """POST a value as exact JSON."""
    headers = {**JSON, **options.pop("headers", {})}
    return app.post(f"/api/v1{path}", content=dumps(value), headers=headers, **options)


def put(app: Application, path: str, value: object) -> httpx.Response:
    return app.request("PUT", f"/api/v1{path}", content=dumps(value), headers=JSON)


def accepted(answer: httpx.Response, *statuses: int) -> Any:
    """The JSON of an answer that had one of these statuses (2xx when none is named)."""
    fine = answer.status_code in statuses if statuses else answer.is_success
    assert fine, f"{answer.status_code}: {answer.text[:2000]}"
    return body_of(answer)


def record(app: Application, *records: Mapping[str, Any], **options: Any) -> Any:
    """Send records in one batch that must be stored whole."""
    return accepted(send(app, "/usage/batch", {"records": list(records)}, **options), 200)


def statuses(answer: Mapping[str, Any]) -> list[str]:
    return [result["status"] for result in answer["results"]]


def error(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """The error of an answer that was refused with this status."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:2000]}"
    found = body_of(answer)["error"]
    assert code is None or found["code"] == code, found
    return found


def select_all(app: Application, statement: str, **parameters: Any) -> Sequence[Any]:
    with read(app.database) as session:
        return session.execute(text(statement), parameters).all()


def count(app: Application, table: str, where: str = "1 = 1", **parameters: Any) -> int:
    statement = f"SELECT COUNT(*) FROM {table} WHERE organization_id = :org AND {where}"
    return int(select_all(app, statement, org=app.organization_id, **parameters)[0][0])


def tamper(app: Application, statement: str, **parameters: Any) -> None:
    """Change the database behind the ledger's back."""
    with write(app.database) as session:
        session.execute(text(statement), parameters)


def proof(app: Application) -> Verification:
    """What `verify` finds for the organization."""
    with snapshot(app.database) as session:
        return verify(session, app.organization_id)


def assert_proven(app: Application, total: str | int | Decimal | None = None) -> Verification:
    """The rollups are the ledger, and (in its one currency) add up to the total."""
    found = proof(app)
    assert found.ok, found.first_difference
    if total is not None:
        assert found.total_cost == Decimal(total), found.totals
    return found


def set_price(app: Application, model: str = "gpt-4o", **fields: Any) -> Any:
    """An own price per million tokens from 2025 on, 2 in and 8 out unless said otherwise."""
    price = {
        "provider": "openai",
        "model": model,
        "effective_date": "2025-01-01",
        **fields,
    }
    if "prices" not in price and "pricing_structure" not in price:
        price["pricing_structure"] = {
            "type": "per_token",
            "input_price_per_million": 2,
            "output_price_per_million": 8,
        }
    return accepted(send(app, "/pricing", price), 201)


def cost_row(app: Application, record_id: str) -> dict[str, Any]:
    """One call as the API shows it."""
    return accepted(app.get(f"/api/v1/costs/{record_id}"), 200)
