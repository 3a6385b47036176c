"""Usage extraction: a provider's response body to inclusive counts per usage kind.

Counts are inclusive whatever the provider reports (PRICING rules 5 and 6): cached tokens are part
of the input, reasoning is part of the output. Nothing but counts, ids, names and stated costs is
read; prompts and completions are not looked at and not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import cast

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.block import usage_block
from llm_cost_ops.core.providers.counts import check_sums
from llm_cost_ops.core.providers.detect import shape_of
from llm_cost_ops.core.providers.envelopes import open_envelopes
from llm_cost_ops.core.providers.names import provider_id
from llm_cost_ops.core.providers.notes import NOTES
from llm_cost_ops.core.providers.paths import Body, at_path
from llm_cost_ops.core.providers.served import (
    id_at,
    served_region,
    served_tier,
    stated_cost,
    text_at,
)
from llm_cost_ops.core.providers.shapes import PROFILES, Shape, profile_for
from llm_cost_ops.core.providers.streams import fold
from llm_cost_ops.core.usage import MAX_QUANTITY, Quantity


@dataclass(slots=True)  # frozen would double the time to make one for each response
class Extracted:
    """What one response says about its call.

    `usage`: inclusive counts, zero kinds left out (seconds may be Decimal). `service_tier`: the
    tier that served the call: standard, flex, priority, batch, fast, scale, provisioned, or the
    provider's own word; None when not reported. `region`: lower case, None when not reported.
    `reported_cost`: the provider's own charge in USD. `processing`: "batch" when the body proves
    it, else None.
    """

    usage: dict[str, Quantity]
    model: str | None
    response_id: str | None
    service_tier: str | None
    region: str | None
    reported_cost: Decimal | None
    processing: str | None
    warnings: tuple[str, ...]
    _shape: Shape = field(repr=False)
    _block: Body = field(repr=False)

    def usage_block(self) -> dict[str, object]:
        """The raw usage part under its own keys, safe to store; extracting it again gives the same
        counts, tool calls outside of it aside."""
        return usage_block(self._shape, self._block)


def extract(provider: str, body: Mapping[str, object], api_flavor: str | None = None) -> Extracted:
    """Usage, model, tier and stated cost of one response body, event or batch output line.

    `provider` is any known name or the id of a custom provider, whose body is read by its form.
    Raises UsageError naming the field: no usage, a bad count, or counts that cannot all be true.
    """
    profile = PROFILES.get(provider) or profile_for(provider_id(provider) or provider)
    received = body = _decoded(body)
    processing = "batch" if api_flavor == "batch" else None
    if "usageMetadata" not in body and type(body.get("usage")) is not dict:
        opened = open_envelopes(body)
        body, processing = opened.body, opened.processing or processing
    shape = shape_of(profile, body, api_flavor)
    block = cast("Body", at_path(body, shape.at))
    usage, warnings = _counts(body, block, shape)
    tier = served_tier(body, shape)
    cost = stated_cost(body, profile.cost, warnings) if profile.cost else None
    model = text_at(body, shape.model)
    if model is None and received is not body:
        model = text_at(received, shape.model)
    return Extracted(
        usage,
        model,
        id_at(body, shape.id),
        tier,
        served_region(body, shape.region) if shape.region else None,
        cost,
        "batch" if tier == "batch" else processing,
        tuple(warnings),
        shape,
        block,
    )


def extract_stream(
    provider: str, chunks: Iterable[Mapping[str, object]], api_flavor: str | None = None
) -> Extracted:
    """`extract` of the chunks or events of one streamed response, in order.

    Raises UsageError also when the stream ended before its usage came, or holds two responses.
    """
    return extract(provider, fold(chunks), api_flavor)


def _decoded(body: object) -> Body:
    if isinstance(body, dict):
        return cast("Body", body)
    if not isinstance(body, Mapping):
        raise UsageError("response", "must be an object")
    return dict(cast("Body", body))


def _counts(body: Body, block: Body, shape: Shape) -> tuple[dict[str, Quantity], list[str]]:
    usage: dict[str, Quantity] = {}
    warnings: list[str] = []
    if not shape.read(block, usage) and shape.template:
        raise UsageError(".".join(shape.at) or "usage", "is missing: the response reports no usage")
    for note in shape.notes:
        NOTES[note](body, block, shape, usage, warnings)
    if shape.total:
        _compare_total(block, shape.total, usage, warnings)
    if shape.adds and usage and max(usage.values()) > MAX_QUANTITY:
        raise UsageError("usage", f"adds up to more than {MAX_QUANTITY}")
    check_sums(usage)
    return usage, warnings


def _compare_total(
    block: Body, key: str, usage: Mapping[str, Quantity], warnings: list[str]
) -> None:
    """The provider's own sum tells when parts that were added up were not additive after all."""
    total = block.get(key)
    ours = usage.get("input_tokens", 0) + usage.get("output_tokens", 0)
    if isinstance(total, int) and total != ours:
        warnings.append(f"{key} is {total}, the sum of its parts is {ours}")
