"""The columns of the Cost and Usage dataset, as the specification's Content Constraints have them.

Source: FinOps Open Cost and Usage Specification 1.2, 1.3 and 1.4, the chapters of the columns. What
the 1.5 draft adds for AI (merged into `SkuPriceDetails`, and the columns of principals) is carried
in columns of our own, whose names begin with `x_`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.core.focus.values import (
    CHARGE_CATEGORIES,
    CORRECTION,
    COST_STATUSES,
    DERIVED,
    PRICE_LIST,
    SERVICE_CATEGORY,
    SERVICE_SUBCATEGORIES,
)

VERSIONS = ("1.2", "1.3", "1.4")

STRING = "string"
DECIMAL = "decimal"
DATETIME = "datetime"
JSON = "json"

MANDATORY = "M"
CONDITIONAL = "C"
RECOMMENDED = "R"
OWN = "x"


class FocusError(DomainError):
    """A FOCUS version that is not known, or a charge that FOCUS cannot hold."""

    code = "INVALID_REQUEST"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the dataset. `level` is M, C or R, or x for our own.

    `content` says what we put there and `deviation` where that is not what the specification asks
    for; both are for the conformance page.
    """

    name: str
    type: str
    level: str
    nullable: bool
    content: str
    allowed: tuple[str, ...] = ()
    versions: tuple[str, ...] = VERSIONS
    deprecated: tuple[str, ...] = ()
    levels: tuple[tuple[str, str], ...] = ()
    deviation: str = ""

    def level_in(self, version: str) -> str:
        """M, C, R or x in one version."""
        return dict(self.levels).get(version, self.level)


_FROM_1_3 = ("1.3", "1.4")
_M, _C, _R = MANDATORY, CONDITIONAL, RECOMMENDED
_VIRTUAL = "The same in the currency of the price: see PricingCurrency."
_SPLIT = "Null: charges are not split here; chargeback statements split them."
_UNPRICED_ZERO = (
    "A call without a known price has no cost, and the column may not be null: its rows have 0.0, "
    "`x_CostStatus` is `unpriced`, and ChargeDescription says that the cost is not known."
)

