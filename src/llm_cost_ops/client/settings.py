"""Where the client's settings come from: arguments > environment > file > defaults.

Of the environment `LLM_COST_OPS_*` wins over `COST_OPS_*`. There is no public default address: an
API key must never travel to a host that the user did not choose.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

from llm_cost_ops.exceptions import ConfigurationError

DEFAULT_BASE_URL = "http://localhost:8080"
ROOT = "llm_cost_ops"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-?([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are seconds. The n-th wait is at most retry_delay * retry_backoff**n."""

    api_key: str | None = field(default=None, repr=False)
    base_url: str = DEFAULT_BASE_URL
    timeout: float = 30.0
    max_retries: int = 3
    retry_delay: float = 1.0
    retry_backoff: float = 2.0
    connection_pool_size: int = 10
    enable_compression: bool = False
    enable_caching: bool = False
    cache_ttl: float = 300.0
    log_level: int | str | None = None
    verify_ssl: bool = True
    organization_id: str | None = None
    environment: str | None = None

    @property
    def api_root(self) -> str:
        return self.base_url.rstrip("/").removesuffix("/api/v1") + "/api/v1"


VARIABLES: dict[str, tuple[str, ...]] = {
    "api_key": ("LLM_COST_OPS_API_KEY", "COST_OPS_API_KEY"),
    "base_url": ("LLM_COST_OPS_BASE_URL", "COST_OPS_BASE_URL", "COST_OPS_API_URL"),
    "timeout": ("LLM_COST_OPS_TIMEOUT", "COST_OPS_TIMEOUT"),
    "max_retries": ("LLM_COST_OPS_MAX_RETRIES", "COST_OPS_MAX_RETRIES"),
    "environment": ("LLM_COST_OPS_ENVIRONMENT", "COST_OPS_ENVIRONMENT"),
}


def resolve(
    explicit: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    file: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings in force. An explicit None means "not given". Raises ConfigurationError."""
    settings = Settings()
    for name, value in (file or {}).items():
        settings = _with(settings, name, value, f"{name} in the configuration file")
    env = os.environ if environ is None else environ
    for name, variables in VARIABLES.items():
        found = next((variable for variable in variables if env.get(variable)), None)
        if found is not None:
            settings = _with(settings, name, env[found], found)
    for name, value in explicit.items():
        if value is not None:
            settings = _with(settings, name, value, name)
    return settings


def read_file(
    path: str | os.PathLike[str], environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The `llm_cost_ops:` section of a YAML or JSON file, `${VAR}` and `${VAR:default}` filled in.

    YAML needs PyYAML. Raises ConfigurationError.
    """
    place = Path(path)
    try:
        text = place.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read {place}: {error.strerror or error}") from error
    document = (
        _parse_yaml(text, place) if place.suffix in (".yaml", ".yml") else _parse_json(text, place)
    )
    section = cast("dict[str, Any]", document).get(ROOT) if isinstance(document, dict) else None
    if not isinstance(section, dict):
        raise ConfigurationError(f"{place} has no object under the root key {ROOT!r}")
    env = os.environ if environ is None else environ
    known = {known.name for known in fields(Settings)}
    filled: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", section).items():
        if name not in known:
            raise ConfigurationError(
                f"{place}: {name!r} is not a setting; known: {', '.join(sorted(known))}"
            )
        filled[name] = _fill(value, env, f"{place}: {name}") if isinstance(value, str) else value
    return filled


def _parse_json(text: str, place: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{place} is not JSON: {error}") from error


def _parse_yaml(text: str, place: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigurationError(
            f"{place} is YAML: pip install pyyaml, or use a .json file"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{place} is not YAML: {error}") from error


def _fill(text: str, env: Mapping[str, str], where: str) -> str:
    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        found = env.get(name) or default
        if found is None:
            raise ConfigurationError(f"{where}: environment variable {name} is not set")
        return found

    return _VARIABLE.sub(value, text)


def _with(settings: Settings, name: str, value: Any, source: str) -> Settings:
    if value is None:
        return settings
    return replace(settings, **{name: _READERS.get(name, _text)(value, source)})


def _text(value: Any, source: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{source} must be a non-empty string")
    return value.strip()


def _address(value: Any, source: str) -> str:
    text = _text(value, source)
    if not re.match(r"https?://[^/\s]+", text):
        raise ConfigurationError(f"{source} must begin with http:// or https://, not {text!r}")
    return text


def _seconds(value: Any, source: str) -> float:
    number = _number(value, source)
    if number <= 0:
        raise ConfigurationError(f"{source} must be above 0 seconds, not {value!r}")
    return number


def _factor(value: Any, source: str) -> float:
    number = _number(value, source)
    if number < 0:
        raise ConfigurationError(f"{source} must not be negative, not {value!r}")
    return number


def _count(value: Any, source: str) -> int:
    number = _factor(value, source)
    if number != int(number):
        raise ConfigurationError(f"{source} must be a whole number, not {value!r}")
    return int(number)


def _number(value: Any, source: str) -> float:
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = float("nan")
    if not abs(number) < float("inf"):
        raise ConfigurationError(f"{source} must be a number, not {value!r}")
    return number


def _switch(value: Any, source: str) -> bool:
    known = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }
    found = known.get(str(value).strip().lower())
    if found is None:
        raise ConfigurationError(f"{source} must be true or false, not {value!r}")
    return found


def _level(value: Any, source: str) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    name = _text(value, source).upper()
    if name not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        raise ConfigurationError(f"{source} must be a logging level, not {value!r}")
    return name


_READERS: dict[str, Any] = {
    "base_url": _address,
    "timeout": _seconds,
    "cache_ttl": _seconds,
    "max_retries": _count,
    "connection_pool_size": _count,
    "retry_delay": _factor,
    "retry_backoff": _factor,
    "enable_compression": _switch,
    "enable_caching": _switch,
    "verify_ssl": _switch,
    "log_level": _level,
}
