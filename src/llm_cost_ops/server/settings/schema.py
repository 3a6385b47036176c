"""`Settings`: all sections, and the flat list of their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_cost_ops.server.settings.auditing import AuditSettings
from llm_cost_ops.server.settings.background import AnomalySettings, WorkerSettings
from llm_cost_ops.server.settings.exporting import ExportSettings
from llm_cost_ops.server.settings.keeping import StorageSettings
from llm_cost_ops.server.settings.mail import EmailSettings
from llm_cost_ops.server.settings.operation import (
    LoggingSettings,
    MetricsSettings,
    PricingSettings,
)
from llm_cost_ops.server.settings.outbound import DeliverySettings
from llm_cost_ops.server.settings.retention import RetentionSettings
from llm_cost_ops.server.settings.scheduling import ScheduleSettings
from llm_cost_ops.server.settings.secrets import SecretsSettings
from llm_cost_ops.server.settings.serving import (
    AppSettings,
    AuthSettings,
    CorsSettings,
    DocsSettings,
    IngestSettings,
    SecuritySettings,
    ServerSettings,
)
from llm_cost_ops.server.settings.signing_in import SignInSettings
from llm_cost_ops.server.settings.single_sign_on import SsoSettings
from llm_cost_ops.server.settings.spec import Setting, settings_of
from llm_cost_ops.server.settings.storage import CacheSettings, DatabaseSettings, RedisSettings
from llm_cost_ops.server.settings.throttling import RateLimitSettings
from llm_cost_ops.server.settings.tokens import JwtSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a process. Built by `load_settings`, or directly in tests.

    `origins` maps a setting's path to where its value came from; `unused` names documented keys
    that were given and that nothing uses yet; `notes` are remarks for the log at start. `hidden`
    are the paths of settings whose values came from a secrets manager or folder: never shown.
    """

    app: AppSettings = field(default_factory=AppSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    jwt: JwtSettings = field(default_factory=JwtSettings)
    sign_in: SignInSettings = field(default_factory=SignInSettings)
    sso: SsoSettings = field(default_factory=SsoSettings)
    security: SecuritySettings = field(default_factory=SecuritySettings)
    rate_limit: RateLimitSettings = field(default_factory=RateLimitSettings)
    secrets: SecretsSettings = field(default_factory=SecretsSettings)
    cors: CorsSettings = field(default_factory=CorsSettings)
    docs: DocsSettings = field(default_factory=DocsSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    pricing: PricingSettings = field(default_factory=PricingSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    email: EmailSettings = field(default_factory=EmailSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    schedules: ScheduleSettings = field(default_factory=ScheduleSettings)
    anomalies: AnomalySettings = field(default_factory=AnomalySettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    origins: Mapping[str, str] = field(default_factory=dict[str, str], repr=False, compare=False)
    unused: Mapping[str, str] = field(default_factory=dict[str, str], repr=False, compare=False)
    notes: tuple[str, ...] = field(default=(), repr=False, compare=False)
    hidden: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    file: Path | None = field(default=None, compare=False)

    @property
    def production(self) -> bool:
        return self.app.environment == "production"


SECTIONS: Mapping[str, type[Any]] = {
    "app": AppSettings,
    "server": ServerSettings,
    "database": DatabaseSettings,
    "redis": RedisSettings,
    "cache": CacheSettings,
    "auth": AuthSettings,
    "jwt": JwtSettings,
    "sign_in": SignInSettings,
    "sso": SsoSettings,
    "security": SecuritySettings,
    "rate_limit": RateLimitSettings,
    "secrets": SecretsSettings,
    "cors": CorsSettings,
    "docs": DocsSettings,
    "ingest": IngestSettings,
    "pricing": PricingSettings,
    "logging": LoggingSettings,
    "metrics": MetricsSettings,
    "worker": WorkerSettings,
    "delivery": DeliverySettings,
    "email": EmailSettings,
    "storage": StorageSettings,
    "export": ExportSettings,
    "schedules": ScheduleSettings,
    "anomalies": AnomalySettings,
    "retention": RetentionSettings,
    "audit": AuditSettings,
}

SETTINGS: tuple[Setting, ...] = tuple(
    setting for name, kind in SECTIONS.items() for setting in settings_of(name, kind)
)
