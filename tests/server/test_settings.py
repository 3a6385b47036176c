"""Where values come from, which wins, and what is said about the wrong ones."""

from __future__ import annotations

import dataclasses
import json
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.settings import (
    SETTINGS,
    DatabaseSettings,
    RateLimitSettings,
    Settings,
    SettingsError,
    explain,
    load_settings,
    value_of,
)
from llm_cost_ops.server.settings.spec import Setting

SECRET = "s3cret-" * 6


def load(tmp_path: Path, text: str = "", *, name: str = "config.toml", **given: Any) -> Settings:
    """Settings of a machine that has only this file (when there is a text) and these variables."""
    if text:
        (tmp_path / name).write_text(text, encoding="utf-8")
    environ: dict[str, str] = given.pop("environ", {})
    return load_settings(environ=environ, directory=tmp_path, home=tmp_path / "home", **given)


def problems(tmp_path: Path, text: str = "", **given: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, **given)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


def source(settings: Settings, path: str) -> str:
    return next(row.source for row in explain(settings) if row.path == path)


def test_defaults_need_nothing(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings == Settings(rate_limit=RateLimitSettings(enabled=True))
    assert settings.database.url == "sqlite:cost-ops.db"
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 8080)  # noqa: S104
    assert settings.file is None
    assert {row.source for row in explain(settings)} == {"default"}


def test_flags_beat_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    text = '[server]\nport = 1\nworkers = 2\nhost = "file"\n'
    environ = {"SERVER_PORT": "3", "WORKERS": "4"}
    settings = load(tmp_path, text, environ=environ, flags={"server.port": 5, "server.host": None})
    server = settings.server
    assert (server.port, server.workers, server.host) == (5, 4, "file")
    assert source(settings, "server.port") == "flag --port"
    assert source(settings, "server.workers") == "env WORKERS"
    assert source(settings, "server.host") == f"file {tmp_path}/config.toml [server].host"
    assert source(settings, "server.max_connections") == "default"


def test_the_specific_variable_beats_the_general_one(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": "sqlite:a.db", "COST_OPS_DATABASE_URL": "sqlite:b.db"}
    settings = load(tmp_path, environ=environ)
    assert settings.database.url == "sqlite:b.db"
    assert source(settings, "database.url") == "env COST_OPS_DATABASE_URL"


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    settings = load(tmp_path, environ={"DATABASE_URL": "", "REDIS_URL": " ", "SERVER_PORT": ""})
    assert settings == Settings(rate_limit=RateLimitSettings(enabled=True))


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("LOG_LEVEL", "WARN", "logging.level", "warning"),
        ("METRICS_ENABLED", "false", "metrics.enabled", False),
        ("PROMETHEUS_ENABLED", "0", "metrics.enabled", False),
        ("API_KEY_PREFIX", "sk_staging_", "auth.api_key_prefix", "sk_staging_"),
        ("TLS_CERT_PATH", "/c.pem", "server.tls_cert_file", "/c.pem"),
        ("DATABASE_POOL_SIZE", "7", "database.pool_size", 7),
        ("DATABASE_MAX_OVERFLOW", "0", "database.max_overflow", 0),
        ("DATABASE_POOL_TIMEOUT", "30", "database.pool_timeout_seconds", 30.0),
        ("DATABASE_POOL_RECYCLE", "60", "database.pool_recycle_seconds", 60),
        ("API_PORT", "9000", "server.port", 9000),
        ("API_HOST", "::1", "server.host", "::1"),
        ("SERVER_HOST", "127.0.0.1", "server.host", "127.0.0.1"),
        ("ENVIRONMENT", "prod", "app.environment", "production"),
        ("REDIS_URL", "redis://h/0", "redis.url", "redis://h/0"),
        ("REDIS_MAX_CONNECTIONS", "5", "redis.max_connections", 5),
        ("REDIS_SOCKET_TIMEOUT", "0.5", "redis.socket_timeout_seconds", 0.5),
        ("REDIS_SOCKET_CONNECT_TIMEOUT", "2", "redis.socket_connect_timeout_seconds", 2.0),
        ("SECRET_KEY", SECRET, "security.secret_key", SECRET),
        (
            "ALLOWED_HOSTS",
            "a.example, b.example",
            "server.allowed_hosts",
            ("a.example", "b.example"),
        ),
        ("CORS_ORIGINS", "https://a.example", "cors.origins", ("https://a.example",)),
        ("WORKERS", "4", "server.workers", 4),
        ("TIMEOUT", "12.5", "server.request_timeout_seconds", 12.5),
        ("WORKER_TIMEOUT", "31", "server.request_timeout_seconds", 31.0),
        ("MAX_CONNECTIONS", "100", "server.max_connections", 100),
        ("CACHE_ENABLED", "off", "cache.enabled", False),
        ("CACHE_TTL", "9", "cache.ttl_seconds", 9),
        ("CACHE_MAX_SIZE", "10", "cache.max_size", 10),
        ("ENABLE_API_DOCS", "no", "docs.enabled", False),
        ("COST_OPS_API_MAX_REQUEST_SIZE", "1MiB", "ingest.max_body_bytes", 2**20),
        ("COST_OPS_INGEST_MAX_BODY_BYTES", "10 MB", "ingest.max_body_bytes", 10**7),
    ],
)
def test_documented_variables(
    tmp_path: Path, variable: str, text: str, path: str, value: object
) -> None:
    environ = {variable: text}
    if path == "server.tls_cert_file":
        environ["TLS_KEY_PATH"] = "/k.pem"
    assert value_of(load(tmp_path, environ=environ), path) == value


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda each: each.path)
def test_every_name_of_a_setting_in_a_file(tmp_path: Path, setting: Setting) -> None:
    for name in setting.paths:
        value: Any = [*setting.default] if isinstance(setting.default, tuple) else setting.default
        content = reduce(lambda inner, key: {key: inner}, reversed(name.split(".")), value)
        settings = load(tmp_path, json.dumps(content), name="c.json", config=Path("c.json"))
        assert value_of(settings, setting.path) == setting.default
        if value is not None:
            assert source(settings, setting.path).startswith("file ")


