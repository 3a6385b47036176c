"""SCIM 2.0: the people and teams of an organization, as identity providers keep them."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Annotated, Any, cast

from fastapi import Depends, Path, Request
from starlette.responses import Response

from llm_cost_ops.server.access.change import Raw
from llm_cost_ops.server.access.deps import require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.http import deps, problems
from llm_cost_ops.server.http.edge import untimed
from llm_cost_ops.server.http.routing import require_json, room_router, strict_json
from llm_cost_ops.server.scim.asked import Asked, caller_of
from llm_cost_ops.server.scim.bounds import MAX_BULK_BYTES
from llm_cost_ops.server.scim.errors import ROOT, error_response, refusal
from llm_cost_ops.server.scim.openapi import ERROR, LIST, OPERATIONS, RESOURCE, SEARCH, documented

problems.speak(ROOT, error_response)
router = room_router(ROOT, "scim")

Anyone = Depends(require())
ReadUsers = Depends(require("read:scim_users"))
WriteUsers = Depends(require("write:scim_users"))
ReadGroups = Depends(require("read:scim_groups"))
WriteGroups = Depends(require("write:scim_groups"))
ReadBoth = Depends(require("read:scim_users", "read:scim_groups"))
WriteBoth = Depends(require("write:scim_users", "write:scim_groups"))
ResourceId = Annotated[str, Path(min_length=1, max_length=255)]
_GET = documented(200, RESOURCE, parameters="attributes none")
_LIST = documented(200, LIST, parameters="query attributes")
_SEARCH = documented(200, LIST, reads=SEARCH)
_POST = documented(201, RESOURCE, reads=RESOURCE, parameters="attributes")
_PUT = documented(200, RESOURCE, reads=RESOURCE, parameters="attributes match")
_PATCH = documented(200, RESOURCE, reads=OPERATIONS, parameters="attributes match")
_DELETE = documented(204, None, parameters="match")


def _serve() -> ModuleType:
    """What works requests off. Its library takes half a second to import, which only a server that
    is asked for SCIM needs."""
    from llm_cost_ops.server.scim import serve

    return serve


def _asked(request: Request, principal: Principal, raw: bytes | None = None) -> Asked:
    body: Mapping[str, Any] = {}
    if raw is not None:
        require_json(request.headers, "application/scim+json")
        found = strict_json(raw)
        if not isinstance(found, Mapping):
            raise refusal(400, "The body must be a JSON object.", "invalidSyntax")
        body = cast("Mapping[str, Any]", found)
    return Asked(
        caller_of(request, principal),
        body,
        dict(request.query_params),
        request.headers.get("if-match"),
        request.headers.get("if-none-match"),
    )


def _get(request: Request, principal: Principal, kind: str, resource_id: str) -> Response:
    asked = _asked(request, principal)
    return _serve().get(deps.database(request), kind, resource_id, asked).response()


def _search(
    request: Request, principal: Principal, *kinds: str, raw: bytes | None = None
) -> Response:
    asked = _asked(request, principal, raw)
    return _serve().search(deps.database(request), kinds, asked).response()


def _change(
    request: Request,
    principal: Principal,
    kind: str,
    resource_id: str | None,
    raw: bytes | None = None,
) -> Response:
    asked = _asked(request, principal, raw)
    method = request.method
    return _serve().change(deps.database(request), method, kind, resource_id, asked).response()


@router.get("/ServiceProviderConfig", operation_id="getScimConfig", **documented(200, RESOURCE))
def service_provider_config(request: Request, principal: Principal = Anyone) -> Response:
    """What the SCIM service can do."""
    root = caller_of(request, principal).root
    return _serve().discovery.service_provider_config(root).response()


@router.get("/ResourceTypes", operation_id="listScimResourceTypes", **documented(200, LIST))
def resource_types(request: Request, principal: Principal = Anyone) -> Response:
    """The kinds of resources."""
    return _serve().discovery.resource_types(caller_of(request, principal).root).response()


@router.get(
    "/ResourceTypes/{name}", operation_id="getScimResourceType", **documented(200, RESOURCE)
)
def resource_type(name: ResourceId, request: Request, principal: Principal = Anyone) -> Response:
    """One kind of resources."""
    return _serve().discovery.resource_type(caller_of(request, principal).root, name).response()


@router.get("/Schemas", operation_id="listScimSchemas", **documented(200, LIST))
def schemas(request: Request, principal: Principal = Anyone) -> Response:
    """The schemas of all resources."""
    return _serve().discovery.schemas(caller_of(request, principal).root).response()


@router.get("/Schemas/{urn}", operation_id="getScimSchema", **documented(200, RESOURCE))
def schema(urn: ResourceId, request: Request, principal: Principal = Anyone) -> Response:
    """The schema with this URN."""
    return _serve().discovery.schema(caller_of(request, principal).root, urn).response()


@router.get("/Users", operation_id="listScimUsers", **_LIST)
def list_users(request: Request, principal: Principal = ReadUsers) -> Response:
    """People, filtered and ordered."""
    return _search(request, principal, "Users")


@router.post("/Users", operation_id="createScimUser", **_POST)
def create_user(request: Request, raw: bytes = Raw, principal: Principal = WriteUsers) -> Response:
    """Make a person of the organization."""
    return _change(request, principal, "Users", None, raw)


@router.post("/Users/.search", operation_id="searchScimUsers", **_SEARCH)
def search_users(request: Request, raw: bytes = Raw, principal: Principal = ReadUsers) -> Response:
    """Like the list, with the query in the body."""
    return _search(request, principal, "Users", raw=raw)


@router.get("/Users/{user_id}", operation_id="getScimUser", **_GET)
def get_user(user_id: ResourceId, request: Request, principal: Principal = ReadUsers) -> Response:
    """One person."""
    return _get(request, principal, "Users", user_id)


@router.put("/Users/{user_id}", operation_id="replaceScimUser", **_PUT)
def replace_user(
    user_id: ResourceId, request: Request, raw: bytes = Raw, principal: Principal = WriteUsers
) -> Response:
    """Replace what the provider says of a person."""
    return _change(request, principal, "Users", user_id, raw)


@router.patch("/Users/{user_id}", operation_id="patchScimUser", **_PATCH)
def patch_user(
    user_id: ResourceId, request: Request, raw: bytes = Raw, principal: Principal = WriteUsers
) -> Response:
    """Change attributes of a person; `active` false ends every credential."""
    return _change(request, principal, "Users", user_id, raw)


@router.delete("/Users/{user_id}", operation_id="deleteScimUser", **_DELETE)
def delete_user(
    user_id: ResourceId, request: Request, principal: Principal = WriteUsers
) -> Response:
    """Take a person out of the organization."""
    return _change(request, principal, "Users", user_id)


@router.get("/Groups", operation_id="listScimGroups", **_LIST)
def list_groups(request: Request, principal: Principal = ReadGroups) -> Response:
    """Teams, filtered and ordered."""
    return _search(request, principal, "Groups")


@router.post("/Groups", operation_id="createScimGroup", **_POST)
def create_group(
    request: Request, raw: bytes = Raw, principal: Principal = WriteGroups
) -> Response:
    """Make a team."""
    return _change(request, principal, "Groups", None, raw)


@router.post("/Groups/.search", operation_id="searchScimGroups", **_SEARCH)
def search_groups(
    request: Request, raw: bytes = Raw, principal: Principal = ReadGroups
) -> Response:
    """Like the list, with the query in the body."""
    return _search(request, principal, "Groups", raw=raw)


@router.get("/Groups/{group_id}", operation_id="getScimGroup", **_GET)
def get_group(
    group_id: ResourceId, request: Request, principal: Principal = ReadGroups
) -> Response:
    """One team with its members."""
    return _get(request, principal, "Groups", group_id)


@router.put("/Groups/{group_id}", operation_id="replaceScimGroup", **_PUT)
def replace_group(
    group_id: ResourceId, request: Request, raw: bytes = Raw, principal: Principal = WriteGroups
) -> Response:
    """Replace a team's name and members."""
    return _change(request, principal, "Groups", group_id, raw)


