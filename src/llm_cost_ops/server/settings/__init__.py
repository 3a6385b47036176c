"""Settings of the server: `load_settings()` reads them, `explain()` says where each came from."""

from __future__ import annotations

from llm_cost_ops.server.settings.auditing import AuditSettings
from llm_cost_ops.server.settings.background import AnomalySettings, WorkerSettings
from llm_cost_ops.server.settings.explain import Explained, explain, value_of
from llm_cost_ops.server.settings.exporting import ExportSettings
from llm_cost_ops.server.settings.keeping import StorageSettings
from llm_cost_ops.server.settings.load import SettingsError, load_settings
from llm_cost_ops.server.settings.mail import EmailSettings
from llm_cost_ops.server.settings.mask import mask_url
from llm_cost_ops.server.settings.operation import LoggingSettings, MetricsSettings, PricingSettings
from llm_cost_ops.server.settings.outbound import DeliverySettings
from llm_cost_ops.server.settings.retention import RetentionSettings
from llm_cost_ops.server.settings.scheduling import ScheduleSettings
from llm_cost_ops.server.settings.schema import SETTINGS, Settings
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
from llm_cost_ops.server.settings.storage import CacheSettings, DatabaseSettings, RedisSettings
from llm_cost_ops.server.settings.throttling import RateLimitSettings

__all__ = [
    "SETTINGS",
    "AnomalySettings",
    "AppSettings",
    "AuditSettings",
    "AuthSettings",
    "CacheSettings",
    "CorsSettings",
    "DatabaseSettings",
    "DeliverySettings",
    "DocsSettings",
    "EmailSettings",
    "Explained",
    "ExportSettings",
    "IngestSettings",
    "LoggingSettings",
    "MetricsSettings",
    "PricingSettings",
    "RateLimitSettings",
    "RedisSettings",
    "RetentionSettings",
    "ScheduleSettings",
    "SecretsSettings",
    "SecuritySettings",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "SignInSettings",
    "SsoSettings",
    "StorageSettings",
    "WorkerSettings",
    "explain",
    "load_settings",
    "mask_url",
    "value_of",
]
