"""The controls. Each looks at what is in force; none has an answer of its own."""

from __future__ import annotations

import os
import stat
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from llm_cost_ops.server.admin.compliance.control import (
    HIPAA,
    MET,
    NOT_APPLICABLE,
    NOT_MET,
    PROFILES,
    SOC2,
    UNKNOWN,
    Control,
    Evidence,
    Judgement,
    counted,
    judged,
)
from llm_cost_ops.server.admin.compliance.facts import UNUSED_DAYS

AUDITED = (SOC2, HIPAA)
SLOW_CLIENT_SECONDS = 30
MAX_BODY_BYTES = 100 * 2**20
_SAFE_MODES = {"require", "verify-ca", "verify-full"}
_LOCAL = {"localhost", "127.0.0.1", "::1", ""}


def _production(evidence: Evidence) -> Judgement:
    stage = evidence.settings.app.environment
    return judged(evidence.settings.production, f"the stage is {stage}")


def _secret_key(evidence: Evidence) -> Judgement:
    given = evidence.settings.security.secret_key is not None
    return judged(given, "set" if given else "not set: secrets are kept as they are")


def _https(evidence: Evidence) -> Judgement:
    server = evidence.settings.server
    if server.tls_cert_file is not None:
        return MET, "the server speaks TLS itself"
    if server.https_only:
        return MET, "a proxy speaks TLS, and what came over HTTP is sent to HTTPS"
    return NOT_MET, "requests over HTTP are answered"


def _tls_version(evidence: Evidence) -> Judgement:
    server = evidence.settings.server
    if server.tls_cert_file is None:
        return NOT_APPLICABLE, "the server does not speak TLS itself"
    return MET, f"TLS {server.tls_min_version} and newer"


def _hosts(evidence: Evidence) -> Judgement:
    hosts = evidence.settings.server.allowed_hosts
    return judged("*" not in hosts, f"answered: {', '.join(hosts)}")


def _cors(evidence: Evidence) -> Judgement:
    cors = evidence.settings.cors
    if not cors.enabled or not cors.origins:
        return MET, "no page of another origin may call"
    return judged("*" not in cors.origins, f"allowed: {', '.join(cors.origins)}")


def _proxies(evidence: Evidence) -> Judgement:
    trusted = evidence.settings.server.trusted_proxies
    wide = [text for text in trusted if ip_network(text, strict=False).prefixlen < 8]
    return judged(not wide, f"trusted: {', '.join(trusted) or 'none'}")


def _rate_limits(evidence: Evidence) -> Judgement:
    limits = evidence.settings.rate_limit
    return judged(limits.enabled, "on" if limits.enabled else "off")


def _shared_limits(evidence: Evidence) -> Judgement:
    settings = evidence.settings
    if settings.server.workers == 1:
        return NOT_APPLICABLE, "one process by these settings"
    shared = settings.rate_limit.storage in ("redis", "memcached") or (
        settings.rate_limit.storage == "auto" and settings.redis.url is not None
    )
    return judged(shared, "shared" if shared else "each process counts by itself")


def _slow_clients(evidence: Evidence) -> Judgement:
    seconds = evidence.settings.server.receive_timeout_seconds
    return judged(seconds <= SLOW_CLIENT_SECONDS, f"{seconds:g} seconds")


def _bodies(evidence: Evidence) -> Judgement:
    size = evidence.settings.ingest.max_body_bytes
    return judged(size <= MAX_BODY_BYTES, f"{size} bytes")


def _statements(evidence: Evidence) -> Judgement:
    echo = evidence.settings.database.echo
    debug = evidence.settings.logging.level == "debug"
    return judged(not echo and not debug, "off" if not echo and not debug else "on")


def _metrics(evidence: Evidence) -> Judgement:
    metrics = evidence.settings.metrics
    if not metrics.enabled:
        return MET, "switched off"
    return NOT_MET, f"{metrics.path} on the API's port answers everybody"


def _outbound(evidence: Evidence) -> Judgement:
    networks = evidence.settings.delivery.allow_networks
    return judged(not networks, f"allowed: {', '.join(networks) or 'none'}")


