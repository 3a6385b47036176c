"""Check 31: there is no default account, and production refuses secrets that everybody knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.migrate import Migrations
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.identity.tables import accounts, users
from llm_cost_ops.server.settings import DatabaseSettings, Settings, SettingsError, load_settings

pytestmark = pytest.mark.check(31)
GOOD = "Zm9vYmFyYmF6cXV4Y29ycmVjdGhvcnNlYmF0dGVyeQ"


def load(tmp_path: Path, **environ: str) -> Settings:
    given = {"ENVIRONMENT": "production", **environ}
    return load_settings(environ=given, directory=tmp_path, home=tmp_path)


@pytest.mark.parametrize(
    "secret",
    [
        "your-secret-key-here",
        "your-jwt-secret-here",
        "secure_password",
        "your-secret-key-here-your-secret-key-here",
        "change-me-change-me-change-me-change-me",
        "CHANGE_ME_PLEASE_0123456789_0123456789",
        "this-is-an-example-secret-of-a-document",
        "a" * 32,
        "abab" * 16,
        GOOD[:31],
    ],
)
@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEYS", "PREVIOUS_SECRET_KEYS"])
def test_production_does_not_start_with_a_known_or_short_secret(
    tmp_path: Path, name: str, secret: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, **{name: secret})
    assert secret not in str(caught.value)
    assert f"env {name}" in str(caught.value)


def test_one_bad_key_among_good_ones_is_enough(tmp_path: Path) -> None:
    load(tmp_path, ENCRYPTION_KEYS=f"{GOOD},{GOOD[::-1]}")
    for bad in ("a" * 40, GOOD[:31]):
        with pytest.raises(SettingsError):
            load(tmp_path, ENCRYPTION_KEYS=f"{GOOD},{bad}")


@pytest.mark.parametrize(
    ("password", "refused"),
    [
        ("secure_password", True),
        ("SecurePassword123!", True),
        ("your%2Dpassword", True),
        ("changeme", True),
        ("postgres", True),
        (GOOD, False),
    ],
)
def test_production_does_not_start_with_a_known_password_of_the_database(
    tmp_path: Path, password: str, refused: bool
) -> None:
    url = f"postgresql://costs:{password}@db.example.com/costs"
    if refused:
        with pytest.raises(SettingsError, match="everybody can guess") as caught:
            load(tmp_path, DATABASE_URL=url)
        assert password not in str(caught.value)
    else:
        load(tmp_path, DATABASE_URL=url)


def test_32_bytes_are_enough_and_other_stages_may_be_careless(tmp_path: Path) -> None:
    assert load(tmp_path, SECRET_KEY=GOOD[:32]).security.secret_key == GOOD[:32]
    environ = {"SECRET_KEY": "a" * 32, "DATABASE_URL": "postgresql://postgres:postgres@h/d"}
    load_settings(environ=environ, directory=tmp_path, home=tmp_path)


def test_a_new_database_has_no_account(tmp_path: Path) -> None:
    settings = DatabaseSettings(url=f"sqlite:{tmp_path}/new.db")
    Migrations().upgrade(settings)
    database = open_database(settings)
    try:
        with read(database) as session:
            for table in (accounts, users):
                assert session.scalar(select(func.count()).select_from(table)) == 0
    finally:
        database.dispose()
