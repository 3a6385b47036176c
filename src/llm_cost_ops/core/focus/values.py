"""Closed lists of the specification that more than one module needs."""

from __future__ import annotations

USAGE = "Usage"
PURCHASE = "Purchase"
CREDIT = "Credit"
ADJUSTMENT = "Adjustment"
CHARGE_CATEGORIES = (USAGE, PURCHASE, "Tax", CREDIT, ADJUSTMENT)

CORRECTION = "Correction"

SERVICE_CATEGORY = "AI and Machine Learning"
GENERATIVE_AI = "Generative AI"
SERVICE_SUBCATEGORIES = (
    "AI Platforms",
    "Bots",
    GENERATIVE_AI,
    "Machine Learning",
    "Natural Language Processing",
    "Other (AI and Machine Learning)",
)
"""Those of `SERVICE_CATEGORY`."""

PRICE_LIST = "PriceList"
DERIVED = "Derived"
"""Values of `x_UnitPriceBasis`."""

INCLUDED = "included"
COST_STATUSES = ("priced", "partially_priced", "unpriced", INCLUDED)
"""Values of `x_CostStatus`: the ledger's, and of usage whose cost stands in another row."""
