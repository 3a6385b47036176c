"""`auth`: sign in to a server as a person, sign out, and who one is; `keys` makes them commands."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, cast

import typer

from llm_cost_ops.cli.command import Run
from llm_cost_ops.cli.failure import ARGUMENTS, AUTH, OK, CommandError
from llm_cost_ops.cli.output import Row, show_object
from llm_cost_ops.cli.profile import Profile

CODE_DIGITS = 6


def _login(
    profile: Profile,
    email: Annotated[str | None, typer.Option("--email", "-e", help="E-mail address.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    code: Annotated[
        str | None, typer.Option(help="Code of the second factor, or a recovery code.")
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser", help="Sign in by the browser, whichever way it offers.")
    ] = False,
) -> int:
    """Sign in to a server with e-mail address and password, or by the browser; later commands go
    there as this person.

    The password is asked for without showing it. The tokens are kept in ~/.config/cost-ops, for
    the owner of the file alone. --api-key and COST_OPS_API_KEY go before a login.

    $ cost-ops auth login --api-url https://costs.example.com --email ann@example.com
    $ cost-ops auth login --email ann@example.com --password-stdin < password.txt
    $ cost-ops auth login --api-url https://costs.example.com --browser
    """
    from llm_cost_ops.cli import logins

    server = _server(profile)
    before = logins.login_at(server)
    if browser:
        login, organization = _by_browser(profile, server)
    else:
        email = email or _asked("E-mail address", "--email")
        body: dict[str, Any] = {"email": email, "password": _password(password_stdin)}
        if profile.organization is not None:
            body["organization"] = profile.organization
        made = _signed_in(server, body, code)
        organization = cast("Row", made["organization"])
        person = str(cast("Row", made.get("user", {})).get("email", email))
        login = logins.login_of(server, _tokens_of(made), person, logins.now_s())
    logins.keep(login)
    if before is not None:
        _given_back(server, before.refresh_token)
    shown = {"server": server, "email": login.email, "organization": organization["slug"]}
    show_object(profile, shown, lambda _profile, _row: None)
    profile.note(f"Signed in to {server} as {login.email}, organization {organization['name']}.")
    return OK


def _logout(profile: Profile) -> int:
    """Sign out of a server: its tokens end at once, and are forgotten here.

    $ cost-ops auth logout
    """
    from llm_cost_ops.cli import logins

    server = _server(profile)
    login = logins.login_at(server)
    if login is None:
        raise CommandError(logins.signed_out(server), code="AUTH_001", exit_code=AUTH)
    from llm_cost_ops.exceptions import AuthenticationError

    try:
        with _as(login) as api:
            api.change("POST", "/auth/logout")
    except AuthenticationError:
        profile.note("The login had ended already.")
    logins.drop(server)
    profile.note(f"Signed out of {server}.")
    return OK


def _whoami(profile: Profile) -> int:
    """Who the next command is: person or key, organization, roles, and until when.

    $ cost-ops auth whoami
    $ cost-ops auth whoami -o json
    """
    from llm_cost_ops.cli.connect import connected
    from llm_cost_ops.exceptions import PermissionDenied

    with connected(profile) as api:
        try:
            me = cast("Row", api.read("/auth/me"))
        except PermissionDenied:
            found = _key(api.read("/auth/validate"), local=api.local)
        else:
            found = _person(me)
        shown = {"server": "local database" if api.local else api.place, **found}
    show_object(profile, shown)
    return OK


def _switch_org(
    profile: Profile,
    to: Annotated[str, typer.Argument(help="Its id or short name (slug).", metavar="ORGANIZATION")],
) -> int:
    """Go on in another organization that one belongs to.

    $ cost-ops auth switch-org acme
    """
    from llm_cost_ops.cli import logins

    server = _server(profile)
    login = logins.login_at(server)
    if login is None:
        raise CommandError(logins.signed_out(server), code="AUTH_001", exit_code=AUTH)
    made = _moved(login, to)
    logins.go_on(login, str(made["access_token"]), _ends(made))
    profile.note(f"Now in the organization {made['name']}.")
    return OK


NAMES: Mapping[str, tuple[Run, Sequence[str], bool]] = {
    "login": (_login, (), True),
    "logout": (_logout, (), False),
    "whoami": (_whoami, ("me",), False),
    "switch-org": (_switch_org, ("switch-organization",), False),
}
"""Commands with their aliases, and whether they take --organization."""


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def _server(profile: Profile) -> str:
    """The server that is meant. Raises CommandError when none is named."""
    from llm_cost_ops.cli import logins

    named = profile.server
    if named is None:
        raise CommandError("name the server: --api-url https://..", exit_code=ARGUMENTS)
    return logins.server_of(named)


def _asked(what: str, option: str) -> str:
    if not at_terminal():
        raise CommandError(f"name it: {option}", exit_code=ARGUMENTS)
    return str(typer.prompt(what, err=True))


def _password(from_stdin: bool) -> str:
    """The password: the first line of standard input, or typed without being shown."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif at_terminal():
        import getpass

        password = getpass.getpass("Password: ")
    else:
        raise CommandError("give the password by --password-stdin", exit_code=ARGUMENTS)
    if not password:
        raise CommandError("the password is empty", exit_code=ARGUMENTS)
    return password


