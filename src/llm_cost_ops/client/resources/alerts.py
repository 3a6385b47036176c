"""Alerts: what fired, taking care of it, the rules behind it and the channels that are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Unpack

from llm_cost_ops.client.caller import Caller, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.fields import (
    AlertQuery,
    AlertRuleFields,
    ChannelFields,
    Day,
    RenamedChannel,
    RenamedRule,
)
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.rows import Alert, Row


class AlertCalls:
    _caller: Caller

    @endpoint
    def list(self, **query: Unpack[AlertQuery]) -> Flow[Page[Alert]]:
        """Alerts, the newest first; `status="open"` are all that are not resolved."""
        return listed(self._caller, "/alerts", scoped(self._caller, query), Alert)

    @endpoint
    def get(self, alert_id: str, /) -> Flow[Alert]:
        """One alert with its `.history` and `.deliveries`. Raises NotFoundError."""
        return one((yield from self._caller.get(f"/alerts/{segment(alert_id)}")), Alert)

    @endpoint
    def history(self, alert_id: str, /, **query: Any) -> Flow[Page[Row]]:
        """What happened to an alert, the oldest first."""
        path = f"/alerts/{segment(alert_id)}/history"
        return listed(self._caller, path, scoped(self._caller, query), Row)

    @endpoint
    def acknowledge(self, alert_id: str, /, *, comment: str | None = None) -> Flow[Alert]:
        """Take care of an alert: nothing escalates any more."""
        return (yield from _act(self._caller, alert_id, "acknowledge", {"comment": comment}))

    @endpoint
    def snooze(
        self,
        alert_id: str,
        /,
        *,
        minutes: int | None = None,
        until: Day | None = None,
        comment: str | None = None,
    ) -> Flow[Alert]:
        """Keep an alert quiet for some `minutes`, or `until` an instant."""
        body = {"minutes": minutes, "until": until, "comment": comment}
        return (yield from _act(self._caller, alert_id, "snooze", body))

    @endpoint
    def resolve(self, alert_id: str, /, *, comment: str | None = None) -> Flow[Alert]:
        """Say that it is over; who was told of the alert is told of that."""
        return (yield from _act(self._caller, alert_id, "resolve", {"comment": comment}))

    @endpoint
    def comment(self, alert_id: str, /, comment: str) -> Flow[Alert]:
        """Add a remark to the history of an alert."""
        return (yield from _act(self._caller, alert_id, "comments", {"comment": comment}))

    @endpoint
    def create(self, name: str, type: str, **fields: Unpack[AlertRuleFields]) -> Flow[Row]:
        """Make a rule that alerts: the same as `alerts.rules.create`."""
        return (yield from _create_rule(self._caller, name, type, fields))


class RuleCalls:
    _caller: Caller

    @endpoint
    def create(self, name: str, type: str, **fields: Unpack[AlertRuleFields]) -> Flow[Row]:
        """Make a rule of a type such as `budget`, `usage` or `error_rate`."""
        return (yield from _create_rule(self._caller, name, type, fields))

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Row]]:
        """Rules in the order in which they were made."""
        return listed(self._caller, "/alerts/rules", scoped(self._caller, query), Row)

    @endpoint
    def get(self, rule_id: str, /) -> Flow[Row]:
        """One rule. Raises NotFoundError."""
        return one((yield from self._caller.get(f"/alerts/rules/{segment(rule_id)}")), Row)

    @endpoint
    def update(
        self, rule_id: str, /, *, clear: Sequence[str] = (), **fields: Unpack[RenamedRule]
    ) -> Flow[Row]:
        """Change a rule; what is not named stays, what `clear` names is taken away."""
        path = f"/alerts/rules/{segment(rule_id)}"
        body = {**fields, "clear": [*clear] or None}
        return one((yield from self._caller.write("PUT", path, body)), Row)

    @endpoint
    def delete(self, rule_id: str, /) -> Flow[None]:
        """Remove a rule; the alerts that it made stay."""
        yield from self._caller.write("DELETE", f"/alerts/rules/{segment(rule_id)}")


class ChannelCalls:
    _caller: Caller

    @endpoint
    def create(self, name: str, type: str, **fields: Unpack[ChannelFields]) -> Flow[Row]:
        """Make a channel: `email` with `recipients`, `slack` or `teams` with `url`, `pagerduty`
        with `routing_key`, `webhook` with `url` and `secret`. Secrets are never shown again."""
        body = _given({"name": name, "type": type, **fields})
        return one((yield from self._caller.write("POST", "/alerts/channels", body)), Row)

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Row]]:
        """Channels without their secrets."""
        return listed(self._caller, "/alerts/channels", scoped(self._caller, query), Row)

    @endpoint
    def get(self, channel: str, /) -> Flow[Row]:
        """One channel by its id or name. Raises NotFoundError."""
        return one((yield from self._caller.get(f"/alerts/channels/{segment(channel)}")), Row)

    @endpoint
    def update(self, channel: str, /, **fields: Unpack[RenamedChannel]) -> Flow[Row]:
        """Change a channel; what is not named stays, secrets too."""
        path = f"/alerts/channels/{segment(channel)}"
        return one((yield from self._caller.write("PUT", path, fields)), Row)

    @endpoint
    def delete(self, channel: str, /) -> Flow[None]:
        """Remove a channel that no rule names."""
        yield from self._caller.write("DELETE", f"/alerts/channels/{segment(channel)}")

    @endpoint
    def test(self, channel: str, /) -> Flow[Row]:
        """Send a test message now; `.delivered` and `.results` say how that went."""
        path = f"/alerts/channels/{segment(channel)}/test"
        return one((yield from self._caller.ask(path, {})), Row)


class AlertRules(RuleCalls, SyncResource):
    """`client.alerts.rules`"""


class AlertChannels(ChannelCalls, SyncResource):
    """`client.alerts.channels`"""


class Alerts(AlertCalls, SyncResource):
    """`client.alerts`"""

    @cached_property
    def rules(self) -> AlertRules:
        return AlertRules(self._caller, self._driver)

    @cached_property
    def channels(self) -> AlertChannels:
        return AlertChannels(self._caller, self._driver)


class AsyncAlertRules(RuleCalls, AsyncResource):
    """`client.alerts.rules` of the asynchronous client"""


class AsyncAlertChannels(ChannelCalls, AsyncResource):
    """`client.alerts.channels` of the asynchronous client"""


class AsyncAlerts(AlertCalls, AsyncResource):
    """`client.alerts` of the asynchronous client"""

    @cached_property
    def rules(self) -> AsyncAlertRules:
        return AsyncAlertRules(self._caller, self._driver)

    @cached_property
    def channels(self) -> AsyncAlertChannels:
        return AsyncAlertChannels(self._caller, self._driver)


def _act(caller: Caller, alert_id: str, verb: str, fields: Mapping[str, Any]) -> Flow[Alert]:
    path = f"/alerts/{segment(alert_id)}/{verb}"
    return one((yield from caller.write("POST", path, _given(fields))), Alert)


def _create_rule(caller: Caller, name: str, kind: str, fields: Mapping[str, Any]) -> Flow[Row]:
    body = _given({"name": name, "type": kind, **fields})
    return one((yield from caller.write("POST", "/alerts/rules", body)), Row)


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
