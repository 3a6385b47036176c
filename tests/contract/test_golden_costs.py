"""The golden costs of `contract/fixtures`, which every SDK replays too."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.core.estimate import estimate_item

FIXTURE = Path(__file__).parents[2] / "contract" / "fixtures" / "costs.json"
CASES: list[dict[str, Any]] = json.loads(FIXTURE.read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_engine_agrees(case: dict[str, Any]) -> None:
    answer = estimate_item(case["item"], None, now=datetime(2026, 11, 20, tzinfo=UTC))
    expected = None if case["total_cost"] is None else Decimal(case["total_cost"])
    assert (answer["cost_status"], answer["total_cost"]) == (case["cost_status"], expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_written_cost_is_the_sum_of_its_parts(case: dict[str, Any]) -> None:
    exact = sum(
        (
            Fraction(Decimal(str(part["quantity"]))) * Fraction(part["price"]) / part["per"]
            for part in case["parts"]
        ),
        Fraction(0),
    )
    if case["total_cost"] is not None:
        written = Decimal(case["total_cost"])
        assert written == written.quantize(Decimal("1e-10"), ROUND_HALF_EVEN)
        assert abs(exact - Fraction(written)) <= Fraction(1, 2 * 10**10)
