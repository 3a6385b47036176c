"""The shared golden responses, as every SDK replays them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.extract import Extracted, extract, extract_stream

FIXTURES = Path(__file__).parents[3] / "contract" / "fixtures" / "responses.json"
CASES: list[dict[str, Any]] = json.loads(FIXTURES.read_text("utf-8"))["cases"]


def run(case: dict[str, Any]) -> Extracted:
    if "chunks" in case:
        return extract_stream(case["provider"], case["chunks"], case.get("api_flavor"))
    return extract(case["provider"], case["response"], case.get("api_flavor"))


def quantities(usage: dict[str, Any]) -> dict[str, Any]:
    return {kind: Decimal(q) if isinstance(q, str) else q for kind, q in usage.items()}


@pytest.mark.parametrize(
    "case", [c for c in CASES if "expected" in c], ids=lambda case: str(case["id"])
)
def test_expected(case: dict[str, Any]) -> None:
    expected = case["expected"]
    found = run(case)
    cost = expected.get("reported_cost")
    assert found.usage == quantities(expected["usage"])
    assert found.model == expected.get("model")
    assert found.response_id == expected.get("response_id")
    assert found.service_tier == expected.get("service_tier")
    assert found.region == expected.get("region")
    assert found.reported_cost == (None if cost is None else Decimal(cost))
    assert found.processing == expected.get("processing")
    assert len(found.warnings) == expected.get("warnings", 0), found.warnings


@pytest.mark.parametrize(
    "case", [c for c in CASES if "expected_error" in c], ids=lambda case: str(case["id"])
)
def test_refused(case: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refusal:
        run(case)
    assert refusal.value.field == case["expected_error"]["field"]


def test_there_are_enough_and_no_two_of_one_name() -> None:
    assert len(CASES) >= 60
    assert len({case["id"] for case in CASES}) == len(CASES)
