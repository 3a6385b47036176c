"""API keys over HTTP: make, list, revoke, and who am I."""

from __future__ import annotations

from typing import Any, cast

from anyio import from_thread
from fastapi import Depends, Request
from starlette.responses import Response

from llm_cost_ops.core.instant import format_micros, parse_instant, to_micros
from llm_cost_ops.server.access import issue, store
from llm_cost_ops.server.access.deps import keys as keys_of
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.schemas import KEY_ROW_SCHEMA, ChangedKey, NewKey, Rotation
from llm_cost_ops.server.access.wire import key_row
from llm_cost_ops.server.db.session import read, write_retrying
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.pagination import (
    PARAMETERS,
    encode_cursor,
    page_answer,
    page_request,
    paging_parameters,
)
from llm_cost_ops.server.http.problems import not_found
from llm_cost_ops.server.http.request_id import request_id
from llm_cost_ops.server.http.routing import refuse_unknown, room_router

router = room_router("/api/v1/auth", "auth")

Reader = Depends(require("read:api_keys"))
Writer = Depends(require("write:api_keys"))
Anyone = Depends(require())


@router.post(
    "/api-keys",
    status_code=201,
    operation_id="createApiKey",
    responses=answers(201, KEY_ROW_SCHEMA, "The key; `key` is its secret, shown only now."),
)
def create_key(request: Request, body: NewKey, principal: Principal = Writer) -> Response:
    """Make an API key that can do no more than the one that makes it."""
    own_organization(principal, body.organization_id)
    settings, now_us = deps.settings(request), deps.clock(request).micros()
    issued = write_retrying(
        deps.database(request),
        lambda session: issue.issue_key(
            session,
            organization_id=principal.organization_id,
            name=body.name,
            scopes=body.scopes if body.scopes is not None else principal.scopes,
            prefix=settings.auth.api_key_prefix,
            now_us=now_us,
            expires_at=_instant(body.expires_at),
            environment=body.environment,
            allowed_networks=body.allowed_networks,
            user_id=body.user_id,
            maker=principal,
            request_id=request_id(request.scope),
        ),
    )
    return json_response({**key_row(issued.key, now_us), "key": issued.secret}, 201)


@router.get(
    "/api-keys",
    operation_id="listApiKeys",
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(KEY_ROW_SCHEMA), "Newest first, revoked ones too."),
)
def list_keys(request: Request, principal: Principal = Reader) -> Response:
    """The keys of the organization, without their secrets."""
    refuse_unknown(request, PARAMETERS | {"user_id", "organization_id"})
    user_id = request.query_params.get("user_id")
    subject = f"api-keys:{principal.organization_id}:{user_id or ''}"
    wanted = page_request(request.query_params, subject, (str,))
    after = cast("str | None", wanted.position[0]) if wanted.position else None
    with read(deps.database(request)) as session:
        found = store.list_keys(
            session,
            principal.organization_id,
            limit=wanted.limit + 1,
            offset=wanted.offset,
            after=after,
            user_id=user_id,
        )
    shown, more = found[: wanted.limit], len(found) > wanted.limit
    now_us = deps.clock(request).micros()
    rows = [key_row(key, now_us) for key in shown]
    following = encode_cursor(subject, [shown[-1].id]) if more else None
    return json_response(page_answer(rows, wanted, following))


@router.get(
    "/api-keys/{key_id}",
    operation_id="getApiKey",
    responses=answers(200, KEY_ROW_SCHEMA, "The key, without its secret."),
)
def get_key(key_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One key of the organization, without its secret."""
    with read(deps.database(request)) as session:
        key = store.get_key(session, principal.organization_id, key_id)
    if key is None:
        raise not_found("API key not found")
    return json_response(key_row(key, deps.clock(request).micros()))


@router.patch(
    "/api-keys/{key_id}",
    operation_id="updateApiKey",
    responses=answers(200, KEY_ROW_SCHEMA, "The key as it is now."),
)
def update_key(
    key_id: str, request: Request, body: ChangedKey, principal: Principal = Writer
) -> Response:
    """Rename a key, take scopes from it, let it end sooner, or change where it is accepted from."""
    own_organization(principal, body.organization_id)
    now_us = deps.clock(request).micros()
    changed = write_retrying(
        deps.database(request),
        lambda session: issue.update_key(
            session,
            principal.organization_id,
            key_id,
            now_us=now_us,
            name=body.name,
            scopes=body.scopes,
            allowed_networks=body.allowed_networks,
            expires_at=_instant(body.expires_at),
            maker=principal,
            request_id=request_id(request.scope),
        ),
    )
    from_thread.run_sync(keys_of(request).forget, changed.id)
    return json_response(key_row(changed, now_us))


@router.post(
    "/api-keys/{key_id}/rotate",
    status_code=201,
    operation_id="rotateApiKey",
    responses=answers(201, KEY_ROW_SCHEMA, "The key that follows; `key` is its secret."),
)
def rotate_key(
    key_id: str, request: Request, body: Rotation | None = None, principal: Principal = Writer
) -> Response:
    """Make the key that follows this one; both are accepted for `overlap_seconds`."""
    now_us = deps.clock(request).micros()
    wanted = body or Rotation()
    own_organization(principal, wanted.organization_id)
    issued = write_retrying(
        deps.database(request),
        lambda session: issue.rotate_key(
            session,
            principal.organization_id,
            key_id,
            overlap_seconds=wanted.overlap_seconds,
            now_us=now_us,
            maker=principal,
            request_id=request_id(request.scope),
        ),
    )
    from_thread.run_sync(keys_of(request).forget, key_id)
    return json_response({**key_row(issued.key, now_us), "key": issued.secret}, 201)


@router.delete("/api-keys/{key_id}", status_code=204, operation_id="revokeApiKey")
def revoke_key(key_id: str, request: Request, principal: Principal = Writer) -> Response:
    """Revoke a key; it is refused everywhere within a second. A second time changes nothing."""
    now_us = deps.clock(request).micros()
    withdrawn = write_retrying(
        deps.database(request),
        lambda session: issue.withdraw_key(
            session,
            principal.organization_id,
            key_id,
            now_us=now_us,
            actor_id=principal.key_id,
            request_id=request_id(request.scope),
        ),
    )
    from_thread.run_sync(keys_of(request).forget, withdrawn.id)
    return Response(status_code=204)


WHOAMI_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["valid", "key_id", "organization_id", "scopes", "expires_at"],
    "properties": {
        "valid": {"const": True},
        "key_id": {"type": "string"},
        "organization_id": {"type": "string"},
        "scopes": {"type": "array", "items": {"type": "string"}},
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
    },
}


@router.get(
    "/validate",
    operation_id="validateApiKey",
    responses=answers(200, WHOAMI_SCHEMA, "What the key of this request may do."),
)
async def validate(principal: Principal = Anyone) -> Response:
    """Which organization this key belongs to and what it may do."""
    expires_at = principal.expires_at
    return json_response(
        {
            "valid": True,
            "key_id": principal.key_id,
            "organization_id": principal.organization_id,
            "scopes": sorted(principal.scopes),
            "expires_at": None if expires_at is None else format_micros(expires_at),
        }
    )


def _instant(text: str | None) -> int | None:
    return None if text is None else to_micros(parse_instant(text, "expires_at"))
