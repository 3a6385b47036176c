"""Settings of the doors: who listens where, who may come in, how much is taken at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_network

from llm_cost_ops.server.settings.spec import secret_form, setting

_DAY_SECONDS = 86_400


def _host(value: str) -> str | None:
    if value.count(":") == 1 or value.startswith("["):
        return "a host name or address alone; the port goes into server.port"
    return None


def _networks(values: tuple[str, ...]) -> str | None:
    for value in values:
        try:
            ip_network(value, strict=False)
        except ValueError:
            return "addresses or networks such as 10.0.0.0/8"
    return None


def _key_prefix(value: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9]+(_[A-Za-z0-9]+)*_", value, re.ASCII) and len(value) <= 24:
        return None
    return "at most 24 letters, digits and underscores that end in an underscore, such as sk_live_"


def _public_url(value: str) -> str | None:
    if re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?", value, re.ASCII):
        return None
    return "an http or https address such as https://costs.example.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """`[app]`: which stage this is."""

    environment: str = setting(
        "development",
        "The stage. In production unsafe settings stop the start instead of warning.",
        env=("COST_OPS_ENVIRONMENT", "ENVIRONMENT"),
        choices=("development", "testing", "staging", "production"),
        synonyms=(("dev", "development"), ("test", "testing"), ("prod", "production")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """`[server]` (also `[api]`): the HTTP listener."""

    host: str = setting(
        "0.0.0.0",  # noqa: S104 - the documented default; containers need it  # nosec B104
        "Address to listen on.",
        env=("SERVER_HOST", "API_HOST"),
        files=("api.host", "api.bind", "server.bind"),
        flag="--host",
        check=_host,
    )
    port: int = setting(
        8080,
        "Port to listen on; 0 takes any free one.",
        env=("SERVER_PORT", "API_PORT"),
        files=("api.port",),
        flag="--port",
        low=0,
        high=65_535,
    )
    workers: int = setting(
        1,
        "Server processes; 0 starts one per CPU.",
        env=("SERVER_WORKERS", "WORKERS"),
        files=("api.workers",),
        flag="--workers",
        low=0,
        high=128,
    )
    request_timeout_seconds: float = setting(
        30.0,
        "How long a request may be worked on.",
        env=("TIMEOUT", "WORKER_TIMEOUT"),
        files=("server.timeout", "api.request_timeout_secs"),
        low=1,
        high=3600,
    )
    receive_timeout_seconds: float = setting(
        30.0,
        "How long a client may take to send its headers, and again its body; a slower one is cut.",
        low=1,
        high=3600,
    )
    keepalive_seconds: float = setting(
        5.0,
        "How long an idle connection is kept.",
        files=("server.keepalive", "api.keep_alive_secs"),
        low=0,
        high=3600,
    )
    shutdown_seconds: float = setting(
        30.0,
        "How long requests under way may finish after SIGTERM.",
        files=("server.shutdown_timeout", "api.shutdown_timeout", "api.shutdown_timeout_secs"),
        low=0,
        high=600,
    )
    max_connections: int = setting(
        1000,
        "Connections served at once by one process; further ones are answered 503.",
        env=("MAX_CONNECTIONS",),
        low=1,
        high=100_000,
    )
    trusted_proxies: tuple[str, ...] = setting(
        ("127.0.0.1", "::1"),
        "Addresses and networks (CIDR) of the proxies whose X-Forwarded-For, -Proto and -Host, "
        "Forwarded and X-Real-IP are believed.",
        check=_networks,
    )
    allowed_hosts: tuple[str, ...] = setting(
        ("*",),
        "Host headers that are answered; `*` answers all.",
        env=("ALLOWED_HOSTS",),
        files=("security.allowed_hosts",),
    )
    public_url: str | None = setting(
        None,
        "Address under which people reach this server, such as https://costs.example.com; links in "
        "notices begin with it. Without it notices have no links.",
        env=("PUBLIC_URL",),
        files=("api.public_url",),
        check=_public_url,
    )
    tls_cert_file: str | None = setting(
        None,
        "Certificate chain (PEM); with server.tls_key_file the server speaks HTTPS.",
        env=("TLS_CERT_PATH",),
        files=("server.tls.cert_file", "api.tls.cert_file"),
    )
    tls_key_file: str | None = setting(
        None,
        "Private key (PEM) of the certificate.",
        env=("TLS_KEY_PATH",),
        files=("server.tls.key_file", "api.tls.key_file"),
    )
    tls_min_version: str = setting(
        "1.2",
        "The oldest TLS version that is spoken; 1.3 is preferred where the client has it.",
        env=("TLS_MIN_VERSION",),
        files=("server.tls.min_version",),
        choices=("1.2", "1.3"),
    )
    https_redirect_port: int | None = setting(
        None,
        "A further port (usually 80) that sends HTTP to the HTTPS port.",
        low=1,
        high=65_535,
    )
    https_only: bool = setting(
        False,
        "Send requests that a trusted proxy took over HTTP to HTTPS, port 443; `/live`, `/health` "
        "and `/ready` are answered either way.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """`[auth]`: API keys."""

    api_key_prefix: str = setting(
        "sk_live_",
        "Prefix of newly made API keys; keys with any prefix are accepted.",
        env=("API_KEY_PREFIX",),
        files=("auth.api_key.key_prefix", "security.api_key_prefix"),
        check=_key_prefix,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySettings:
    """`[security]`: secrets of the installation."""

    secret_key: str | None = setting(
        None,
        "Secret from which the server derives its other secrets; at least 32 characters.",
        env=("SECRET_KEY",),
        secret=True,
        check=secret_form,
    )
    encryption_keys: tuple[str, ...] = setting(
        (),
        "Keys of what is kept sealed in the database, of at least 32 characters each: the first "
        "seals, all of them and security.secret_key open. Without one security.secret_key seals.",
        env=("ENCRYPTION_KEYS",),
        secret=True,
        check=secret_form,
    )
    previous_secret_keys: tuple[str, ...] = setting(
        (),
        "Earlier values of security.secret_key: what they sealed still opens, until `cost-ops "
        "secrets rotate` has sealed it again.",
        env=("PREVIOUS_SECRET_KEYS",),
        secret=True,
        check=secret_form,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsSettings:
    """`[cors]` (also `[security.cors]`, `[api.cors]`): browsers of other origins."""

    enabled: bool = setting(
        True,
        "Answer browsers of the listed origins; without origins nothing is answered either way.",
        files=("security.cors.enabled", "api.cors.enabled"),
    )
    origins: tuple[str, ...] = setting(
        (),
        "Origins whose pages may call the API.",
        env=("CORS_ORIGINS",),
        files=("security.cors.origins", "api.cors.origins", "api.cors.allowed_origins"),
    )
    methods: tuple[str, ...] = setting(
        ("GET", "POST", "PUT", "PATCH", "DELETE"),
        "Methods such pages may use.",
        files=("security.cors.methods", "api.cors.methods", "api.cors.allowed_methods"),
    )
    headers: tuple[str, ...] = setting(
        ("Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"),
        "Headers such pages may send.",
        files=("security.cors.headers", "api.cors.headers", "api.cors.allowed_headers"),
    )
    credentials: bool = setting(
        False,
        "Let such pages send cookies; not together with the origin `*`.",
        files=("security.cors.credentials", "api.cors.credentials"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DocsSettings:
    """`[docs]`: the API's own documentation."""

    enabled: bool = setting(
        True,
        "Serve `/docs` and `/openapi.json`.",
        env=("ENABLE_API_DOCS",),
        files=("features.api_docs",),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """`[ingest]`: how much one call may bring."""

    max_body_bytes: int = setting(
        10 * 2**20,
        "Largest request body, after decompression.",
        files=("server.max_request_size", "api.max_request_size"),
        low=1024,
        high=2**31,
        size=True,
    )
    max_batch_records: int = setting(
        10_000,
        "Records in one batch.",
        low=1,
        high=1_000_000,
    )
    max_future_seconds: int = setting(
        _DAY_SECONDS,
        "How far ahead of the server's clock the time of a call may lie.",
        low=0,
        high=366 * _DAY_SECONDS,
    )
