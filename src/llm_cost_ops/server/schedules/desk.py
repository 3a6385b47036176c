"""What this room needs of the installation: where files are kept, and how they are sent."""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.delivery.deliver import Carriers
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.schedules.links import Links
from llm_cost_ops.server.settings import Settings
from llm_cost_ops.server.storage.lazily import OnFirstUse
from llm_cost_ops.server.storage.storage import Storage

PURPOSE = "llm-cost-ops destinations of schedules"
"""The purpose under which secrets of destinations are sealed."""
_DAY_US = 24 * 3600 * 1_000_000
_KIB = 1024
_OF_LEASE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDesk:
    """Made once for a process."""

    clock: Clock
    kept: OnFirstUse
    seal: Vault
    carriers: Carriers
    links: Links
    folders: tuple[str, ...]
    attach_max_bytes: int
    keep_files_us: int
    keep_runs_us: int

    @property
    def files(self) -> Storage:
        """Raises StorageUnavailable."""
        return self.kept.opened()


def schedule_desk(
    settings: Settings, clock: Clock, kept: OnFirstUse, *, outbound: Outbound | None = None
) -> ScheduleDesk:
    """The desk of an installation."""
    own = settings.schedules
    http = outbound or Outbound(settings.delivery, clock)
    return ScheduleDesk(
        clock=clock,
        kept=kept,
        seal=Vault.of(settings, PURPOSE),
        carriers=Carriers(http=http, mail=settings.email, clock=clock),
        links=Links.of(settings),
        folders=own.folders,
        attach_max_bytes=own.attach_max_kb * _KIB,
        keep_files_us=own.keep_files_days * _DAY_US,
        keep_runs_us=own.keep_runs_days * _DAY_US,
    )


def file_key(organization_id: str, run_id: str, lease: str) -> str:
    """Under which an attempt writes the file of a run: two attempts never write one file."""
    return f"schedules/{organization_id}/{run_id}-{lease[:_OF_LEASE]}"
