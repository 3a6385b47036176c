"""The fields of a call that reads may filter, group and order by, under every accepted name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from llm_cost_ops.core.buckets import GRAINS


class Shape(StrEnum):
    """How the values of a field compare."""

    TEXT = "text"
    COUNT = "count"
    MONEY = "money"
    INSTANT = "instant"
    TAGS = "tags"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its wire name and its column. Corrections change the value of a `net` field."""

    name: str
    column: str
    shape: Shape
    net: bool = False

    @property
    def metadata_key(self) -> str:
        return self.name.partition(".")[2]


def _text(name: str, column: str | None = None, *, net: bool = False) -> Field:
    return Field(name, column or name, Shape.TEXT, net)


CURRENCY = _text("currency", net=True)
DIMENSIONS = (
    _text("provider"),
    _text("model", "model_name"),
    _text("project_id"),
    _text("team_id"),
    _text("user_id"),
    _text("api_key_id"),
    _text("environment"),
    _text("feature"),
    _text("service_tier"),
    _text("processing"),
    _text("region"),
    CURRENCY,
    _text("status"),
    _text("cost_status", net=True),
    _text("source"),
    _text("import_id"),
    _text("organization_id"),
)
"""Fields with few enough values to group by."""

_OTHERS = (
    _text("id"),
    _text("event_id"),
    _text("response_id"),
    _text("price_version", net=True),
    _text("price_rule", net=True),
    Field("timestamp", "timestamp", Shape.INSTANT),
    Field("received_at", "received_at", Shape.INSTANT),
    Field("latency_ms", "latency_ms", Shape.COUNT),
    Field("requests", "requests", Shape.COUNT, net=True),
    Field("prompt_tokens", "input_tokens", Shape.COUNT, net=True),
    Field("completion_tokens", "output_tokens", Shape.COUNT, net=True),
    Field("total_tokens", "total_tokens", Shape.COUNT, net=True),
    Field("cached_tokens", "cached_tokens", Shape.COUNT, net=True),
    Field("cache_write_tokens", "cache_write_tokens", Shape.COUNT, net=True),
    Field("reasoning_tokens", "reasoning_tokens", Shape.COUNT, net=True),
    Field("cost", "cost_e10", Shape.MONEY, net=True),
    Field("provider_cost", "provider_cost_e10", Shape.MONEY),
    Field("tags", "tags", Shape.TAGS),
)
_ALIASES = {
    "model_name": "model", "model_id": "model", "project": "project_id", "team": "team_id",
    "user": "user_id", "api_key": "api_key_id", "import": "import_id", "tier": "service_tier",
    "organization": "organization_id", "org_id": "organization_id",
    "ids": "id", "usage_id": "id", "usage_ids": "id", "cost_id": "id", "event_ids": "event_id",
    "tag": "tags", "created_at": "timestamp", "date": "timestamp", "amount": "cost",
    "total_cost": "cost", "calculated_cost": "cost", "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens", "tokens": "total_tokens", "tokens_used": "total_tokens",
}  # fmt: skip
_FIELDS = {field.name: field for field in (*DIMENSIONS, *_OTHERS)}
_BY_DIMENSION = {field.name: field for field in DIMENSIONS}
FIELD_NAMES = (*_FIELDS, "metadata.<key>")
MAX_KEY = 255


def find_field(name: str) -> Field | None:
    """A field by any of its names, or None."""
    if name.startswith("metadata."):
        return Field(name, "metadata", Shape.METADATA) if usable_key(name[9:]) else None
    return _FIELDS.get(_ALIASES.get(name, name))


def usable_key(key: str) -> bool:
    """Whether a metadata key can be named in a query."""
    return 0 < len(key) <= MAX_KEY and key.isprintable()


@dataclass(frozen=True, slots=True)
class Dimension:
    """What rows are grouped by: a field, a bucket of time, a tag, or a value among the tags.

    `key` is the name that the caller used, which is the name in the answer's rows.
    """

    key: str
    field: Field | None = None
    grain: str | None = None
    tag: str | None = None


TAG_DIMENSION = ""
"""`Dimension.tag` when each tag is a group of its own."""


def find_dimension(name: str) -> Dimension | None:
    """A dimension by name: a field, `hour|day|week|month` (`date` is day), `tag`, `tag:<key>`,
    `metadata.<key>`."""
    if name in GRAINS or name == "date":
        return Dimension(name, grain="day" if name == "date" else name)
    if name in ("tag", "tags"):
        return Dimension(name, tag=TAG_DIMENSION)
    if name.startswith("tag:") and usable_key(name[4:]):
        return Dimension(name, tag=name[4:])
    if name.startswith("metadata."):
        field = find_field(name)
        return Dimension(name, field) if field else None
    field = _BY_DIMENSION.get(_ALIASES.get(name, name))
    return Dimension(name, field) if field else None


DIMENSION_NAMES = (
    *_BY_DIMENSION,
    "tag",
    "tag:<key>",
    "metadata.<key>",
    *GRAINS,
    "date",
)
