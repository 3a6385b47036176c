"""Mails that welcome and invite: sent by the worker, with a link that works once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import select

from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.identity import links
from llm_cost_ops.server.queue.metrics import QueueMetrics
from llm_cost_ops.server.queue.tables import jobs
from llm_cost_ops.server.settings import DatabaseSettings, EmailSettings, ServerSettings, Settings
from llm_cost_ops.server.worker import create_worker
from tests.support.application import Application, running
from tests.support.mailsink import MailSink, mail_sink

CANARY = "<img src=x onerror=alert(1)> {{7*7}}"


@dataclass
class Place:
    """An app, and the mail server that its worker speaks to."""

    app: Application
    sink: MailSink
    settings: Settings

    def work(self) -> None:
        """Work off what is due."""
        from prometheus_client import CollectorRegistry

        metrics = QueueMetrics(CollectorRegistry())
        create_worker(self.settings, self.app.database, self.app.clock, metrics).run(
            until_idle=True
        )

    def parts(self) -> tuple[str, str]:
        """The text and the HTML of the last mail."""
        mail = self.sink.taken[-1].mail
        plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
        assert plain is not None
        assert html is not None
        return plain.get_content(), html.get_content()


@pytest.fixture
def place(sqlite_settings: DatabaseSettings) -> Iterator[Place]:
    with mail_sink() as sink:
        settings = Settings(
            database=sqlite_settings,
            server=ServerSettings(public_url="https://costs.example.com/"),
            email=EmailSettings(
                smtp_host="127.0.0.1",
                smtp_port=sink.port,
                smtp_use_tls=False,
                from_address="Cost Ops <ops@example.com>",
            ),
        )
        with running(settings) as app:
            yield Place(app, sink, settings)


def created(place: Place, path: str, **body: Any) -> dict[str, Any]:
    answer = place.app.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def stored(place: Place) -> str:
    """Everything that the queue and the audit log hold."""
    with read(place.app.database) as session:
        return "".join(str(session.execute(select(table)).all()) for table in (jobs, audit_log))


@pytest.mark.check(11)
def test_welcome(place: Place) -> None:
    own = f"/api/v1/organizations/{place.app.organization_id}"
    place.app.request("PATCH", own, json={"name": CANARY})
    user = created(place, "users", email="ann@example.com", name=CANARY, send_welcome_email=True)
    place.work()
    (taken,) = place.sink.taken
    assert taken.recipients == ("ann@example.com",)
    text, html = place.parts()
    found = re.search(r"https://costs\.example\.com/welcome\?token=(\S+)", text)
    assert found is not None
    assert "<img" not in html
    assert "{{7*7}}" in html
    assert "49" not in html.replace(found[1], "")
    assert found[1] not in stored(place)
    with read(place.app.database) as session:
        now_us = place.app.clock.micros()
        link = links.look_at_link(session, found[1], "welcome", now_us=now_us)
    assert (link.user_id, link.organization_id) == (user["id"], place.app.organization_id)


def test_a_second_welcome_ends_the_first(place: Place) -> None:
    user = created(place, "users", email="ann@example.com", name="Ann")
    secrets: list[str] = []
    for _ in range(2):
        answer = place.app.post(f"/api/v1/users/{user['id']}/welcome-email")
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
        place.work()
        secrets += re.findall(r"token=(\S+)", place.parts()[0])
    first, second = secrets
    now_us = place.app.clock.micros()
    with read(place.app.database) as session:
        links.look_at_link(session, second, "welcome", now_us=now_us)
        with pytest.raises(links.LinkRefused):
            links.look_at_link(session, first, "welcome", now_us=now_us)
    place.app.post(f"/api/v1/users/{user['id']}/disable")
    refused = place.app.post(f"/api/v1/users/{user['id']}/welcome-email")
    assert refused.status_code == 409


def test_invitation(place: Place) -> None:
    made = created(place, "invitations", email="bob@example.com", role="viewer", name=CANARY)
    assert (made["mail"], made["state"]) == ("queued", "pending")
    place.work()
    text, html = place.parts()
    assert "<img" not in html
    found = re.search(r"https://costs\.example\.com/invite\?token=(\S+)", text)
    assert found is not None
    assert found[1] not in stored(place) + str(place.app.get("/api/v1/invitations").json())
    gone = place.app.delete(f"/api/v1/invitations/{made['id']}").json()
    assert gone["state"] == "revoked"


def test_no_mail_for_an_invitation_that_ended_before(place: Place) -> None:
    made = created(place, "invitations", email="bob@example.com", role="viewer")
    place.app.delete(f"/api/v1/invitations/{made['id']}")
    place.work()
    assert place.sink.taken == []


@pytest.mark.check(14)
@pytest.mark.parametrize("name", ["a\r\nBcc: evil@example.com", "a\nb", "=?utf-8?q?=0aBcc:?="])
def test_nothing_is_added_to_the_headers(place: Place, name: str) -> None:
    for path, body in (
        ("users", {"email": "ann@example.com", "name": name}),
        ("users", {"email": f"ann@example.com{name}"}),
        ("invitations", {"email": "ann@example.com", "role": "viewer", "name": name}),
    ):
        assert place.app.post(f"/api/v1/{path}", json=body).status_code == 422
    own = f"/api/v1/organizations/{place.app.organization_id}"
    place.app.request("PATCH", own, json={"name": f"x{name}"})
    created(place, "users", email="ann@example.com", send_welcome_email=True)
    place.work()
    mail = place.sink.taken[-1].mail
    assert mail["Bcc"] is None
    assert place.sink.taken[-1].recipients == ("ann@example.com",)
    assert "\n" not in str(mail["Subject"])


def test_without_a_mail_server(place: Place) -> None:
    poor = replace(place.settings, email=EmailSettings())
    with running(poor, database=place.app.database) as app:
        body = {"email": "ann@example.com", "send_welcome_email": True}
        answer = app.post("/api/v1/users", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CONFLICT")
        assert "smtp_host" in answer.text
        invited = app.post("/api/v1/invitations", json={"email": "b@example.com", "role": "viewer"})
        assert (invited.status_code, "smtp_host" in invited.json()["mail"]) == (201, True)