def test_no_two_settings_share_a_name() -> None:
    for names in ([s.variables for s in SETTINGS], [s.paths for s in SETTINGS]):
        flat = [name for group in names for name in group]
        assert len(flat) == len(set(flat))


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("database.pool_size", (1, 100, "20"), (0, 101, "x", "1.5", 1.5, True, "", "1_0", "１")),
        ("database.max_overflow", (0, 1000), (-1, 1001)),
        ("server.port", (0, 65535), (-1, 65536, "80a")),
        ("database.connect_timeout_seconds", (2, 60, "2.5"), (1.99, 61, "fast", "1e1", "nan")),
        ("ingest.max_body_bytes", (1024, "1kib", "1 GB"), (1023, "1 pound", "-1", "1.5MB", "MB")),
        ("metrics.enabled", (True, "TRUE", "off", "1"), (1, "maybe", "", None)),
        ("logging.level", ("Debug", "warn"), ("loud", "")),
        ("auth.api_key_prefix", ("sk_", "sk_test_"), ("sk", "_", "sk-live_", "a" * 24 + "_")),
        ("database.url", ("sqlite:x", "postgres://h/d"), ("oracle://h/d", "postgresql:h", "x")),
        ("redis.url", ("redis://h", "rediss://h/1"), ("http://h", "h:6379")),
        ("server.host", ("10.0.0.1", "::", "localhost"), ("10.0.0.1:8080", "[::1]:80")),
        ("security.secret_key", ("x" * 32,), ("x" * 31,)),
        ("pricing.default_currency", ("EUR",), ("eur", "EURO", "E1R")),
        ("metrics.path", ("/m",), ("m",)),
        ("cors.methods", (["GET"], "GET,POST"), (3, ["GET", 1])),
    ],
)
def test_bounds_and_forms(
    tmp_path: Path, path: str, good: tuple[object, ...], bad: tuple[object, ...]
) -> None:
    for value in good:
        load(tmp_path, flags={path: value})
    for value in bad:
        if value is None:
            continue
        (problem,) = problems(tmp_path, flags={path: value})
        assert problem.startswith(f"{path}: ")
        assert "expected" in problem