@router.patch("/Groups/{group_id}", operation_id="patchScimGroup", **_PATCH)
def patch_group(
    group_id: ResourceId, request: Request, raw: bytes = Raw, principal: Principal = WriteGroups
) -> Response:
    """Change a team's name, or add and remove members."""
    return _change(request, principal, "Groups", group_id, raw)


@router.delete("/Groups/{group_id}", operation_id="deleteScimGroup", **_DELETE)
def delete_group(
    group_id: ResourceId, request: Request, principal: Principal = WriteGroups
) -> Response:
    """Remove a team."""
    return _change(request, principal, "Groups", group_id)


@router.post("/.search", operation_id="searchScim", **_SEARCH)
def search_all(request: Request, raw: bytes = Raw, principal: Principal = ReadBoth) -> Response:
    """People and teams, with the query in the body."""
    return _search(request, principal, "Users", "Groups", raw=raw)


@router.post(
    "/Bulk", operation_id="changeScimResources", **documented(200, OPERATIONS, reads=OPERATIONS)
)
def bulk(request: Request, raw: bytes = Raw, principal: Principal = WriteBoth) -> Response:
    """Several changes in one request, each by itself."""
    if len(raw) > MAX_BULK_BYTES:
        raise refusal(413, f"A bulk has at most {MAX_BULK_BYTES} bytes.")
    asked = _asked(request, principal, raw)
    untimed(request)
    return _serve().bulk(deps.database(request), asked).response()


@router.api_route(
    "/Me",
    methods=["GET"],
    operation_id="getScimMe",
    **documented(501, ERROR),
)
def me(principal: Principal = Anyone) -> Response:
    """Not served: a SCIM token stands for no person."""
    raise refusal(501, f"{principal.key_id} stands for no person: /Me is not served.")
