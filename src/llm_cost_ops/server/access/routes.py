"""API keys over HTTP: make, list, revoke, and who am I."""

from __future__ import annotations

from typing import Any, cast

from anyio import from_thread
from fastapi import Depends, Request
from starlette.responses import Response

from llm_cost_ops.core.instant import format_instant, from_micros, parse_instant, to_micros
from llm_cost_ops.server.access import store
from llm_cost_ops.server.access.deps import keys as keys_of
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.issue import issue_key, withdraw_key
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.access.schemas import KEY_ROW_SCHEMA, NewKey
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
    settings, clock = deps.settings(request), deps.clock(request)
    now_us = clock.micros()
    expires_at = None
    if body.expires_at is not None:
        expires_at = to_micros(parse_instant(body.expires_at, "expires_at"))
    issued = write_retrying(
        deps.database(request),
        lambda session: issue_key(
            session,
            organization_id=principal.organization_id,
            name=body.name,
            scopes=body.scopes if body.scopes is not None else principal.scopes,
            prefix=settings.auth.api_key_prefix,
            now_us=now_us,
            expires_at=expires_at,
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
    refuse_unknown(request, PARAMETERS)
    subject = f"api-keys:{principal.organization_id}"
    wanted = page_request(request.query_params, subject, (str,))
    after = cast("str | None", wanted.position[0]) if wanted.position else None
    with read(deps.database(request)) as session:
        found = store.list_keys(
            session,
            principal.organization_id,
            limit=wanted.limit + 1,
            offset=wanted.offset,
            after=after,
        )
    shown, more = found[: wanted.limit], len(found) > wanted.limit
    now_us = deps.clock(request).micros()
    rows = [key_row(key, now_us) for key in shown]
    following = encode_cursor(subject, [shown[-1].id]) if more else None
    return json_response(page_answer(rows, wanted, following))


@router.delete("/api-keys/{key_id}", status_code=204, operation_id="revokeApiKey")
def revoke_key(key_id: str, request: Request, principal: Principal = Writer) -> Response:
    """Revoke a key; it is refused everywhere within a second. A second time changes nothing."""
    now_us = deps.clock(request).micros()
    withdrawn = write_retrying(
        deps.database(request),
        lambda session: withdraw_key(
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
            "expires_at": None if expires_at is None else format_instant(from_micros(expires_at)),
        }
    )
