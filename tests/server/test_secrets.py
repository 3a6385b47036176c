"""Secrets of the settings: files, folders, and managers that are spoken to over HTTP."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.settings import Settings, SettingsError, explain, load_settings
from tests.support.sink import Got, Reply, Sink, sink

SECRET = "0123456789abcdef-of-the-installation"
PASSWORD = "p@ss/word:1"
AWS = "aws-sm://llm-cost-ops/production/jwt#secret"
VAULT = "vault://production/jwt#secret"
DATABASE = (
    "postgresql://${%s://%s/database#username}:${%s://%s/database#password}@db.example.com/costs"
)
SHOWN = "***"


def load(tmp_path: Path, environ: Mapping[str, str], text: str = "") -> Settings:
    if text:
        (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    return load_settings(environ=environ, directory=tmp_path, home=tmp_path / "home")


def problem(tmp_path: Path, environ: Mapping[str, str], text: str = "") -> str:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, environ, text)
    (said,) = caught.value.problems
    assert SECRET not in said
    assert PASSWORD not in said
    return said


def row(settings: Settings, path: str) -> tuple[str, str]:
    found = next(one for one in explain(settings) if one.path == path)
    return found.value, found.source


@pytest.fixture
def receiver() -> Iterator[Sink]:
    with sink() as made:
        yield made


@pytest.fixture
def aws(receiver: Sink, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """An environment whose AWS Secrets Manager is the receiver, with two secrets and a binary."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    kept = {
        "llm-cost-ops/production/database": {"username": "llm costs", "password": PASSWORD},
        "llm-cost-ops/production/jwt": {"secret": SECRET, "number": 5, "list": []},
    }

    def answer(got: Got) -> Reply:
        assert got.header("x-amz-target") == "secretsmanager.GetSecretValue"
        name = json.loads(got.body)["SecretId"]
        if name == "binary":
            return _json(200, {"Name": name, "SecretBinary": "AAAA"})
        if name == "plain":
            return _json(200, {"Name": name, "SecretString": SECRET})
        if name not in kept:
            return _json(400, {"__type": "ResourceNotFoundException", "Message": SECRET})
        return _json(200, {"Name": name, "SecretString": json.dumps(kept[name])})

    receiver.answer = answer
    return {
        "AWS_REGION": "eu-central-1",
        "COST_OPS_SECRETS_AWS_ENDPOINT_URL": f"http://127.0.0.1:{receiver.port}",
    }


def _json(status: int, body: object) -> Reply:
    return Reply(status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode())


def test_secrets_of_aws(tmp_path: Path, aws: dict[str, str], receiver: Sink) -> None:
    url = DATABASE % ("aws-sm", "llm-cost-ops/production", "aws-sm", "llm-cost-ops/production")
    settings = load(tmp_path, {**aws, "SECRET_KEY": AWS, "DATABASE_URL": url})
    assert settings.security.secret_key == SECRET
    assert settings.database.url == (
        "postgresql://llm%20costs:p%40ss%2Fword%3A1@db.example.com/costs"
    )
    assert row(settings, "security.secret_key") == (SHOWN, f"env SECRET_KEY: {AWS}")
    shown, source = row(settings, "database.url")
    assert shown == SHOWN
    assert source.endswith("/database#username, aws-sm://llm-cost-ops/production/database#password")
    assert len(receiver.got) == 2, "each secret is read once"
    assert SECRET not in repr(settings)
    assert PASSWORD not in repr(settings)


def test_a_whole_secret_of_aws_from_the_file(tmp_path: Path, aws: dict[str, str]) -> None:
    text = '[security]\nsecret_key = "${aws-sm://plain}"\nprevious_secret_keys = ["aws-sm://plain"]'
    settings = load(tmp_path, aws, text)
    assert settings.security.secret_key == SECRET
    assert settings.security.previous_secret_keys == (SECRET,)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("aws-sm://llm-cost-ops/production/jwt#other", "no field 'other'"),
        ("aws-sm://llm-cost-ops/production/jwt#list", "not a text"),
        ("aws-sm://missing#secret", "answered ResourceNotFoundException"),
        ("aws-sm://binary", "binary"),
        ("aws-sm://plain#secret", "not a JSON object"),
        ("aws-sm://", "not a reference of the form"),
        ("aws-sm://llm-cost-ops/production/jwt#number", "at least 32 characters"),
    ],
)
def test_what_is_wrong_with_a_secret_of_aws(
    tmp_path: Path, aws: dict[str, str], reference: str, said: str
) -> None:
    found = problem(tmp_path, {**aws, "SECRET_KEY": reference})
    assert found.startswith("security.secret_key")
    assert said in found
    assert "env SECRET_KEY" in found


