"""The shared cost cases, priced with the packaged book instead of their own prices."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.core.instant import parse_instant
from llm_cost_ops.core.pricing.rate import rate
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.core.usage import check_usage
from tests.support.price_books import cost, packaged

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("COST_OPS_SHARED", ROOT.parent / "shared"))
CASES = SHARED / "cases" / "cost_cases.jsonl"

NOT_STATED = {
    "gp-matrix-0479": "fast mode, which the item does not state",
    "gp-matrix-0485": "fast mode, which the item does not state",
    "gp-matrix-0531": "an EU route, which the item does not state",
}
"""Cases whose price context is in their tags only, so that the standard price is the answer."""


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    if not CASES.exists():
        pytest.skip("shared cases are absent")
    lines = CASES.read_text(encoding="utf-8").splitlines()
    return [json.loads(line, parse_float=Decimal) for line in lines]


def _cost(case: dict[str, Any]) -> Decimal | None:
    found = packaged().resolve(
        provider_id(case["provider"]) or case["provider"],
        case["model"],
        at=parse_instant(case["timestamp"]),
        service_tier=case.get("service_tier"),
        processing=case.get("processing"),
        region=case.get("region"),
    )
    if found is None:
        return None
    return rate(check_usage(case["usage"]), found.card, found.adjustments).cost


def test_all_cases_but_those_that_hide_their_context_cost_what_they_say(
    cases: list[dict[str, Any]],
) -> None:
    different = {
        case["id"]: str(_cost(case))
        for case in cases
        if _cost(case) != Decimal(case["expected_cost_usd_10dp"])
    }
    assert different.keys() == NOT_STATED.keys(), different


def test_the_hidden_contexts_are_priced_when_they_are_stated(cases: list[dict[str, Any]]) -> None:
    stated = {"gp-matrix-0531": {"region": "mistral/eu"}}
    for case in cases:
        if case["id"] in NOT_STATED:
            given = {**case, **stated.get(case["id"], {"service_tier": "fast"})}
            assert _cost(given) == Decimal(case["expected_cost_usd_10dp"])


@pytest.mark.parametrize(
    ("provider", "model", "usage", "context", "expected"),
    [
        ("anthropic", "claude-opus-5-5", {"output_tokens": 1000}, {"service_tier": "fast"}, "0.04"),
        ("openai", "gpt-4.1", {"input_tokens": 1000}, {"service_tier": "default"}, "0.002"),
        ("openai", "gpt-4.1", {"input_tokens": 1000}, {"service_tier": "batch"}, "0.001"),
    ],
)
def test_contexts_as_providers_report_them(
    provider: str, model: str, usage: dict[str, int], context: dict[str, str], expected: str
) -> None:
    assert cost(provider, model, usage, **context) == Decimal(expected)