def _signed_in(server: str, body: Mapping[str, Any], code: str | None) -> Row:
    """What the server answers; asks for a code where the account has a second factor."""
    from llm_cost_ops.exceptions import AuthenticationError

    try:
        return _entered(server, {**body, **_code(code)})
    except AuthenticationError as error:
        if error.code != "SECOND_FACTOR_REQUIRED" or code is not None:
            raise
        if not at_terminal():
            raise CommandError(
                "the account has a second factor: --code", code=error.code, exit_code=AUTH
            ) from None
    return _entered(server, {**body, **_code(_asked("Code", "--code"))})


def _by_browser(profile: Profile, server: str) -> tuple[Any, Row]:
    """The login, and the organization that it is in."""
    from llm_cost_ops.cli import browser, logins
    from llm_cost_ops.exceptions import CostOpsError

    tokens, me = browser.signed_in(profile, server)
    email = str(cast("Row", me["account"])["email"])
    login = logins.login_of(server, tokens, email, logins.now_s(), browser.CLIENT_ID)
    organization, wanted = cast("Row", me["organization"]), profile.organization
    if wanted is None or wanted in (organization["id"], organization["slug"]):
        return login, organization
    try:
        moved = _moved(login, wanted)
    except CostOpsError:
        _given_back(server, login.refresh_token)
        raise
    token = str(moved["access_token"])
    return replace(login, access_token=token, expires_at=_ends(moved)), moved


def _moved(login: Any, to: str) -> Row:
    """The organization that the login goes on in, with an access token for it."""
    with _as(login) as api:
        return cast("Row", api.ask("/auth/switch-org", {"organization": to}))


def _ends(made: Row) -> float:
    from llm_cost_ops.cli.logins import now_s

    return now_s() + float(made["expires_in"])


def _entered(server: str, body: Mapping[str, Any]) -> Row:
    from llm_cost_ops.cli.connect import Api
    from llm_cost_ops.client.credentials import Anonymous

    # Not repeated by itself: each attempt counts, and a throttled one is told how long to wait.
    with Api(None, server, auth=Anonymous(), max_retries=0) as api:
        return cast("Row", api.ask("/auth/login", body))


def _code(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    bare = text.replace(" ", "")
    digits = bare.isascii() and bare.isdecimal() and len(bare) == CODE_DIGITS
    return {"totp": bare} if digits else {"recovery_code": text.strip()}


def _tokens_of(made: Row) -> Any:
    from llm_cost_ops.client.renewing import Tokens

    if not made.get("refresh_token"):
        raise CommandError("the server gives no tokens: is it older than this program?")
    return Tokens(made["access_token"], made["refresh_token"], float(made["expires_in"]))


def _as(login: Any) -> Any:
    from llm_cost_ops.cli.connect import Api
    from llm_cost_ops.cli.logins import StoredToken, now_s

    return Api(None, login.server, auth=StoredToken(login, now=now_s))


def _given_back(server: str, token: str) -> None:
    """End a login that another one replaces, if it goes on: by its refresh token, which is in force
    long after its access token."""
    from contextlib import suppress

    from llm_cost_ops.cli.connect import Api
    from llm_cost_ops.client.credentials import Anonymous
    from llm_cost_ops.exceptions import CostOpsError

    with suppress(CostOpsError), Api(None, server, auth=Anonymous(), max_retries=0) as api:
        api.ask("/auth/token/revoke", {"token": token})


def _person(me: Row) -> dict[str, Any]:
    account, organization = cast("Row", me["account"]), cast("Row", me["organization"])
    return {
        "email": account["email"],
        "name": account["name"],
        "user_id": me["user_id"],
        "organization": organization["slug"],
        "organization_id": organization["id"],
        "roles": me.get("roles", []),
        "expires_at": me.get("expires_at"),
    }


def _key(found: Row, *, local: bool) -> dict[str, Any]:
    return {
        "key_id": f"{found['key_id']} (who runs this command)" if local else found["key_id"],
        "organization_id": found["organization_id"],
        "scopes": found["scopes"],
        "expires_at": found["expires_at"],
    }
