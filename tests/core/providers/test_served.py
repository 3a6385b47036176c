"""What a response says of how it was served: tier, id and stated cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.extract import extract


class TestServed:
    @pytest.mark.parametrize(
        ("reported", "tier"),
        [
            ("default", "standard"),
            ("standard", "standard"),
            ("on_demand", "standard"),
            ("auto", None),
            ("", None),
            (None, None),
            ("FLEX", "flex"),
            ("priority", "priority"),
            ("scale", "scale"),
            ("ultrafast", "ultrafast"),
        ],
    )
    def test_tier_names(self, reported: str | None, tier: str | None) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        assert extract("openai", {"service_tier": reported, "usage": usage}).service_tier == tier

    def test_a_tier_name_that_is_too_long(self) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        assert extract("openai", {"service_tier": "t" * 64, "usage": usage}).service_tier
        with pytest.raises(UsageError, match="at most 64 characters"):
            extract("openai", {"service_tier": "t" * 65, "usage": usage})

    @pytest.mark.parametrize(
        ("reported", "response_id"),
        [
            ("a", "a"),
            (17, "17"),
            (True, None),
            ("", None),
            ("x" * 512, "x" * 512),
            ("x" * 513, None),
            (2**63, None),
            ({"oid": 1}, None),
        ],
    )
    def test_response_ids(self, reported: object, response_id: str | None) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        assert extract("openai", {"id": reported, "usage": usage}).response_id == response_id

    @pytest.mark.parametrize(
        ("stated", "cost"),
        [
            (0, "0"),
            (2, "2"),
            (1.4e-05, "0.000014"),
            (Decimal("0.1"), "0.1"),
            ("0.1", None),
            (True, None),
            (-0.1, None),
            (float("nan"), None),
            (float("inf"), None),
            (1e300, None),
            (2**64, None),
            (Decimal("0." + "1" * 29), None),
            ({"total": 1}, None),
        ],
    )
    def test_stated_costs(self, stated: object, cost: str | None) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": stated}
        found = extract("openrouter", {"usage": usage})
        assert found.reported_cost == (None if cost is None else Decimal(cost))
        assert bool(found.warnings) == (cost is None)

    def test_a_cost_not_stated_is_no_fault(self) -> None:
        usage: dict[str, Any] = {"prompt_tokens": 1, "completion_tokens": 1, "cost": None}
        found = extract("openrouter", {"usage": usage})
        assert (found.reported_cost, found.warnings) == (None, ())

    def test_another_provider_s_cost_field_is_not_read(self) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 3}
        assert extract("acme", {"usage": usage}).reported_cost is None