FOCUS_COLUMNS: tuple[Column, ...] = (
    Column("AllocatedMethodDetails", JSON, _R, True, _SPLIT, versions=_FROM_1_3),
    Column("AllocatedMethodId", STRING, _C, True, _SPLIT, versions=_FROM_1_3),
    Column("AllocatedResourceId", STRING, _C, True, _SPLIT, versions=_FROM_1_3),
    Column("AllocatedResourceName", STRING, _C, True, _SPLIT, versions=_FROM_1_3),
    Column("AllocatedTags", JSON, _C, True, _SPLIT, versions=_FROM_1_3),
    Column(
        "AvailabilityZone", STRING, _R, True,
        "Null: providers of models do not tell it.",
    ),
    Column(
        "BilledCost", DECIMAL, _M, False,
        "The cost, to ten places; the rows of a call sum to the cost in the ledger. 0.0 for usage "
        "that a commitment pays.",
        deviation=_UNPRICED_ZERO,
    ),
    Column("BillingAccountId", STRING, _M, False, "The organization's id."),
    Column("BillingAccountName", STRING, _M, True, "The organization's name."),
    Column("BillingAccountType", STRING, _C, False, "`Organization`."),
    Column("BillingCurrency", STRING, _M, False, "The currency of the cost, ISO 4217."),
    Column("BillingPeriodEnd", DATETIME, _M, False, "The end of the billing period, excluded."),
    Column(
        "BillingPeriodStart", DATETIME, _M, False,
        "The calendar month of the call in UTC; the period that was open for what corrects a "
        "closed one.",
    ),
    Column("CapacityReservationId", STRING, _C, True, "Null: not recorded."),
    Column(
        "CapacityReservationStatus", STRING, _C, True, "Null: not recorded.",
        allowed=("Used", "Unused"),
    ),
    Column(
        "ChargeCategory", STRING, _M, False,
        "`Usage` of calls; `Purchase` and `Credit` of charges that are none; `Adjustment` for "
        "amounts without a quantity: what rounding call by call makes, corrections of cost alone.",
        allowed=CHARGE_CATEGORIES,
    ),
    Column(
        "ChargeClass", STRING, _M, True,
        "`Correction` for what changes a closed billing period, else null.",
        allowed=(CORRECTION,),
    ),
    Column("ChargeDescription", STRING, _M, True, "Meter, model and provider in words."),
    Column(
        "ChargeFrequency", STRING, _R, False,
        "`Usage-Based`; for purchases what was entered; `One-Time` for credits and adjustments.",
        allowed=("One-Time", "Recurring", "Usage-Based"),
    ),
    Column("ChargePeriodEnd", DATETIME, _M, False, "The end of the charge period, excluded."),
    Column(
        "ChargePeriodStart", DATETIME, _M, False,
        "The hour (or day) of the call in UTC, also for corrections.",
    ),
    Column(
        "CommitmentDiscountCategory", STRING, _C, True, "`Spend`, of the commitment that pays.",
        allowed=("Spend", "Usage"),
    ),
    Column("CommitmentDiscountId", STRING, _C, True, "Of the commitment that pays."),
    Column("CommitmentDiscountName", STRING, _C, True, "Of the commitment that pays."),
    Column(
        "CommitmentDiscountQuantity", DECIMAL, _C, True,
        "What is bought, drawn or left, in money. Null in corrections.",
    ),
    Column(
        "CommitmentDiscountStatus", STRING, _C, True,
        "`Used` for drawn usage, `Unused` for what expired.",
        allowed=("Used", "Unused"),
    ),
    Column("CommitmentDiscountType", STRING, _C, True, "Of the commitment: the provider's word."),
    Column("CommitmentDiscountUnit", STRING, _C, True, "The currency, where there is a quantity."),
    Column(
        "CommitmentProgramEligibilityDetails", JSON, _C, True,
        "Null: which programs a provider would have offered is not recorded.",
        versions=("1.4",),
        deviation="Always null.",
    ),
    Column(
        "ConsumedQuantity", DECIMAL, _C, True,
        "The raw count: tokens, seconds, requests. Tokens of one row are of one kind only.",
    ),
    Column("ConsumedUnit", STRING, _C, True, "`Tokens`, `Seconds`, `Requests` and so on."),
    Column(
        "ContractApplied", JSON, _C, True,
        "The commitments that pay, each with the cost drawn.", versions=_FROM_1_3,
    ),
    Column(
        "ContractedCost", DECIMAL, _M, False, "The cost after negotiated prices.",
        deviation=_UNPRICED_ZERO,
    ),
    Column(
        "ContractedUnitPrice", DECIMAL, _C, True,
        "The price of a PricingUnit after negotiated factors. Where only a cost is known it is "
        "that cost over the quantity, and `x_UnitPriceBasis` is `Derived`.",
        deviation=_UNPRICED_ZERO,
    ),
    Column(
        "EffectiveCost", DECIMAL, _M, False,
        "As BilledCost; for usage that a commitment pays, what is drawn from it.",
        deviation=_UNPRICED_ZERO,
    ),
    Column(
        "HostProviderName", STRING, _M, False,
        "As ServiceProviderName: what a provider rents itself is not visible.", versions=_FROM_1_3,
    ),
    Column(
        "InvoiceDetailId", STRING, _C, True, "Null: calls are not matched with lines of invoices.",
        versions=("1.4",),
    ),
    Column(
        "InvoiceId", STRING, _R, True, "The provider's invoice where it is known.",
        levels=(("1.4", _C),),
    ),
    Column(
        "InvoiceIssuerName", STRING, _M, False,
        "As ServiceProviderName: calls name no other; of a purchase the marketplace, if one is "
        "named.",
    ),
    Column(
        "ListCost", DECIMAL, _M, False,
        "The cost at public prices; the rows of a call sum to its list cost.",
        deviation=_UNPRICED_ZERO,
    ),
    Column(
        "ListUnitPrice", DECIMAL, _C, True, "The public price of a PricingUnit.",
        deviation=_UNPRICED_ZERO,
    ),
    Column(
        "PricingCategory", STRING, _C, True,
        "`Standard` (batch and tiers too, which are other SkuPriceIds), `Committed` for usage that "
        "a commitment pays, `Other` where no price is known.",
        allowed=("Standard", "Dynamic", "Committed", "Other"),
    ),
    Column(
        "PricingCurrency", STRING, _C, False,
        "As BillingCurrency, or the virtual currency of prepaid credits.",
    ),
    Column("PricingCurrencyContractedUnitPrice", DECIMAL, _C, True, _VIRTUAL),
    Column("PricingCurrencyEffectiveCost", DECIMAL, _C, False, _VIRTUAL),
    Column("PricingCurrencyListUnitPrice", DECIMAL, _C, True, _VIRTUAL),
    Column("PricingQuantity", DECIMAL, _M, True, "The quantity in PricingUnits, exact."),
    Column(
        "PricingUnit", STRING, _M, True,
        "`1000000 Tokens` for tokens; see the meters.",
        deviation="One unit for a kind of usage, whatever number of units a price list quotes: "
        "prices of a thousand tokens or of a minute are converted.",
    ),
    Column(
        "ProviderName", STRING, _M, False, "The provider that sells the service.",
        versions=("1.2", "1.3"), deprecated=("1.3",),
    ),
    Column(
        "PublisherName", STRING, _M, False,
        "As ProviderName; who made the model is `x_ModelDeveloper`.",
        versions=("1.2", "1.3"), deprecated=("1.3",),
    ),
    Column("RegionId", STRING, _C, True, "The region of the call, where it was reported."),
    Column("RegionName", STRING, _C, True, "As RegionId."),
    Column("ResourceId", STRING, _C, True, "The API key that made the call, or the charge."),
    Column(
        "ResourceName", STRING, _C, True,
        "The name of the API key or of the provider's credential with this id, if there is one.",
    ),
    Column("ResourceType", STRING, _C, True, "`API Key`, `Commitment` or `Purchase`."),
    Column(
        "ServiceCategory", STRING, _M, False, "`AI and Machine Learning`.",
        allowed=(SERVICE_CATEGORY,),
    ),
    Column("ServiceName", STRING, _M, False, "The provider's name for the service."),
    Column(
        "ServiceProviderName", STRING, _M, False, "The provider that sells the service.",
        versions=_FROM_1_3,
    ),
    Column(
        "ServiceSubcategory", STRING, _R, False, "`Generative AI`.", allowed=SERVICE_SUBCATEGORIES,
    ),
    Column("SkuId", STRING, _C, True, "`provider/model/meter`."),
    Column("SkuMeter", STRING, _C, True, "`Input Tokens`, `Cache Read Input Tokens` and so on."),
    Column(
        "SkuPriceDetails", JSON, _C, True,
        "Model, direction, cache action, modality, tier, processing, region and context of the "
        "SKU price, with keys that begin with `x_`.",
    ),
    Column(
        "SkuPriceId", STRING, _C, True,
        "`SkuId/tier/processing/region/context`: no amount, no date, no account.",
    ),
    Column("SubAccountId", STRING, _C, True, "The project."),
    Column("SubAccountName", STRING, _C, True, "The project's name, else its id."),
    Column("SubAccountType", STRING, _C, True, "`Project`, where SubAccountId is not null."),
    Column("Tags", JSON, _C, True, "The call's tags; a tag without a value is `true`."),
)  # fmt: skip

