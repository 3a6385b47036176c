"""Settings of mail: the documented names, the sender, what is lacking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.settings import EmailSettings, SettingsError, load_settings


def load(tmp_path: Path, **environ: str) -> EmailSettings:
    return load_settings(environ=environ, directory=tmp_path, home=tmp_path).email


def test_the_documented_variables(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        SMTP_HOST="smtp.gmail.com",
        SMTP_PORT="587",
        SMTP_USER="noreply@llmcostops.com",
        SMTP_PASSWORD="your-smtp-password",
        SMTP_FROM="noreply@llmcostops.com",
    )
    assert (settings.smtp_host, settings.port) == ("smtp.gmail.com", 587)
    assert (settings.smtp_use_tls, settings.smtp_use_ssl) == (True, False)
    assert settings.sender is not None
    assert settings.sender.addr_spec == "noreply@llmcostops.com"
    assert settings.lacking is None
    assert "your-smtp-password" not in repr(settings)


def test_without_settings_there_is_no_mail(tmp_path: Path) -> None:
    assert load(tmp_path).lacking == "email.smtp_host is not set"


@pytest.mark.parametrize(
    ("settings", "port"),
    [
        ({}, 587),
        ({"smtp_use_ssl": True}, 465),
        ({"smtp_use_ssl": True, "smtp_port": 2525}, 2525),
        ({"smtp_port": 25}, 25),
    ],
)
def test_ports(settings: dict[str, Any], port: int) -> None:
    assert EmailSettings(**settings).port == port


@pytest.mark.parametrize(
    ("given", "name", "address"),
    [
        ("a@b.co", "", "a@b.co"),
        ("Cost Ops <a@b.co>", "Cost Ops", "a@b.co"),
        ('"Ops, Cost" <a@b.co>', "Ops, Cost", "a@b.co"),
        ("Größe <a@b.co>", "Größe", "a@b.co"),
    ],
)
def test_senders(tmp_path: Path, given: str, name: str, address: str) -> None:
    sender = load(tmp_path, SMTP_FROM=given).sender
    assert sender is not None
    assert (sender.display_name, sender.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "given",
    [
        "nobody", "a@b", "a@b.co\r\nBcc: c@d.ef", "A\nB <a@b.co>", "a@b.co, c@d.ef", "ä@b.co",
        "a@bücher.de", "=?utf-8?q?=0d=0aBcc:_c@d.ef?= <a@b.co>", "<a@b.co", "a b@c.de", "a@b.co c",
        "a@.co", ".@b.co",
    ],
)  # fmt: skip
def test_what_is_no_sender(tmp_path: Path, given: str) -> None:
    with pytest.raises(SettingsError, match=r"email\.from_address"):
        load(tmp_path, SMTP_FROM=given)


@pytest.mark.parametrize("given", ["h:25", "-h", "h h", "h/", "https://h"])
def test_what_is_no_host(tmp_path: Path, given: str) -> None:
    with pytest.raises(SettingsError, match=r"email\.smtp_host"):
        load(tmp_path, SMTP_HOST=given)


@pytest.mark.parametrize("given", ["localhost", "smtp.example.com", "10.0.0.1", "::1"])
def test_hosts(tmp_path: Path, given: str) -> None:
    assert load(tmp_path, SMTP_HOST=given).smtp_host == given


def test_the_user_is_the_sender_when_it_is_an_address(tmp_path: Path) -> None:
    sender = load(tmp_path, SMTP_USER="a@b.co").sender
    assert sender is not None
    assert sender.addr_spec == "a@b.co"
    assert load(tmp_path, SMTP_USER="somebody").sender is None
