"""Check 25: pages of other origins get no answer that they can read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llm_cost_ops.server.settings import (
    CorsSettings,
    DatabaseSettings,
    Settings,
    SettingsError,
    load_settings,
)
from tests.support.application import Application, running

pytestmark = pytest.mark.check(25)

OURS = "https://app.example.com"
FOREIGN = (
    "https://evil.example.org",
    "null",
    "https://app.example.com.evil.org",
    "https://evilapp.example.com",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://APP.example.com.",
    "https://app.example.com@evil.org",
    "https://app_example.com",
    "file://",
    "*",
)


def app(database: DatabaseSettings, **cors: object) -> Settings:
    return replace(Settings(database=database), cors=CorsSettings(**cors))  # type: ignore[arg-type]


def origins_read_by(application: Application, origin: str) -> list[str]:
    """What answers to a page of this origin allow: plain, refused, and asked for beforehand."""
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    found = [
        application.get("/api/v1/costs", headers={"Origin": origin}),
        application.get("/api/v1/costs", key=None, headers={"Origin": origin}),
        application.post("/api/v1/usage", json={}, headers={"Origin": origin}),
        application.request("OPTIONS", "/api/v1/costs", key=None, headers=asked),
        application.get("/live", key=None, headers={"Origin": origin}),
    ]
    return [
        answer.headers["access-control-allow-origin"]
        for answer in found
        if "access-control-allow-origin" in answer.headers
    ]


def test_foreign_origins_read_nothing(sqlite_settings: DatabaseSettings) -> None:
    with running(app(sqlite_settings, origins=(OURS,), credentials=True)) as application:
        for origin in FOREIGN:
            assert origins_read_by(application, origin) == [], origin
        assert set(origins_read_by(application, OURS)) == {OURS}


def test_by_default_nobody_reads_anything(sqlite_application: Application) -> None:
    assert origins_read_by(sqlite_application, OURS) == []


def test_answers_differ_by_origin_and_say_so(sqlite_settings: DatabaseSettings) -> None:
    with running(app(sqlite_settings, origins=(OURS,))) as application:
        answer = application.get("/api/v1/costs", headers={"Origin": OURS})
        assert "origin" in answer.headers["vary"].lower()
        exposed = answer.headers["access-control-expose-headers"]
        assert "X-RateLimit-Remaining" in exposed


def test_every_origin_with_credentials_stops_the_start(tmp_path: Path) -> None:
    environ = {"CORS_ORIGINS": "*", "COST_OPS_CORS_CREDENTIALS": "true"}
    with pytest.raises(SettingsError, match="origins by name"):
        load_settings(environ=environ, directory=tmp_path, home=tmp_path)
