"""Settings of exports that are made by a job."""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.server.settings.spec import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """`[export]`: exports that wait to be fetched."""

    retention_days: int = setting(
        7,
        "Days after which the file of an export is removed.",
        low=1,
        high=3650,
    )
    keep_days: int = setting(
        400,
        "How long it is kept who exported what, from the order on; never less than its file.",
        low=31,
        high=3650,
    )
    max_unfinished: int = setting(
        20,
        "Exports of one organization that may wait or be made at the same time.",
        low=1,
        high=1000,
    )
