"""From a recorded call to the message that arrives: a real server, its worker, real receivers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.settings import DeliverySettings, EmailSettings, SecuritySettings
from tests.support.live import LiveServer, local, serving, sqlite_at
from tests.support.mailsink import MailSink, mail_sink
from tests.support.sink import Sink, sink

PATIENCE_S = 60.0


@pytest.fixture
def hook() -> Iterator[Sink]:
    with sink() as made:
        yield made


@pytest.fixture
def mail() -> Iterator[MailSink]:
    with mail_sink() as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, mail: MailSink) -> Iterator[LiveServer]:
    settings = replace(
        local(sqlite_at(tmp_path), public_url="https://costs.example.com"),
        delivery=DeliverySettings(allow_networks=("127.0.0.0/8",)),
        email=EmailSettings(
            smtp_host="127.0.0.1",
            smtp_port=mail.port,
            smtp_use_tls=False,
            from_address="cost-ops@example.com",
        ),
        security=SecuritySettings(secret_key="k" * 32),
    )
    with serving(settings, tmp_path) as made:
        yield made


def sent(server: LiveServer, path: str, body: Mapping[str, Any]) -> Any:
    answer = server.post(f"/api/v1{path}", json=body)
    assert answer.is_success, answer.text
    return answer.json()


def wait_until(done: Callable[[], object]) -> float:
    """The seconds that it took."""
    begin = time.monotonic()
    while not done():
        assert time.monotonic() < begin + PATIENCE_S
        time.sleep(0.02)
    return time.monotonic() - begin


def test_a_threshold_reaches_mail_and_webhook_and_its_end_follows(
    server: LiveServer, hook: Sink, mail: MailSink
) -> None:
    sent(
        server,
        "/alerts/channels",
        {"name": "hook", "type": "webhook", "url": hook.url, "secret": "s" * 32},
    )
    ops = {"name": "ops", "type": "email", "recipients": ["ops@example.com"]}
    sent(server, "/alerts/channels", ops)
    assert sent(server, "/alerts/channels/hook/test", {})["delivered"] is True
    assert sent(server, "/alerts/channels/ops/test", {})["delivered"] is True
    hook.got.clear()
    mail.taken.clear()
    budget = {"name": "all", "amount": 10, "alert_thresholds": ["0.5"]}
    sent(server, "/budgets", budget)
    sent(server, "/costs", {"model": "m", "provider": "openai", "cost": 6, "project_id": "p"})
    print(f"seconds from ingest to both: {wait_until(lambda: hook.got and mail.taken):.2f}")
    (alert,) = server.get("/api/v1/alerts").json()["data"]
    link = f"https://costs.example.com/alerts/{alert['id']}"
    text = json.dumps(json.loads(hook.got[0].body))
    assert "Budget all has reached 50 %" in text
    assert link in text
    message = mail.taken[0].mail
    assert "Budget all has reached 50 %" in str(message["Subject"])
    assert link in message.as_string().replace("=\n", "")
    sent(server, f"/alerts/{alert['id']}/resolve", {"comment": "planned"})
    wait_until(lambda: len(hook.got) == 2 and len(mail.taken) == 2)
    shown = server.get(f"/api/v1/alerts/{alert['id']}").json()
    assert sorted((each["moment"], each["state"]) for each in shown["deliveries"]) == [
        ("resolve", "delivered"), ("resolve", "delivered"),
        ("trigger", "delivered"), ("trigger", "delivered"),
    ]  # fmt: skip
