"""The running app at a fixed time, and names on its server that are dropped afterwards."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import exc

from llm_cost_ops.server.clock import FixedClock
from llm_cost_ops.server.settings import DatabaseSettings, Settings
from tests.server.bi.clients import operate
from tests.server.exports.conftest import NOW, application, sqlite_application
from tests.support.application import Application, running

__all__ = ["application", "sqlite_application"]


@pytest.fixture
def served(server_settings: DatabaseSettings) -> Iterator[Application]:
    """The app on the kinds of database that have roles."""
    with running(Settings(database=server_settings), clock=FixedClock(NOW)) as made:
        yield made


@pytest.fixture
def fresh(served: Application) -> Iterator[Callable[[str], str]]:
    """Names that nobody uses, by a beginning."""
    given: list[str] = []

    def name(beginning: str) -> str:
        given.append(f"{beginning}_{secrets.token_hex(4)}")
        return given[-1]

    yield name
    for each in reversed(given):
        if served.database.kind == "mysql":
            operate(
                served, f"DROP DATABASE IF EXISTS `{each}`", f"DROP USER IF EXISTS '{each}'@'%'"
            )
            continue
        operate(served, f'DROP SCHEMA IF EXISTS "{each}" CASCADE')
        with contextlib.suppress(exc.ProgrammingError):  # no such role
            operate(served, f'DROP OWNED BY "{each}" CASCADE', f'DROP ROLE "{each}"')
