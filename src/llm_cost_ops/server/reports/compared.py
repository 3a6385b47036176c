"""What a comparison with another period may say, and what is to be said beside it.

A change is known where both amounts are: where calls were paid in a currency that no rate converts,
or no call has a price yet, it is not.
"""

from __future__ import annotations

from decimal import Decimal

from llm_cost_ops.core.instant import to_micros
from llm_cost_ops.core.wording import calls
from llm_cost_ops.server.analytics.totals import Totals
from llm_cost_ops.server.reports.material import Earlier, Material, period_text, ratio


def cost_cell(totals: Totals) -> int | None:
    """The cost in units of 1e-10; None where there are calls and none of them has a price."""
    return None if totals.is_unpriced else totals.cost


def change_of(now: int | None, before: int | None) -> Decimal | None:
    """The relative change; None to nothing or from nothing known."""
    return None if now is None or not before else ratio(now - before, abs(before))


def is_comparable(material: Material, other: Earlier) -> bool:
    """Whether the totals of both periods hold all of their calls."""
    return not material.elsewhere and not other.elsewhere


def change_to(
    material: Material, other: Earlier | None, now: int | None, before: int | None
) -> Decimal | None:
    """The relative change of a figure since another period, None where it is not known."""
    if other is None or not is_comparable(material, other):
        return None
    return change_of(now, before)


def difference(material: Material, other: Earlier) -> int | None:
    """How much more the report's period cost than another one, None where it is not known."""
    now, before = cost_cell(material.overview), cost_cell(other.totals)
    if now is None or before is None or not is_comparable(material, other):
        return None
    return now - before


def is_unfinished(material: Material) -> bool:
    """Whether the report's period is not over yet."""
    return material.wanted.selection.window.end_us > to_micros(material.at.now)


def remarks(material: Material, other: Earlier) -> list[str]:
    """What a comparison with another period lacks, a sentence each."""
    when = period_text(other.window, material.wanted)
    said = [
        f"{calls(found.requests)} of {when} paid in {currency}, which no rate converts: "
        f"{found.total_cost} {currency} are not in it, and the change is not known."
        for currency, found in sorted(other.elsewhere.items())
    ]
    if material.elsewhere and not other.elsewhere:
        paid = ", ".join(sorted(material.elsewhere))
        said.append(f"Calls of this period were paid in {paid}: the change is not known.")
    unpriced = other.totals.unpriced
    if unpriced:
        said.append(f"Not in the cost of {when}: {calls(unpriced)} without a price.")
    return said


def unfinished_remark(material: Material) -> list[str]:
    """What is to be said once of a period that is not over."""
    if not is_unfinished(material):
        return []
    return ["This period is not over: what it holds up to now is compared with whole periods."]
