"""The kinds of jobs of this room."""

from __future__ import annotations

from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Kind

FIRE = Kind("schedules.fire", max_attempts=3, retry=exponential(first_s=5, most_s=30))
PRODUCE = Kind("schedules.produce", max_attempts=5, retry=exponential(first_s=30, most_s=900))
DELIVER = Kind(
    "schedules.deliver", max_attempts=8, retry=exponential(first_s=120, most_s=7200), waits=True
)
TELL = Kind(
    "schedules.tell", max_attempts=6, retry=exponential(first_s=30, most_s=3600), waits=True
)
"""Mail to the owner about a run that failed, or a schedule that was paused."""
RETENTION = Kind("schedules.retention", max_attempts=5, retry=exponential(first_s=10, most_s=300))
