"""Check 44: only what is documented is served, and only what is switched on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llm_cost_ops.server.settings import (
    DatabaseSettings,
    DocsSettings,
    MetricsSettings,
    Settings,
)
from tests.support.application import Application, running

pytestmark = pytest.mark.check(44)

USUAL = (
    "/admin", "/debug", "/console", "/.env", "/.git/config", "/server-status", "/actuator/env",
    "/phpinfo.php", "/graphql", "/api", "/api/v1", "/api/v2/costs", "/redoc", "/swagger.json",
    "/docs/oauth2-redirect", "/static/x", "/__debug__", "/metrics/x", "/trace.axd",
)  # fmt: skip


@pytest.mark.parametrize("path", USUAL)
def test_nothing_else_is_there(sqlite_application: Application, path: str) -> None:
    for key in (None, ""):
        assert sqlite_application.get(path, key=key).status_code == 404


def test_docs_and_metrics_can_be_switched_off(sqlite_settings: DatabaseSettings) -> None:
    off = replace(
        Settings(database=sqlite_settings),
        docs=DocsSettings(enabled=False),
        metrics=MetricsSettings(enabled=False),
    )
    with running(off) as app:
        for path in ("/docs", "/openapi.json", "/metrics"):
            assert app.get(path, key=None).status_code == 404
            assert app.get(path).status_code == 404


def test_debugging_is_off(sqlite_application: Application) -> None:
    assert sqlite_application.app.api.debug is False
    answer = sqlite_application.get("/nowhere")
    assert "Traceback" not in answer.text


def test_no_answer_names_the_server(sqlite_application: Application) -> None:
    for path in ("/live", "/nowhere", "/api/v1/costs"):
        headers = sqlite_application.get(path).headers
        named = " ".join(f"{name}: {value}" for name, value in headers.items()).lower()
        for product in ("uvicorn", "starlette", "fastapi", "python", "sqlite"):
            assert product not in named
