"""The overlay files: reading, checking against the schema, and small conversions."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from .rows import MILLION, Price, Window

SECTIONS = (
    "models", "fees", "derive", "inherits", "adjustments", "regions", "fallbacks", "free", "drop",
    "drop_aliases", "keep_flat", "ignore_kinds", "close",
)  # fmt: skip


@dataclass
class Overlay:
    """All sections of all files; every entry carries the `checked_at` of its file."""

    sections: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {name: [] for name in SECTIONS}
    )

    def __getitem__(self, section: str) -> list[dict[str, Any]]:
        return self.sections[section]


def load(directory: Path, schema: Path) -> Overlay:
    """Read every *.yaml of the directory in name order. Raises ValueError on a wrong entry."""
    yaml: Any = importlib.import_module("yaml")
    jsonschema: Any = importlib.import_module("jsonschema")
    checker = jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    overlay = Overlay()
    for path in sorted(directory.glob("*.yaml")):
        # BaseLoader leaves every scalar a string: no price passes through a float.
        content = _typed(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader))
        errors = checker.iter_errors(content)
        problems = [f"{path.name}: {error.json_path}: {error.message}" for error in errors]
        if problems:
            raise ValueError("\n".join(problems))
        checked = date.fromisoformat(content["checked_at"])
        for name in SECTIONS:
            for entry in content.get(name, []):
                overlay[name].append({**entry, "checked_at": checked})
    return overlay


_INTEGER_KEYS = frozenset({"per", "above"})
_BOOLEAN_KEYS = frozenset({"inclusive", "where_context_exists"})


def _typed(value: Any, key: str = "") -> Any:
    """The few numbers and booleans of the format; everything else stays text."""
    if isinstance(value, Mapping):
        return {name: _typed(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [int(v) for v in value] if key == "weekdays" else [_typed(v) for v in value]
    if key in _INTEGER_KEYS:
        return int(value)
    if key in _BOOLEAN_KEYS:
        return value == "true"
    return value


def matches(name: str, patterns: Iterable[str]) -> bool:
    """`*` stands for any text; names and patterns are compared in lower case."""
    return any(re.fullmatch(_regex(pattern), name.lower()) for pattern in patterns)


def _regex(pattern: str) -> str:
    return ".*".join(re.escape(part) for part in pattern.lower().split("*"))


def selected(entry: Mapping[str, Any], provider: str, model: str) -> bool:
    if entry["provider"] not in ("*", provider):
        return False
    return matches(model, entry["models"]) and not matches(model, entry.get("except", ()))


def instant(text: str | None) -> datetime | None:
    """A UTC instant; a bare date is its midnight; None and the empty string are open."""
    if not text:
        return None
    return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=UTC)


def price(value: Any) -> Price:
    if isinstance(value, str):
        return Price(Decimal(value))
    tiers = tuple(
        (tier["above"], Decimal(tier["price"]), tier.get("inclusive", False))
        for tier in value.get("tiers", ())
    )
    return Price(Decimal(value["price"]), value.get("per", MILLION), tiers)


def windows(entries: Sequence[Mapping[str, Any]]) -> tuple[Window, ...]:
    return tuple(
        Window(
            entry["zone"],
            tuple(entry.get("weekdays", range(7))),
            _minute(entry["from"]),
            _minute(entry["to"]),
        )
        for entry in entries
    )


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
