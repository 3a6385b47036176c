"""Settings of the files that the server keeps: exports and reports, and in which storage."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_cost_ops.server.settings.spec import setting

BACKENDS = ("local", "s3", "gcs", "azure")
_ENDPOINT = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def _endpoint(value: str) -> str | None:
    return None if _ENDPOINT.fullmatch(value) else "http(s)://HOST[:PORT][/PATH]"


def _prefix(value: str) -> str | None:
    return None if _PREFIX.fullmatch(value) else "names of letters, digits and ._- between slashes"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """`[storage]`: where files are kept. Every process of one installation, workers too, must
    reach the same place."""

    backend: str = setting(
        "local",
        "Kind of storage: a folder, S3 or what speaks as S3 does, Google Cloud Storage, Azure Blob "
        "Storage. All but the folder need the extra `storage`.",
        env=("STORAGE_BACKEND",),
        choices=BACKENDS,
    )
    directory: str | None = setting(
        None,
        "Folder of `local`, made when it is first needed. Unless given `cost-ops-files` beside the "
        "SQLite database, with another database in the working directory.",
        files=("storage.local.directory", "export.output_dir"),
    )
    prefix: str | None = setting(
        None,
        "What the names of our objects in a bucket or container begin with.",
        check=_prefix,
    )
    timeout_seconds: float = setting(
        30.0,
        "How long one request to a storage may take.",
        low=1,
        high=600,
    )
    s3_bucket: str | None = setting(
        None, "Bucket of `s3`.", env=("S3_BUCKET",), files=("storage.s3.bucket",)
    )
    s3_region: str | None = setting(
        None,
        "Region of the bucket; unless given `us-east-1`.",
        env=("S3_REGION",),
        files=("storage.s3.region",),
    )
    s3_access_key: str | None = setting(
        None,
        "Access key id; without one those of the environment (`AWS_ACCESS_KEY_ID`), of the "
        "container or of the machine are taken.",
        env=("S3_ACCESS_KEY",),
        files=("storage.s3.access_key",),
    )
    s3_secret_key: str | None = setting(
        None,
        "Secret of the access key.",
        env=("S3_SECRET_KEY",),
        files=("storage.s3.secret_key",),
        secret=True,
    )
    s3_endpoint: str | None = setting(
        None,
        "URL of a server that speaks as S3 does (MinIO, Ceph, R2); unless given that of AWS.",
        env=("S3_ENDPOINT",),
        files=("storage.s3.endpoint",),
        check=_endpoint,
    )
    gcs_bucket: str | None = setting(
        None, "Bucket of `gcs`.", env=("GCS_BUCKET",), files=("storage.gcs.bucket",)
    )
    gcs_credentials: str | None = setting(
        None,
        "Key of a service account as JSON; without one those of the environment "
        "(`GOOGLE_APPLICATION_CREDENTIALS`) or of the machine are taken.",
        env=("GCS_CREDENTIALS",),
        files=("storage.gcs.credentials",),
        secret=True,
    )
    gcs_endpoint: str | None = setting(
        None,
        "URL of a server that speaks as Google Cloud Storage does.",
        env=("GCS_ENDPOINT",),
        files=("storage.gcs.endpoint",),
        check=_endpoint,
    )
    azure_container: str | None = setting(
        None,
        "Container of `azure`.",
        env=("AZURE_STORAGE_CONTAINER",),
        files=("storage.azure.container",),
    )
    azure_account: str | None = setting(
        None,
        "Storage account of `azure`.",
        env=("AZURE_STORAGE_ACCOUNT",),
        files=("storage.azure.account",),
    )
    azure_key: str | None = setting(
        None,
        "Key of the storage account; without one those of the environment or of the machine "
        "(managed identity) are taken.",
        env=("AZURE_STORAGE_KEY",),
        files=("storage.azure.key",),
        secret=True,
    )
    azure_endpoint: str | None = setting(
        None,
        "URL of a server that speaks as Azure Blob Storage does, the account's name at its end.",
        env=("AZURE_STORAGE_ENDPOINT",),
        files=("storage.azure.endpoint",),
        check=_endpoint,
    )

    @property
    def lacking(self) -> str | None:
        """What must be set before files can be kept; None when they can be."""
        if self.backend == "s3":
            if self.s3_bucket is None:
                return "storage.s3_bucket is not set"
            if self.s3_access_key is not None and self.s3_secret_key is None:
                return "storage.s3_secret_key is not set"
        if self.backend == "gcs" and self.gcs_bucket is None:
            return "storage.gcs_bucket is not set"
        if self.backend == "azure":
            for name in ("azure_account", "azure_container"):
                if getattr(self, name) is None:
                    return f"storage.{name} is not set"
        return None
