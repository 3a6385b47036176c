from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops import AsyncCostOpsClient, CostOpsClient
from llm_cost_ops.client.settings import Settings, read_file, resolve
from llm_cost_ops.exceptions import ConfigurationError

FILE = """
llm_cost_ops:
  api_key: ${LLM_COST_OPS_API_KEY}
  base_url: https://costs.example.org
  timeout: 12
  max_retries: 5
  retry_delay: 1.5
  retry_backoff: 3.0
  connection_pool_size: 11
  enable_compression: true
  enable_caching: true
  cache_ttl: 30
  log_level: INFO
"""


def test_defaults_name_no_public_host() -> None:
    settings = resolve({}, {})
    assert settings == Settings()
    assert settings.api_root == "http://localhost:8080/api/v1"
    assert (settings.timeout, settings.max_retries, settings.retry_backoff) == (30.0, 3, 2.0)


def test_arguments_win_over_environment_over_file() -> None:
    env = {"LLM_COST_OPS_BASE_URL": "http://env", "LLM_COST_OPS_TIMEOUT": "7"}
    file = {"base_url": "http://file", "timeout": 3, "max_retries": 9}
    settings = resolve({"base_url": "http://argument", "timeout": None}, env, file)
    assert (settings.base_url, settings.timeout, settings.max_retries) == (
        "http://argument",
        7.0,
        9,
    )


def test_the_long_prefix_wins_over_the_short() -> None:
    short = {"COST_OPS_API_KEY": "short", "COST_OPS_BASE_URL": "http://short"}
    assert resolve({}, short).api_key == "short"
    assert resolve({}, {**short, "LLM_COST_OPS_API_KEY": "long"}).api_key == "long"
    assert resolve({}, {**short, "LLM_COST_OPS_API_KEY": ""}).api_key == "short"
    assert resolve({}, {"API_KEY": "too generic"}).api_key is None


def test_every_documented_variable_is_read() -> None:
    env = {
        "LLM_COST_OPS_API_KEY": " sk_1\n",
        "LLM_COST_OPS_BASE_URL": "http://env:1",
        "LLM_COST_OPS_TIMEOUT": "2.5",
        "LLM_COST_OPS_MAX_RETRIES": "0",
        "LLM_COST_OPS_ENVIRONMENT": "production",
    }
    settings = resolve({}, env)
    assert settings.api_key == "sk_1"
    assert settings.base_url == "http://env:1"
    assert (settings.timeout, settings.max_retries) == (2.5, 0)
    assert settings.environment == "production"


@pytest.mark.parametrize("given", ["http://h", "http://h/", "http://h/api/v1", "http://h/api/v1/"])
def test_the_api_path_is_added_once(given: str) -> None:
    assert resolve({"base_url": given}, {}).api_root == "http://h/api/v1"
    assert resolve({"base_url": "http://h/costs"}, {}).api_root == "http://h/costs/api/v1"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("base_url", "localhost:8080", "base_url must begin with http:// or https://"),
        ("base_url", "ftp://x", "http"),
        ("base_url", "", "non-empty"),
        ("timeout", 0, "above 0"),
        ("timeout", "abc", "timeout must be a number, not 'abc'"),
        ("timeout", True, "number"),
        ("timeout", float("inf"), "number"),
        ("max_retries", -1, "negative"),
        ("max_retries", 1.5, "whole"),
        ("retry_delay", -0.1, "negative"),
        ("verify_ssl", "maybe", "true or false"),
        ("log_level", "LOUD", "logging level"),
        ("cache_ttl", 0, "above 0"),
        ("api_key", "  ", "non-empty"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        resolve({name: value}, {})


def test_a_wrong_value_is_named_with_its_source() -> None:
    with pytest.raises(
        ConfigurationError, match="LLM_COST_OPS_TIMEOUT must be a number, not 'abc'"
    ):
        resolve({}, {"LLM_COST_OPS_TIMEOUT": "abc"})
    with pytest.raises(ConfigurationError, match="max_retries in the configuration file"):
        resolve({}, {}, {"max_retries": "many"})


def write(place: Path, text: str) -> Path:
    place.write_text(text, encoding="utf-8")
    return place


def test_a_yaml_file_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_COST_OPS_API_KEY", "sk_env")
    with CostOpsClient.from_config(write(tmp_path / "config.yaml", FILE)) as client:
        settings = client.settings
        assert settings.api_key == "sk_env"
        assert settings.base_url == "https://costs.example.org"
        assert (settings.timeout, settings.max_retries, settings.retry_delay) == (12.0, 5, 1.5)
        assert (settings.retry_backoff, settings.connection_pool_size) == (3.0, 11)
        assert settings.enable_compression
        assert settings.enable_caching
        assert settings.cache_ttl == 30
        assert settings.log_level == "INFO"
        assert logging.getLogger("llm_cost_ops.client").level == logging.INFO


def test_a_json_file_and_arguments_over_it(tmp_path: Path) -> None:
    place = write(
        tmp_path / "config.json",
        json.dumps(
            {
                "llm_cost_ops": {
                    "api_key": "${NO_SUCH:sk_default}",
                    "timeout": 5,
                    "max_retries": None,
                }
            }
        ),
    )
    client = CostOpsClient.from_config(place, timeout=9)
    assert (client.settings.api_key, client.settings.timeout) == ("sk_default", 9.0)
    assert client.settings.max_retries == 3
    assert AsyncCostOpsClient.from_config(place).settings.timeout == 5.0


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("c.yaml", "llm_cost_ops: {api_key: '${NO_SUCH_VARIABLE}'}", "NO_SUCH_VARIABLE is not set"),
        ("c.yaml", "llm_cost_ops: {api_kye: x}", "'api_kye' is not a setting; known: api_key"),
        ("c.yaml", "other: {}", "root key 'llm_cost_ops'"),
        ("c.yaml", "llm_cost_ops: [", "is not YAML"),
        ("c.json", "{", "is not JSON"),
        ("c.json", "[]", "root key"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, name: str, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        read_file(write(tmp_path / name, text), {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*nothing\.yaml"):
        read_file(tmp_path / "nothing.yaml", {})


def test_yaml_without_pyyaml_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigurationError, match=r"pip install pyyaml, or use a \.json file"):
        read_file(write(tmp_path / "c.yml", FILE), {})


def test_async_without_httpx_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ConfigurationError) as caught:
        AsyncCostOpsClient(api_key="sk")
    assert str(caught.value) == "AsyncCostOpsClient needs httpx: pip install 'llm-cost-ops[async]'"


def test_one_kind_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="give one of"):
        CostOpsClient(api_key="a", jwt_token="b")
    monkeypatch.setenv("LLM_COST_OPS_API_KEY", "from-env")
    CostOpsClient(jwt_token="b")


def test_an_unknown_argument_is_refused() -> None:
    options: dict[str, Any] = {"api_kye": "x"}
    with pytest.raises(TypeError, match="CostOpsClient has no argument 'api_kye'"):
        CostOpsClient(**options)


def test_no_secret_is_shown() -> None:
    client = CostOpsClient(api_key="sk_very_secret")
    assert "secret" not in repr(client)
    assert "secret" not in repr(client.settings)
    assert "secret" not in repr(client._caller._auth)


def test_debug_sets_the_level_of_the_clients_logger() -> None:
    logger = logging.getLogger("llm_cost_ops.client")
    CostOpsClient(api_key="k", debug=True)
    assert logger.level == logging.DEBUG
    CostOpsClient(api_key="k", log_level=logging.WARNING)
    assert logger.level == logging.WARNING
    CostOpsClient(api_key="k")
    assert logger.level == logging.WARNING
