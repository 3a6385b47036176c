"""Every destination against a server that speaks its protocol, each with a failure."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.delivery.send import Outbound
from llm_cost_ops.server.schedules import store as rows
from llm_cost_ops.server.schedules.carry import carry
from llm_cost_ops.server.schedules.deliveries import Deliveries
from llm_cost_ops.server.schedules.destinations import Destination
from llm_cost_ops.server.schedules.objects import settings_of
from llm_cost_ops.server.settings import DeliverySettings
from tests.support import objectstores
from tests.support.calls import accepted, send
from tests.support.objectstores import (
    ACCESS_KEY,
    ACCOUNT,
    ACCOUNT_KEY,
    REGION,
    SECRET_KEY,
    ObjectServer,
    object_server,
)
from tests.support.schedules import START, Room
from tests.support.sink import Reply, Sink, sink

LATER_S = 120
KEY = {"client_email": "robot@example.com", "private_key": "", "private_key_id": ""}


@pytest.fixture
def store() -> Iterator[ObjectServer]:
    with object_server() as made:
        yield made


@pytest.fixture
def chat() -> Iterator[Sink]:
    with sink() as made:
        yield made


def bucket(kind: str, url: str) -> dict[str, Any]:
    """A destination in a store of this kind."""
    if kind == "s3":
        return {
            "type": "s3", "bucket": "reports", "prefix": "finance/daily", "region": REGION,
            "access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY, "endpoint": url,
        }  # fmt: skip
    if kind == "gcs":
        key = {**KEY, "disable_oauth": True, "gcs_base_url": url}
        return {"type": "gcs", "bucket": "reports", "service_account_key": json.dumps(key)}
    return {
        "type": "azure", "account": ACCOUNT, "container": "reports", "account_key": ACCOUNT_KEY,
        "endpoint": f"{url}/{ACCOUNT}",
    }  # fmt: skip


def first(room: Room, schedule_id: str) -> dict[str, Any]:
    return room.runs(schedule_id)[0]


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure"])
def test_a_store_that_is_down_gets_the_file_later(
    quick: Room, store: ObjectServer, kind: str
) -> None:
    quick.spend("4.5", START - timedelta(days=1))
    store.refusing = 403
    made = quick.schedule(delivery=bucket(kind, store.url))
    run = quick.run(made["id"])
    assert (run["status"], run["deliveries"][0]["status"]) == ("delivering", "pending")
    assert run["deliveries"][0]["detail"] == f"{kind} does not let us in: look at the credentials"
    assert store.objects == {}
    store.refusing = None
    quick.later(seconds=LATER_S)
    done = first(quick, made["id"])
    assert (done["status"], done["deliveries"][0]["attempts"]) == ("completed", 2)
    ((path, content),) = store.objects.items()
    assert path.endswith(done["file"]["name"])
    assert content == quick.file(done)
    if kind == "s3":
        assert path == f"/reports/finance/daily/{done['file']['name']}"


def broken(kind: str, url: str) -> dict[str, Any]:
    to = bucket(kind, url)
    if kind == "gcs":
        key = {**KEY, "private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}
        return {**to, "service_account_key": json.dumps(key)}
    return {**to, "account_key": "not-base64!"}


@pytest.mark.parametrize("kind", ["gcs", "azure"])
def test_a_key_that_cannot_be_read_is_tried_once(
    quick: Room, store: ObjectServer, kind: str
) -> None:
    run = quick.run(quick.schedule(delivery=broken(kind, store.url))["id"])
    (part,) = run["deliveries"]
    assert (run["status"], part["status"], part["attempts"]) == ("failed", "failed", 1)
    assert part["detail"].startswith(f"malformed_credentials: {kind} cannot be reached with this ")
    assert store.seen == []


def test_a_server_without_the_extra_tries_once(
    quick: Room, store: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("obstore", "obstore.store", "obstore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    run = quick.run(quick.schedule(delivery=bucket("s3", store.url))["id"])
    (part,) = run["deliveries"]
    assert (run["status"], part["attempts"]) == ("failed", 1)
    assert part["detail"].startswith("not_installed: ")
    assert "llm-cost-ops[storage]" in part["detail"]


def test_where_google_is_decides_no_variable() -> None:
    to = Destination("gcs", {"bucket": "reports"}, {"service_account_key": json.dumps(KEY)})
    assert settings_of(to).gcs_endpoint == "https://storage.googleapis.com"


def test_the_same_run_has_the_same_key(quick: Room, store: ObjectServer) -> None:
    """A worker that died after the upload is replaced by one that uploads again."""
    made = quick.schedule(delivery=bucket("s3", store.url))
    run = quick.run(made["id"])
    organization_id = quick.app.organization_id
    with read(quick.app.database) as session:
        kept = rows.run(session, organization_id, run["id"])
        (part,) = rows.parts(session, organization_id, [run["id"]])
        assert kept is not None
        assert part["secrets"] is None  # gone once it has arrived
    sealed = quick.desk.seal.seal(json.dumps({"secret_access_key": SECRET_KEY}), part["id"])
    again = {**part, "secrets": sealed}
    with read(quick.app.database) as session:
        load = Deliveries(quick.app.database, quick.desk)._load(session, kept, again)  # pyright: ignore[reportPrivateUsage]
    before = dict(store.objects)
    assert carry(load, quick.desk).delivered  # type: ignore[arg-type]
    assert store.objects == before


def test_nothing_of_the_machine_goes_to_a_strangers_store(
    quick: Room, store: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session token of the environment would go into the signature, and with the request."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-the-machine")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-the-machine")
    signed: list[str] = []
    check = objectstores._Handler._signed  # pyright: ignore[reportPrivateUsage]

    def watched(self: Any, said: str, path: str, query: str) -> bool:
        signed.extend(f"{name}: {value}" for name, value in self.headers.items())
        return check(self, said, path, query)

    monkeypatch.setattr(objectstores._Handler, "_signed", watched)  # pyright: ignore[reportPrivateUsage]
    run = quick.run(quick.schedule(delivery=bucket("s3", store.url))["id"])
    assert run["status"] == "completed"
    assert signed
    assert "of-the-machine" not in "\n".join(signed)


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure"])
def test_private_addresses_are_not_reached(quick: Room, store: ObjectServer, kind: str) -> None:
    """Neither when the schedule is made nor, where a name leads elsewhere since, when it runs."""
    made = quick.schedule(delivery=bucket(kind, store.url))
    strict = Outbound(DeliverySettings(), quick.clock)
    object.__setattr__(quick.desk.carriers, "http", strict)
    run = quick.run(made["id"])
    assert run["deliveries"][0]["detail"] == "refused: the address is not a public one"
    assert store.seen == []
    if kind != "gcs":  # whose address is in the key
        body = {"frequency": "daily", "delivery": bucket(kind, store.url)}
        answer = send(quick.app, "/exports/schedules", body)
        assert answer.status_code == 422
        assert "delivery.endpoint" in answer.json()["error"]["field_errors"]


@pytest.mark.parametrize("kind", ["slack", "teams"])
def test_a_chat_hears_of_the_file_with_a_link(quick: Room, chat: Sink, kind: str) -> None:
    quick.spend("1234.5", START - timedelta(days=1))
    chat.replies = [Reply(503), Reply(200)]
    made = quick.schedule(name="Daily costs", delivery={"type": kind, "url": chat.url})
    assert quick.run(made["id"])["status"] == "delivering"
    quick.later(seconds=LATER_S)
    run = first(quick, made["id"])
    assert (run["status"], run["deliveries"][0]["attempts"]) == ("completed", 2)
    said = chat.got[-1].body.decode()
    assert "Daily costs: 2027-03-09" in said
    assert "USD 1234.5" in said
    link = f"https://costs.example.com/api/v1/exports/deliveries/{run['id']}?organization="
    assert link in said


def test_a_chat_that_is_gone_is_a_failure_at_once(quick: Room, chat: Sink) -> None:
    chat.replies = [Reply(404, body=b"no_service")]
    run = quick.run(quick.schedule(delivery={"type": "slack", "url": chat.url})["id"])
    assert (run["status"], run["deliveries"][0]["attempts"]) == ("failed", 1)
    assert chat.url not in json.dumps(run)


def test_a_folder_gets_the_file_whole(quick: Room) -> None:
    made = quick.schedule(delivery={"type": "folder", "path": "finance/daily"})
    quick.folder.rename(quick.folder.with_name("away"))
    run = quick.run(made["id"])
    assert run["deliveries"][0]["detail"] == "the folder: the allowed directory is not there"
    quick.folder.with_name("away").rename(quick.folder)
    quick.later(seconds=LATER_S)
    done = first(quick, made["id"])
    place = quick.folder / quick.app.organization_id / "finance" / "daily"
    assert [each.name for each in place.iterdir()] == [done["file"]["name"]]
    assert (place / done["file"]["name"]).read_bytes() == quick.file(done)


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/etc", ".ssh", "a/.ssh", "a\\b", "a\tb", "x" * 600]
)
def test_a_path_that_leads_away_is_refused(quick: Room, path: str) -> None:
    body = {"frequency": "daily", "delivery": {"type": "folder", "path": path}}
    answer = send(quick.app, "/exports/schedules", body)
    assert answer.status_code == 422, answer.text
    assert list(answer.json()["error"]["field_errors"]) == ["delivery.path"]


def test_a_link_that_leads_away_is_not_followed(quick: Room, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    own = quick.folder / quick.app.organization_id
    own.mkdir()
    os.symlink(outside, own / "finance")
    made = quick.schedule(delivery={"type": "folder", "path": "finance/x"})
    run = quick.run(made["id"])
    assert run["status"] == "failed"
    assert list(outside.iterdir()) == []


def test_a_folder_must_be_one_that_is_allowed(quick: Room) -> None:
    body = {"frequency": "daily", "delivery": {"type": "folder", "root": "/etc", "path": "x"}}
    answer = send(quick.app, "/exports/schedules", body)
    assert list(answer.json()["error"]["field_errors"]) == ["delivery.root"]


SECRETS = ("secret-of-the-example", ACCOUNT_KEY, "robot@example.com", "T0/B0/hidden")


def test_no_secret_is_shown_or_kept_open(quick: Room, store: ObjectServer) -> None:
    to = [*(bucket(kind, store.url) for kind in ("s3", "gcs", "azure")),
          {"type": "slack", "url": "http://127.0.0.1:4001/T0/B0/hidden"}]  # fmt: skip
    made = quick.schedule(delivery=to)
    shown = [json.dumps(made), json.dumps(quick.get(made["id"]))]
    shown.append(quick.app.get("/api/v1/audit", params={"limit": 100}).text)
    with read(quick.app.database) as session:
        shown.append(repr(rows.get(session, quick.app.organization_id, made["id"])))
    for secret in SECRETS:
        assert all(secret not in text for text in shown), secret
    masked = quick.get(made["id"])["destinations"]
    assert masked[3]["url"] == "http://127.0.0.1:4001/***"
    path = f"/api/v1/exports/schedules/{made['id']}"
    answer = quick.app.request("PATCH", path, json={"destinations": masked})
    assert answer.status_code == 422  # a mask is no secret


def test_a_changed_destination_is_for_later_runs(quick: Room, store: ObjectServer) -> None:
    store.refusing = 403
    made = quick.schedule(delivery=bucket("s3", store.url))
    quick.run(made["id"])
    path = f"/api/v1/exports/schedules/{made['id']}"
    changed = quick.app.request("PATCH", path, json={"delivery": "download"})
    assert changed.json()["destinations"] == [{"type": "download"}]
    store.refusing = None
    quick.later(seconds=LATER_S)
    assert first(quick, made["id"])["status"] == "completed"
    assert len(store.objects) == 1
    assert quick.run(made["id"])["deliveries"] == []


@pytest.mark.parametrize(
    ("delivery", "field"),
    [
        ({"type": "fax"}, "delivery.type"),
        ({}, "delivery.type"),
        ([], "delivery"),
        ({"type": "email", "recipients": []}, "delivery.recipients"),
        ({"type": "email", "recipients": ["a b@example.com"]}, "delivery.recipients"),
        ({"type": "email", "recipients": ["a@example.com"], "cc": "x"}, "delivery.cc"),
        ({"type": "slack", "url": "ftp://example.com"}, "delivery.url"),
        ({"type": "s3", "bucket": "b"}, "delivery.bucket"),
        ({"type": "s3", "bucket": "bucket", "access_key_id": "a"}, "delivery.secret_access_key"),
        ({"type": "gcs", "bucket": "bucket", "service_account_key": "no"},
         "delivery.service_account_key"),
        ({"type": "azure", "account": "account", "container": "cc1"}, "delivery.account_key"),
        ([{"type": "download"}] * 11, "delivery"),
    ],
)  # fmt: skip
def test_what_is_refused_names_its_field(quick: Room, delivery: Any, field: str) -> None:
    body = {"frequency": "daily", "delivery": delivery}
    answer = send(quick.app, "/exports/schedules", body)
    assert answer.status_code == 422, answer.text
    assert list(answer.json()["error"]["field_errors"]) == [field]


def test_schedules_stand_beside_an_export_under_both_of_its_names(quick: Room) -> None:
    mail = {"type": "email", "recipients": ["a@b.example", "x"]}
    body: dict[str, Any] = {"frequency": "daily", "delivery": mail}
    wrong = send(quick.app, "/export/schedules", body).json()["error"]["field_errors"]
    told = "must be mail addresses in ASCII, such as ops@example.com; number 2 is none"
    assert wrong == {"delivery.recipients": told}
    body["delivery"] = "download"
    made = accepted(send(quick.app, "/export/schedules", body), 201)
    found = quick.app.get("/api/v1/export/schedules").json()["data"]
    assert [each["id"] for each in found] == [made["id"]]
    assert quick.app.get(f"/api/v1/export/schedules/{made['id']}").json()["id"] == made["id"]
