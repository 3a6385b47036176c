"""`llm_cost_ops.rbac`: views of others' applications, guarded by permissions."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from werkzeug.exceptions import Forbidden, Unauthorized

from llm_cost_ops.core.permissions import PermissionTextError
from llm_cost_ops.exceptions import AuthenticationError, PermissionDenied
from llm_cost_ops.rbac import Permission, has_permission, require_permission
from llm_cost_ops.server.access.principal import Principal


class User:
    """Somebody as applications have them."""

    def __init__(self, *held: str, team_ids: tuple[str, ...] = ()) -> None:
        self.scopes = frozenset(held)
        self.team_ids = team_ids

    def has_permission(self, text: str) -> bool:
        return has_permission(self.scopes, text)


WRITER = User("write:costs", "read:costs")
READER = User("read:costs")
ADMIN = User("*")


def test_a_permission_has_one_spelling() -> None:
    assert Permission("costs:write") == Permission("usage:write") == "write:costs"
    assert Permission("admin") == "*"
    assert Permission("read:usage").is_held_by(READER)
    assert not Permission("write:costs").is_held_by(READER)
    with pytest.raises(PermissionTextError):
        Permission("raed:costs")
    with pytest.raises(PermissionTextError):
        require_permission("raed:costs")


def check_budget_access(user: Any, budget: Any) -> bool:
    """As the administrator's guide has it."""
    if user.has_permission("admin"):
        return True
    return bool(user.has_permission("write:budgets") and budget.team_id in user.team_ids)


@pytest.mark.parametrize(
    ("user", "team_id", "allowed"),
    [
        (User("*"), "ml", True),
        (User("write:budgets", team_ids=("ml",)), "ml", True),
        (User("write:budgets", team_ids=("ml",)), "web", False),
        (User("read:budgets", team_ids=("ml",)), "ml", False),
        (Principal("k", "org-x", frozenset({"*"})), "ml", True),
        (Principal("k", "org-x", frozenset({"write:budgets"}), team_ids=("ml",)), "ml", True),
        (Principal("k", "org-x", frozenset({"write:budgets"}), team_ids=("ml",)), "web", False),
    ],
)
def test_the_documented_rule_of_budgets(user: Any, team_id: str, allowed: bool) -> None:
    assert check_budget_access(user, SimpleNamespace(team_id=team_id)) is allowed


@pytest.mark.parametrize(
    ("user", "held"),
    [
        (WRITER, True),
        (READER, False),
        (SimpleNamespace(permissions=["costs:write"]), True),
        (SimpleNamespace(scopes={"*"}), True),
        (SimpleNamespace(permissions="write:costs"), False),
        (["write:costs"], True),
        ("write:costs", False),
        (object(), False),
        (None, False),
    ],
)
def test_what_a_user_holds(user: Any, held: bool) -> None:
    assert has_permission(user, "write:costs") is held


def test_all_of_several_are_needed() -> None:
    assert has_permission(WRITER, "write:costs", "read:costs")
    assert not has_permission(WRITER, "write:costs", "write:budgets")


def answers(app: Any, path: str = "/costs/5") -> int:
    async def ask() -> int:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            answer = await client.post(path)
            if answer.status_code == 200:
                assert answer.json() == {"id": 5}
            return answer.status_code

    return asyncio.run(ask())


def as_user(app: Any, user: Any, place: str) -> Any:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and user is not None:
            if place == "scope":
                scope["user"] = user
            else:
                scope.setdefault("state", {})[place] = user
        await app(scope, receive, send)

    return middleware


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.post("/sync/{cost_id}")
    @require_permission("costs:write")
    def sync_view(cost_id: int) -> dict[str, int]:
        return {"id": cost_id}

    @app.post("/costs/{cost_id}")
    @require_permission("write:costs")
    async def view(cost_id: int) -> dict[str, int]:
        return {"id": cost_id}

    @app.post("/asking/{cost_id}")
    @require_permission("write:costs")
    async def asking(request: Request, cost_id: int) -> dict[str, int]:
        assert request.url.path.startswith("/asking")
        return {"id": cost_id}

    return app


def starlette_app() -> Starlette:
    @require_permission("write:costs")
    async def view(request: Any) -> Response:
        return JSONResponse({"id": int(request.path_params["cost_id"])})

    @require_permission("write:costs")
    def sync_view(request: Any) -> Response:
        return JSONResponse({"id": int(request.path_params["cost_id"])})

    class Asking(HTTPEndpoint):
        @require_permission("write:costs")
        async def post(self, request: Any) -> Response:
            return JSONResponse({"id": int(request.path_params["cost_id"])})

    return Starlette(
        routes=[
            Route("/costs/{cost_id}", view, methods=["POST"]),
            Route("/sync/{cost_id}", sync_view, methods=["POST"]),
            Route("/asking/{cost_id}", Asking),
        ]
    )


@pytest.mark.parametrize("made", [fastapi_app, starlette_app])
@pytest.mark.parametrize("place", ["scope", "user", "current_user", "principal"])
@pytest.mark.parametrize("path", ["/costs/5", "/sync/5", "/asking/5"])
def test_asgi_views(made: Callable[[], Any], place: str, path: str) -> None:
    app = made()
    assert answers(as_user(app, WRITER, place), path) == 200
    assert answers(as_user(app, ADMIN, place), path) == 200
    assert answers(as_user(app, READER, place), path) == 403
    assert answers(as_user(app, None, place), path) == 401


def test_the_guard_is_no_parameter_of_the_api() -> None:
    operation = fastapi_app().openapi()["paths"]["/costs/{cost_id}"]["post"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["cost_id"]


@require_permission("write:costs")
def create_cost(cost_id: int) -> dict[str, int]:
    """A view as Flask calls it."""
    return {"id": cost_id}


@pytest.fixture
def flask_login(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Flask-Login as far as it is looked at."""
    made: Any = ModuleType("flask_login")
    made.current_user = None
    monkeypatch.setitem(sys.modules, "flask_login", made)
    return made


def test_flask_views_of_the_current_user(flask_login: SimpleNamespace) -> None:
    flask_login.current_user = WRITER
    assert create_cost(cost_id=5) == {"id": 5}
    flask_login.current_user = READER
    with pytest.raises(Forbidden) as refused:
        create_cost(cost_id=5)
    assert "write:costs" in str(refused.value.description)
    for nobody in (None, SimpleNamespace(is_authenticated=False)):
        flask_login.current_user = nobody
        with pytest.raises(Unauthorized):
            create_cost(cost_id=5)


def test_flask_views_of_the_user_of_g(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = ModuleType("flask")
    made.g = {"user": WRITER}
    made.has_app_context = lambda: True
    monkeypatch.setitem(sys.modules, "flask", made)
    assert create_cost(cost_id=5) == {"id": 5}
    made.g = {}
    with pytest.raises(Unauthorized):
        create_cost(cost_id=5)


def test_a_user_of_ones_own_and_no_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "werkzeug.exceptions", None)
    users: list[Any] = [WRITER, READER, None]

    @require_permission("write:costs", user=lambda: users.pop(0))
    def view() -> str:
        """What it does."""
        return "done"

    assert (view(), view.__doc__) == ("done", "What it does.")
    with pytest.raises(PermissionDenied):
        view()
    with pytest.raises(AuthenticationError):
        view()