class Vaults:
    """What HashiCorp Vault answers, as far as this program asks."""

    def __init__(self, receiver: Sink) -> None:
        self.receiver = receiver
        receiver.answer = self.answer
        self.address = f"http://127.0.0.1:{receiver.port}"

    def answer(self, got: Got) -> Reply:
        if got.path == "/v1/auth/approle/login":
            given = json.loads(got.body)
            right = given == {"role_id": "role", "secret_id": "one-time"}
            return self.token() if right else _json(400, {"errors": ["invalid role or secret ID"]})
        if got.path == "/v1/auth/cluster/login":
            given = json.loads(got.body)
            right = given == {"role": "cost-ops", "jwt": "signed"}
            return self.token() if right else _json(403, {"errors": ["permission denied"]})
        if got.headers.get("x-vault-token") != "root":
            return _json(403, {"errors": ["permission denied"]})
        path, _, _ = got.path.partition("?")
        kept: dict[str, Any] = {
            "/v1/llm-cost-ops/data/production/jwt": {"secret": SECRET},
            "/v1/llm-cost-ops/data/production/database": {"username": "u", "password": PASSWORD},
        }
        if path not in kept:
            return _json(404, {"errors": []})
        return _json(200, {"data": {"data": kept[path], "metadata": {"version": 1}}})

    def token(self) -> Reply:
        return _json(200, {"auth": {"client_token": "root"}})


@pytest.fixture
def vaults(receiver: Sink) -> Vaults:
    return Vaults(receiver)


def test_secrets_of_vault_by_token(tmp_path: Path, vaults: Vaults) -> None:
    url = DATABASE % ("vault", "production", "vault", "production")
    environ = {"VAULT_ADDR": vaults.address, "SECRET_KEY": VAULT, "DATABASE_URL": url}
    (tmp_path / "token").write_text("root\n", encoding="utf-8")
    settings = load(tmp_path, {**environ, "VAULT_TOKEN_FILE": str(tmp_path / "token")})
    assert settings.security.secret_key == SECRET
    assert settings.database.url == "postgresql://u:p%40ss%2Fword%3A1@db.example.com/costs"
    assert row(settings, "security.secret_key") == (SHOWN, f"env SECRET_KEY: {VAULT}")
    assert row(settings, "secrets.vault_token")[0] == SHOWN
    assert "root" not in repr(settings)


@pytest.mark.parametrize("method", ["approle", "kubernetes"])
def test_secrets_of_vault_by_other_proofs(tmp_path: Path, vaults: Vaults, method: str) -> None:
    (tmp_path / "service-account").write_text("signed\n", encoding="utf-8")
    text = f"""
[secrets]
vault_address = "{vaults.address}"
vault_auth = "{method}"
vault_auth_mount = "{"cluster" if method == "kubernetes" else "approle"}"
vault_role_id = "role"
vault_kubernetes_role = "cost-ops"
vault_kubernetes_token_file = "{tmp_path}/service-account"
[security]
secret_key = "{VAULT}"
"""
    settings = load(tmp_path, {"VAULT_SECRET_ID": "one-time"}, text)
    assert settings.security.secret_key == SECRET


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "secrets.vault_address (VAULT_ADDR) is not set"),
        ({"VAULT_ADDR": "-"}, "secrets.vault_token is not set"),
        ({"VAULT_ADDR": "-", "VAULT_TOKEN": "wrong"}, "permission denied"),
        ({"VAULT_ADDR": "-", "COST_OPS_SECRETS_VAULT_AUTH": "approle"}, "vault_role_id is not"),
        (
            {
                "VAULT_ADDR": "-",
                "COST_OPS_SECRETS_VAULT_AUTH": "approle",
                "VAULT_ROLE_ID": "role",
                "VAULT_SECRET_ID": "another",
            },
            "Vault answered InvalidRequest",
        ),
        ({"VAULT_ADDR": "-", "VAULT_TOKEN": "root", "SECRET_KEY": "vault://x#y"}, "nothing there"),
        ({"VAULT_ADDR": "-", "COST_OPS_SECRETS_VAULT_AUTH": "kubernetes"}, "cannot be read"),
        ({"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "root"}, "Vault does not answer"),
    ],
)
def test_what_is_wrong_with_a_secret_of_vault(
    tmp_path: Path, vaults: Vaults, environ: dict[str, str], said: str
) -> None:
    given = {"SECRET_KEY": VAULT, **environ}
    if given.get("VAULT_ADDR") == "-":
        given["VAULT_ADDR"] = vaults.address
    found = problem(tmp_path, given)
    assert said in found
    assert "vault://" in found


