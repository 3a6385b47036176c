"""SKU identifiers: stable over time and accounts, without amounts and dates (SkuId, SkuPriceId).

A SKU is a meter of a model at a provider. A SKU price adds what can select another price of it:
tier, processing, region and prompt size. A region that a call names is in it even while all regions
cost the same, so that the id stays when one gets a price of its own. The parts are escaped, so that
no two prices share an id and each price id has one SKU, in ASCII.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

STANDARD_TIER = "standard"
REALTIME = "realtime"
ANY = "any"
"""What stands for a region that is not named, and for a prompt size that selects no price."""


def sku_id(provider: str, model: str, slug: str) -> str:
    """`provider/model/meter`. The model keeps its own slashes: it is what is between the others."""
    return f"{_part(provider)}/{ascii_text(model)}/{_part(slug)}"


def sku_price_id(
    sku: str,
    *,
    service_tier: str | None = None,
    processing: str | None = None,
    region: str | None = None,
    context: str | None = None,
) -> str:
    """`sku/tier/processing/region/context`, with `any` for what is None."""
    parts = (service_tier or STANDARD_TIER, processing or REALTIME, region or ANY, context or ANY)
    return "/".join((sku, *(_part(part) for part in parts)))


def context_tier(input_tokens: int, bounds: Sequence[int]) -> str | None:
    """The prompt size that selects the price, of `bounds` above which prices change (ascending, as
    `CompiledRate.bounds` has them): `le200k` and `gt200k`, or `lt200k` and `ge200k` where the bound
    is one token below a round number. None without bounds."""
    if not bounds:
        return None
    step = bisect_left(bounds, input_tokens)
    lower = _above(bounds[step - 1]) if step else ""
    upper = _up_to(bounds[step]) if step < len(bounds) else ""
    return "-".join(part for part in (lower, upper) if part)


def _above(bound: int) -> str:
    return f"ge{_short(bound + 1)}" if (bound + 1) % 1000 == 0 else f"gt{_short(bound)}"


def _up_to(bound: int) -> str:
    return f"lt{_short(bound + 1)}" if (bound + 1) % 1000 == 0 else f"le{_short(bound)}"


def _short(tokens: int) -> str:
    return f"{tokens // 1000}k" if tokens and tokens % 1000 == 0 else str(tokens)


def _part(text: str) -> str:
    return ascii_text(text).replace("/", "%2F")


def ascii_text(text: str) -> str:
    """ASCII alone, because readers refuse other ids: `%` and the bytes of others as `%XX`."""
    text = text.replace("%", "%25")
    if text.isascii():
        return text
    return "".join(c if c.isascii() else _bytes(c) for c in text)


def _bytes(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
