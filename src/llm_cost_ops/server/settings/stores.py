"""The secrets managers that references may name; their libraries are imported when one is read."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from llm_cost_ops.server.settings.references import SecretProblem, Store
from llm_cost_ops.server.settings.secrets import SecretsSettings


def stores_of(settings: SecretsSettings) -> Mapping[str, Store]:
    """A store for each scheme of `references`; nothing is asked yet."""
    return {"aws-sm": AwsSecretsManager(settings), "vault": HashiCorpVault(settings)}


def _library(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise SecretProblem(f"needs pip install 'llm-cost-ops[{extra}]'") from None


class AwsSecretsManager:
    """AWS Secrets Manager through boto3."""

    def __init__(self, settings: SecretsSettings) -> None:
        self._settings = settings
        self._client: Any = None

    def read(self, name: str) -> str | Mapping[str, object]:
        """The secret's current text, by its name or ARN. Raises SecretProblem."""
        boto3 = _library("boto3", "aws")
        errors = import_module("botocore.exceptions")
        try:
            answer = self._connected(boto3).get_secret_value(SecretId=name)
        except errors.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "an error"))[:64]
            raise SecretProblem(f"AWS Secrets Manager answered {code}") from None
        except (errors.BotoCoreError, ValueError) as error:
            raise SecretProblem(f"AWS Secrets Manager: {type(error).__name__}") from None
        text = answer.get("SecretString")
        if text is None:
            raise SecretProblem("the secret is binary; only text can be a setting")
        return str(text)

    def _connected(self, boto3: Any) -> Any:
        if self._client is None:
            config = import_module("botocore.config").Config(
                connect_timeout=self._settings.timeout_seconds,
                read_timeout=self._settings.timeout_seconds,
                retries={"mode": "standard", "total_max_attempts": 3},
            )
            self._client = boto3.client(
                "secretsmanager",
                region_name=self._settings.aws_region,
                endpoint_url=self._settings.aws_endpoint_url,
                config=config,
            )
        return self._client


class HashiCorpVault:
    """The key-value engine, version 2, of HashiCorp Vault through hvac."""

    def __init__(self, settings: SecretsSettings) -> None:
        self._settings = settings
        self._client: Any = None

    def read(self, name: str) -> str | Mapping[str, object]:
        """The fields of the newest version at a path of the mount. Raises SecretProblem."""
        hvac = _library("hvac", "vault")
        requests = import_module("requests")

        def ask() -> Any:
            return self._signed_in(hvac).secrets.kv.v2.read_secret_version(
                path=name, mount_point=self._settings.vault_mount, raise_on_deleted_version=True
            )

        answer = _told(ask, hvac, requests)
        try:
            fields = answer["data"]["data"]
        except (KeyError, TypeError):
            fields = None
        if not isinstance(fields, dict):
            raise SecretProblem("Vault answered something that is no secret of a kv-v2 engine")
        return typing.cast("Mapping[str, object]", fields)

    def _signed_in(self, hvac: Any) -> Any:
        if self._client is None:
            given = self._settings
            if given.vault_address is None:
                raise SecretProblem("secrets.vault_address (VAULT_ADDR) is not set")
            client = hvac.Client(
                url=given.vault_address,
                token="",  # never one of another program's, from ~/.vault-token
                namespace=given.vault_namespace,
                verify=given.vault_ca_file or True,
                timeout=given.timeout_seconds,
                allow_redirects=False,
            )
            _SIGN_IN[given.vault_auth](client, given)
            self._client = client
        return self._client


def _told(ask: Callable[[], Any], hvac: Any, requests: Any) -> Any:
    """The answer; what goes wrong without the request, which has the token in it."""
    try:
        return ask()
    except hvac.exceptions.InvalidPath:
        raise SecretProblem("Vault has nothing there") from None
    except hvac.exceptions.Forbidden:
        raise SecretProblem("Vault refuses: permission denied") from None
    except hvac.exceptions.VaultError as error:
        raise SecretProblem(f"Vault answered {type(error).__name__}") from None
    except requests.RequestException as error:
        raise SecretProblem(f"Vault does not answer: {type(error).__name__}") from None


def _needed(value: str | None, path: str) -> str:
    if value is None:
        raise SecretProblem(f"{path} is not set, which secrets.vault_auth asks for")
    return value


def _by_token(client: Any, given: SecretsSettings) -> None:
    client.token = _needed(given.vault_token, "secrets.vault_token")


def _by_approle(client: Any, given: SecretsSettings) -> None:
    client.auth.approle.login(
        role_id=_needed(given.vault_role_id, "secrets.vault_role_id"),
        secret_id=given.vault_secret_id,
        mount_point=given.vault_auth_mount or "approle",
    )


def _by_kubernetes(client: Any, given: SecretsSettings) -> None:
    try:
        token = Path(given.vault_kubernetes_token_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SecretProblem(f"{given.vault_kubernetes_token_file} cannot be read") from None
    client.auth.kubernetes.login(
        role=_needed(given.vault_kubernetes_role, "secrets.vault_kubernetes_role"),
        jwt=token,
        mount_point=given.vault_auth_mount or "kubernetes",
    )


_SIGN_IN: Mapping[str, Callable[[Any, SecretsSettings], None]] = {
    "token": _by_token,
    "approle": _by_approle,
    "kubernetes": _by_kubernetes,
}
