"""API credentials of providers over HTTP: what is kept, never the secrets."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from pydantic import Field
from starlette.responses import Response

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.server.access.change import KEYED, Raw, change, changed
from llm_cost_ops.server.access.deps import require
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin.bodies import Named, Text
from llm_cost_ops.server.admin.lists import paged
from llm_cost_ops.server.admin.wire import INSTANT, MAYBE, MAYBE_INSTANT, TEXT, shape
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession
from llm_cost_ops.server.delivery.sealing import Vault
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.pagination import PARAMETERS, paging_parameters
from llm_cost_ops.server.http.routing import refuse_unknown, room_router
from llm_cost_ops.server.identity import provider_credentials as credentials
from llm_cost_ops.server.identity.provider_credentials import MAX_SECRET, PURPOSE, Credential

router = room_router("/api/v1/provider-credentials", "providers")

Writer = Depends(require("write:providers"))
Secret = Annotated[str, Field(min_length=1, max_length=MAX_SECRET)]
SCHEMA = shape(
    id=TEXT, provider=TEXT, name=TEXT, masked=TEXT, created_by=MAYBE, created_at=INSTANT,
    rotated_at=MAYBE_INSTANT,
)  # fmt: skip


class NewCredential(Named):
    """`POST /api/v1/provider-credentials`."""

    provider: Annotated[str, Field(min_length=1, max_length=64)]
    name: Text = "default"
    secret: Secret


class NewSecret(Named):
    """`POST /api/v1/provider-credentials/{credential_id}/rotate`."""

    secret: Secret


@router.get(
    "",
    operation_id="listProviderCredentials",
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(SCHEMA), "In the order in which they were made."),
)
def list_credentials(request: Request, principal: Principal = Writer) -> Response:
    """The credentials that are kept, without their secrets."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    organization_id = principal.organization_id
    return paged(
        request,
        f"{organization_id} provider credentials",
        partial(credentials.list_credentials, organization_id=organization_id),
        lambda _session, found: [_row(each) for each in found],
    )


@router.post(
    "",
    status_code=201,
    operation_id="putProviderCredential",
    openapi_extra=KEYED,
    responses=answers(201, SCHEMA, "What is kept."),
)
def put_credential(
    request: Request, body: NewCredential, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Keep the API credential of a provider, sealed. No answer ever shows it."""
    vault = _vault(request)

    def work(session: WriteSession, actor: Actor) -> dict[str, object]:
        made = credentials.put_credential(
            session, actor, vault, provider=body.provider, name=body.name, secret=body.secret
        )
        return _row(made)

    return changed(request, principal, raw, body.organization_id, work, 201)


@router.post(
    "/{credential_id}/rotate",
    operation_id="rotateProviderCredential",
    openapi_extra=KEYED,
    responses=answers(200, SCHEMA, "What is kept."),
)
def rotate_credential(
    credential_id: str,
    request: Request,
    body: NewSecret,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Put another secret in the place of the one that is kept."""
    vault = _vault(request)

    def work(session: WriteSession, actor: Actor) -> dict[str, object]:
        return _row(
            credentials.rotate_credential(session, actor, vault, credential_id, body.secret)
        )

    return changed(request, principal, raw, body.organization_id, work)


@router.delete(
    "/{credential_id}",
    status_code=204,
    operation_id="deleteProviderCredential",
    openapi_extra=KEYED,
)
def delete_credential(
    credential_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Forget a credential. It still opens the provider until it is revoked there."""

    def work(session: WriteSession, actor: Actor) -> Response:
        credentials.remove_credential(session, actor, credential_id)
        return Response(status_code=204)

    return change(request, principal, raw, work)


def _vault(request: Request) -> Vault:
    return Vault.of(deps.settings(request), PURPOSE)


def _row(found: Credential) -> dict[str, object]:
    rotated = found.rotated_at
    return {
        "id": found.id,
        "provider": found.provider,
        "name": found.name,
        "masked": f"...{found.last_four}",
        "created_by": found.created_by,
        "created_at": format_micros(found.created_at),
        "rotated_at": None if rotated is None else format_micros(rotated),
    }
