"""Settings of where other settings' secrets are kept."""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.server.settings.spec import setting

_KUBERNETES_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path


def _address(value: str) -> str | None:
    known = value.startswith(("https://", "http://")) and len(value) > len("https://")
    return None if known else "an http or https address"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsSettings:
    """`[secrets]`: files and managers in which the values of other settings are kept."""

    directory: str | None = setting(
        None,
        "A folder with one secret per file, as Docker and Kubernetes mount them: a file is named "
        "for a setting (`security.secret_key`) or its environment variable, in any case.",
        env=("SECRETS_DIR",),
    )
    timeout_seconds: float = setting(
        10.0,
        "How long a secrets manager may take to answer at start.",
        low=0.1,
        high=120,
    )
    aws_region: str | None = setting(
        None,
        "Region of AWS Secrets Manager; credentials are found as every AWS program finds them.",
        env=("AWS_REGION", "AWS_DEFAULT_REGION"),
    )
    aws_endpoint_url: str | None = setting(
        None,
        "Another address of AWS Secrets Manager, such as that of a VPC endpoint.",
        env=("AWS_ENDPOINT_URL_SECRETS_MANAGER",),
        check=_address,
    )
    vault_address: str | None = setting(
        None, "Address of HashiCorp Vault.", env=("VAULT_ADDR",), check=_address
    )
    vault_namespace: str | None = setting(
        None, "Namespace of Vault Enterprise.", env=("VAULT_NAMESPACE",)
    )
    vault_ca_file: str | None = setting(
        None, "Certificates (PEM) by which Vault's own is known.", env=("VAULT_CACERT",)
    )
    vault_mount: str = setting("llm-cost-ops", "Mount of the key-value engine, version 2.")
    vault_auth: str = setting(
        "token",
        "How this process proves who it is to Vault.",
        choices=("token", "approle", "kubernetes"),
    )
    vault_auth_mount: str | None = setting(
        None, "Mount of the auth method, where it is not the method's own name."
    )
    vault_token: str | None = setting(None, "Token for `token`.", env=("VAULT_TOKEN",), secret=True)
    vault_role_id: str | None = setting(None, "Role id for `approle`.", env=("VAULT_ROLE_ID",))
    vault_secret_id: str | None = setting(
        None, "Secret id for `approle`.", env=("VAULT_SECRET_ID",), secret=True
    )
    vault_kubernetes_role: str | None = setting(
        None, "Role for `kubernetes`.", env=("VAULT_KUBERNETES_ROLE",)
    )
    vault_kubernetes_token_file: str = setting(
        _KUBERNETES_TOKEN, "The service account's token for `kubernetes`."
    )
