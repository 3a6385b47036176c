"""The work of the audit log for the worker: checkpoints each hour, sending it each minute."""

from __future__ import annotations

from llm_cost_ops.server.audit.checkpoint import PAGE, make_checkpoints
from llm_cost_ops.server.audit.forward import SinkFailed, forward, senders
from llm_cost_ops.server.audit.sign import Signer
from llm_cost_ops.server.clock import Clock
from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.http.logs import logger
from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Again, Kind, Running, SystemSchedule, Work
from llm_cost_ops.server.settings import Settings

CHECKPOINT = Kind("audit.checkpoint", max_attempts=10, retry=exponential(first_s=10, most_s=600))
FORWARD = Kind("audit.forward", max_attempts=3, waits=True)


def work(settings: Settings, database: Database, clock: Clock) -> Work:
    """Everything that the audit log does beside the requests."""
    signer = Signer.of(settings)

    def sign(running: Running) -> None:
        def some(session: WriteSession) -> int:
            return make_checkpoints(session, signer, now_us=clock.micros())

        while running.write(some) >= PAGE:
            if running.stopping:
                raise Again("the worker stops", delay_s=0, counted=False)

    ways = senders(settings, clock)

    def send(running: Running) -> None:
        for sink, way in ways.items():
            try:
                forward(database, sink, way, clock, running.write, lambda: running.stopping)
            except SinkFailed as failed:  # the next minute tries again
                logger("audit").warning("not sent", sink=sink, reason=str(failed))

    schedules = [SystemSchedule("audit.checkpoint", "0 * * * *", CHECKPOINT)]
    if ways:
        schedules.append(SystemSchedule("audit.forward", "* * * * *", FORWARD))
    return Work(handlers={CHECKPOINT: sign, FORWARD: send}, schedules=schedules)
