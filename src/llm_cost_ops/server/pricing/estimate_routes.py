"""Estimates over HTTP: what calls would cost; nothing is stored."""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from llm_cost_ops.core.errors import DomainError, UsageError
from llm_cost_ops.core.estimate import estimate_item
from llm_cost_ops.core.jsontext import JsonError
from llm_cost_ops.server.access.deps import own_fields, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import decode, json_response
from llm_cost_ops.server.http.problems import Problem
from llm_cost_ops.server.pricing.deps import prices as prices_of
from llm_cost_ops.server.pricing.resolve import OrganizationPrices

MAX_ITEMS = 10_000
MAX_ERRORS = 100
Reader = Depends(require("read:costs", conditions="apart"))

router = APIRouter(prefix="/api/v1", tags=["estimates"])


async def items_of(request: Request) -> list[object]:
    """`{"items": [..]}`, a bare array, or one item. Raises JsonError, UsageError."""
    value = decode(await request.body())
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        if "items" not in fields:
            return [fields]
        if len(fields) > 1:
            raise UsageError(next(n for n in fields if n != "items"), "is not a known field")
        value = fields["items"]
    if not isinstance(value, list):
        raise JsonError('The body must be {"items": [..]}.')
    items = cast("list[object]", value)
    if not 1 <= len(items) <= MAX_ITEMS:
        raise UsageError("items", f"must be a list of 1 to {MAX_ITEMS} items")
    return items


Items = Depends(items_of)

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["items"],
                    "properties": {
                        "items": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MAX_ITEMS,
                            "items": {
                                "type": "object",
                                "required": ["provider"],
                                "properties": {
                                    "id": {},
                                    "provider": {"type": "string"},
                                    "model": {"type": "string"},
                                    "timestamp": {"type": "string"},
                                    "date": {"type": "string"},
                                    "usage": {"type": "object"},
                                    "response": {"type": "object"},
                                    "api_flavor": {"type": "string"},
                                    "service_tier": {"type": "string"},
                                    "processing": {"type": "string"},
                                    "region": {"type": "string"},
                                    "prices": {"type": "object"},
                                },
                            },
                        }
                    },
                }
            }
        },
    }
}


@router.post("/costs/estimate", operation_id="estimateCosts", openapi_extra=_BODY)
@router.post("/estimates/cost", operation_id="estimateCost", openapi_extra=_BODY)
def estimate(
    request: Request, items: list[object] = Items, principal: Principal = Reader
) -> Response:
    """The exact cost of calls, from the price book or from given prices."""
    view = prices_of(request).view(principal.organization_id)
    return json_response({"data": _estimates(request, principal, items, view)})


def _estimates(
    request: Request, principal: Principal, items: list[object], view: OrganizationPrices
) -> list[dict[str, object]]:
    now = deps.clock(request).now()
    answers: list[dict[str, object]] = []
    faults: dict[str, str] = {}
    for index, item in enumerate(items):
        try:
            if not isinstance(item, dict):
                raise UsageError("item", "must be an object")
            fields = own_fields(principal, cast("dict[str, object]", item))
            answers.append(estimate_item(fields, view.book, now=now))
        except DomainError as error:
            faults[f"items[{index}].{error.field or 'item'}"] = error.message
            if len(faults) == MAX_ERRORS:
                break
    if faults:
        raise Problem(422, "VALIDATION_ERROR", "Some items are not valid.", faults)
    return answers
