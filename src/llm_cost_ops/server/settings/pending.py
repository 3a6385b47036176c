"""Documented settings that nothing uses yet: accepted, so that a documented file loads, and listed
as "accepted, not used yet" by `cost-ops config show`. Move a name to a section when it is built.

A name that ends in `.*` stands for everything below it: maps whose keys the operator chooses.
"""

from __future__ import annotations

FILE_KEYS = frozenset(
    """
    app.name app.version app.debug app.testing
    server.worker_class server.max_requests server.max_requests_jitter
    server.tls.enable server.tls.verify_client server.tls.ca_file
    api.http2 api.compression api.tls.enable api.tls.verify_client api.tls.ca_file
    api.api_key_header auth.api_key_header
    redis.decode_responses database.cache_size database.sqlite.cache_size
    auth.api_key.hash_algorithm auth.api_key.min_key_length
    auth.rbac.enabled auth.rbac.default_role auth.rbac.cache_ttl
    auth.oauth.* auth.saml.*
    logging.handlers.* logging.rotation.* logging.output logging.file
    observability.tracing.* observability.health.*
    monitoring.datadog.enabled monitoring.datadog.api_key monitoring.datadog.tags
    monitoring.health_check.enabled monitoring.health_check.path monitoring.health_check.interval
    email.backend email.templates_dir
    storage.s3.use_ssl export.* forecasting.* rate_limiting.* compression.* roles.*
    features.webhooks features.exports features.analytics features.audit_logs
    llm_cost_ops.*
    """.split()
)

VARIABLES = frozenset(
    """
    RATELIMIT_BURST
    WORKER_CLASS MAX_REQUESTS MAX_REQUESTS_JITTER
    SENTRY_DSN SENTRY_ENVIRONMENT DATADOG_API_KEY
    ENABLE_WEBHOOKS ENABLE_EXPORTS DATA_RETENTION_DAYS NATS_URL
    """.split()
)


def is_pending(path: str) -> bool:
    """Whether a dotted key of a file is documented but not used yet."""
    if path in FILE_KEYS:
        return True
    parts = path.split(".")
    return any(".".join((*parts[:n], "*")) in FILE_KEYS for n in range(1, len(parts)))
