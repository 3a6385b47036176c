"""Webhooks: endpoints for events, their secrets, and what was delivered to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from llm_cost_ops.client.caller import Caller, many, one, segment
from llm_cost_ops.client.endpoint import AsyncResource, SyncResource, endpoint
from llm_cost_ops.client.pages import Page
from llm_cost_ops.client.policy import Flow
from llm_cost_ops.client.resources.lists import listed, scoped
from llm_cost_ops.client.rows import Delivery, Row, Webhook


class WebhookCalls:
    _caller: Caller

    @endpoint
    def create(
        self,
        url: str,
        events: Sequence[str],
        secret: str | None = None,
        *,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Flow[Webhook]:
        """Register a URL for events. Without a `secret` the server makes one; `.secret` of this
        answer is the only place where it is shown."""
        body = {
            "url": url,
            "events": [*events],
            "secret": secret,
            "description": description,
            "enabled": enabled,
        }
        return one((yield from self._caller.write("POST", "/webhooks", _given(body))), Webhook)

    @endpoint
    def list(self, **query: Any) -> Flow[Page[Webhook]]:
        """The organization's webhooks, without their secrets."""
        return listed(self._caller, "/webhooks", scoped(self._caller, query), Webhook)

    @endpoint
    def get(self, webhook_id: str, /) -> Flow[Webhook]:
        """One webhook. Raises NotFoundError."""
        return one((yield from self._caller.get(_path(webhook_id))), Webhook)

    @endpoint
    def update(
        self,
        webhook_id: str,
        /,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        secret: str | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Flow[Webhook]:
        """Change a webhook; what is not named stays."""
        body = {
            "url": url,
            "events": None if events is None else [*events],
            "secret": secret,
            "description": description,
            "enabled": enabled,
        }
        return one((yield from self._caller.write("PUT", _path(webhook_id), _given(body))), Webhook)

    @endpoint
    def delete(self, webhook_id: str, /) -> Flow[None]:
        """Remove a webhook; nothing more is delivered to it."""
        yield from self._caller.write("DELETE", _path(webhook_id))

    @endpoint
    def enable(self, webhook_id: str, /) -> Flow[Webhook]:
        """Deliver again, also after failures had disabled the webhook."""
        body = {"enabled": True}
        return one((yield from self._caller.write("PUT", _path(webhook_id), body)), Webhook)

    @endpoint
    def disable(self, webhook_id: str, /) -> Flow[Webhook]:
        """Deliver nothing until the webhook is enabled."""
        body = {"enabled": False}
        return one((yield from self._caller.write("PUT", _path(webhook_id), body)), Webhook)

    @endpoint
    def rotate_secret(
        self, webhook_id: str, /, *, secret: str | None = None, overlap_hours: int | None = None
    ) -> Flow[Webhook]:
        """A new secret, in `.secret` of this answer; the old one signs beside it for a while."""
        body = _given({"secret": secret, "overlap_hours": overlap_hours})
        path = _path(webhook_id, "rotate-secret")
        return one((yield from self._caller.write("POST", path, body)), Webhook)

    @endpoint
    def test(self, webhook_id: str, /) -> Flow[Delivery]:
        """Send a test event now; `.status` and `.attempt_log` tell how it went."""
        path = _path(webhook_id, "test")
        return one((yield from self._caller.write("POST", path)), Delivery)

    @endpoint
    def deliveries(self, webhook_id: str, /, **query: Any) -> Flow[Page[Delivery]]:
        """Deliveries, the newest first; `status` and `event` narrow them."""
        return listed(self._caller, _path(webhook_id, "deliveries"), query, Delivery)

    @endpoint
    def delivery(self, webhook_id: str, delivery_id: str, /) -> Flow[Delivery]:
        """One delivery with its data and its attempts. Raises NotFoundError."""
        path = _path(webhook_id, "deliveries", delivery_id)
        return one((yield from self._caller.get(path)), Delivery)

    @endpoint
    def redeliver(self, webhook_id: str, delivery_id: str, /) -> Flow[Delivery]:
        """Send one delivery again, with the same ids."""
        path = _path(webhook_id, "deliveries", delivery_id, "redeliver")
        return one((yield from self._caller.write("POST", path)), Delivery)

    @endpoint
    def replay(
        self,
        webhook_id: str,
        /,
        *,
        start: datetime | str,
        end: datetime | str | None = None,
        status: str | None = None,
        events: Sequence[str] | None = None,
    ) -> Flow[int]:
        """Send again what failed or was left out from `start` up to before `end` (now), or the
        deliveries of a `status`, `all` of them at most; how many there are."""
        body = _given({"start": start, "end": end, "status": status, "events": events})
        answer = yield from self._caller.write("POST", _path(webhook_id, "replay"), body)
        return int(one(answer, Row)["replayed"])

    @endpoint
    def events(self) -> Flow[Page[Row]]:
        """The events that can be wanted: `.name`, `.aliases`, `.description`, `.data_schema`."""
        return many((yield from self._caller.get("/webhooks/events")), Row)

    create_webhook = create
    list_webhooks = list
    get_webhook = get
    update_webhook = update
    delete_webhook = delete


class Webhooks(WebhookCalls, SyncResource):
    """`client.webhooks`"""


class AsyncWebhooks(WebhookCalls, AsyncResource):
    """`client.webhooks` of the asynchronous client"""


def _path(*parts: str) -> str:
    return "/webhooks/" + "/".join(segment(part) for part in parts)


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
