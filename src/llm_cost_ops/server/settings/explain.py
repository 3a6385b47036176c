"""What `cost-ops config show` prints: each setting, its value and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llm_cost_ops.server.settings.mask import MASK, shown
from llm_cost_ops.server.settings.schema import SETTINGS, Settings

NOT_USED = "accepted, not used yet"


@dataclass(frozen=True, slots=True)
class Explained:
    """`value` is text for people, with secrets masked; `status` is empty for a setting in use."""

    path: str
    value: str
    source: str
    status: str = ""


def explain(settings: Settings) -> list[Explained]:
    """Every setting in the order of the reference page, then the accepted keys nothing uses yet."""
    rows = [
        Explained(
            item.path,
            MASK if item.path in settings.hidden else shown(item, value_of(settings, item.path)),
            settings.origins.get(item.path, "default"),
        )
        for item in SETTINGS
    ]
    unused = (Explained(n, "", source, NOT_USED) for n, source in sorted(settings.unused.items()))
    return [*rows, *unused]


def value_of(settings: Settings, path: str) -> Any:
    """The value of the setting named `section.key`; raises KeyError for an unknown name."""
    if path not in {setting.path for setting in SETTINGS}:
        raise KeyError(path)
    section, _, key = path.partition(".")
    return getattr(getattr(settings, section), key)
