"""Domain errors carry a stable code and the field at fault."""

from __future__ import annotations

from datetime import date

from llm_cost_ops.core.errors import DomainError, PriceNotFound, UsageError


def test_the_documented_text_of_a_missing_price() -> None:
    error = PriceNotFound("openai", "gpt-4-turbo", date(2025, 1, 15))
    assert error.code == "COST_001"
    assert error.message == "Pricing table not found for openai/gpt-4-turbo on 2025-01-15"
    assert error.field_errors == {}
    assert (error.provider, error.model, error.on) == ("openai", "gpt-4-turbo", date(2025, 1, 15))


def test_a_field_at_fault_is_named() -> None:
    error = UsageError("prompt_tokens", "is required")
    assert (error.code, error.field_errors) == ("USAGE_001", {"prompt_tokens": "is required"})
    assert DomainError("no").field_errors == {}
