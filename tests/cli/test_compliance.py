"""`cost-ops compliance check` judges what is in force."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.admin.compliance.control import (
    MET,
    NOT_APPLICABLE,
    NOT_MET,
    PROFILES,
    UNKNOWN,
    Evidence,
    Facts,
    report,
)
from llm_cost_ops.server.admin.compliance.controls import CONTROLS
from llm_cost_ops.server.settings import (
    DatabaseSettings,
    EmailSettings,
    RedisSettings,
    ServerSettings,
    Settings,
    load_settings,
)
from tests.cli.conftest import Run

GOOD = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "nJ4uV9tQ2xZ7bL1pR6sW3yC8dF5gH0kM",
    "ALLOWED_HOSTS": "costs.example.com",
    "COST_OPS_SERVER_HTTPS_ONLY": "true",
    "METRICS_ENABLED": "false",
    "COST_OPS_DELIVERY_REQUIRE_HTTPS": "true",
}


def judged(run: Run, *more: str) -> tuple[int, dict[str, Any]]:
    ran = run("compliance", "check", *more, "-o", "json")
    return ran.code, json.loads(ran.out)


def by_id(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in found["controls"]}


def state(name: str, settings: Settings, facts: Facts = Facts()) -> str:  # noqa: B008
    control = next(control for control in CONTROLS if control.id == name)
    return control.judge(Evidence(settings, facts))[0]


def test_a_fresh_installation_is_told_what_it_lacks(run: Run, ledger: str) -> None:
    code, found = judged(run)
    assert (code, found["met"]) == (1, False)
    rows = by_id(found)
    assert set(found["failed"]) == {"secret-key", "https", "hosts"}
    for name in found["failed"]:
        assert rows[name]["fix"]
    assert rows["durability"]["state"] == MET
    assert rows["schema"]["state"] == MET
    assert rows["audit"]["state"] == MET, "making the organization is recorded"


def test_what_it_says_follows_from_settings_and_database(
    run: Run, ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    code, found = judged(run)
    assert (code, found["failed"]) == (0, [])
    assert by_id(found)["hosts"]["source"] == "env ALLOWED_HOSTS"
    assert run("auth", "create-api-key", "--name", "x", "--scopes", "*").code == 0
    rows = by_id(judged(run, "--profile", "soc2")[1])
    assert rows["least-privilege"]["state"] == NOT_MET
    assert rows["least-privilege"]["detail"] == "1 active keys may do everything"
    assert rows["key-ends"]["state"] == NOT_MET
    assert rows["backups"]["state"] == UNKNOWN
    monkeypatch.setenv("COST_OPS_RATE_LIMIT_ENABLED", "false")
    code, found = judged(run)
    assert (code, found["failed"]) == (1, ["rate-limits"])


def test_without_a_database_it_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@127.0.0.1:1/none")
    code, found = judged(run)
    rows = by_id(found)
    assert rows["durability"]["state"] == UNKNOWN
    assert rows["key-ends"]["state"] == UNKNOWN
    assert "u:p@" not in json.dumps(found)
    assert code == 1


def test_a_table_lists_controls_and_how_to_meet_them(run: Run, ledger: str) -> None:
    ran = run("compliance", "check", "--profile", "hipaa")
    assert ran.code == 1
    assert "hosts: Set ALLOWED_HOSTS" in ran.out
    assert run("compliance", "check", "--profile", "iso").code == 2


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("https", Settings(server=ServerSettings(tls_cert_file="a", tls_key_file="b")), MET),
        ("tls-version", Settings(), NOT_APPLICABLE),
        ("proxies", Settings(server=ServerSettings(trusted_proxies=("0.0.0.0/0",))), NOT_MET),
        ("proxies", Settings(server=ServerSettings(trusted_proxies=("10.0.0.0/8",))), MET),
        ("slow-clients", Settings(server=ServerSettings(receive_timeout_seconds=31)), NOT_MET),
        ("slow-clients", Settings(server=ServerSettings(receive_timeout_seconds=30)), MET),
        ("shared-limits", Settings(), NOT_APPLICABLE),
        ("shared-limits", Settings(server=ServerSettings(workers=2)), NOT_MET),
        ("redis-tls", Settings(), NOT_APPLICABLE),
        ("redis-tls", Settings(redis=RedisSettings(url="redis://cache:6379")), NOT_MET),
        ("redis-tls", Settings(redis=RedisSettings(url="rediss://cache:6379")), MET),
        ("mail-tls", Settings(), NOT_APPLICABLE),
        (
            "mail-tls",
            Settings(email=EmailSettings(smtp_host="m", smtp_use_tls=False, smtp_use_ssl=False)),
            NOT_MET,
        ),
        ("database-tls", Settings(), NOT_APPLICABLE),
        ("database-tls", Settings(database=DatabaseSettings(url="postgresql://h/d")), NOT_MET),
        (
            "database-tls",
            Settings(database=DatabaseSettings(url="postgresql://h/d?sslmode=verify-full")),
            MET,
        ),
        ("settings-file", Settings(), NOT_APPLICABLE),
        ("debugging", Settings(database=DatabaseSettings(echo=True)), NOT_MET),
    ],
)
def test_both_sides(name: str, settings: Settings, expected: str) -> None:
    assert state(name, settings) == expected


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        ("key-ends", Facts(keys_without_end=0), MET),
        ("key-ends", Facts(keys_without_end=1), NOT_MET),
        ("key-ends", Facts(), UNKNOWN),
        ("durability", Facts(unsafe=()), MET),
        ("durability", Facts(unsafe=("synchronous is normal",)), NOT_MET),
        ("schema", Facts(schema_current=False), NOT_MET),
        ("audit", Facts(audit_records=0), NOT_APPLICABLE),
        ("people", Facts(people=0, keys=3), NOT_MET),
        ("people", Facts(people=2, keys=3), MET),
    ],
)
def test_what_the_database_tells(name: str, facts: Facts, expected: str) -> None:
    assert state(name, Settings(), facts) == expected


def test_files_that_everybody_can_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("", encoding="utf-8")
    for mode, expected in ((0o640, MET), (0o644, NOT_MET)):
        file.chmod(mode)
        assert state("settings-file", replace(Settings(), file=file)) == expected
    ledger = tmp_path / "x.db"
    ledger.touch(0o600)
    url = f"sqlite:///{ledger}"
    assert state("database-file", Settings(database=DatabaseSettings(url=url))) == MET


def test_every_control_is_required_somewhere_and_says_how_to_meet_it(tmp_path: Path) -> None:
    ids = [control.id for control in CONTROLS]
    assert len(ids) == len(set(ids))
    settings = load_settings(environ={}, directory=tmp_path, home=tmp_path)
    for control in CONTROLS:
        assert set(control.profiles) <= set(PROFILES)
        assert control.profiles
        assert control.fix
    for profile in PROFILES:
        found = report(CONTROLS, profile, Evidence(settings))
        assert not found["met"]
