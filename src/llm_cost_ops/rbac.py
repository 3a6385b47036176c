"""Permissions for views of your own, of ASGI frameworks (FastAPI, Starlette) and of Flask.

    from llm_cost_ops.rbac import require_permission

    @app.route("/costs", methods=["POST"])
    @require_permission("write:costs")
    def create_cost(): ...

The user is `request.user` or `request.state.user` of an ASGI request, or `current_user` of
Flask-Login or `g.user` of Flask. It tells what it may do by `has_permission(text)`, or holds
`permissions` or `scopes`. No user is 401, a permission that is not held 403: all of those that
are named are needed, in either spelling (`write:costs`, `costs:write`).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, NoReturn, TypeVar, cast

from llm_cost_ops.core import permissions
from llm_cost_ops.core.permissions import ROLES, PermissionTextError
from llm_cost_ops.exceptions import AuthenticationError, PermissionDenied

__all__ = ["ROLES", "Permission", "PermissionTextError", "has_permission", "require_permission"]

View = TypeVar("View", bound=Callable[..., Any])
FindUser = Callable[[], Any]
_INJECTED = "_request_of_permission"


class Permission(str):
    """A permission in its one spelling: `Permission("costs:write") == "write:costs"`.

    Raises PermissionTextError for text that names none.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Permission:
        return super().__new__(cls, permissions.normalise(text))

    def is_held_by(self, user: Any) -> bool:
        """Whether a user, or a collection of permissions, covers it."""
        return has_permission(user, self)


def has_permission(user: Any, *required: str) -> bool:
    """Whether a user holds all of the permissions. A user without `has_permission`, `permissions`
    and `scopes`, who is no collection either, holds none. Raises PermissionTextError."""
    wanted = [Permission(text) for text in required]
    asked = getattr(user, "has_permission", None)
    if callable(asked):
        return all(bool(asked(permission)) for permission in wanted)
    held = user
    for name in ("permissions", "scopes"):
        held = getattr(user, name, held)
        if held is not user:
            break
    if isinstance(held, str) or not isinstance(held, Iterable):
        return False
    return permissions.holds(permissions.normalise_all(cast("Iterable[str]", held)), wanted)


def require_permission(*required: str, user: FindUser | None = None) -> Callable[[View], View]:
    """A decorator: the view is called when the user holds all of the permissions.

    `user` gives the user where it is found in none of the usual places. Raises PermissionTextError
    for text that names no permission, at once.
    """
    wanted = tuple(Permission(text) for text in required)

    def decorate(view: View) -> View:
        def admit(args: tuple[Any, ...], named: dict[str, Any]) -> None:
            _check(wanted, _request_in(args, named), user)

        guarded = _guarded(view, admit)
        _ask_for_request(guarded, view)
        return cast("View", guarded)

    return decorate


def _guarded(
    view: Callable[..., Any], admit: Callable[[tuple[Any, ...], dict[str, Any]], None]
) -> Callable[..., Any]:
    if not inspect.iscoroutinefunction(view):

        @wraps(view)
        def guarded(*args: Any, **named: Any) -> Any:
            admit(args, named)
            return view(*args, **named)

        return guarded

    @wraps(view)
    async def awaited(*args: Any, **named: Any) -> Any:
        admit(args, named)
        return await view(*args, **named)

    return awaited


def _check(wanted: tuple[Permission, ...], request: Any, find: FindUser | None) -> None:
    user = find() if find is not None else _user_of(request)
    if user is None or getattr(user, "is_authenticated", True) is False:
        _refuse(401, "Sign in first.", request)
    missing = [permission for permission in wanted if not has_permission(user, permission)]
    if missing:
        _refuse(403, f"Insufficient permissions: {', '.join(missing)}", request)


def _request_in(args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The ASGI request that a view is called with, also as the `request` of an endpoint class."""
    injected = named.pop(_INJECTED, None)
    if injected is not None:
        return injected
    candidates = (*args, *named.values(), *(getattr(each, "request", None) for each in args[:1]))
    for each in candidates:
        if isinstance(getattr(each, "scope", None), Mapping):
            return each
    return None


def _user_of(request: Any) -> Any:
    if request is not None:
        found = request.scope.get("user")
        state: Mapping[str, Any] = request.scope.get("state") or {}  # what request.state shows
        for name in ("user", "current_user", "principal"):
            found = state.get(name) if found is None else found
        return found
    login, flask = sys.modules.get("flask_login"), sys.modules.get("flask")
    current = getattr(login, "current_user", None)
    if current:  # a proxy of nobody is false
        return current
    g = getattr(flask, "g", None)
    if g is None or not cast("Any", flask).has_app_context():
        return None
    for name in ("user", "current_user"):
        found = g.get(name)
        if found is not None:
            return found
    return None


def _ask_for_request(guarded: Any, view: Callable[..., Any]) -> None:
    """Let FastAPI give the request to a view that does not ask for it itself; other frameworks do
    not look at the parameters."""
    try:
        from starlette.requests import Request
    except ImportError:
        return
    signature = inspect.signature(view)
    parameters = list(signature.parameters.values())
    if any("Request" in str(each.annotation) for each in parameters):
        return
    rest = [each for each in parameters if each.kind is inspect.Parameter.VAR_KEYWORD]
    mine = inspect.Parameter(_INJECTED, inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    kept = [each for each in parameters if each not in rest]
    guarded.__signature__ = signature.replace(parameters=[*kept, mine, *rest])


def _refuse(status: int, message: str, request: Any) -> NoReturn:
    """Raise what the framework that called the view answers with."""
    if request is not None:
        from starlette.exceptions import HTTPException

        raise HTTPException(status, message)
    werkzeug = sys.modules.get("werkzeug.exceptions")
    if werkzeug is not None:
        raise (werkzeug.Unauthorized if status == 401 else werkzeug.Forbidden)(message)
    if status == 401:
        raise AuthenticationError(message, status_code=401)
    raise PermissionDenied(message, status_code=403)
