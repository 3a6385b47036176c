"""Requests as Microsoft Entra ID sends them."""

from __future__ import annotations

import pytest

from tests.support.scim import ENTERPRISE, GROUP, USER, Provider


def entra_user(name: str = "ann") -> dict[str, object]:
    return {
        "schemas": [USER, ENTERPRISE],
        "externalId": f"guid-{name}",
        "userName": f"{name}@example.com",
        "active": True,
        "displayName": name.title(),
        "emails": [{"primary": True, "type": "work", "value": f"{name}@example.com"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": f"{name.title()} Lee", "familyName": "Lee", "givenName": "Ann"},
        "roles": [],
        ENTERPRISE: {"department": "Research", "employeeNumber": "42", "costCenter": "4130"},
    }


def test_it_creates_a_user_with_the_enterprise_extension(provider: Provider) -> None:
    answer = provider.request("POST", "/Users", entra_user())
    assert answer.status_code == 201
    made = answer.json()
    assert made[ENTERPRISE] == {
        "department": "Research",
        "employeeNumber": "42",
        "costCenter": "4130",
    }
    assert ENTERPRISE in made["schemas"]
    assert made["displayName"] == "Ann"
    assert made["name"]["formatted"] == "Ann Lee"


@pytest.mark.parametrize(("text", "active"), [("False", False), ("True", True), ("false", False)])
def test_booleans_are_text(provider: Provider, text: str, active: bool) -> None:
    user = provider.user(active=not active)
    operation = {"op": "Replace", "path": "active", "value": text}
    answer = provider.patch(f"/Users/{user['id']}", operation)
    assert answer.status_code == 200
    assert answer.json()["active"] is active


@pytest.mark.parametrize("op", ["Add", "Replace", "REPLACE", "add"])
def test_operations_are_capitalised(provider: Provider, op: str) -> None:
    user = provider.user()
    answer = provider.patch(
        f"/Users/{user['id']}", {"op": op, "path": "displayName", "value": "Dr. Ann"}
    )
    assert answer.json()["displayName"] == "Dr. Ann"


def test_a_selected_value_is_replaced(provider: Provider) -> None:
    user = provider.user()
    operation = {
        "op": "Replace",
        "path": 'emails[type eq "work"].value',
        "value": "ann.lee@example.com",
    }
    answer = provider.patch(f"/Users/{user['id']}", operation)
    emails = answer.json()["emails"]
    assert [email["value"] for email in emails] == ["ann.lee@example.com"]
    assert answer.json()["userName"] == "ann@example.com"


def test_a_selected_value_that_is_not_there_is_made(provider: Provider) -> None:
    user = provider.user()
    operation = {
        "op": "Add",
        "path": 'emails[type eq "home"].value',
        "value": "ann@home.example",
    }
    answer = provider.patch(f"/Users/{user['id']}", operation)
    emails = {email["type"]: email["value"] for email in answer.json()["emails"]}
    assert emails == {"work": "ann@example.com", "home": "ann@home.example"}


def test_paths_of_the_extension(provider: Provider) -> None:
    user = provider.user()
    answer = provider.patch(
        f"/Users/{user['id']}",
        {"op": "Add", "path": f"{ENTERPRISE}:department", "value": "Sales"},
        {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "guid-boss"},
    )
    assert answer.json()[ENTERPRISE] == {"department": "Sales", "manager": {"value": "guid-boss"}}


def test_names_of_attributes_as_keys_of_a_value(provider: Provider) -> None:
    user = provider.user()
    value = {"name.givenName": "Anna", f"{ENTERPRISE}:costCenter": "77", "title": "Dr."}
    answer = provider.patch(f"/Users/{user['id']}", {"op": "Add", "value": value})
    made = answer.json()
    assert made["name"]["givenName"] == "Anna"
    assert made[ENTERPRISE] == {"costCenter": "77"}
    assert made["title"] == "Dr."


def test_attributes_that_are_not_kept_are_passed_over(provider: Provider) -> None:
    user = provider.user(nickName="A", phoneNumbers=[{"type": "work", "value": "1"}])
    answer = provider.patch(
        f"/Users/{user['id']}",
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "2"},
        {"op": "Replace", "path": "title", "value": "Dr."},
    )
    assert answer.status_code == 200
    assert answer.json()["title"] == "Dr."
    assert "phoneNumbers" not in answer.json()


def test_members_are_removed_by_value(provider: Provider) -> None:
    ann, bob = provider.user("ann")["id"], provider.user("bob")["id"]
    group = provider.group("Engineering", ann, bob)
    operation = {"op": "Remove", "path": "members", "value": [{"value": ann}]}
    answer = provider.patch(f"/Groups/{group['id']}", operation)
    assert [member["value"] for member in answer.json()["members"]] == [bob]


def test_it_looks_for_a_group_without_its_members(provider: Provider) -> None:
    group = provider.group("Engineering", provider.user()["id"])
    query = 'excludedAttributes=members&filter=displayName%20eq%20"engineering"'
    found = provider.get(f"/Groups?{query}").json()["Resources"]
    assert [each["id"] for each in found] == [group["id"]]
    assert "members" not in found[0]
    one = provider.get(f"/Groups/{group['id']}?excludedAttributes=members").json()
    assert "members" not in one


def test_it_asks_whether_somebody_is_a_member(provider: Provider) -> None:
    ann = provider.user()["id"]
    group = provider.group("Engineering", ann)
    provider.group("Sales")
    condition = f'id eq "{group["id"]}" and members eq "{ann}"'
    assert [each["id"] for each in provider.found("Groups", condition)] == [group["id"]]


def test_it_looks_by_its_own_id(provider: Provider) -> None:
    made = provider.request("POST", "/Users", entra_user()).json()
    assert provider.found("Users", 'externalId eq "guid-ann"')[0]["id"] == made["id"]
    assert provider.found("Users", 'externalId eq "GUID-ANN"') == []


def test_a_selection_with_an_attribute_behind_it(provider: Provider) -> None:
    provider.user()
    condition = 'emails[type eq "work"].value eq "ann@example.com"'
    assert len(provider.found("Users", condition)) == 1


def test_it_deletes_a_user_and_makes_the_same_again(provider: Provider) -> None:
    first = provider.request("POST", "/Users", entra_user()).json()
    assert provider.request("DELETE", f"/Users/{first['id']}").status_code == 204
    assert provider.get(f"/Users/{first['id']}").json()["status"] == "404"
    assert provider.request("DELETE", f"/Users/{first['id']}").status_code == 404
    assert provider.request("POST", "/Users", entra_user()).status_code == 201


def test_a_group_has_an_external_id(provider: Provider) -> None:
    body = {"schemas": [GROUP], "externalId": "guid-g", "displayName": "Engineering"}
    made = provider.request("POST", "/Groups", body).json()
    assert made["externalId"] == "guid-g"
    assert provider.found("Groups", 'externalId eq "guid-g"')[0]["id"] == made["id"]


@pytest.mark.parametrize(
    "value",
    [
        "analyst",
        {"value": "analyst", "primary": True},
        '{"id":"18d14569","value":"analyst","displayName":"Analyst"}',
    ],
)
def test_roles_as_it_sends_them(provider: Provider, value: object) -> None:
    user = provider.user()
    operation = {"op": "Add", "path": "roles", "value": [value]}
    answer = provider.patch(f"/Users/{user['id']}", operation)
    assert [role["value"] for role in answer.json()["roles"]] == ["analyst"]
