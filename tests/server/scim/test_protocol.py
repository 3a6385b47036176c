"""The protocol's rules: filters, order, attributes, versions, errors, bulk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llm_cost_ops.server.scim.bounds import MAX_BULK_OPERATIONS, MAX_FILTER
from tests.support.application import Application
from tests.support.scim import BULK, ERROR, GROUP, USER, Provider, make_token


@pytest.fixture(scope="module")
def people(shared: Application) -> Provider:
    """A provider of an organization with three people, which no test changes."""
    made = Provider.of(shared.another())
    made.user("ann", title="Doctor", active=True)
    made.user("bob", title="doctor", active=False)
    made.user("cid", name={"familyName": "Müller"}, locale="de-DE")
    return made


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ('userName eq "ANN@example.com"', "ann"),
        ('USERNAME EQ "ann@example.com"', "ann"),
        ('userName ne "ann@example.com"', "bob cid"),
        ('userName co "b@ex"', "bob"),
        ('userName sw "a"', "ann"),
        ('userName ew ".com"', "ann bob cid"),
        ("title pr", "ann bob"),
        ("not (title pr)", "cid"),
        ('userName gt "b"', "bob cid"),
        ('userName ge "bob@example.com"', "bob cid"),
        ('userName lt "b"', "ann"),
        ('userName le "bob@example.com"', "ann bob"),
        ('title eq "DOCTOR"', "ann bob"),
        ("active eq true", "ann cid"),
        ("active eq false", "bob"),
        ('title eq "doctor" and active eq true', "ann"),
        ('userName sw "a" or userName sw "c"', "ann cid"),
        ('title pr and (userName sw "b" or userName sw "c")', "bob"),
        ('emails[type eq "work"]', "ann bob cid"),
        ('emails[type eq "work" and value co "cid"]', "cid"),
        ('emails.value eq "bob@example.com"', "bob"),
        ('name.familyName eq "MÜLLER"', "cid"),
        ('meta.created gt "2020-01-01T00:00:00Z"', "ann bob cid"),
        ('meta.lastModified lt "2020-01-01T00:00:00Z"', ""),
        (f'{USER}:userName eq "ann@example.com"', "ann"),
        ('userName eq "ann@example.com" or userName eq "bob@example.com"', "ann bob"),
        ('userName eq "nobody\' OR 1=1 --"', ""),
    ],
)
def test_filters(people: Provider, condition: str, names: str) -> None:
    found = people.found("Users", condition)
    assert [each["userName"].partition("@")[0] for each in found] == names.split()


@pytest.mark.parametrize(
    "condition",
    [
        "userName",
        'userName eq "ann',
        'userName xx "ann"',
        'userName eq "ann" and',
        '(userName eq "ann"',
        'nothing eq "ann"',
        'active gt "true"',
        "(" * 400 + "title pr" + ")" * 399,
        'userName eq "' + "x" * MAX_FILTER + '"',
    ],
)
def test_filters_that_are_none(people: Provider, condition: str) -> None:
    body = {"filter": condition}
    answer = people.request("POST", "/Users/.search", body)
    assert answer.status_code == 400
    assert answer.json()["scimType"] in ("invalidFilter", "invalidPath")
    assert answer.json()["schemas"] == [ERROR]


def test_a_deep_filter_is_refused(people: Provider) -> None:
    deep = "not (" * 40 + "title pr" + ")" * 40
    answer = people.request("POST", "/Users/.search", {"filter": deep})
    assert answer.json()["scimType"] == "invalidFilter"


def test_order(people: Provider) -> None:
    def names(query: str) -> list[str]:
        found = people.get(f"/Users?{query}").json()["Resources"]
        return [each["userName"][:3] for each in found]

    assert names("sortBy=userName") == ["ann", "bob", "cid"]
    assert names("sortBy=userName&sortOrder=descending") == ["cid", "bob", "ann"]
    assert names("sortBy=title") == ["ann", "bob", "cid"]
    assert names("sortBy=emails.value&sortOrder=descending&count=1") == ["cid"]
    assert people.get("/Users?sortBy=nothing").json()["scimType"] == "invalidPath"


def test_attributes(provider: Provider) -> None:
    user = provider.user()
    only = provider.get(f"/Users/{user['id']}?attributes=userName").json()
    assert set(only) == {"schemas", "id", "userName"}
    without = provider.get(f"/Users/{user['id']}?excludedAttributes=emails,name.familyName").json()
    assert "emails" not in without
    assert without["name"] == {"givenName": "Ann"}
    both = provider.get(f"/Users/{user['id']}?attributes=name&excludedAttributes=emails")
    assert both.status_code == 400


def test_search_by_post(provider: Provider) -> None:
    user = provider.user()
    group = provider.group("Engineering")
    users = provider.request("POST", "/Users/.search", {"filter": "userName pr", "count": 5})
    assert [each["id"] for each in users.json()["Resources"]] == [user["id"]]
    groups = provider.request("POST", "/Groups/.search", {"attributes": ["displayName"]})
    assert "meta" not in groups.json()["Resources"][0]
    everything = provider.request("POST", "/.search", {})
    assert {each["id"] for each in everything.json()["Resources"]} == {user["id"], group["id"]}
    some = provider.request("POST", "/.search", {"filter": 'userName eq "ann@example.com"'})
    assert [each["id"] for each in some.json()["Resources"]] == [user["id"]]


def test_a_version_that_the_client_has(provider: Provider) -> None:
    user = provider.user()
    answer = provider.get(f"/Users/{user['id']}")
    version = answer.headers["etag"]
    assert version == answer.json()["meta"]["version"]
    same = provider.get(f"/Users/{user['id']}", if_none_match=version)
    assert (same.status_code, same.content) == (304, b"")
    other = provider.get(f"/Users/{user['id']}", if_none_match='W/"other"')
    assert other.status_code == 200


@pytest.mark.parametrize("kind", ["Users", "Groups"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_version_that_is_not_there_any_more(provider: Provider, kind: str, method: str) -> None:
    made = provider.user() if kind == "Users" else provider.group("Engineering")
    path = f"/{kind}/{made['id']}"
    body: Any = None if method == "DELETE" else made
    if method == "PATCH":
        body = {"Operations": [{"op": "replace", "path": "displayName", "value": "New"}]}
    refused = provider.request(method, path, body, if_match='W/"other"')
    assert refused.status_code == 412
    assert provider.get(path).json() == made
    done = provider.request(method, path, body, if_match=made["meta"]["version"])
    assert done.status_code in (200, 204)


@pytest.mark.parametrize("missing", ["usr_nobody", "x" * 255])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_what_does_not_exist(provider: Provider, method: str, missing: str) -> None:
    body = None if method in ("GET", "DELETE") else {"schemas": [USER], "userName": "a@b.example"}
    answer = provider.request(method, f"/Users/{missing}", body)
    assert answer.status_code == 404
    assert answer.json()["schemas"] == [ERROR]
    assert answer.json()["status"] == "404"
    assert answer.headers["content-type"].startswith("application/scim+json")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/Nothing", 404),
        ("GET", "/Me", 501),
        ("PUT", "/Users", 405),
        ("POST", "/Schemas", 405),
        ("GET", "/Schemas/urn:nothing", 404),
    ],
)
def test_every_error_is_in_scim_s_form(
    provider: Provider, method: str, path: str, status: int
) -> None:
    answer = provider.request(method, path)
    assert answer.status_code == status
    assert answer.json()["schemas"] == [ERROR]
    assert answer.json()["status"] == str(status)


@pytest.mark.parametrize(
    ("body", "scim_type"),
    [
        ({}, "invalidValue"),
        ({"schemas": [USER]}, "invalidValue"),
        ({"schemas": [USER], "userName": ""}, "invalidValue"),
        ({"schemas": [USER], "userName": "ann"}, "invalidValue"),
        ({"schemas": [USER], "userName": 5}, "invalidValue"),
        ({"schemas": [USER], "userName": "x" * 256 + "@example.com"}, "invalidValue"),
        ({"schemas": [USER], "userName": "a@b.example", "emails": "a@b.example"}, "invalidValue"),
        ({"schemas": [USER], "userName": "a", "emails": [{"value": "no address"}]}, "invalidValue"),
        ({"schemas": [USER], "userName": "a@b.example", "active": "perhaps"}, "invalidValue"),
        ({"schemas": [USER], "userName": "a@b.example", "roles": [{"value": "king"}]},
         "invalidValue"),
        ([], "invalidSyntax"),
    ],
)  # fmt: skip
def test_users_that_cannot_be(provider: Provider, body: Any, scim_type: str) -> None:
    answer = provider.request("POST", "/Users", body)
    assert (answer.status_code, answer.json()["scimType"]) == (400, scim_type), answer.text
    assert provider.get("/Users").json()["totalResults"] == 0


@pytest.mark.parametrize(
    ("operations", "scim_type"),
    [
        ([], "invalidValue"),
        ([{"op": "fly", "path": "title", "value": "x"}], "invalidValue"),
        ([{"op": "replace", "path": "id", "value": "x"}], "mutability"),
        ([{"op": "replace", "path": "groups", "value": []}], "mutability"),
        ([{"op": "remove", "path": "userName"}], "mutability"),
        ([{"op": "remove"}], "noTarget"),
        ([{"op": "replace", "path": "emails[", "value": "x"}], "invalidPath"),
        ([{"op": "replace", "path": "active", "value": "perhaps"}], "invalidValue"),
        (
            [
                {"op": "replace", "path": "title", "value": "Lost"},
                {"op": "replace", "path": "id", "value": "x"},
            ],
            "mutability",
        ),
    ],
)
def test_patches_that_cannot_be(
    provider: Provider, operations: list[dict[str, Any]], scim_type: str
) -> None:
    user = provider.user()
    answer = provider.patch(f"/Users/{user['id']}", *operations)
    assert (answer.status_code, answer.json()["scimType"]) == (400, scim_type), answer.text
    assert provider.get(f"/Users/{user['id']}").json() == user


def test_the_rejected_value_is_not_repeated(provider: Provider) -> None:
    user = provider.user()
    operation = {"op": "replace", "path": "active", "value": "hunter2-secret"}
    assert "hunter2" not in provider.patch(f"/Users/{user['id']}", operation).text


def test_text_is_no_json(provider: Provider) -> None:
    answer = provider.request("POST", "/Users", {}, content_type="text/plain")
    assert answer.status_code == 415


def test_an_address_alone_is_enough(provider: Provider) -> None:
    """The documented example of provisioning has no userName."""
    body = {
        "emails": [{"value": "ann@example.com"}],
        "name": {"givenName": "Ann", "familyName": "Lee"},
        "externalId": "e1",
        "active": True,
    }
    made = provider.request("POST", "/Users", body)
    assert made.status_code == 201
    assert made.json()["userName"] == "ann@example.com"
    assert made.json()["externalId"] == "e1"


def test_an_address_follows_the_user_name_it_came_from(provider: Provider) -> None:
    made = provider.request("POST", "/Users", {"schemas": [USER], "userName": "a@example.com"})
    assert made.json()["emails"] == [{"value": "a@example.com", "primary": True}]
    path = f"/Users/{made.json()['id']}"
    changed = provider.patch(path, {"op": "replace", "path": "userName", "value": "b@example.com"})
    assert changed.json()["emails"] == [{"value": "b@example.com", "primary": True}]


def test_a_user_name_need_not_be_an_address(provider: Provider) -> None:
    user = provider.user(userName="bjensen")
    assert user["userName"] == "bjensen"
    assert provider.found("Users", 'userName eq "BJENSEN"')[0]["id"] == user["id"]
    assert provider.found("Users", 'userName eq "ann@example.com"') == []


def test_bulk_makes_what_refers_to_each_other(provider: Provider) -> None:
    body = {
        "schemas": [BULK],
        "Operations": [
            {
                "method": "POST",
                "path": "/Groups",
                "bulkId": "g",
                "data": {
                    "schemas": [GROUP],
                    "displayName": "Engineering",
                    "members": [{"value": "bulkId:u"}],
                },
            },
            {
                "method": "POST",
                "path": "/Users",
                "bulkId": "u",
                "data": {"schemas": [USER], "userName": "ann@example.com"},
            },
            {
                "method": "PATCH",
                "path": "/Users/bulkId:u",
                "data": {"Operations": [{"op": "add", "path": "title", "value": "Dr."}]},
            },
        ],
    }
    answer = provider.request("POST", "/Bulk", body)
    assert answer.status_code == 200
    done = answer.json()["Operations"]
    assert [each["status"] for each in done] == ["201", "201", "200"]
    assert [each.get("bulkId") for each in done] == ["g", "u", None]
    group = provider.found("Groups", 'displayName eq "Engineering"')[0]
    user = provider.found("Users", 'userName eq "ann@example.com"')[0]
    assert [member["value"] for member in group["members"]] == [user["id"]]
    assert user["title"] == "Dr."
    assert done[1]["location"] == user["meta"]["location"]


def test_bulk_stops_after_so_many_errors(provider: Provider) -> None:
    wrong = {"method": "DELETE", "path": "/Users/nobody"}
    right = {
        "method": "POST",
        "path": "/Users",
        "bulkId": "u",
        "data": {"schemas": [USER], "userName": "ann@example.com"},
    }
    body = {"schemas": [BULK], "failOnErrors": 1, "Operations": [wrong, right]}
    done = provider.request("POST", "/Bulk", body).json()["Operations"]
    assert [each["status"] for each in done] == ["404"]
    assert done[0]["response"]["schemas"] == [ERROR]
    body["failOnErrors"] = 2
    done = provider.request("POST", "/Bulk", body).json()["Operations"]
    assert [each["status"] for each in done] == ["404", "201"]


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"method": "GET", "path": "/Users/x"}, "400"),
        ({"method": "POST", "path": "/Users", "data": {"userName": "a@b.example"}}, "400"),
        ({"method": "POST", "path": "/Users/x", "bulkId": "a", "data": {}}, "400"),
        ({"method": "PUT", "path": "/Users", "data": {}}, "400"),
        ({"method": "DELETE", "path": "/Bulk/x"}, "400"),
        ({"method": "DELETE", "path": "/Users/bulkId:none"}, "409"),
        ({"method": "POST", "path": "/Users", "bulkId": "a", "data": "x"}, "400"),
        (
            {
                "method": "POST",
                "path": "/Groups",
                "bulkId": "a",
                "data": {"displayName": "G", "members": [{"value": "bulkId:a"}]},
            },
            "409",
        ),
    ],
)
def test_bulk_operations_that_cannot_be(
    provider: Provider, operation: dict[str, Any], status: str
) -> None:
    answer = provider.request("POST", "/Bulk", {"schemas": [BULK], "Operations": [operation]})
    assert answer.status_code == 200
    (done,) = answer.json()["Operations"]
    assert done["status"] == status, done
    assert done["response"]["status"] == status


def test_bulk_is_bounded(provider: Provider) -> None:
    operation = {"method": "DELETE", "path": "/Users/nobody"}
    body = {"schemas": [BULK], "Operations": [operation] * (MAX_BULK_OPERATIONS + 1)}
    assert provider.request("POST", "/Bulk", body).status_code == 413
    large = {"schemas": [BULK], "Operations": [{**operation, "data": "x" * 1_100_000}]}
    assert provider.request("POST", "/Bulk", large).status_code == 413


def test_of_two_who_change_one_version_one_wins(application: Application) -> None:
    provider = Provider(application, make_token(application))
    for _ in range(3):
        user = provider.user(f"user{provider.made}")
        provider.made += 1

        def change(title: str, user: dict[str, Any] = user) -> int:
            operation = {"op": "replace", "path": "title", "value": title}
            version = user["meta"]["version"]
            return provider.patch(f"/Users/{user['id']}", operation, if_match=version).status_code

        with ThreadPoolExecutor(2) as pool:
            statuses = sorted(pool.map(change, ("One", "Two")))
        assert statuses == [200, 412]
