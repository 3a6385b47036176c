"""Errors of the domain. Each carries a stable code; HTTP statuses are the edge's translation.

DomainError
├── UsageError        USAGE_001         a usage record that cannot be true
├── PriceNotFound     COST_001          no price for provider, model and date
├── PricingError      INVALID_PRICING   a price definition that cannot be used
├── AmountError       VALIDATION_ERROR  an amount of money that is not one
├── InsufficientData  FORECAST_001      a series too short to forecast from
└── FormulaError      INVALID_PRICING   a pricing formula that is refused
"""

from __future__ import annotations

from datetime import date


class DomainError(Exception):
    """Base of all domain errors: `code` is stable, `field_errors` maps a field to its text."""

    code = "VALIDATION_ERROR"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    @property
    def field_errors(self) -> dict[str, str]:
        return {self.field: self.message} if self.field else {}


class UsageError(DomainError):
    """A usage record that is malformed or cannot be true (cached tokens above the prompt)."""

    code = "USAGE_001"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, field=field)


class AmountError(DomainError):
    """Text or number that is not an amount of money within the accepted range."""


class InsufficientData(DomainError):
    """A series too short to forecast from."""

    code = "FORECAST_001"


class PricingError(DomainError):
    """A price definition that cannot be used."""

    code = "INVALID_PRICING"


class FormulaError(PricingError):
    """A pricing formula that is refused: not in the language, too large, or not computable."""


class PriceNotFound(DomainError):
    """No price is known for this provider and model on this date."""

    code = "COST_001"

    def __init__(self, provider: str, model: str, on: date) -> None:
        super().__init__(f"Pricing table not found for {provider}/{model} on {on.isoformat()}")
        self.provider = provider
        self.model = model
        self.on = on
