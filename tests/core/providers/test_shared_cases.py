"""The public response cases, when they lie beside the repository."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.core.providers.extract import extract

SHARED = Path(os.environ.get("COST_OPS_SHARED", Path(__file__).parents[4] / "shared"))
CASES = SHARED / "cases" / "provider_responses.jsonl"


def cases() -> list[dict[str, Any]]:
    if not CASES.exists():
        return []
    return [json.loads(line) for line in CASES.read_text("utf-8").splitlines()]


@pytest.mark.skipif(not CASES.exists(), reason="no shared cases")
@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case["id"]))
def test_usage_and_model(case: dict[str, Any]) -> None:
    found = extract(case["provider"], case["response"], case["api_flavor"])
    assert found.usage == case["expected_usage"]
    assert found.model == case["expected_model"]


@pytest.mark.skipif(not CASES.exists(), reason="no shared cases")
@pytest.mark.parametrize(
    "case", [c for c in cases() if c["api_flavor"] != "tokens"], ids=lambda case: str(case["id"])
)
def test_the_form_is_found_without_its_flavour(case: dict[str, Any]) -> None:
    assert extract(case["provider"], case["response"]).usage == case["expected_usage"]