def _outbound_tls(evidence: Evidence) -> Judgement:
    required = evidence.settings.delivery.require_https
    return judged(required, "HTTPS only" if required else "HTTP too")


def _mail(evidence: Evidence) -> Judgement:
    mail = evidence.settings.email
    if mail.smtp_host is None:
        return NOT_APPLICABLE, "no mail server"
    safe = mail.smtp_use_tls or mail.smtp_use_ssl
    return judged(safe, "over TLS" if safe else "in clear")


def _redis(evidence: Evidence) -> Judgement:
    url = evidence.settings.redis.url
    if url is None:
        return NOT_APPLICABLE, "no Redis"
    split = urlsplit(url)
    safe = split.scheme in ("rediss", "unix") or (split.hostname or "") in _LOCAL
    return judged(safe, f"{split.scheme}, {split.hostname or 'a socket'}")


def _database_transport(evidence: Evidence) -> Judgement:
    split = urlsplit(evidence.settings.database.url)
    if split.scheme.startswith("sqlite"):
        return NOT_APPLICABLE, "a file on this machine"
    if (split.hostname or "") in _LOCAL:
        return NOT_APPLICABLE, "on this machine"
    asked = parse_qs(split.query)
    modes = set(asked.get("sslmode", [])) & _SAFE_MODES
    safe = bool(modes) or any(name.startswith("ssl_") for name in asked)
    return judged(safe, "over TLS" if safe else "TLS is not demanded")


def _database_file(evidence: Evidence) -> Judgement:
    url = evidence.settings.database.url
    if not url.lower().startswith("sqlite"):
        return NOT_APPLICABLE, "no file"
    rest = url.partition(":")[2].partition("?")[0]
    return _private(Path(rest.removeprefix("///") if rest.startswith("///") else rest))


def _settings_file(evidence: Evidence) -> Judgement:
    path = evidence.settings.file
    return (NOT_APPLICABLE, "no settings file") if path is None else _private(path)


def _private(path: Path) -> Judgement:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return UNKNOWN, f"{path} cannot be looked at"
    return judged(not mode & stat.S_IRWXO, f"{path} is {stat.filemode(mode)}")


def _durable(evidence: Evidence) -> Judgement:
    unsafe = evidence.facts.unsafe
    if unsafe is None:
        return UNKNOWN, "the database could not be asked"
    return judged(not unsafe, "; ".join(unsafe) or "flushed before it is acknowledged")


def _schema(evidence: Evidence) -> Judgement:
    current = evidence.facts.schema_current
    if current is None:
        return UNKNOWN, "the database could not be asked"
    return judged(current, "current" if current else "migrations are pending")


def _audited(evidence: Evidence) -> Judgement:
    count = evidence.facts.audit_records
    if count is None:
        return UNKNOWN, "the database could not be asked"
    if count == 0:
        return NOT_APPLICABLE, "nothing has happened yet"
    return MET, f"{count} records"


def _own_names(evidence: Evidence) -> Judgement:
    people, keys = evidence.facts.people, evidence.facts.keys
    if people is None or keys is None:
        return UNKNOWN, "the database could not be asked"
    return judged(people > 0 or keys == 0, f"{people} people, {keys} keys")


def _outside(evidence: Evidence) -> Judgement:  # noqa: ARG001
    return UNKNOWN, "cannot be seen from here"


