"""The column table against the specification: names, versions, levels, and the order of output."""

from __future__ import annotations

import pytest

from llm_cost_ops.core.focus.columns import (
    COLUMNS,
    DECIMAL,
    FOCUS_COLUMNS,
    JSON,
    OWN,
    VERSIONS,
    FocusError,
    columns_of,
)

MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
    "PricingQuantity", "PricingUnit", "ServiceCategory", "ServiceName",
}  # fmt: skip
ENTITIES = {
    "1.2": {"ProviderName", "PublisherName"},
    "1.3": {"ProviderName", "PublisherName", "ServiceProviderName", "HostProviderName"},
    "1.4": {"ServiceProviderName", "HostProviderName"},
}
RECOMMENDED = {
    "1.2": {"AvailabilityZone", "ChargeFrequency", "InvoiceId", "ServiceSubcategory"},
    "1.3": {
        "AllocatedMethodDetails", "AvailabilityZone", "ChargeFrequency", "InvoiceId",
        "ServiceSubcategory",
    },
    "1.4": {"AllocatedMethodDetails", "AvailabilityZone", "ChargeFrequency", "ServiceSubcategory"},
}  # fmt: skip
NOT_NULL = {
    "BilledCost", "BillingAccountId", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeFrequency", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "HostProviderName",
    "InvoiceIssuerName", "ListCost", "PricingCurrency", "PricingCurrencyEffectiveCost",
    "ProviderName", "PublisherName", "ServiceCategory", "ServiceName", "ServiceProviderName",
    "ServiceSubcategory",
}  # fmt: skip
JSON_COLUMNS = {
    "AllocatedMethodDetails", "AllocatedTags", "CommitmentProgramEligibilityDetails",
    "ContractApplied", "SkuPriceDetails", "Tags",
}  # fmt: skip


@pytest.mark.parametrize(("version", "count"), [("1.2", 57), ("1.3", 65), ("1.4", 65)])
def test_a_version_has_the_columns_of_its_specification(version: str, count: int) -> None:
    assert sum(1 for column in columns_of(version) if column.level != OWN) == count


@pytest.mark.parametrize("version", VERSIONS)
def test_levels_are_those_of_the_specification(version: str) -> None:
    levels = {column.name: column.level_in(version) for column in columns_of(version)}
    assert {name for name, level in levels.items() if level == "M"} == MANDATORY | ENTITIES[version]
    assert {name for name, level in levels.items() if level == "R"} == RECOMMENDED[version]


def test_what_may_be_null_and_what_is_json_is_as_specified() -> None:
    assert {column.name for column in FOCUS_COLUMNS if not column.nullable} == NOT_NULL
    assert {column.name for column in FOCUS_COLUMNS if column.type == JSON} == JSON_COLUMNS


@pytest.mark.parametrize("version", VERSIONS)
def test_columns_of_focus_come_first_and_ours_begin_with_x(version: str) -> None:
    names = [column.name for column in columns_of(version)]
    ours = [name.startswith("x_") for name in names]
    assert ours == sorted(ours)
    assert any(ours)
    assert names == sorted(names, key=lambda name: (name.startswith("x_"), name.lower()))
    assert [c.name for c in columns_of(version) if c.level == OWN] == [
        name for name in names if name.startswith("x_")
    ]
    assert all(name.removeprefix("x_").isalnum() and len(name) <= 50 for name in names)
    assert len(set(names)) == len(names)


def test_names_of_providers_are_deprecated_before_they_go() -> None:
    for name in ("ProviderName", "PublisherName"):
        assert COLUMNS[name].deprecated == ("1.3",)
        assert COLUMNS[name].versions == ("1.2", "1.3")
    assert COLUMNS["InvoiceDetailId"].versions == ("1.4",)
    assert COLUMNS["ContractApplied"].versions == ("1.3", "1.4")


def test_every_column_says_what_is_in_it_and_costs_say_what_unpriced_means() -> None:
    assert all(column.content.endswith((".", "`.")) for column in COLUMNS.values())
    for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
        assert "unpriced" in COLUMNS[name].deviation
        assert COLUMNS[name].type == DECIMAL


def test_refuses_a_version_that_is_not_known() -> None:
    with pytest.raises(FocusError) as refused:
        columns_of("1.1")
    assert refused.value.field == "version"
    assert "1.4" in refused.value.message
