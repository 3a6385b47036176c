"""`sso` on the local database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.support.saml import certificate


@pytest.mark.usefixtures("ledger")
def test_providers_by_commands(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COST_OPS_CLIENT_SECRET", "a secret of the client")
    made = run(
        "sso", "add", "google", "--name", "Works", "--client-id", "x", "--domain", "example.com",
        "--create-users", "--role", "viewer", "--role-claim", "g", "--map", "a=b=billing",
        "-o", "json",
    )  # fmt: skip
    assert "redirect URI" in made.err
    row = made.json()
    assert (row["has_secret"], row["role_mapping"]) == (True, {"a=b": "billing"})
    assert "a secret" not in made.out
    assert "Works" in run("sso", "list").out
    assert "a=b gives billing" in run("sso", "show", row["id"]).out
    assert run("sso", "update", row["id"]).code == 0, "the secret anew"
    monkeypatch.delenv("COST_OPS_CLIENT_SECRET")
    assert run("sso", "update", row["id"]).code == 2
    assert run("sso", "update", row["id"], "--map", "x").code == 2
    assert "off" in run("sso", "update", row["id"], "--disable").out
    assert run("sso", "require").code != 0, "there is no enabled provider"
    run("sso", "update", row["id"], "--enable")
    assert "off" in run("sso", "require").err
    file = tmp_path / "idp.pem"
    arguments = ("--name", "S", "--issuer", "urn:idp", "--domain", "example.com",
                 "--sso-url", "https://idp.example.com/", "--certificate", str(file))  # fmt: skip
    assert run("sso", "add", "saml", *arguments).code == 2, "there is no such file"
    file.write_text(certificate()[0])
    assert "/metadata" in run("sso", "add", "saml", *arguments).out
    assert run("sso", "remove", row["id"]).code == 0
    listed = run("sso", "list", "-o", "json").json()
    row = (listed if isinstance(listed, list) else listed["data"])[0]
    assert run("sso", "remove", row["id"]).code != 0
    assert "on" in run("sso", "require", "--off").err
    assert run("sso", "remove", row["id"]).code == 0
    assert run("sso", "show", row["id"]).code != 0
