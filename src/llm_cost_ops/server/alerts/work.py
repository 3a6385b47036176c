"""The kinds of jobs of this room; their names are stored with each job."""

from __future__ import annotations

from llm_cost_ops.server.queue.retry import exponential
from llm_cost_ops.server.queue.work import Kind

EVENTS = Kind("alerts.events", max_attempts=8, time_limit_s=600, retry=exponential(2, 300))
DELIVER = Kind(
    "alerts.deliver", max_attempts=30, time_limit_s=300, retry=exponential(5, 3600), waits=True
)
"""Tried for about a day: mail servers that are down, or let new senders wait, are back by then."""
ESCALATE = Kind("alerts.escalate", max_attempts=8, time_limit_s=60, retry=exponential(5, 300))
WAKE = Kind("alerts.wake", max_attempts=8, time_limit_s=60, retry=exponential(5, 300))
CLEAR = Kind("alerts.clear", max_attempts=8, time_limit_s=60, retry=exponential(5, 300))
SWEEP = Kind("alerts.sweep", max_attempts=3, time_limit_s=600, retry=exponential(5, 60))
OUTLOOK = Kind("alerts.outlook", max_attempts=3, time_limit_s=1800, retry=exponential(30, 300))
DIGEST = Kind("alerts.digest", max_attempts=8, time_limit_s=600, retry=exponential(10, 600))
