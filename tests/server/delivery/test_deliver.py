"""One way out for all channels: to services that are down, slow or not allowed, and the sample."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator

import pytest

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.delivery.channels import (
    Channel,
    EmailChannel,
    PagerDutyChannel,
    SlackChannel,
    TeamsChannel,
    WebhookChannel,
)
from llm_cost_ops.server.delivery.deliver import Carriers, deliver
from llm_cost_ops.server.delivery.notice import Notice, Outcome
from llm_cost_ops.server.delivery.sample import sample_notice, try_channel
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.settings import DeliverySettings, EmailSettings
from tests.server.delivery import mail_rules, pagerduty_rules, slack_rules, teams_rules
from tests.server.delivery.conftest import NOW
from tests.server.delivery.notices import BUDGET
from tests.support.mailsink import mail_sink
from tests.support.sink import Reply, Sink

Made = Callable[..., Carriers]


def over_http(url: str) -> Iterator[Channel]:
    """Each channel that calls a URL."""
    yield SlackChannel(url=url)
    yield TeamsChannel(url=url)
    yield PagerDutyChannel(routing_key="k" * 32, url=url)
    yield WebhookChannel(url=url, secret="s" * 24)


def test_nobody_listens(carriers: Made) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for channel in over_http(f"http://127.0.0.1:{port}/x"):
        outcome = deliver(channel, BUDGET, through=carriers(), delivery_id="job_1")
        assert (outcome.delivered, outcome.final, outcome.status) == (False, False, None)
        assert outcome.detail


def test_a_service_that_does_not_answer(service: Sink, carriers: Made) -> None:
    service.replies = [Reply(before_s=30)]
    for channel in over_http(service.url):
        outcome = deliver(channel, BUDGET, through=carriers(0.2), delivery_id="job_1")
        assert (outcome.delivered, outcome.final) == (False, False)
        assert outcome.detail == "timed out"


def test_private_addresses_are_not_called(service: Sink) -> None:
    clock = FixedClock(NOW)
    guarded = Carriers(http=Outbound(DeliverySettings(), clock), mail=EmailSettings(), clock=clock)
    for channel in over_http(service.url):
        outcome = deliver(channel, BUDGET, through=guarded, delivery_id="job_1")
        assert not outcome.delivered
        assert outcome.detail.startswith("refused: ")
    assert service.got == []


@pytest.mark.parametrize("moment", ["trigger", "acknowledge", "resolve"])
def test_the_sample_is_a_message_in_every_channel(
    service: Sink, carriers: Made, moment: str
) -> None:
    notice = sample_notice("Acme", "test_1", moment=moment, link="https://x.example/")  # type: ignore[arg-type]
    for channel in over_http(service.url):
        assert deliver(channel, notice, through=carriers(), delivery_id="job_1").delivered
    slack, teams, pager, hook = (json.loads(got.body) for got in service.got)
    assert slack_rules.faults(slack) == []
    assert teams_rules.faults(teams, len(service.got[1].body)) == []
    assert pagerduty_rules.faults("/v2/enqueue", pager, len(service.got[2].body)) == []
    assert hook["data"]["dedup_key"] == pager["dedup_key"] == "test:test_1"
    assert pager["event_action"] == moment
    assert all("test" in json.dumps(each) for each in (slack, teams, hook))


def test_the_sample_as_a_mail(carriers: Made) -> None:
    with mail_sink() as server:
        through = carriers(
            smtp_host="127.0.0.1", smtp_port=server.port, smtp_use_tls=False, from_address="a@b.co"
        )
        channel = EmailChannel(recipients=("ops@example.com",))
        notice = sample_notice("Acme", "test_1")
        assert deliver(channel, notice, through=through, delivery_id="job_1").delivered
    (taken,) = server.taken
    assert mail_rules.faults(taken.raw) == []
    assert taken.mail["Subject"] == "[Info] Test of this channel"
    assert "This is a test" in mail_rules.texts(taken.raw)[0]


def test_each_address_is_tried_alone() -> None:
    tried = list[tuple[Channel, str]]()

    def send(to: Channel, notice: Notice, delivery_id: str) -> Outcome:
        tried.append((to, delivery_id))
        return Outcome(len(tried) > 1, notice.title)

    channel = EmailChannel(recipients=("a@ex.org", "b@ex.org"))
    outcomes = try_channel(channel, "Acme", "test_1", send)
    assert [each.delivered for each in outcomes] == [False, True]
    first, second = (EmailChannel(recipients=(each,)) for each in channel.recipients)
    assert tried == [(first, "test_1-1"), (second, "test_1-2")]
