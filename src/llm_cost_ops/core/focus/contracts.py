"""ContractApplied: which commitment of which contract a charge is counted against (FOCUS 1.3)."""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.core.money import EXACT

_COST = "ContractCommitmentAppliedCost"
_QUANTITY = "ContractCommitmentAppliedQuantity"
_UNIT = "ContractCommitmentAppliedUnit"


def applied(
    contract_id: str,
    commitment_id: str,
    *,
    cost: Decimal | None = None,
    quantity: Decimal | None = None,
    unit: str | None = None,
) -> str:
    """JSON text of one commitment with the cost, or the quantity and its unit, applied to it."""
    element: dict[str, object] = {
        "ContractID": contract_id,
        "ContractCommitmentID": commitment_id,
    }
    if cost is not None:
        element[_COST] = cost
    if quantity is not None:
        element[_QUANTITY], element[_UNIT] = quantity, unit
    return dumps({"Elements": [element]})


@lru_cache(maxsize=4096)
def _elements(text: str) -> list[dict[str, Any]]:
    return loads(text)["Elements"]


def applied_key(text: str) -> Hashable:
    """The commitments without their amounts: what charges that are added up have in common."""
    return tuple(
        (item["ContractID"], item["ContractCommitmentID"], item.get(_UNIT))
        for item in _elements(text)
    )


def add_applied(one: str, other: str) -> str:
    """The sum of two with the same key."""
    added: list[dict[str, Any]] = []
    for left, right in zip(_elements(one), _elements(other), strict=True):
        item = dict(left)
        for name in (_COST, _QUANTITY):
            if name in left:
                item[name] = EXACT.add(Decimal(left[name]), Decimal(right[name]))
        added.append(item)
    return dumps({"Elements": added})
