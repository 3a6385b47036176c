"""Settings files: formats, names, the search order, `${VAR}`, and documents that must load."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from llm_cost_ops.server.settings import SettingsError, explain, load_settings
from tests.server.test_settings import SECRET, load, problems

ROOT = Path(__file__).resolve().parents[2]

CONTENT = {
    "server": {"host": "h", "port": 81, "keepalive": 7},
    "database": {"url": "sqlite:x.db", "pool_recycle": 9, "echo": True},
    "security": {"cors": {"origins": ["https://a.example"], "credentials": True}},
}
TOML = """
[server]
host = "h"
port = 81
keepalive = 7
[database]
url = "sqlite:x.db"
pool_recycle = 9
echo = true
[security.cors]
origins = ["https://a.example"]
credentials = true
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.toml", TOML),
        ("c.json", json.dumps(CONTENT)),
        ("c.yaml", yaml.safe_dump(CONTENT)),
        ("c.yml", yaml.safe_dump(CONTENT)),
    ],
)
def test_formats_are_equal(tmp_path: Path, name: str, text: str) -> None:
    settings = load(tmp_path, text, name=name, config=Path(name))
    assert (settings.server.host, settings.server.port) == ("h", 81)
    assert settings.server.keepalive_seconds == 7.0
    assert settings.database.pool_recycle_seconds == 9
    assert settings.database.echo is True
    assert settings.cors.origins == ("https://a.example",)
    assert settings.cors.credentials is True
    assert settings.file == tmp_path / name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server\n", "not valid TOML"),
        ("[server]\nport = 1\nport = 2\n", "not valid TOML"),
        ("server = 1\n", "unknown key server"),
        ("[nonsense]\na = 1\n", "unknown key [nonsense].a"),
        (
            "[server.more]\nport = 1\n",
            "unknown key [server.more].port; did you mean [server].port?",
        ),
        ("[[server]]\nport = 1\n", "unknown key server"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, said: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert str(tmp_path / "config.toml") in problem
    assert said in problem


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("c.json", '{"server": {"port": 1, "port": 2}}', "'port' is given twice"),
        ("c.yaml", "server:\n  port: 1\n  port: 2\n", "'port' is given twice"),
        ("c.yaml", "server: !!python/object:os.system {}\n", "not valid YAML"),
        ("c.yaml", "- server\n", "named sections"),
        ("c.json", "[1]", "named sections"),
        ("c.json", "[" * 100_000, "not valid JSON"),
        ("c.ini", "[server]\n", "must end in"),
        ("c.toml", "\x00", "not valid TOML"),
    ],
)
def test_other_formats_say_it_too(tmp_path: Path, name: str, text: str, said: str) -> None:
    (problem,) = problems(tmp_path, text, name=name, config=Path(name))
    assert said in problem


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "no such settings file (--config)" in problems(tmp_path, config=Path("absent.toml"))[0]
    environ = {"COST_OPS_CONFIG": "absent.toml"}
    assert "(env COST_OPS_CONFIG)" in problems(tmp_path, environ=environ)[0]
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    assert "not UTF-8" in problems(tmp_path, config=Path("latin.toml"))[0]
    (tmp_path / "huge.toml").write_text("# x\n" * 300_000, encoding="utf-8")
    assert "larger than" in problems(tmp_path, config=Path("huge.toml"))[0]


def test_search_order(tmp_path: Path) -> None:
    home = tmp_path / "home" / ".config" / "cost-ops"
    places = [
        "cost-ops.toml",
        "config.toml",
        "config/staging.yaml",
        "home/.config/cost-ops/config.json",
    ]
    (tmp_path / "config").mkdir()
    home.mkdir(parents=True)
    for number, place in enumerate(places, start=1):
        port = {"server": {"port": number}}
        text = f"[server]\nport = {number}\n" if place.endswith("toml") else json.dumps(port)
        (tmp_path / place).write_text(text, encoding="utf-8")
    environ = {"ENVIRONMENT": "staging"}
    for number, place in enumerate(places, start=1):
        settings = load(tmp_path, environ=environ)
        assert (settings.file, settings.server.port) == (tmp_path / place, number)
        (tmp_path / place).unlink()
    assert load(tmp_path, environ=environ).server.port == 8080


