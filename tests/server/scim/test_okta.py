"""Requests as Okta sends them."""

from __future__ import annotations

import pytest

from tests.support.scim import GROUP, USER, Provider


def test_it_looks_for_a_user_first(provider: Provider) -> None:
    answer = provider.get('/Users?filter=userName%20eq%20"ann@example.com"&startIndex=1&count=100')
    assert answer.status_code == 200
    assert answer.json()["totalResults"] == 0
    assert answer.json()["Resources"] == []


def test_it_creates_a_user(provider: Provider) -> None:
    body = {
        "schemas": [USER],
        "userName": "ann@example.com",
        "name": {"givenName": "Ann", "familyName": "Lee"},
        "emails": [{"primary": True, "value": "ann@example.com", "type": "work"}],
        "displayName": "Ann Lee",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": True,
    }
    answer = provider.request("POST", "/Users", body)
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/scim+json; charset=utf-8"
    made = answer.json()
    assert made["userName"] == "ann@example.com"
    assert made["locale"] == "en-US"
    assert made["externalId"] == "00ujl29u0le5T6Aj10h7"
    assert made["meta"]["resourceType"] == "User"
    assert made["meta"]["created"]
    assert answer.headers["location"] == made["meta"]["location"]
    assert "1mz050nq" not in answer.text
    assert "password" not in made


def test_a_user_that_is_there(provider: Provider) -> None:
    provider.user()
    body = {"schemas": [USER], "userName": "ANN@example.com", "active": True}
    answer = provider.request("POST", "/Users", body)
    assert answer.status_code == 409
    assert answer.json()["scimType"] == "uniqueness"
    assert answer.json()["status"] == "409"


def test_it_deactivates_without_a_path(provider: Provider) -> None:
    user = provider.user()
    answer = provider.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"active": False}})
    assert answer.status_code == 200
    assert answer.json()["active"] is False
    again = provider.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"active": True}})
    assert again.json()["active"] is True


def test_it_replaces_the_profile(provider: Provider) -> None:
    user = provider.user()
    body = {
        **user,
        "userName": "ann.kim@example.com",
        "name": {"givenName": "Ann", "familyName": "Kim"},
        "emails": [{"primary": True, "value": "ann.kim@example.com", "type": "work"}],
    }
    answer = provider.request("PUT", f"/Users/{user['id']}", body)
    assert answer.status_code == 200
    assert answer.json()["id"] == user["id"]
    assert answer.json()["name"] == {"givenName": "Ann", "familyName": "Kim"}
    assert provider.found("Users", 'userName eq "ann@example.com"') == []
    assert provider.found("Users", 'userName eq "ann.kim@example.com"')[0]["id"] == user["id"]


def test_a_profile_without_activity_does_not_let_anybody_in(provider: Provider) -> None:
    user = provider.user(active=False)
    body = {"schemas": [USER], "userName": "ann@example.com"}
    answer = provider.request("PUT", f"/Users/{user['id']}", body)
    assert answer.json()["active"] is False


def test_it_pushes_a_group(provider: Provider) -> None:
    ann, bob = provider.user("ann")["id"], provider.user("bob")["id"]
    group = provider.group("Engineering", ann)
    assert [member["value"] for member in group["members"]] == [ann]
    path = f"/Groups/{group['id']}"
    added = provider.patch(path, {"op": "add", "path": "members", "value": [{"value": bob}]})
    assert [member["value"] for member in added.json()["members"]] == [ann, bob]
    gone = provider.patch(path, {"op": "remove", "path": f'members[value eq "{ann}"]'})
    assert [member["value"] for member in gone.json()["members"]] == [bob]


def test_it_renames_a_group_with_its_id(provider: Provider) -> None:
    group = provider.group("Engineering")
    value = {"id": group["id"], "displayName": "Research"}
    answer = provider.patch(f"/Groups/{group['id']}", {"op": "replace", "value": value})
    assert answer.status_code == 200
    assert answer.json()["displayName"] == "Research"


def test_it_replaces_all_members(provider: Provider) -> None:
    ann, bob = provider.user("ann")["id"], provider.user("bob")["id"]
    group = provider.group("Engineering", ann)
    operation = {"op": "replace", "path": "members", "value": [{"value": bob, "display": "Bob"}]}
    answer = provider.patch(f"/Groups/{group['id']}", operation)
    assert [member["value"] for member in answer.json()["members"]] == [bob]


def test_a_group_is_seen_on_its_users(provider: Provider) -> None:
    ann = provider.user()["id"]
    group = provider.group("Engineering", ann)
    groups = provider.get(f"/Users/{ann}").json()["groups"]
    assert [(each["value"], each["display"]) for each in groups] == [(group["id"], "Engineering")]


def test_it_deletes_a_group(provider: Provider) -> None:
    group = provider.group("Engineering", provider.user()["id"])
    assert provider.request("DELETE", f"/Groups/{group['id']}").status_code == 204
    assert provider.get(f"/Groups/{group['id']}").status_code == 404
    assert provider.get("/Users").json()["totalResults"] == 1


def test_a_group_of_a_name_that_is_there(provider: Provider) -> None:
    provider.group("Engineering")
    body = {"schemas": [GROUP], "displayName": "Engineering"}
    answer = provider.request("POST", "/Groups", body)
    assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")


@pytest.mark.parametrize("member", ["nobody", ""])
def test_a_member_that_is_nobody(provider: Provider, member: str) -> None:
    body = {"schemas": [GROUP], "displayName": "Engineering", "members": [{"value": member}]}
    answer = provider.request("POST", "/Groups", body)
    assert answer.status_code == 400
    assert provider.get("/Groups").json()["totalResults"] == 0


def test_it_pages(provider: Provider) -> None:
    for number in range(5):
        provider.user(f"user{number}")
    seen: list[str] = []
    for start in (1, 3, 5, 7):
        page = provider.get(f"/Users?startIndex={start}&count=2").json()
        assert page["totalResults"] == 5
        assert page["startIndex"] == start
        assert page["itemsPerPage"] == len(page["Resources"])
        seen += [each["userName"] for each in page["Resources"]]
    assert seen == [f"user{number}@example.com" for number in range(5)]


@pytest.mark.parametrize(
    ("query", "count", "start"),
    [
        ("count=0", 0, 1),
        ("count=-5", 0, 1),
        ("startIndex=0", 2, 1),
        ("startIndex=-3", 2, 1),
        ("count=201", 2, 1),
        ("startIndex=3", 0, 3),
    ],
)
def test_pages_at_their_edges(provider: Provider, query: str, count: int, start: int) -> None:
    provider.user("ann")
    provider.user("bob")
    page = provider.get(f"/Users?{query}").json()
    assert (page["totalResults"], len(page["Resources"]), page["startIndex"]) == (2, count, start)