OWN_COLUMNS: tuple[Column, ...] = (
    Column("x_CacheLifetime", STRING, OWN, True, "How long written tokens are kept: `5m`, `1h`."),
    Column("x_CallId", STRING, OWN, True, "The call, where a row holds no more than one."),
    Column("x_ConsumerId", STRING, OWN, True, "The end user, as reported (1.5 draft ConsumerId)."),
    Column("x_ContextTier", STRING, OWN, True, "The prompt size that selects the price: `lt200k`."),
    Column(
        "x_CostCenter", STRING, OWN, True,
        "The call's `metadata.cost_center`, else that of its team.",
    ),
    Column(
        "x_CostStatus", STRING, OWN, False,
        "What is known of the row's cost. `included`: the cost of this quantity is in the row of "
        "the call's whole cost.",
        allowed=COST_STATUSES,
    ),
    Column("x_CredentialId", STRING, OWN, True, "The API key (1.5 draft CredentialId)."),
    Column("x_Environment", STRING, OWN, True, "The environment."),
    Column("x_Feature", STRING, OWN, True, "The feature."),
    Column("x_Metadata", JSON, OWN, True, "The call's metadata."),
    Column("x_Modality", STRING, OWN, True, "`text`, `audio`, `image` or `video`."),
    Column("x_ModelDeveloper", STRING, OWN, True, "Who made the model (1.5 draft ModelDeveloper)."),
    Column("x_ModelId", STRING, OWN, True, "The model (1.5 draft ModelId)."),
    Column("x_PriceRule", STRING, OWN, True, "How the price was found."),
    Column("x_PriceVersion", STRING, OWN, True, "The version of the price."),
    Column(
        "x_Processing", STRING, OWN, True, "`realtime`, `batch` and so on.",
    ),
    Column(
        "x_RequestCount", DECIMAL, OWN, False,
        "Calls, counted on the first row of each, so that the column can be summed.",
    ),
    Column("x_ServiceTier", STRING, OWN, True, "The service tier."),
    Column("x_Team", STRING, OWN, True, "The team."),
    Column(
        "x_TokenCacheAction", STRING, OWN, True,
        "Of input tokens (1.5 draft TokenCacheAction); `Uncached` only where the provider meters "
        "cached tokens apart.",
        allowed=("Read", "Write", "Uncached"),
    ),
    Column(
        "x_TokenDirection", STRING, OWN, True,
        "Of tokens (1.5 draft TokenDirection); reasoning tokens are `Output`.",
        allowed=("Input", "Output"),
    ),
    Column("x_TokenKind", STRING, OWN, True, "Our usage kind: `cache_read_tokens`."),
    Column(
        "x_UnitPriceBasis", STRING, OWN, True,
        "Whether the unit prices are of a price list or derived from the cost.",
        allowed=(PRICE_LIST, DERIVED),
    ),
)  # fmt: skip

COLUMNS: Mapping[str, Column] = {c.name: c for c in (*FOCUS_COLUMNS, *OWN_COLUMNS)}


@lru_cache
def columns_of(version: str) -> tuple[Column, ...]:
    """The columns of one version in the order of the output: FOCUS columns first, then ours.

    Raises FocusError for a version that is not one of VERSIONS.
    """
    if version not in VERSIONS:
        raise FocusError(f"must be one of {', '.join(VERSIONS)}", field="version")
    return tuple(c for c in (*FOCUS_COLUMNS, *OWN_COLUMNS) if version in c.versions)
