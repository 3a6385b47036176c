"""Writes docs/reference/focus.md: every column, what is in it, and where we deviate.

python tools/docs/focus.py            write it
python tools/docs/focus.py --check    exit 1 when it is not up to date
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from llm_cost_ops.core.focus.columns import FOCUS_COLUMNS, OWN_COLUMNS, VERSIONS, Column
from llm_cost_ops.core.focus.groups import MAX_GROUPS
from llm_cost_ops.core.focus.meters import CALL, Meter, meter_of
from llm_cost_ops.core.usage import KINDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/focus.md"

HEAD = """\
# FOCUS

<!-- Written by tools/docs/focus.py from the code: change it there. -->

How calls are written in the FinOps Open Cost and Usage Specification (FOCUS), versions 1.2, 1.3 and
1.4, dataset Cost and Usage. The public validator knows the rules of 1.2; rows of 1.3 and 1.4 are
held against the column table below by our tests.

## Rows

- A call has one row per billed kind of usage. Each kind is a SKU of its own, and the kinds do not
  overlap: input tokens that were read from a cache are not in the row of input tokens.
- Rows with the same charge period, SKU price, unit prices, accounts, resource, tags, class and
  dimensions of ours are added up. A charge period with more than {groups} groups is written in
  parts of as many: a group can then have a row in more than one of them.
- The costs of a call's rows sum to the cost of the call in the ledger, to the tenth decimal: what
  is lost by rounding goes to the rows with the largest remainders.
- Unit price x quantity = cost. Where calls were rounded one by one, the sum of the roundings can
  exceed what a reader tolerates (1e-9 of the cost, or 1e-9). It is then a row of its own with
  ChargeCategory `Adjustment`, the same SKU, accounts and tags, and no quantity and price.
- What changed in a closed billing period has ChargeClass `Correction`, the charge period of the
  call and the billing period that was open. What changed in an open one has no class. Corrections
  can be negative in quantity and cost; unit prices never are.
- A cost that is known only for the call as a whole is a row of the meter `Call`: its unit price is
  the cost of a call (`x_UnitPriceBasis` is `Derived`, and added-up rows have the mean). The usage
  of such a call has rows at a price of 0.0, with `x_CostStatus` `included`.
- [Charges that are no calls](../howto/commitments.md) are rows as they were entered. A purchase of
  a commitment has the payment as BilledCost and an EffectiveCost of 0; usage that it pays has a
  BilledCost of 0, and as EffectiveCost what was paid for what is drawn. What is left when it ends
  is a row with CommitmentDiscountStatus `Unused`. So the sums of both columns are the same then.
  Other purchases have their EffectiveCost in rows of their days, credits are negative.
- A row that two commitments pay, as the last of one and the first of the next, names the one that
  pays more, and CommitmentDiscountQuantity is of that one. ContractApplied (1.3) has both.
- Amounts of different currencies are never in one row.
- Charge and billing periods are in UTC, and so are the days that an export is asked for, unless
  `timezone` names a zone: its days then begin in other hours than charge periods of a day do.

Decimals are written with a decimal point and without an exponent, instants in UTC to the second,
null as an empty field. Texts are as they were reported: a spreadsheet may take one that begins with
`=` for a formula, so a FOCUS file is for programs.

## Identifiers

`SkuId` is `provider/model/meter`, `SkuPriceId` is `SkuId/tier/processing/region/context` with `any`
where a call names no region, or the size of the prompt selects no price. A region that is named is
always there, whether it has a price of its own or not: the id stays when it gets one. `%` and what
is not ASCII are percent-encoded, and so is `/` in every part but the model. Both stay the same when
a price, a currency or an account changes. Charges that are no calls have `provider/type/commitment`
(the type is the provider's word) and `provider/name/purchase`.

## Deviations

"""

DEVIATIONS = """\
- `InvoiceId` is null where no invoice is known. The validator reports `InvoiceId-C-004-C` or
  `InvoiceId-C-005-C` for any file, and passes the rule that needs one of them.
- Charges can have an invoice. The rules want one answer for all rows, so that the validator then
  reports `InvoiceId-C-003-C` and `InvoiceId-C-000-O`, too.
- With the criterion of commitments the validator reports `CommitmentDiscountStatus-C-004-C` (and
  `C-002-C` and `C-000-C` above it) for any file: in its model the rule is one for rows without a
  commitment. With a virtual currency it reports `PricingCurrency-C-003-M`, which knows ISO 4217
  alone.
- The metadata of 1.3 and 1.4 has no `Recency` (no time sectors, no completeness). It describes the
  dataset, not a file of it: a file has what was recorded until it was made, and late calls can be
  added to any period. Only a month that is closed stays as it is.
- Names are written as they were given, in Unicode (StringHandling). The validator asks for ASCII in
  every text but tags, and reports the rule `C-002-M` (of BillingAccountId `C-003-M`) of a column
  that has other letters.
- Keys of the 1.5 draft are columns, and keys of `SkuPriceDetails`, that begin with `x_`:
  `x_TokenDirection`, `x_TokenCacheAction`, `x_ModelId`, `x_ModelDeveloper`. The draft may still
  rename them.
"""

COLUMNS_HEAD = """
## Columns

Level: M mandatory, C conditional, R recommended, x ours. Where versions differ each is named.

"""

TABLE = """\
| column | versions | level | null | type | content |
|---|---|---|---|---|---|
"""

METERS_HEAD = """
## Meters

| usage kind | SkuMeter | ConsumedUnit | PricingUnit | direction | cache action |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    columns = (*FOCUS_COLUMNS, *OWN_COLUMNS)
    parts = [
        HEAD.replace("{groups}", f"{MAX_GROUPS:,}"),
        *_deviations(columns),
        DEVIATIONS,
        COLUMNS_HEAD,
        TABLE,
    ]
    parts.extend(_column(column) for column in columns)
    parts.append(METERS_HEAD)
    parts.extend(_meter(meter) for meter in (CALL, *(meter_of(kind) for kind in KINDS)))
    return "".join(parts)


def _deviations(columns: tuple[Column, ...]) -> list[str]:
    """Each deviation once, with the columns that it is of."""
    of: dict[str, list[str]] = {}
    for column in columns:
        if column.deviation:
            of.setdefault(column.deviation, []).append(f"`{column.name}`")
    return [f"- {', '.join(names)}: {text}\n" for text, names in of.items()]


def _column(column: Column) -> str:
    versions = "all" if column.versions == VERSIONS else ", ".join(column.versions)
    if column.deprecated:
        versions = f"{versions} (deprecated in {', '.join(column.deprecated)})"
    levels = {column.level_in(version) for version in column.versions}
    level = column.level if len(levels) == 1 else _levels(column)
    null = "yes" if column.nullable else "no"
    content = column.content
    if column.allowed:
        content = f"{content} Values: {', '.join(f'`{value}`' for value in column.allowed)}."
    return f"| `{column.name}` | {versions} | {level} | {null} | {column.type} | {content} |\n"


def _levels(column: Column) -> str:
    return ", ".join(f"{column.level_in(version)} in {version}" for version in column.versions)


def _meter(meter: Meter) -> str:
    kind = f"`{meter.kind}`" if meter.kind else ""
    cells = (meter.direction, meter.cache_action)
    known = " | ".join(cell or "" for cell in cells)
    return f"| {kind} | {meter.name} | {meter.unit} | {meter.pricing_unit} | {known} |\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    made = page()
    if not check:
        PAGE.write_text(made, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == made:
        return 0
    sys.stderr.write(f"{PAGE.relative_to(ROOT)} is not up to date: run {__file__}\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