def test_a_named_file_comes_before_the_search(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[server]\nport = 5\n", encoding="utf-8")
    text = "[server]\nport = 6\n"
    assert load(tmp_path, text, config=Path("other.toml")).server.port == 5
    assert load(tmp_path, environ={"COST_OPS_CONFIG": "other.toml"}).server.port == 5
    assert load(tmp_path, environ={"COST_OPS_CONFIG": "none"}).server.port == 8080
    assert load(tmp_path).server.port == 6


def test_two_names_of_one_setting(tmp_path: Path) -> None:
    same = "[database]\npool_recycle = 5\nmax_lifetime_seconds = 5\n"
    assert load(tmp_path, same).database.pool_recycle_seconds == 5
    (problem,) = problems(tmp_path, "[server]\nport = 1\n[api]\nport = 2\n")
    assert "[server].port" in problem
    assert "[api].port" in problem


@pytest.mark.parametrize(
    ("written", "environ", "size"),
    [
        ('"${DATABASE_POOL_SIZE:20}"', {}, 20),
        ('"${POOL:-21}"', {}, 21),
        ('"${POOL:21}"', {"POOL": "22"}, 22),
        ('"${POOL:21}"', {"POOL": ""}, 21),
        ('"${A}${B}"', {"A": "2", "B": "3"}, 23),
    ],
)
def test_interpolation_inside_quoted_numbers(
    tmp_path: Path, written: str, environ: dict[str, str], size: int
) -> None:
    settings = load(tmp_path, f"[database]\npool_size = {written}\n", environ=environ)
    assert settings.database.pool_size == size


@pytest.mark.parametrize(
    ("written", "environ", "url"),
    [
        ("${DB:sqlite:a.db}", {}, "sqlite:a.db"),
        ("${DB:postgresql://u:p@h:5432/d}", {}, "postgresql://u:p@h:5432/d"),
        ("postgresql://u:${PW}@h/${NAME:costs}", {"PW": "x"}, "postgresql://u:x@h/costs"),
        ("sqlite:$${kept}.db", {}, "sqlite:${kept}.db"),
        ("sqlite:$5.db", {}, "sqlite:$5.db"),
    ],
)
def test_interpolation_inside_text(
    tmp_path: Path, written: str, environ: dict[str, str], url: str
) -> None:
    assert load(tmp_path, f'[database]\nurl = "{written}"\n', environ=environ).database.url == url


def test_interpolated_values_are_not_interpolated_again(tmp_path: Path) -> None:
    settings = load(tmp_path, '[database]\nurl = "${DB}"\n', environ={"DB": "sqlite:${HOME}"})
    assert settings.database.url == "sqlite:${HOME}"


def test_a_variable_that_is_not_set(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, '[server]\nport = "${PORT}"\n')
    assert "[server].port refers to ${PORT}, which is not set" in problem
    assert "${PORT:8080}" in problem
    settings = load(tmp_path, '[redis]\nurl = "${REDIS_URL}"\n')
    assert settings.redis.url is None
    assert settings.notes == (
        f"file {tmp_path}/config.toml [redis].url refers to ${{REDIS_URL}}, which is not set; "
        "redis.url is left unset",
    )


def test_a_variable_that_is_not_set_does_not_matter_where_it_is_overridden(tmp_path: Path) -> None:
    text = '[server]\nport = "${PORT}"\n'
    assert load(tmp_path, text, environ={"SERVER_PORT": "5"}).server.port == 5


def test_an_empty_value_is_the_default(tmp_path: Path) -> None:
    text = "server:\n  port:\nredis:\n  url: ''\nlogging:\n"
    settings = load(tmp_path, text, name="c.yaml", config=Path("c.yaml"))
    assert settings.server.port == 8080
    assert settings.redis.url is None


SHARED = Path(os.environ.get("COST_OPS_SHARED", ROOT.parent / "shared")) / "seeds"
PRODUCTION = {
    "DATABASE_URL": "postgresql://u:p@h/d",
    "REDIS_URL": "redis://:p@h/0",
    "SECRET_KEY": SECRET,
    "JWT_SECRET": SECRET,
    "ENVIRONMENT": "production",
}


def blocks(document: str, language: str) -> list[str]:
    path = SHARED / document
    if not path.exists():
        pytest.skip(f"{path} is not here")
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_documented_yaml_loads(tmp_path: Path) -> None:
    (text,) = (each for each in blocks("administrator-guide.md", "yaml") if "\napp:\n" in each)
    settings = load(tmp_path, text, name="p.yaml", config=Path("p.yaml"), environ=PRODUCTION)
    assert settings.production
    assert settings.database.pool_timeout_seconds == 30
    assert settings.server.workers == 4
    assert settings.cors.origins[0] == "https://app.llmcostops.com"
    assert settings.metrics.port == 9090
    assert settings.cache.backend == "redis"
    assert settings.email.smtp_host is None
    assert settings.email.from_address == "noreply@llmcostops.com"
    unused = {row.path for row in explain(settings) if row.status}
    assert {"app.debug", "email.backend", "logging.handlers.file.path"} <= unused
    assert settings.jwt.secret == SECRET


def test_the_documented_toml_loads(tmp_path: Path) -> None:
    documents = [each for each in blocks("cheat-sheet.md", "toml") if "[database]" in each]
    assert len(documents) >= 3
    for text in documents:
        settings = load(tmp_path, text, environ=PRODUCTION)
        assert settings.database.pool_size == 20


def test_the_documented_environment_loads(tmp_path: Path) -> None:
    (text,) = (
        each for each in blocks("administrator-guide.md", "bash") if "DATABASE_POOL_SIZE=" in each
    )
    pairs = (line.partition("#")[0].strip().partition("=") for line in text.splitlines())
    environ = {name: value for name, _, value in pairs if name}
    # Theirs are too short to be secret, or everybody's.
    environ |= dict.fromkeys(("SECRET_KEY", "JWT_SECRET", "S3_SECRET_KEY"), SECRET)
    settings = load(tmp_path, environ=environ)
    assert settings.server.allowed_hosts == ("api.llmcostops.com",)
    assert settings.database.url == "postgresql://user:pass@host:5432/dbname"
    stored = settings.storage
    assert (stored.backend, stored.s3_bucket) == ("s3", "llm-cost-ops-reports")
    assert stored.lacking is None


def test_the_example_file_names_every_setting_and_loads(tmp_path: Path) -> None:
    text = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    in_force = "\n".join(
        line.removeprefix("# ") if re.match(r"# [a-z_0-9]+ = ", line) else line
        for line in text.splitlines()
    )
    settings = load(tmp_path, in_force, name="e.toml", config=Path("e.toml"))
    for row in explain(settings):
        assert row.source.startswith("file "), f"{row.path} is not in the example"
    assert load_settings(environ={}, directory=tmp_path / "nowhere", home=tmp_path) == settings


def test_load_settings_reads_the_process_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COST_OPS_CONFIG", "none")
    monkeypatch.setenv("COST_OPS_SERVER_PORT", "4242")
    assert load_settings().server.port == 4242
    monkeypatch.setenv("COST_OPS_SERVER_PORT", "many")
    with pytest.raises(SettingsError):
        load_settings()
