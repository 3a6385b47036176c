"""What a response says of how it was served: model, id, tier, region, the provider's own cost."""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.paths import Body, Path, at_path
from llm_cost_ops.core.providers.shapes import Cost, Shape

MAX_TEXT = 512
_MAX_TIER = 64

_TIERS = MappingProxyType(
    {
        "": None,
        "auto": None,
        "unspecified": None,
        "traffic_type_unspecified": None,
        "service_tier_unspecified": None,
        "default": "standard",
        "standard": "standard",
        "on_demand": "standard",
        "on-demand": "standard",
        "on_demand_flex": "flex",
        "on_demand_priority": "priority",
        "provisioned_throughput": "provisioned",
        "service_tier_standard": "standard",
        "service_tier_flex": "flex",
        "service_tier_priority": "priority",
    }
)
"""Reported tier names that are not ours. `auto` is what was asked for, not what was served."""

_NO_REGION = "not_available"


def text_at(body: Body, paths: tuple[Path, ...]) -> str | None:
    """The first path that holds something. Raises UsageError when that is no text of 1 to 512."""
    for path in paths:
        value = body.get(path[0]) if len(path) == 1 else at_path(body, path)
        if value is None or value == "":
            continue
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise UsageError(".".join(path), f"must be text of at most {MAX_TEXT} characters")
        return value
    return None


def id_at(body: Body, paths: tuple[Path, ...]) -> str | None:
    """The provider's id of the response; None where it is no usable text or number."""
    for path in paths:
        value = body.get(path[0]) if len(path) == 1 else at_path(body, path)
        if isinstance(value, str) and 0 < len(value) <= MAX_TEXT:
            return value
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
            return str(value)
    return None


def served_tier(body: Body, shape: Shape) -> str | None:
    """The tier that served the call, in our names; None when the response does not say."""
    served = None
    for path in shape.tier:
        value = body.get(path[0]) if len(path) == 1 else at_path(body, path)
        if value is None:
            continue
        if not isinstance(value, str) or len(value) > _MAX_TIER:
            raise UsageError(".".join(path), f"must be text of at most {_MAX_TIER} characters")
        name = value.lower()
        tier = _TIERS.get(name, name)
        if tier is not None and tier != "standard":
            return tier
        served = tier or served
    return served


def served_region(body: Body, path: Path) -> str | None:
    """Where the model ran, as reported, in lower case; None when not reported."""
    region = text_at(body, (path,))
    return None if region is None or region.lower() == _NO_REGION else region.lower()


def stated_cost(body: Body, cost: Cost, warnings: list[str]) -> Decimal | None:
    """The provider's own charge in USD. An unusable statement is left out, with a warning."""
    value = at_path(body, cost.at)
    if value is None:
        return None
    amount = _amount(value)
    if amount is None:
        warnings.append(f"{'.'.join(cost.at)} is not an amount and was left out")
        return None
    return amount.scaleb(-cost.scale) if cost.scale else amount


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, int) and abs(value) > 2**63:
        return None
    amount = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not amount.is_finite() or amount < 0 or amount.adjusted() > 18:
        return None
    return amount if len(amount.as_tuple().digits) <= 28 else None
