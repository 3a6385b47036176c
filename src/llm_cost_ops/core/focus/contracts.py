"""ContractApplied: which commitment of which contract a charge is counted against (FOCUS 1.3)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from llm_cost_ops.core.jsontext import dumps, loads
from llm_cost_ops.core.money import EXACT

_COST = "ContractCommitmentAppliedCost"


def applied(parts: Iterable[tuple[str, str, Decimal]]) -> str:
    """JSON text of what is applied to commitments: contract, commitment and cost of each."""
    elements = [
        {"ContractID": contract, "ContractCommitmentID": commitment, _COST: cost}
        for contract, commitment, cost in parts
    ]
    return dumps({"Elements": elements})


@lru_cache(maxsize=4096)
def _elements(text: str) -> list[dict[str, Any]]:
    return loads(text)["Elements"]


def applied_key(text: str) -> Hashable:
    """The commitments without their amounts: what charges that are added up have in common."""
    return tuple((item["ContractID"], item["ContractCommitmentID"]) for item in _elements(text))


def add_applied(one: str, other: str) -> str:
    """The sum of two with the same key."""
    added: list[dict[str, Any]] = []
    for left, right in zip(_elements(one), _elements(other), strict=True):
        added.append({**left, _COST: EXACT.add(Decimal(left[_COST]), Decimal(right[_COST]))})
    return dumps({"Elements": added})
