"""Files as objects in somebody's S3, Google Cloud Storage or Azure Blob.

With their credentials, never with those of the machine, and through a passage that the guard of
outgoing calls watches: neither an endpoint nor a redirect leads into a private network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from llm_cost_ops.core.jsontext import loads
from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.delivery.passage import passage
from llm_cost_ops.server.delivery.target import Guard
from llm_cost_ops.server.schedules.destinations import AZURE, GCS, S3, Destination
from llm_cost_ops.server.settings import StorageSettings
from llm_cost_ops.server.storage.objects import Objects, store_of
from llm_cost_ops.server.storage.storage import MALFORMED, StorageUnavailable, StorageUnusable

TIMEOUT_S = 60.0
GCS_URL = "https://storage.googleapis.com"
"""Named, or a variable of the environment would decide."""


_KEYS = {S3: "endpoint or key", GCS: "service_account_key", AZURE: "account_key or endpoint"}


def put_object(to: Destination, name: str, chunks: Iterator[bytes], guard: Guard) -> Outcome:
    """Put a file under its name, in place of one that is there. Never raises for what the other
    side does; raises NotKept and StorageUnavailable of the file's own storage."""
    source = _Source(chunks)
    with closing(source), passage(guard, TIMEOUT_S) as way:
        try:
            Objects(store_of(settings_of(to), way=way.url)).put(name, source)
        except StorageUnavailable as error:
            if source.failed:
                raise
            if isinstance(error, StorageUnusable):
                return Outcome(False, f"{error.reason}: {_unusable(error, to.kind)}", final=True)
            if way.refused is not None:
                return Outcome(False, f"refused: {way.refused}")
            return Outcome(False, _said(error, to.kind))
    return Outcome(True, name)


class _Source:
    """The pieces of a file. `failed`: whether it was they that could not be read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.failed = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except Exception:
            self.failed = True
            raise

    def close(self) -> None:
        end = getattr(self._chunks, "close", None)
        if end is not None:
            end()


def settings_of(to: Destination) -> StorageSettings:
    """The destination as settings of a storage."""
    fields: dict[str, Any] = dict(to.fields)
    secrets = to.secrets
    if to.kind == S3:
        return StorageSettings(
            backend=S3,
            timeout_seconds=TIMEOUT_S,
            s3_bucket=fields["bucket"],
            s3_region=fields["region"],
            s3_access_key=fields["access_key_id"],
            s3_secret_key=secrets["secret_access_key"],
            s3_endpoint=fields.get("endpoint") or f"https://s3.{fields['region']}.amazonaws.com",
        )
    if to.kind == GCS:
        key = loads(secrets["service_account_key"])
        return StorageSettings(
            backend=GCS,
            timeout_seconds=TIMEOUT_S,
            gcs_bucket=fields["bucket"],
            gcs_credentials=secrets["service_account_key"],
            gcs_endpoint=key.get("gcs_base_url") or GCS_URL,
        )
    return StorageSettings(
        backend=AZURE,
        timeout_seconds=TIMEOUT_S,
        azure_container=fields["container"],
        azure_account=fields["account"],
        azure_key=secrets["account_key"],
        azure_endpoint=fields.get("endpoint")
        or f"https://{fields['account']}.blob.core.windows.net",
    )


def _unusable(error: StorageUnusable, kind: str) -> str:
    """What has to be changed before any attempt can be answered otherwise."""
    if error.reason != MALFORMED:
        return error.message
    return f"{kind} cannot be reached with this {_KEYS[kind]}"


def _said(error: StorageUnavailable, kind: str) -> str:
    """What went wrong, without what the library says: that holds URLs and answers."""
    cause = error.__cause__
    word = type(cause).__name__.removesuffix("Error") if cause is not None else ""
    if word in ("PermissionDenied", "Unauthenticated"):
        return f"{kind} does not let us in: look at the credentials"
    if word == "NotFound":
        return f"{kind} has no such bucket or container"
    return f"{kind} does not answer, or not as expected"
