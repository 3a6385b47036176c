"""Files as objects of S3, Google Cloud Storage or Azure Blob, through obstore (extra `storage`).

A file of one piece is one request; a longer one goes up in parts and becomes readable with the
request that joins them. It is read by ranges, so that no request lasts as long as a slow reader.
"""

from __future__ import annotations

import importlib
import os
from base64 import b64decode
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from tempfile import NamedTemporaryFile
from typing import Any

from llm_cost_ops.server.settings import StorageSettings
from llm_cost_ops.server.storage.storage import (
    CHUNK,
    ENVIRONMENT,
    MALFORMED,
    NOT_INSTALLED,
    NotKept,
    StorageUnavailable,
    StorageUnusable,
    checked,
)

INSTALL = "pip install 'llm-cost-ops[storage]'"
_PARTS_AT_ONCE = 3
_RETRIES = 2
_ENTITLED = ("PermissionDeniedError", "UnauthenticatedError")


class Objects:
    """`Storage` in a bucket or container."""

    def __init__(self, store: Any) -> None:
        self._obstore = _library("obstore")
        self._store = store

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        name = checked(key)
        pieces = _Counted(chunks)
        first = next(pieces, b"")
        second = next(pieces, None)
        with _failing(pieces):
            if second is None:
                self._obstore.put(self._store, name, first, use_multipart=False)
            else:
                self._obstore.put(
                    self._store,
                    name,
                    chain((first, second), pieces),
                    chunk_size=CHUNK,
                    max_concurrency=_PARTS_AT_ONCE,
                )
        return pieces.count

    def size(self, key: str) -> int | None:
        name = checked(key)
        with _failing():
            try:
                return int(self._obstore.head(self._store, name)["size"])
            except FileNotFoundError:
                return None

    def get(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        name = checked(key)
        size = self.size(name)
        if size is None:
            raise NotKept(key)
        end = size if end is None else min(end, size)
        while start < end:
            until = min(start + CHUNK, end)
            with _failing():
                try:
                    piece = self._obstore.get_range(self._store, name, start=start, end=until)
                except FileNotFoundError:
                    raise NotKept(key) from None
            yield bytes(piece)
            start = until

    def delete(self, key: str) -> None:
        name = checked(key)
        with _failing():
            try:
                self._obstore.delete(self._store, name)
            except FileNotFoundError:
                return

    def tidy(self, before_s: float) -> int:
        del before_s
        return 0


class _Counted:
    """Pieces of `CHUNK` bytes, the last one shorter; `failure` is what their maker raised."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._waiting = bytearray()
        self.count = 0
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        waiting = self._waiting
        try:
            while len(waiting) < CHUNK:
                chunk = next(self._chunks)
                self.count += len(chunk)
                waiting += chunk
        except StopIteration:
            if not waiting:
                raise
        except BaseException as error:
            self.failure = error
            raise
        piece = bytes(waiting[:CHUNK])
        del waiting[:CHUNK]
        return piece


def store_of(settings: StorageSettings, *, way: str | None = None) -> Any:
    """The store of the settings; nothing is asked yet. With a `way`, the URL of a proxy, it is
    somebody else's: nothing of this machine's environment goes there. Raises
    StorageUnavailable."""
    if settings.lacking is not None:
        raise StorageUnusable(MALFORMED, f"Files cannot be kept: {settings.lacking}.")
    if way is not None:
        _refuse_ours(settings.backend)
    try:
        return _MAKERS[settings.backend](settings, way)
    except (ValueError, _library("obstore.exceptions").BaseError):
        raise StorageUnusable(
            MALFORMED,
            f"Files cannot be kept: the settings of storage.{settings.backend}_.. do not fit.",
        ) from None


def _s3(settings: StorageSettings, way: str | None) -> Any:
    config = _neutral("s3", way) | _given(
        # Beside `endpoint`, which a variable of this name goes before.
        aws_endpoint_url_s3=None if way is None else settings.s3_endpoint,
        region=settings.s3_region or "us-east-1",
        access_key_id=settings.s3_access_key,
        secret_access_key=settings.s3_secret_key,
        endpoint=settings.s3_endpoint,
        disable_bulk_delete="true",  # which not every server that speaks as S3 knows
    )
    own: dict[str, object] = {
        "access_key_id": settings.s3_access_key,
        "secret_access_key": settings.s3_secret_key,
        "token": None,
        "expires_at": None,
    }
    made = _library("obstore.store").S3Store
    common = _common(settings, settings.s3_endpoint, way)
    return made(settings.s3_bucket, config=config, **_alone(own, way), **common)


def _gcs(settings: StorageSettings, way: str | None) -> Any:
    made = _library("obstore.store").GCSStore
    common = _common(settings, settings.gcs_endpoint, way)
    with _gcs_key(settings.gcs_credentials, way) as key:
        config = _neutral("gcs", way) | key | _given(base_url=settings.gcs_endpoint)
        return made(settings.gcs_bucket, config=config, **common)


@contextmanager
def _gcs_key(key: str | None, way: str | None) -> Generator[dict[str, str]]:
    """The key as an option, until the store is made. The library takes a text or a path and not
    both: where the environment has a path, somebody else's key replaces it as a file."""
    if way is None or key is None or not any(name in os.environ for name in _GCS_PATHS):
        yield _given(service_account_key=key)
        return
    with NamedTemporaryFile("w", encoding="utf-8") as file:  # for its owner alone
        file.write(key)
        file.flush()
        yield {"service_account": file.name}


def _azure(settings: StorageSettings, way: str | None) -> Any:
    if way is not None:  # the library would read it with the first request alone
        b64decode(settings.azure_key or "", validate=True)
    config = _neutral("azure", way) | _given(
        account_name=settings.azure_account,
        account_key=settings.azure_key,
        endpoint=settings.azure_endpoint,
    )
    own: dict[str, object] = {"access_key": settings.azure_key, "expires_at": None}
    made = _library("obstore.store").AzureStore
    common = _common(settings, settings.azure_endpoint, way)
    return made(settings.azure_container, config=config, **_alone(own, way), **common)


def _alone(own: dict[str, object], way: str | None) -> dict[str, Any]:
    """Of somebody else's store the credentials and nothing beside them: the library would add what
    it finds in the environment, such as a session token."""
    return {} if way is None else {"credential_provider": lambda: own}


_NEUTRAL: dict[str, dict[str, str]] = {
    "s3": {
        "AWS_SERVER_SIDE_ENCRYPTION": "AES256",
        "AWS_SSE_CUSTOMER_KEY_BASE64": "",
        "AWS_SSE_KMS_KEY_ID": "",
        "AWS_SSE_BUCKET_KEY_ENABLED": "false",
        "AWS_SKIP_SIGNATURE": "false",
        "AWS_REQUEST_PAYER": "false",
        "AWS_UNSIGNED_PAYLOAD": "false",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
        "AWS_S3_EXPRESS": "false",
    },
    "gcs": {"GOOGLE_SKIP_SIGNATURE": "false"},
    "azure": {"AZURE_STORAGE_USE_EMULATOR": "false", "AZURE_SKIP_SIGNATURE": "false"},
}
"""What the library reads from variables of these names, and what is as if they were not there."""
_GCS_PATHS = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH")
_OURS = {"gcs": ("GOOGLE_BEARER_TOKEN",), "azure": ("AZURE_STORAGE_ENCRYPTION_KEY",)}
"""Variables that would go to somebody else's store, and that no option takes back."""


def _neutral(kind: str, way: str | None) -> dict[str, str]:
    """Of somebody else's store what takes back the variables that this machine's environment has:
    the operator's encryption key and its other wishes are for the operator's own store. Where there
    is none nothing is sent, because not every server knows these headers."""
    if way is None:
        return {}
    here = {name.upper() for name in os.environ}
    return {name.lower(): value for name, value in _NEUTRAL[kind].items() if name in here}


def _refuse_ours(kind: str) -> None:
    """Raises StorageUnusable where this machine's secrets would go to somebody else's store."""
    found = next((name for name in _OURS.get(kind, ()) if os.environ.get(name)), None)
    if found is not None:
        raise StorageUnusable(
            ENVIRONMENT, f"{found} in the environment of the server would go to another's store."
        )


_MAKERS: dict[str, Callable[[StorageSettings, str | None], Any]] = {
    "s3": _s3,
    "gcs": _gcs,
    "azure": _azure,
}


def _common(settings: StorageSettings, endpoint: str | None, way: str | None) -> dict[str, Any]:
    limit = timedelta(seconds=settings.timeout_seconds)
    return {
        "prefix": settings.prefix,
        "client_options": {
            **({} if way is None else {"proxy_url": way}),
            "timeout": limit,
            "connect_timeout": timedelta(seconds=min(settings.timeout_seconds, 5)),
            "allow_http": endpoint is not None and endpoint.startswith("http://"),
        },
        "retry_config": {"max_retries": _RETRIES, "retry_timeout": limit},
    }


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        text = f"This server cannot reach object storage: {INSTALL}."
        raise StorageUnusable(NOT_INSTALLED, text) from None


@contextmanager
def _failing(pieces: _Counted | None = None) -> Generator[None]:
    """What the store refuses, as an outage. The library's texts hold URLs and answers: they stay
    in the cause. What the maker of the pieces raised is raised as it was."""
    try:
        yield
    except (StorageUnavailable, NotKept):
        raise
    except Exception as error:
        if pieces is not None and pieces.failure is not None:
            raise pieces.failure from None
        if not isinstance(error, (_library("obstore.exceptions").BaseError, OSError)):
            raise
        if type(error).__name__ in _ENTITLED:
            text = "The storage does not let this server in: look at the settings of storage."
            raise StorageUnavailable(text) from error
        raise StorageUnavailable("The storage does not answer, or not as expected.") from error
