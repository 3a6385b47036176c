"""Users and service accounts over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from fastapi import Depends, Query, Request
from starlette.responses import Response

from llm_cost_ops.server.access.change import KEYED, Raw, actor_of, change
from llm_cost_ops.server.access.deps import own_organization, require
from llm_cost_ops.server.access.powers import refuse_stronger
from llm_cost_ops.server.access.principal import Principal
from llm_cost_ops.server.admin import letters, user_import
from llm_cost_ops.server.admin.bodies import ChangedUser, Import, NewServiceAccount, NewUserBody
from llm_cost_ops.server.admin.lists import forgotten, paged
from llm_cost_ops.server.admin.people import make_user
from llm_cost_ops.server.admin.wire import COUNT, USER_SCHEMA, shape, user_row, user_rows
from llm_cost_ops.server.audit.actor import Actor
from llm_cost_ops.server.db.session import WriteSession, read
from llm_cost_ops.server.http import deps
from llm_cost_ops.server.http.body import json_response
from llm_cost_ops.server.http.edge import untimed
from llm_cost_ops.server.http.openapi import answers, list_of
from llm_cost_ops.server.http.pagination import PARAMETERS, paging_parameters
from llm_cost_ops.server.http.routing import refuse_unknown, room_router
from llm_cost_ops.server.identity import users
from llm_cost_ops.server.identity.users import NewUser, UserFilter

router = room_router("/api/v1", "users")

Reader = Depends(require("read:users"))
Writer = Depends(require("write:users"))
_ONE = answers(200, USER_SCHEMA, "The user.")
_MADE = answers(201, USER_SCHEMA, "The user. There is no temporary password: a welcome mail has a "
                "link by which the person chooses one.")  # fmt: skip
_QUEUED = answers(202, shape(status={"const": "queued"}, job_id={"type": "string"}), "It is sent.")
_REPORT = shape(
    dry_run={"type": "boolean"},
    created=COUNT,
    valid=COUNT,
    failed=COUNT,
    results={"type": "array", "items": {"type": "object"}},
)
_NAMES = {"first_name": "given_name", "last_name": "family_name"}


@router.post(
    "/users", status_code=201, operation_id="createUser", openapi_extra=KEYED, responses=_MADE
)
def create_user(
    request: Request, body: NewUserBody, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Make a person a user. One whose id or address calls have named already keeps that id."""
    own_organization(principal, body.organization_id)
    if body.send_welcome_email:
        letters.refuse_lacking(deps.settings(request))
    new = NewUser(
        email=body.email,
        name=body.name,
        given_name=body.first_name,
        family_name=body.last_name,
        external_id=body.external_id,
        metadata=body.metadata,
        role=body.role,
        active=body.active,
        user_id=body.user_id,
    )

    def work(session: WriteSession, actor: Actor) -> Response:
        made = make_user(
            session, actor, principal, new, team_texts=body.teams, welcome=body.send_welcome_email
        )
        return json_response(user_row(session, made), 201)

    return change(request, principal, raw, work)


@router.get(
    "/users",
    operation_id="listUsers",
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(USER_SCHEMA), "By id."),
)
def list_users(
    request: Request,
    principal: Principal = Reader,
    role: str | None = None,
    team_id: str | None = None,
    active: bool | None = None,
    search: str | None = Query(default=None, max_length=255),
    kind: Literal["person", "service", "seen", "all"] = "person",
) -> Response:
    """The users of the organization: people unless another kind is asked for."""
    known = {"role", "team_id", "active", "search", "kind", "organization_id"}
    refuse_unknown(request, PARAMETERS | known)
    kinds = (kind,) if kind != "all" else (users.PERSON, users.SERVICE, users.SEEN)
    wanted = UserFilter(kinds=kinds, active=active, role=role, team_id=team_id, search=search)
    organization_id = principal.organization_id
    return paged(
        request,
        f"{organization_id} users {wanted}",
        partial(users.list_users, organization_id=organization_id, wanted=wanted),
        lambda session, found: user_rows(session, organization_id, found),
    )


@router.get("/users/{user_id}", operation_id="getUser", responses=_ONE)
def get_user(user_id: str, request: Request, principal: Principal = Reader) -> Response:
    """One user, with roles and teams."""
    with read(deps.database(request)) as session:
        found = users.known_user(session, principal.organization_id, user_id)
        return json_response(user_row(session, found))


@router.put("/users/{user_id}", operation_id="updateUser", openapi_extra=KEYED, responses=_ONE)
@router.patch("/users/{user_id}", operation_id="changeUser", openapi_extra=KEYED, responses=_ONE)
def update_user(
    user_id: str,
    request: Request,
    body: ChangedUser,
    raw: bytes = Raw,
    principal: Principal = Writer,
) -> Response:
    """Change a user; what is not named stays. Another address is another account, without the
    password of the one before."""
    own_organization(principal, body.organization_id)
    given = body.model_dump(exclude_unset=True, exclude={"organization_id"})
    changes = {_NAMES.get(name, name): value for name, value in given.items()}
    if changes.get("active", True) is None:
        del changes["active"]

    def work(session: WriteSession, actor: Actor) -> Response:
        refuse_stronger(session, principal, user_id)
        return json_response(user_row(session, users.update_user(session, actor, user_id, changes)))

    return forgotten(request, principal, user_id, change(request, principal, raw, work))


