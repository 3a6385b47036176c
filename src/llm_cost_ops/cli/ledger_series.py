"""Series of what the ledger holds: what of it is asked for, and an answer as a series to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llm_cost_ops.cli.failure import ARGUMENTS, CommandError

if TYPE_CHECKING:
    from llm_cost_ops.core.series import Series


def asked_of(
    interval: str | None,
    start_date: str | None,
    end_date: str | None,
    timezone: str | None,
    filters: Sequence[str] | None,
    group_by: str | None = None,
) -> dict[str, Any]:
    """The fields that say of what, those alone that were given. Raises CommandError."""
    found: dict[str, list[str]] = {}
    for entry in filters or ():
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise CommandError(f"{entry!r} is not FIELD=VALUE", exit_code=ARGUMENTS)
        found.setdefault(name, []).append(value)
    given = {
        "interval": interval,
        "start_date": start_date,
        "end_date": end_date,
        "timezone": timezone,
        "filters": found or None,
        "group_by": group_by,
    }
    return {name: value for name, value in given.items() if value is not None}


def refuse_beside_series(given: Mapping[str, Any]) -> None:
    """Raises CommandError: a file has no calls to choose from."""
    if given:
        name = next(iter(given)).replace("_", "-").removesuffix("s")
        raise CommandError(
            f"--{name} chooses calls of the ledger: leave it out beside --series",
            exit_code=ARGUMENTS,
        )


def series_from(history: Sequence[Mapping[str, Any]], step: str) -> Series:
    """The past that a forecast came with."""
    from llm_cost_ops.core.seriestext import read_series

    lines = [f"{row['date']},{_text(row['value'])}" for row in history]
    return read_series(lines, interval=step, gaps="missing")


def _text(value: Any) -> str:
    return "" if value is None else f"{Decimal(str(value)):f}"
