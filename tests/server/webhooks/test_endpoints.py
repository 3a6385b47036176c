"""Endpoints over HTTP: what they may be, what is shown, rotation, tests, sending again."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from sqlalchemy import select, text

from llm_cost_ops.core import signature
from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.settings import DeliverySettings
from llm_cost_ops.server.webhooks.catalogue import EVENTS
from llm_cost_ops.server.webhooks.define import MAX_ENDPOINTS
from llm_cost_ops.server.webhooks.tables import webhook_endpoints
from tests.server.delivery.ssrf import HOSTS, LITERALS
from tests.server.webhooks.conftest import LOCAL, SECRET, START, Place, answered, body_of, reached
from tests.support.sink import Reply

TOPIC = "budget.exceeded"
URL = "https://example.com/hook"


def refused(place: Place, body: dict[str, Any], path: str = "", method: str = "POST") -> Any:
    answer = place.app.request(method, f"/api/v1/webhooks{path}", json=body)
    assert answer.status_code == 422, answer.text
    return answer.json()["error"]["field_errors"]


def test_an_endpoint_from_its_making_to_its_end(place: Place) -> None:
    made = place.register("cost.created", "budget.threshold", description="ours", url=URL)
    assert made["id"].startswith("whk_")
    assert made["secret"] == SECRET
    assert made["signing_secret"] == "whsec_" + base64.b64encode(SECRET.encode()).decode()
    assert (made["enabled"], made["events"]) == (True, ["cost.created", "budget.threshold"])
    shown = place.endpoint(made["id"])
    assert shown == {n: v for n, v in made.items() if n not in ("secret", "signing_secret")}
    listed = answered(place.app.get("/api/v1/webhooks"))
    assert listed["data"] == [shown]
    path = f"/api/v1/webhooks/{made['id']}"
    place.later(60)
    changed = answered(place.app.request("PUT", path, json={"events": ["*"]}))
    assert (changed["events"], changed["description"]) == (["*"], "ours")
    assert changed["updated_at"] == "2026-11-01T12:01:00Z"
    assert "secret" not in changed
    changed = answered(place.app.request("PATCH", path, json={"description": None}))
    assert (changed["events"], changed["description"]) == (["*"], None)
    assert answered(place.app.request("PUT", path, json={"enabled": False}))["disabled_reason"] == (
        "user"
    )
    assert place.app.delete(path).status_code == 204
    assert place.app.get(path).status_code == 404
    assert place.app.delete(path).status_code == 404


@pytest.mark.parametrize("url", [*LITERALS, *(f"https://{host}/" for host in HOSTS)])
def test_where_nothing_is_delivered_to(sqlite_place: Place, url: str) -> None:
    """The table again, by the settings that are the default."""
    place = sqlite_place
    reached(place.app, DeliverySettings(), {**HOSTS, "example.com": ["93.184.215.14"]})
    assert "url" in refused(place, {"url": url, "events": ["*"]})
    made = place.register(TOPIC, url=URL)
    assert "url" in refused(place, {"url": url}, f"/{made['id']}", "PUT")
    assert place.endpoint(made["id"])["url"] == URL


def test_a_name_that_does_not_resolve_yet_is_taken(sqlite_place: Place) -> None:
    reached(sqlite_place.app, DeliverySettings())
    assert sqlite_place.register(TOPIC, url=URL)["url"] == URL


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"events": ["*"]}, "url"),
        ({"url": URL}, "events"),
        ({"url": 5, "events": ["*"]}, "url"),
        ({"url": URL, "events": []}, "events"),
        ({"url": URL, "events": "*"}, "events"),
        ({"url": URL, "events": ["cost.invented"]}, "events"),
        ({"url": URL, "events": [5]}, "events"),
        ({"url": URL, "events": ["budget.threshold", "budget.alert"]}, "events"),
        ({"url": URL, "events": ["*"], "secret": "x" * 15}, "secret"),
        ({"url": URL, "events": ["*"], "secret": "x" * 257}, "secret"),
        ({"url": URL, "events": ["*"], "secret": 5}, "secret"),
        ({"url": URL, "events": ["*"], "secret": "x" * 15 + "\n"}, "secret"),
        ({"url": URL, "events": ["*"], "secret": " " + "x" * 20}, "secret"),
        ({"url": URL, "events": ["*"], "secret": "whsec_!!!!!!!!!!!!"}, "secret"),
        ({"url": URL, "events": ["*"], "secret": "whsec_" + "A" * 28}, "secret"),
        ({"url": URL, "events": ["*"], "secret": "whsec_" + "A" * 88}, "secret"),
        ({"url": URL, "events": ["*"], "description": "x" * 1001}, "description"),
        ({"url": URL, "events": ["*"], "enabled": "yes"}, "enabled"),
        ({"url": URL, "events": ["*"], "organization": "x"}, "organization"),
    ],
)
def test_what_an_endpoint_may_not_be(sqlite_place: Place, body: dict[str, Any], field: str) -> None:
    assert field in refused(sqlite_place, body)


@pytest.mark.parametrize(
    "secret", ["x" * 16, "x" * 256, "whsec_" + "A" * 32, "whsec_" + "A" * 86 + "=="[:2]]
)
def test_secrets_that_are_taken(sqlite_place: Place, secret: str) -> None:
    if secret.startswith("whsec_"):
        secret = "whsec_" + base64.b64encode(b"k" * (24 if len(secret) < 50 else 64)).decode()
    assert sqlite_place.register(TOPIC, secret=secret)["secret"] == secret


def test_a_secret_is_made_and_is_shown_once(place: Place) -> None:
    body = {"url": URL, "events": [TOPIC]}
    sent = place.app.post("/api/v1/webhooks", json=body, headers={"Idempotency-Key": "one"})
    made = answered(sent, 201)
    assert len(signature.key_of(made["secret"])) == 32
    again = place.app.post("/api/v1/webhooks", json=body, headers={"Idempotency-Key": "one"})
    assert answered(again, 201)["id"] == made["id"]
    assert made["secret"] not in again.text
    assert "secret" not in again.json()
    for path in ("/api/v1/webhooks", f"/api/v1/webhooks/{made['id']}"):
        assert made["secret"] not in place.app.get(path).text
    with read(place.database) as session:
        kept = session.scalar(select(webhook_endpoints.c.secret))
        audited = session.execute(text("SELECT * FROM audit_log")).all()
        answers = session.execute(text("SELECT * FROM idempotency_keys")).all()
    assert str(kept).startswith("v1:")
    for stored in (kept, audited, answers):
        assert made["secret"] not in str(stored)


def test_rotation_with_both_signatures_for_a_while(place: Place) -> None:
    made = place.register(TOPIC)
    path = f"/api/v1/webhooks/{made['id']}/rotate-secret"
    rotated = answered(place.app.post(path, json={"overlap_hours": 2}))
    new = rotated["secret"]
    assert new != SECRET
    assert rotated["previous_secret_until"] == "2026-11-01T14:00:00Z"
    place.publish(TOPIC)
    place.work()
    got = place.receiver.got[-1]
    assert got.header("X-Webhook-Signature") == signature.plain(new, got.body)
    assert got.header("X-Webhook-Signature-Previous") == signature.plain(SECRET, got.body)
    assert got.header("X-LLM-CostOps-Signature-V2").count("v1=") == 2
    message, at = got.header("webhook-id"), got.header("webhook-timestamp")
    offered = got.header("webhook-signature")
    for secret in (new, SECRET):
        assert signature.standard_matches([secret], message, at, got.body, offered, now_s=int(at))
    place.later(2 * 3600)
    place.publish(TOPIC)
    place.work()
    got = place.receiver.got[-1]
    assert got.header("webhook-signature").count("v1,") == 1
    assert "x-webhook-signature-previous" not in got.headers
    assert place.endpoint(made["id"])["previous_secret_until"] is None
    answered(place.app.post(path, json={"secret": "another-secret-of-ours", "overlap_hours": 0}))
    place.publish(TOPIC)
    place.work()
    got = place.receiver.got[-1]
    plain = signature.plain("another-secret-of-ours", got.body)
    assert got.header("X-Webhook-Signature") == plain
    for wrong in (-1, 169, True, "2"):
        rest = f"/{made['id']}/rotate-secret"
        assert "overlap_hours" in refused(place, {"overlap_hours": wrong}, rest)


def test_a_given_secret_takes_the_place_of_the_old_at_once(sqlite_place: Place) -> None:
    place = sqlite_place
    made = place.register(TOPIC)
    path = f"/api/v1/webhooks/{made['id']}"
    answered(place.app.request("PUT", path, json={"secret": "another-secret-of-ours"}))
    place.publish(TOPIC)
    place.work()
    got = place.receiver.got[-1]
    plain = signature.plain("another-secret-of-ours", got.body)
    assert got.header("X-Webhook-Signature") == plain
    assert "x-webhook-signature-previous" not in got.headers


def test_a_test_event_is_sent_at_once_and_not_repeated(place: Place) -> None:
    made = place.register(TOPIC)
    path = f"/api/v1/webhooks/{made['id']}"
    place.receiver.replies = [Reply(200, {"Set-Cookie": "s=1"}), Reply(500), Reply(410)]
    sent = answered(place.app.post(f"{path}/test"))
    (log,) = sent["attempt_log"]
    assert (sent["status"], sent["type"], log["status_code"]) == ("delivered", "webhook.test", 200)
    assert "set-cookie: ..." in log["response_head"]
    assert log["latency_ms"] >= 0
    body = body_of(place.receiver.got[0])
    assert (body["type"], body["data"]["webhook_id"]) == ("webhook.test", made["id"])
    assert answered(place.app.post(f"{path}/test"))["status"] == "failed"
    answered(place.app.request("PUT", path, json={"enabled": False}))
    assert answered(place.app.post(f"{path}/test"))["status"] == "failed"
    place.work()
    place.later(3600)
    place.work()
    assert len(place.receiver.got) == 3
    assert place.endpoint(made["id"])["failing_since"] is None
    assert len(place.deliveries(made["id"], event="webhook.test")) == 3
    assert place.app.post("/api/v1/webhooks/whk_0/test").status_code == 404


def test_a_secret_that_cannot_be_read_is_a_failure(sqlite_place: Place) -> None:
    place = sqlite_place
    made = place.register(TOPIC)
    place.publish(TOPIC)
    place.settings = type(place.settings)(database=place.settings.database, delivery=LOCAL)
    place.work()
    (row,) = place.deliveries(made["id"])
    (log,) = place.delivery(made["id"], row["id"])["attempt_log"]
    assert log["detail"].startswith("not signed: ")
    assert row["status"] == "pending"


def test_deliveries_page_by_page(sqlite_place: Place) -> None:
    place = sqlite_place
    made = place.register("budget.exceeded", "budget.threshold")
    for n in range(7):
        place.publish("budget.exceeded" if n % 2 else "budget.threshold_exceeded", {"n": n})
        place.later(1)
    place.work()
    path = f"/api/v1/webhooks/{made['id']}/deliveries"
    seen: list[str] = []
    cursor = ""
    while True:
        page = answered(place.app.get(path, params={"limit": 3, "cursor": cursor}))
        seen += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]
    assert len(seen) == 7
    assert seen == sorted(seen, reverse=True)
    assert len(answered(place.app.get(path, params={"page": 2, "per_page": 4}))["data"]) == 3
    assert len(place.deliveries(made["id"], event="budget.alert")) == 4
    assert len(place.deliveries(made["id"], status="delivered")) == 7
    assert place.deliveries(made["id"], status="failed") == []
    for query in ({"status": "x"}, {"event": "x"}, {"colour": "x"}):
        assert place.app.get(path, params=query).status_code == 422
    shown = place.delivery(made["id"], seen[0])
    assert shown["data"] == {"n": 6}
    assert place.app.get(f"{path}/whd_0").status_code == 404


def test_one_delivery_again(place: Place) -> None:
    made = place.register(TOPIC)
    place.publish(TOPIC)
    place.work()
    (row,) = place.deliveries(made["id"])
    path = f"/api/v1/webhooks/{made['id']}"
    again = answered(place.app.post(f"{path}/deliveries/{row['id']}/redeliver"), 202)
    assert again["status"] == "pending"
    place.work()
    first, second = place.receiver.got
    assert first.body == second.body
    assert first.header("webhook-id") == second.header("webhook-id")
    (row,) = place.deliveries(made["id"])
    assert (row["status"], row["attempts"]) == ("delivered", 2)
    assert place.app.post(f"{path}/deliveries/whd_0/redeliver").status_code == 404
    answered(place.app.request("PUT", path, json={"enabled": False}))
    refused = place.app.post(f"{path}/deliveries/{row['id']}/redeliver")
    assert refused.status_code == 409


def test_a_range_again(place: Place) -> None:
    made = place.register(TOPIC, "budget.threshold")
    place.receiver.replies = [Reply(200)]
    for hour in range(6):
        place.publish(TOPIC if hour % 2 else "budget.threshold_exceeded", {"n": hour})
        place.work()
        place.later(3600)
    path = f"/api/v1/webhooks/{made['id']}/replay"

    def replayed(**chosen: Any) -> list[int]:
        place.receiver.got.clear()
        body = {"start": "2026-11-01T13:00:00Z", "end": "2026-11-01T16:00:00Z", **chosen}
        count = answered(place.app.post(path, json=body), 202)["replayed"]
        place.work()
        numbers = [body_of(got)["data"]["n"] for got in place.receiver.got]
        assert len(numbers) == count
        return numbers

    assert replayed() == []
    assert replayed(status="all") == [1, 2, 3]
    assert replayed(status="delivered", events=["budget.exceeded"]) == [1, 3]
    assert replayed(status="failed") == []
    assert replayed(status="all", start="2026-11-01T17:00:00Z", end=None) == [5]
    for body, field in (
        ({}, "start"),
        ({"start": 5}, "start"),
        ({"start": "soon"}, "start"),
        ({"start": "2026-11-01T13:00:00Z", "end": "2026-11-01T13:00:00Z"}, "end"),
        ({"start": "2026-11-01T13:00:00Z", "status": "pending"}, "status"),
        ({"start": "2026-11-01T13:00:00Z", "events": []}, "events"),
        ({"start": "2026-11-01T13:00:00Z", "events": ["x"]}, "events"),
        ({"start": "2026-11-01T13:00:00Z", "colour": "x"}, "colour"),
    ):
        assert field in refused(place, body, f"/{made['id']}/replay")


def test_a_disabled_endpoint_gets_nothing_until_it_is_enabled(sqlite_place: Place) -> None:
    place = sqlite_place
    made = place.register(TOPIC, enabled=False)
    assert made["disabled_reason"] == "user"
    place.publish(TOPIC)
    place.work()
    assert place.deliveries(made["id"]) == []
    path = f"/api/v1/webhooks/{made['id']}"
    answered(place.app.request("PUT", path, json={"enabled": True}))
    place.receiver.replies = [Reply(500), Reply(200)]
    place.publish(TOPIC)
    place.work()
    answered(place.app.request("PUT", path, json={"enabled": False}))
    place.later(10)
    place.work()
    assert len(place.receiver.got) == 1
    answered(place.app.request("PUT", path, json={"enabled": True}))
    place.work()
    assert len(place.receiver.got) == 2
    assert place.deliveries(made["id"])[0]["status"] == "delivered"


def test_a_removed_endpoint_gets_nothing(sqlite_place: Place) -> None:
    place = sqlite_place
    made = place.register(TOPIC)
    place.receiver.replies = [Reply(500)]
    place.publish(TOPIC)
    place.work()
    assert place.app.delete(f"/api/v1/webhooks/{made['id']}").status_code == 204
    place.later(86_400)
    place.publish(TOPIC)
    place.work()
    assert len(place.receiver.got) == 1


def test_the_catalogue(sqlite_place: Place) -> None:
    listed = answered(sqlite_place.app.get("/api/v1/webhooks/events"))["data"]
    assert [each["name"] for each in listed] == list(EVENTS)
    documented = (
        "cost.created cost.updated cost.deleted usage.submitted budget.threshold_exceeded "
        "budget.exceeded cost.anomaly_detected pricing.updated export.completed "
        "report.generated forecast.generated"
    ).split()
    assert set(documented) <= set(EVENTS)
    assert all(each["published"] for each in listed)
    document = loads(sqlite_place.app.request("GET", "/openapi.json", key=None).text)
    assert set(document["webhooks"]) == set(EVENTS)
    spellings = [name for kind in EVENTS.values() for name in (kind.name, *kind.aliases)]
    assert len(spellings) == len(set(spellings))


def test_there_is_a_limit(sqlite_place: Place) -> None:
    place = sqlite_place
    for _ in range(MAX_ENDPOINTS):
        place.register(TOPIC, url=URL)
    answer = place.app.post("/api/v1/webhooks", json={"url": URL, "events": ["*"]})
    assert answer.status_code == 409


def test_changes_are_audited(sqlite_place: Place) -> None:
    place = sqlite_place
    made = place.register(TOPIC)
    path = f"/api/v1/webhooks/{made['id']}"
    answered(place.app.request("PUT", path, json={"events": ["*"]}))
    answered(place.app.post(f"{path}/rotate-secret", json={}))
    chosen = {"start": START.isoformat()}
    answered(place.app.post(f"{path}/replay", json=chosen), 202)
    assert place.app.delete(path).status_code == 204
    with read(place.database) as session:
        rows = session.execute(
            text("SELECT action FROM audit_log WHERE resource_type = 'webhook' ORDER BY id")
        )
        actions = sorted(row[0] for row in rows)
    assert actions == sorted(
        f"webhooks.{verb}" for verb in ("create", "update", "rotate", "replay", "delete")
    )
