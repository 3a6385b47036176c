"""Secrets at rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llm_cost_ops.server.delivery.sealing import NoSecretKey, SecretUnreadable, Vault
from llm_cost_ops.server.settings import AppSettings, SecuritySettings, Settings

ENDPOINT = "whk_1"


def vault(key: str | None = "k" * 32, environment: str = "development") -> Vault:
    settings = Settings(
        app=AppSettings(environment=environment), security=SecuritySettings(secret_key=key)
    )
    return Vault.of(settings, "webhooks")


def test_what_was_sealed_opens() -> None:
    sealed = vault().seal("your-webhook-secret", ENDPOINT)
    assert "your-webhook-secret" not in sealed
    assert vault().open(sealed, ENDPOINT) == "your-webhook-secret"
    assert vault().seal("your-webhook-secret", ENDPOINT) != sealed


def test_it_opens_for_no_other_endpoint_and_under_no_other_key() -> None:
    sealed = vault().seal("your-webhook-secret", ENDPOINT)
    with pytest.raises(SecretUnreadable, match="damaged"):
        vault().open(sealed, "whk_2")
    for other in (vault("j" * 32), vault(None)):
        with pytest.raises(SecretUnreadable, match="another"):
            other.open(sealed, ENDPOINT)


@pytest.mark.parametrize("change", [lambda s: s[:-8], lambda s: s[:-4] + "!!!!", lambda s: s + "A"])
def test_what_was_changed_does_not_open(change: Callable[[str], str]) -> None:
    sealed = vault().seal("your-webhook-secret", ENDPOINT)
    with pytest.raises(SecretUnreadable):
        vault().open(change(sealed), ENDPOINT)


def test_without_a_key_secrets_are_kept_as_they_are_but_not_in_production() -> None:
    stored = vault(None).seal("a:b:c", ENDPOINT)
    assert vault(None).open(stored, ENDPOINT) == "a:b:c"
    assert vault().open(stored, ENDPOINT) == "a:b:c"
    with pytest.raises(NoSecretKey):
        vault(None, "production").seal("a", ENDPOINT)
    assert vault(environment="production").seal("a", ENDPOINT).startswith("v1:")
    with pytest.raises(SecretUnreadable):
        vault().open("v9:x", ENDPOINT)


def test_each_purpose_has_a_key_of_its_own() -> None:
    with pytest.raises(SecretUnreadable, match="another"):
        Vault("k" * 32, "channels").open(vault().seal("a", ENDPOINT), ENDPOINT)


def test_several_keys_open_and_the_first_seals() -> None:
    old, new, third = "o" * 32, "n" * 32, "t" * 32
    security = SecuritySettings(
        secret_key=old, encryption_keys=(new,), previous_secret_keys=(third,)
    )
    both = Vault.of(Settings(security=security), "webhooks")
    for key in (old, new, third):
        assert both.open(vault(key).seal("a", ENDPOINT), ENDPOINT) == "a"
    sealed = both.seal("b", ENDPOINT)
    assert vault(new).open(sealed, ENDPOINT) == "b"
    assert both.is_current(sealed)
    assert not both.is_current(vault(old).seal("a", ENDPOINT))
    assert not both.is_current("v0:open")
    assert vault(None).is_current("v0:open")
    assert not vault(None).is_current(sealed)