def test_a_manager_is_not_asked_for_what_is_overridden(tmp_path: Path) -> None:
    text = f'[security]\nsecret_key = "{VAULT}"\n'
    assert load(tmp_path, {"SECRET_KEY": SECRET}, text).security.secret_key == SECRET


def test_a_manager_cannot_keep_its_own_credentials(tmp_path: Path) -> None:
    assert "cannot refer to them" in problem(tmp_path, {"VAULT_TOKEN": VAULT})


def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, extra, reference in (("boto3", "aws", AWS), ("hvac", "vault", VAULT)):
        monkeypatch.setitem(sys.modules, name, None)
        assert f"llm-cost-ops[{extra}]" in problem(tmp_path, {"SECRET_KEY": reference})


def test_files_that_variables_name(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET + "\r\n", encoding="utf-8")
    (tmp_path / "old").write_text(f"{SECRET}\n{SECRET[::-1]}\n", encoding="utf-8")
    (tmp_path / "url").write_text(f"redis://:{PASSWORD}@h\n", encoding="utf-8")
    environ = {
        "SECRET_KEY_FILE": str(tmp_path / "key"),
        "COST_OPS_REDIS_URL_FILE": str(tmp_path / "url"),
        "PREVIOUS_SECRET_KEYS_FILE": str(tmp_path / "old"),
    }
    settings = load(tmp_path, environ)
    assert settings.security.secret_key == SECRET
    assert settings.security.previous_secret_keys == (SECRET, SECRET[::-1])
    assert row(settings, "security.secret_key") == (
        SHOWN,
        f"env SECRET_KEY_FILE ({tmp_path}/key)",
    )
    assert row(settings, "redis.url")[0] == "redis://:***@h"
    assert settings.notes == ()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "bytes").write_bytes(b"\xff" * 40)
    (tmp_path / "long").write_text("x" * 70_000, encoding="utf-8")
    for name, said in (
        ("missing", "cannot be read: No such file"),
        ("empty", "is empty"),
        ("bytes", "not UTF-8"),
        ("long", "too long"),
    ):
        found = problem(tmp_path, {"SECRET_KEY_FILE": str(tmp_path / name)})
        assert said in found
    (tmp_path / "key").write_text(SECRET, encoding="utf-8")
    both = {"SECRET_KEY": SECRET, "SECRET_KEY_FILE": str(tmp_path / "key")}
    assert "both set" in problem(tmp_path, both)


def test_a_folder_of_secrets(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    (folder / "..data").mkdir(parents=True)
    (folder / "..data" / "secret_key").write_text(SECRET, encoding="utf-8")
    (folder / "secret_key").symlink_to(folder / "..data" / "secret_key")
    (folder / "email.smtp_host").write_text("mail.example.com\n", encoding="utf-8")
    (folder / "unrelated").write_text("x", encoding="utf-8")
    text = f'[security]\nsecret_key = "{SECRET[::-1]}"\n'
    settings = load(tmp_path, {"SECRETS_DIR": str(folder)}, text)
    assert settings.security.secret_key == SECRET
    assert settings.email.smtp_host == "mail.example.com"
    assert row(settings, "email.smtp_host") == (SHOWN, f"secret file {folder}/email.smtp_host")
    environ = {"SECRETS_DIR": str(folder), "SECRET_KEY": SECRET[::-1]}
    assert load(tmp_path, environ).security.secret_key == SECRET[::-1]
    assert "cannot be read" in problem(tmp_path, {"SECRETS_DIR": str(tmp_path / "none")})


def test_a_wrong_secret_of_a_folder_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "server_port").write_text(PASSWORD, encoding="utf-8")
    assert "server.port: '***'" in problem(tmp_path, {"SECRETS_DIR": str(tmp_path / "s")})