def test_all_wrong_values_are_named_at_once_with_their_source(tmp_path: Path) -> None:
    text = '[database]\npool_size = "many"\n[server]\nprot = 1\n'
    found = problems(tmp_path, text, environ={"LOG_LEVEL": "loud"}, flags={"server.port": 99_999})
    assert found == [
        f"{tmp_path}/config.toml: unknown key [server].prot",
        "server.port: '99999' from flag --port is wrong; expected a whole number from 0 to 65535",
        f"database.pool_size: 'many' from file {tmp_path}/config.toml [database].pool_size is "
        "wrong; expected a whole number from 1 to 100",
        "logging.level: 'loud' from env LOG_LEVEL is wrong; "
        "expected one of debug, info, warning, error, critical",
    ]


def test_values_that_are_wrong_together(tmp_path: Path) -> None:
    (half,) = problems(tmp_path, environ={"TLS_CERT_PATH": "/c.pem"})
    assert half.startswith("server.tls_cert_file (from env TLS_CERT_PATH) is set alone")
    (open_door,) = problems(tmp_path, '[cors]\ncredentials = true\norigins = ["*"]\n')
    assert "cors.credentials" in open_door


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hunter2@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://u:hunt@er2@h/db", "postgresql://u:***@h/db"),
        ("mysql://:hunter2@h/db", "mysql://:***@h/db"),
        ("postgresql://h/db?password=hunter2&x=1", "postgresql://h/db?password=***&x=1"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
    ],
)
def test_passwords_are_not_shown(tmp_path: Path, url: str, shown: str) -> None:
    settings = load(tmp_path, environ={"DATABASE_URL": url, "SECRET_KEY": SECRET})
    rows = {row.path: row for row in explain(settings)}
    assert rows["database.url"].value == shown
    assert rows["security.secret_key"].value == "***"
    for text in (repr(settings), str([dataclasses.astuple(row) for row in rows.values()])):
        assert "hunter2" not in text
        assert SECRET not in text


@pytest.mark.parametrize(
    "url", ["oracle://u:hunter2@h/d", "postgres:/u:hunter2@h/d", "u:hunter2@h"]
)
def test_passwords_of_wrong_urls_are_not_shown(tmp_path: Path, url: str) -> None:
    environ = {"DATABASE_URL": url, "SECRET_KEY": "hunter2", "REDIS_URL": "h:hunter2@h"}
    assert "hunter2" not in "\n".join(problems(tmp_path, environ=environ))


@pytest.mark.parametrize("text", ["EdDSA", "eddsa", "EDDSA"])
def test_choices_are_taken_in_any_case_and_kept_in_theirs(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, environ={"JWT_ALGORITHM": text}).jwt.algorithm == "EdDSA"
    wrong = problems(tmp_path, environ={"JWT_ALGORITHM": f"{text}2"})
    assert "expected one of HS256, EdDSA, RS256" in wrong[0]


def test_pending_variables_are_listed(tmp_path: Path) -> None:
    settings = load(tmp_path, environ={"SENTRY_DSN": SECRET, "NATS_URL": "b"})
    unused = [row for row in explain(settings) if row.status]
    assert [(row.path, row.source, row.value, row.status) for row in unused] == [
        ("NATS_URL", "env NATS_URL", "", "accepted, not used yet"),
        ("SENTRY_DSN", "env SENTRY_DSN", "", "accepted, not used yet"),
    ]


def test_a_mistyped_variable_of_ours_is_noted(tmp_path: Path) -> None:
    environ = {"COST_OPS_SERVER_PROT": "1", "COST_OPS_API_KEY": "k", "COST_OPS_TEST_REDIS_URL": "x"}
    assert load(tmp_path, environ=environ).notes == (
        "env COST_OPS_SERVER_PROT is not a setting and was ignored",
    )


def test_value_of_an_unknown_name() -> None:
    with pytest.raises(KeyError):
        value_of(Settings(), "server.prot")


def test_sections_can_be_made_alone() -> None:
    assert DatabaseSettings(url="sqlite:x.db").pool_size == 20
    assert Settings(database=DatabaseSettings(pool_size=3)).database.pool_size == 3
    assert not Settings().production
