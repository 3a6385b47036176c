"""What a server process knows of the audit log's other places, told by metrics and `/ready`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from llm_cost_ops.server.audit.forward import Standing, sinks_of, standing_of
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.settings import Settings


class ForwardWatch:
    """The last measurement."""

    def __init__(self, database: Database, settings: Settings, registry: CollectorRegistry) -> None:
        self._database = database
        self._sinks = sinks_of(settings)
        self._last: list[Standing] = []
        self._waiting = Gauge(
            "llm_cost_ops_audit_forward_waiting",
            "Entries of the audit log that another place does not have yet.",
            ["sink"],
            registry=registry,
            multiprocess_mode="livemax",
        )

    def measure(self) -> None:
        """Raises DatabaseUnavailable."""
        if self._sinks:
            with read(self._database) as session:
                self._last = [standing_of(session, sink) for sink in self._sinks]
            for each in self._last:
                self._waiting.labels(each.sink).set(each.waiting)

    def warnings(self) -> list[str]:
        """What an operator should look after."""
        return [warning for each in self._last if (warning := each.warning) is not None]