CONTROLS: tuple[Control, ...] = (
    Control("production", "Unsafe settings stop the start", AUDITED, _production,
            "ENVIRONMENT=production", "app.environment"),
    Control("secret-key", "Secrets in the database are encrypted", PROFILES, _secret_key,
            "Set SECRET_KEY to at least 32 random characters.", "security.secret_key"),
    Control("https", "Nothing is answered over HTTP", PROFILES, _https,
            "Set TLS_CERT_PATH and TLS_KEY_PATH, or server.https_only behind a proxy.",
            "server.tls_cert_file"),
    Control("tls-version", "TLS 1.2 or newer", PROFILES, _tls_version,
            "Set server.tls_min_version.", "server.tls_min_version"),
    Control("hosts", "Only own host names are answered", PROFILES, _hosts,
            "Set ALLOWED_HOSTS to the names of this server.", "server.allowed_hosts"),
    Control("origins", "Pages of other origins are named", PROFILES, _cors,
            "Name the origins in CORS_ORIGINS instead of *.", "cors.origins"),
    Control("proxies", "Only own proxies are believed", PROFILES, _proxies,
            "Name the proxies in server.trusted_proxies, not whole networks of others.",
            "server.trusted_proxies"),
    Control("rate-limits", "Requests and wrong credentials are limited", PROFILES, _rate_limits,
            "RATE_LIMIT_ENABLED=true", "rate_limit.enabled"),
    Control("shared-limits", "Limits hold over all processes", (SOC2,), _shared_limits,
            "Set REDIS_URL, or rate_limit.storage = memcached.", "rate_limit.storage"),
    Control("slow-clients", "Slow clients are cut", PROFILES, _slow_clients,
            "Set server.receive_timeout_seconds to 30 or less.", "server.receive_timeout_seconds"),
    Control("bodies", "Bodies are bounded", PROFILES, _bodies,
            "Set ingest.max_body_bytes to 100 MiB or less.", "ingest.max_body_bytes"),
    Control("debugging", "No statements and details in the log", PROFILES, _statements,
            "Set LOG_LEVEL to info and database.echo to false.", "logging.level"),
    Control("metrics", "Metrics are not public", AUDITED, _metrics,
            "METRICS_ENABLED=false, or keep the path from the public by the proxy.",
            "metrics.enabled"),
    Control("outbound-networks", "The server calls no internal network", (SOC2,), _outbound,
            "Empty delivery.allow_networks.", "delivery.allow_networks"),
    Control("outbound-tls", "Notices and webhooks go over HTTPS", (HIPAA,), _outbound_tls,
            "delivery.require_https = true", "delivery.require_https"),
    Control("mail-tls", "Mail goes over TLS", AUDITED, _mail,
            "email.smtp_use_tls = true", "email.smtp_use_tls"),
    Control("redis-tls", "Redis is reached over TLS or on this machine", AUDITED, _redis,
            "Use rediss:// in REDIS_URL.", "redis.url"),
    Control("database-tls", "The database is reached over TLS or on this machine", AUDITED,
            _database_transport, "Add sslmode=verify-full (PostgreSQL) or ssl_ca (MySQL) to "
            "DATABASE_URL.", "database.url"),
    Control("database-file", "The database file is not for everybody", AUDITED, _database_file,
            "chmod o-rwx the file.", "database.url"),
    Control("settings-file", "The settings file is not for everybody", AUDITED, _settings_file,
            "chmod o-rwx the file."),
    Control("durability", "What was acknowledged is on the disk", PROFILES, _durable,
            "See `cost-ops db status`."),
    Control("schema", "The schema is that of this release", PROFILES, _schema,
            "Run `cost-ops migrate`."),
    Control("audit", "Changes are recorded", PROFILES, _audited,
            "See that the database can be reached."),
    Control("people", "People have accounts of their own", AUDITED, _own_names,
            "Make users, and keys for them, instead of sharing keys."),
    Control("key-ends", "API keys expire", AUDITED,
            lambda evidence: counted(evidence.facts.keys_without_end, "active keys never expire"),
            "Make keys with an expiry, and revoke the others."),
    Control("least-privilege", "No key may do everything", AUDITED,
            lambda evidence: counted(
                evidence.facts.keys_that_may_everything, "active keys may do everything"
            ),
            "Make keys with the scopes that they need, and revoke the others."),
    Control("unused-keys", f"No key is unused for {UNUSED_DAYS} days", (SOC2,),
            lambda evidence: counted(evidence.facts.keys_unused, "active keys are unused"),
            "Revoke them: `cost-ops auth list-api-keys`."),
    Control("backups", "The database is backed up, and restoring was tried", AUDITED, _outside,
            "Keep a record of backups and of the last restore."),
    Control("disk", "Disks and backups are encrypted", (HIPAA,), _outside,
            "Encrypt the volume of the database and of its backups."),
)  # fmt: skip