@router.post(
    "/users/{user_id}/disable", operation_id="disableUser", openapi_extra=KEYED, responses=_ONE
)
def disable_user(
    user_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """End every credential of a user: keys are revoked, sessions and tokens refused within a
    second."""
    return _switched(user_id, request, raw, principal, users.disable_user)


@router.post(
    "/users/{user_id}/enable", operation_id="enableUser", openapi_extra=KEYED, responses=_ONE
)
def enable_user(
    user_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Let a user in again; revoked keys stay revoked."""
    return _switched(user_id, request, raw, principal, users.enable_user)


def _switched(
    user_id: str, request: Request, raw: bytes, principal: Principal, verb: Any
) -> Response:
    def work(session: WriteSession, actor: Actor) -> Response:
        refuse_stronger(session, principal, user_id)
        return json_response(user_row(session, verb(session, actor, user_id)))

    return forgotten(request, principal, user_id, change(request, principal, raw, work))


@router.delete("/users/{user_id}", status_code=204, operation_id="deleteUser", openapi_extra=KEYED)
def delete_user(
    user_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Take a user out of the organization; recorded calls keep the id."""

    def work(session: WriteSession, actor: Actor) -> Response:
        refuse_stronger(session, principal, user_id)
        users.remove_user(session, actor, user_id)
        return Response(status_code=204)

    return forgotten(request, principal, user_id, change(request, principal, raw, work))


@router.post(
    "/users/{user_id}/welcome-email",
    status_code=202,
    operation_id="sendWelcomeEmail",
    openapi_extra=KEYED,
    responses=_QUEUED,
)
def send_welcome_email(
    user_id: str, request: Request, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Mail a link that works once, to choose a password. 409 where mail is not set up."""

    def work(session: WriteSession, actor: Actor) -> Response:
        found = users.known_user(session, principal.organization_id, user_id)
        refuse_stronger(session, principal, user_id)
        letters.refuse_lacking(deps.settings(request))
        if not found.is_active or found.email is None:
            raise letters.MailUnavailable("Only people who are not disabled get a welcome.")
        job_id = letters.post(session, actor, "welcome", user_id)
        return json_response({"status": "queued", "job_id": job_id}, 202)

    return change(request, principal, raw, work)


@router.post(
    "/users/import",
    operation_id="importUsers",
    responses=answers(200, _REPORT, "What became of each row."),
)
def import_users(request: Request, body: Import, principal: Principal = Writer) -> Response:
    """Make users of the rows of a CSV file, each for itself; a dry run only tries."""
    own_organization(principal, body.organization_id)
    if body.send_welcome_email:
        letters.refuse_lacking(deps.settings(request))
    untimed(request)
    rows = user_import.import_users(
        deps.database(request),
        principal,
        lambda: actor_of(request, principal),
        body.csv,
        dry_run=body.dry_run,
        welcome=body.send_welcome_email,
    )
    states = [row.status for row in rows]
    counts = {state: states.count(state) for state in ("created", "valid", "failed")}
    results = [row.wire() for row in rows]
    return json_response({"dry_run": body.dry_run, **counts, "results": results})


@router.post(
    "/service-accounts",
    status_code=201,
    operation_id="createServiceAccount",
    tags=["service-accounts"],
    openapi_extra=KEYED,
    responses=answers(201, USER_SCHEMA, "The service account, a user without an address."),
)
def create_service_account(
    request: Request, body: NewServiceAccount, raw: bytes = Raw, principal: Principal = Writer
) -> Response:
    """Make a user for a program; its keys can do no more than its roles and end with it."""
    own_organization(principal, body.organization_id)
    new = NewUser(
        kind=users.SERVICE,
        name=body.name,
        role=body.role,
        metadata=body.metadata,
        user_id=body.user_id,
    )

    def work(session: WriteSession, actor: Actor) -> Response:
        made = make_user(session, actor, principal, new, team_texts=body.teams)
        return json_response(user_row(session, made), 201)

    return change(request, principal, raw, work)


@router.get(
    "/service-accounts",
    operation_id="listServiceAccounts",
    tags=["service-accounts"],
    dependencies=[Depends(paging_parameters)],
    responses=answers(200, list_of(USER_SCHEMA), "By id."),
)
def list_service_accounts(request: Request, principal: Principal = Reader) -> Response:
    """The service accounts of the organization."""
    refuse_unknown(request, PARAMETERS | {"organization_id"})
    organization_id, wanted = principal.organization_id, UserFilter(kinds=(users.SERVICE,))
    return paged(
        request,
        f"{organization_id} service accounts",
        partial(users.list_users, organization_id=organization_id, wanted=wanted),
        lambda session, found: user_rows(session, organization_id, found),
    )
