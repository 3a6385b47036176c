"""API keys change, rotate and end, and never outdo who changes them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import insert, update

from llm_cost_ops.core.instant import format_instant, from_micros
from llm_cost_ops.server.access import issue
from llm_cost_ops.server.access.issue import KeyRequestError, prefix_of
from llm_cost_ops.server.access.networks import NetworkTextError, normalise_networks, within
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.identity.tables import users
from tests.support.application import Application

KEYS = "/api/v1/auth/api-keys"
WHO = "/api/v1/auth/validate"
SECOND_US = 1_000_000


def made(application: Application, key: str = "", **fields: Any) -> dict[str, Any]:
    answer = application.post(KEYS, json={"name": "k", **fields}, key=key)
    assert answer.status_code == 201, answer.text
    return answer.json()


def refused(answer: Any) -> tuple[int, str, list[str]]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], sorted(error.get("field_errors", {}))


def later(application: Application, seconds: float) -> str:
    return format_instant(from_micros(application.clock.micros() + int(seconds * SECOND_US)))


def add_user(application: Application, user_id: str) -> None:
    with write(application.database) as session:
        session.execute(
            insert(users),
            {
                "organization_id": application.organization_id,
                "id": user_id,
                "kind": "service",
                "created_at": application.clock.micros(),
            },
        )


@pytest.mark.parametrize(
    ("configured", "environment", "prefix"),
    [
        ("sk_live_", None, "sk_live_"),
        ("sk_live_", "test", "sk_test_"),
        ("sk_test_", "live", "sk_live_"),
        ("acme_", "staging", "acme_staging_"),
        ("sk_", "test", "sk_test_"),
        ("live_", "test", "test_"),
        ("a" * 22 + "_", "staging", "sk_staging_"),
    ],
)
def test_the_prefix_tells_the_environment(
    configured: str, environment: str | None, prefix: str
) -> None:
    assert prefix_of(configured, environment) == prefix


def test_there_are_three_environments() -> None:
    with pytest.raises(KeyRequestError):
        prefix_of("sk_live_", "qa")


def test_networks_have_one_spelling() -> None:
    assert normalise_networks(["203.0.113.7", "10.0.0.0/8", "2001:DB8::/32", "203.0.113.7/32"]) == (
        "10.0.0.0/8",
        "2001:db8::/32",
        "203.0.113.7/32",
    )
    for wrong in ("example.com", "10.0.0.1/8", "10.0.0.0/33", "", "10.0.0"):
        with pytest.raises(NetworkTextError):
            normalise_networks([wrong])
    with pytest.raises(NetworkTextError, match="at most 64"):
        normalise_networks([f"10.0.0.{n}" for n in range(65)])


def test_networks_within_others() -> None:
    outer = normalise_networks(["10.0.0.0/8", "2001:db8::/32"])
    assert within(("10.1.0.0/16",), outer)
    assert within(("10.1.0.0/16", "2001:db8:1::/48"), outer)
    assert not within(("10.1.0.0/16", "11.0.0.0/8"), outer)
    assert not within(("::/0",), outer)
    assert not within((), outer)
    assert within((), ())
    assert within(("::/0",), ())


def test_a_key_is_shown_and_listed_with_all_of_it(application: Application) -> None:
    add_user(application, "robot")
    key = made(
        application,
        environment="staging",
        allowed_networks=["203.0.113.7", "127.0.0.1"],
        user_id="robot",
        scopes=["read:costs"],
    )
    assert key["key"].startswith("sk_staging_")
    shown = application.get(f"{KEYS}/{key['id']}").json()
    assert shown == {name: value for name, value in key.items() if name != "key"}
    assert shown["allowed_networks"] == ["127.0.0.1/32", "203.0.113.7/32"]
    assert (shown["environment"], shown["user_id"]) == ("staging", "robot")
    of_user = application.get(KEYS, params={"user_id": "robot"}).json()["data"]
    assert [row["id"] for row in of_user] == [key["id"]]
    assert application.get(KEYS, params={"user_id": "nobody"}).json()["data"] == []
    assert refused(application.get(f"{KEYS}/key_x"))[:2] == (404, "NOT_FOUND")
    assert refused(application.another().get(f"{KEYS}/{key['id']}"))[:2] == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"environment": "qa"}, "environment"),
        ({"allowed_networks": ["example.com"]}, "allowed_networks"),
        ({"user_id": "nobody"}, "user_id"),
    ],
)
def test_a_key_that_cannot_be(
    sqlite_application: Application, fields: dict[str, Any], field: str
) -> None:
    before = sqlite_application.get(KEYS).json()["data"]
    answer = sqlite_application.post(KEYS, json={"name": "k", **fields})
    assert refused(answer) == (422, "VALIDATION_ERROR", [field])
    assert len(sqlite_application.get(KEYS).json()["data"]) == len(before)


def test_the_keys_of_a_user_end_with_the_user(application: Application) -> None:
    add_user(application, "robot")
    secret = made(application, user_id="robot")["key"]
    assert application.get(WHO, key=secret).status_code == 200
    with write(application.database) as session:
        session.execute(
            update(users)
            .where(users.c.organization_id == application.organization_id)
            .values(disabled_at=application.clock.micros())
        )
    application.portal.call(
        application.app.state.keys.forget_user, application.organization_id, "robot"
    )
    assert application.get(WHO, key=secret).status_code == 401
    answer = application.post(KEYS, json={"name": "k", "user_id": "robot"})
    assert refused(answer) == (422, "VALIDATION_ERROR", ["user_id"])


def test_both_keys_are_accepted_while_they_overlap(application: Application) -> None:
    old = made(application, name="ci", scopes=["read:costs"], allowed_networks=["127.0.0.1"])
    answer = application.post(f"{KEYS}/{old['id']}/rotate", json={"overlap_seconds": 3600})
    assert answer.status_code == 201
    new = answer.json()
    for name in ("name", "scopes", "prefix", "allowed_networks", "organization_id"):
        assert new[name] == old[name]
    assert new["key"] != old["key"]
    assert (new["expires_at"], new["replaced_by"]) == (None, None)
    shown = application.get(f"{KEYS}/{old['id']}").json()
    assert (shown["replaced_by"], shown["is_active"]) == (new["id"], True)
    assert shown["expires_at"] is not None
    twice = application.post(f"{KEYS}/{old['id']}/rotate")
    assert refused(twice)[:2] == (409, "CONFLICT")


def test_without_overlap_the_old_key_ends_at_once(application: Application) -> None:
    old = made(application)
    assert application.get(WHO, key=old["key"]).status_code == 200
    new = application.post(f"{KEYS}/{old['id']}/rotate", json={"overlap_seconds": 0}).json()
    assert application.get(WHO, key=old["key"]).status_code == 401
    assert application.get(WHO, key=new["key"]).status_code == 200
    again = application.post(f"{KEYS}/{old['id']}/rotate")
    assert refused(again)[:2] == (409, "CONFLICT")


def test_a_rotated_key_lives_as_long_as_the_old_one_did(application: Application) -> None:
    old = made(application, expires_at=later(application, 100))
    new = application.post(f"{KEYS}/{old['id']}/rotate", json={"overlap_seconds": 3600}).json()
    assert new["expires_at"] > old["expires_at"]
    shown = application.get(f"{KEYS}/{old['id']}").json()
    assert shown["expires_at"] == old["expires_at"]


def test_of_two_rotations_at_once_one_wins(application: Application) -> None:
    old = made(application)

    def rotate(_: int) -> int:
        return application.post(f"{KEYS}/{old['id']}/rotate").status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(rotate, range(4))) == [201, 409, 409, 409]


@pytest.mark.parametrize("overlap", [-1, 30 * 86_400 + 1, "1", 1.5, True])
def test_an_overlap_that_cannot_be(sqlite_application: Application, overlap: Any) -> None:
    old = made(sqlite_application)
    body = {"overlap_seconds": overlap}
    answer = sqlite_application.post(f"{KEYS}/{old['id']}/rotate", json=body)
    assert refused(answer) == (422, "VALIDATION_ERROR", ["overlap_seconds"])
    assert sqlite_application.get(f"{KEYS}/{old['id']}").json()["replaced_by"] is None


def test_the_longest_overlap(sqlite_application: Application) -> None:
    path = f"{KEYS}/{made(sqlite_application)['id']}/rotate"
    assert sqlite_application.post(path, json={"overlap_seconds": 2_592_000}).status_code == 201


def test_nobody_rotates_a_key_that_can_do_more(sqlite_application: Application) -> None:
    strong = made(sqlite_application)
    weak = sqlite_application.new_key("write:api_keys", "read:costs")
    path = f"{KEYS}/{strong['id']}/rotate"
    assert refused(sqlite_application.post(path, key=weak)) == (
        403,
        "INSUFFICIENT_PERMISSIONS",
        ["scopes"],
    )
    assert sqlite_application.get(WHO, key=strong["key"]).status_code == 200
    foreign = sqlite_application.another().post(path)
    assert refused(foreign)[:2] == (404, "NOT_FOUND")


def test_a_key_from_one_network_makes_none_from_others(sqlite_application: Application) -> None:
    app = sqlite_application
    held = made(app)
    with write(app.database) as session:
        maker = Principal(
            held["id"], app.organization_id, frozenset({"*"}), allowed_networks=("10.0.0.0/8",)
        )
        common: dict[str, Any] = {
            "organization_id": app.organization_id,
            "name": "k",
            "scopes": ["*"],
            "prefix": "sk_",
            "now_us": app.clock.micros(),
            "maker": maker,
        }
        assert issue.issue_key(session, **common).key.allowed_networks == ("10.0.0.0/8",)
        inner = issue.issue_key(session, **common, allowed_networks=["10.1.0.0/16"])
        assert inner.key.allowed_networks == ("10.1.0.0/16",)
        for wider in (["11.0.0.0/8"], ["10.0.0.0/8", "::/0"]):
            with pytest.raises(issue.KeyPermissionError):
                issue.issue_key(session, **common, allowed_networks=wider)
        with pytest.raises(issue.KeyPermissionError):
            issue.rotate_key(
                session,
                app.organization_id,
                held["id"],
                overlap_seconds=0,
                now_us=app.clock.micros(),
                maker=maker,
            )


def test_a_key_is_renamed_and_narrowed(application: Application) -> None:
    key = made(application, scopes=["read:costs", "write:costs"])
    assert application.get(WHO, key=key["key"]).json()["scopes"] == ["read:costs", "write:costs"]
    soon = later(application, 3600)
    answer = application.request(
        "PATCH",
        f"{KEYS}/{key['id']}",
        json={"name": "new", "scopes": ["usage:read"], "expires_at": soon},
    )
    assert answer.status_code == 200, answer.text
    row = answer.json()
    assert (row["name"], row["scopes"]) == ("new", ["read:usage"])
    assert row["expires_at"] is not None
    assert application.get(WHO, key=key["key"]).json()["scopes"] == ["read:usage"]
    assert application.get(f"{KEYS}/{key['id']}").json()["name"] == "new"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scopes": ["write:costs"]}, "scopes"),
        ({"scopes": ["*"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["nonsense"]}, "scopes"),
        ({"name": " "}, "name"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00Z"}, "expires_at"),
        ({"allowed_networks": ["x"]}, "allowed_networks"),
        ({"user_id": "x"}, "user_id"),
        ({"id": "x"}, "id"),
        ({"revoked_at": None}, "revoked_at"),
    ],
)
def test_a_change_that_cannot_be(
    sqlite_application: Application, change: dict[str, Any], field: str
) -> None:
    app = sqlite_application
    key = made(app, scopes=["read:costs"], expires_at=later(app, 86_400))
    before = app.get(f"{KEYS}/{key['id']}").json()
    answer = app.request("PATCH", f"{KEYS}/{key['id']}", json={"name": "new", **change})
    assert refused(answer) == (422, "VALIDATION_ERROR", [field])
    assert app.get(f"{KEYS}/{key['id']}").json() == before


def test_a_revoked_key_changes_no_more(sqlite_application: Application) -> None:
    app = sqlite_application
    key = made(app)
    app.delete(f"{KEYS}/{key['id']}")
    answer = app.request("PATCH", f"{KEYS}/{key['id']}", json={"name": "new"})
    assert refused(answer)[:2] == (409, "CONFLICT")
    assert refused(app.post(f"{KEYS}/{key['id']}/rotate"))[:2] == (409, "CONFLICT")
    other = app.another().request("PATCH", f"{KEYS}/{key['id']}", json={"name": "new"})
    assert refused(other)[:2] == (404, "NOT_FOUND")
