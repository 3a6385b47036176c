"""What a SCIM client is told of the service: its abilities, its resource types, its schemas."""

from __future__ import annotations

from typing import Any

from scim2_models import Resource, ResourceType, Schema

from llm_cost_ops.server.scim.asked import Answer
from llm_cost_ops.server.scim.errors import refusal
from llm_cost_ops.server.scim.resources import CONFIG, PROVIDER, SCHEMAS

LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


def service_provider_config(root: str) -> Answer:
    """What the service can do."""
    location = f"{root}/ServiceProviderConfig"
    body = _plain(CONFIG)
    body["meta"] = {"resourceType": "ServiceProviderConfig", "location": location}
    return Answer(200, body, location=location)


def resource_types(root: str) -> Answer:
    """Users and groups."""
    return _list([_resource_type(root, each) for each in PROVIDER.resource_types])


def resource_type(root: str, name: str) -> Answer:
    """One of them. Raises Problem 404."""
    for each in PROVIDER.resource_types:
        if each.id == name:
            return Answer(200, _resource_type(root, each))
    raise refusal(404, "There is no such resource type.")


def schemas(root: str) -> Answer:
    """The schemas of all resources."""
    return _list([_schema(root, each) for each in SCHEMAS])


def schema(root: str, urn: str) -> Answer:
    """One schema by its URN. Raises Problem 404."""
    for each in SCHEMAS:
        if str(each.id).lower() == urn.lower():
            return Answer(200, _schema(root, each))
    raise refusal(404, "There is no such schema.")


def _resource_type(root: str, found: ResourceType) -> dict[str, Any]:
    location = f"{root}/ResourceTypes/{found.id}"
    return {**_plain(found), "meta": {"resourceType": "ResourceType", "location": location}}


def _schema(root: str, found: Schema) -> dict[str, Any]:
    location = f"{root}/Schemas/{found.id}"
    return {**_plain(found), "meta": {"resourceType": "Schema", "location": location}}


def _plain(resource: Resource[Any]) -> dict[str, Any]:
    return resource.model_dump()


def _list(found: list[dict[str, Any]]) -> Answer:
    return Answer(
        200,
        {
            "schemas": [LIST],
            "totalResults": len(found),
            "startIndex": 1,
            "itemsPerPage": len(found),
            "Resources": found,
        },
    )
