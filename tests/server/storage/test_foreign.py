"""Somebody else's store gets nothing of the operator's environment."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.storage import objects
from llm_cost_ops.server.storage.objects import Objects, store_of
from llm_cost_ops.server.storage.storage import StorageUnavailable, StorageUnusable
from tests.server.storage.test_storage import settings_of
from tests.support import objectstores
from tests.support.objectstores import ObjectServer

SECRET = base64.b64encode(b"operators-key-of-thirty-two-byte").decode()
KMS = "arn:aws:kms:eu:111122223333:key/operators"
THEIRS = json.dumps(
    {"client_email": "operators", "private_key": "", "private_key_id": "", "disable_oauth": True,
     "gcs_base_url": "http://127.0.0.1:9"}
)  # fmt: skip
VARIABLES = [
    ("s3", {"AWS_SERVER_SIDE_ENCRYPTION": "sse-c", "AWS_SSE_CUSTOMER_KEY_BASE64": SECRET}),
    ("s3", {"AWS_SERVER_SIDE_ENCRYPTION": "aws:kms", "AWS_SSE_KMS_KEY_ID": KMS}),
    ("s3", {"AWS_SERVER_SIDE_ENCRYPTION": "aws:kms", "AWS_SSE_BUCKET_KEY_ENABLED": "true"}),
    ("s3", {"AWS_SKIP_SIGNATURE": "true"}),
    ("s3", {"AWS_REQUEST_PAYER": "true"}),
    ("s3", {"AWS_UNSIGNED_PAYLOAD": "true"}),
    ("s3", {"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"}),
    ("s3", {"AWS_S3_EXPRESS": "true"}),
    ("s3", {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}),
    ("s3", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}),
    ("s3", {"AWS_ENDPOINT": "http://127.0.0.1:9"}),
    ("s3", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9"}),
    ("s3", {"AWS_PROXY_URL": "http://127.0.0.1:9", "AWS_PROXY_EXCLUDES": "127.0.0.1"}),
    ("gcs", {"GOOGLE_SERVICE_ACCOUNT": "FILE"}),
    ("gcs", {"GOOGLE_SERVICE_ACCOUNT_PATH": "FILE"}),
    ("gcs", {"GOOGLE_SERVICE_ACCOUNT_KEY": THEIRS}),
    ("gcs", {"GOOGLE_APPLICATION_CREDENTIALS": "FILE"}),
    ("gcs", {"GOOGLE_BASE_URL": "http://127.0.0.1:9"}),
    ("gcs", {"GOOGLE_SKIP_SIGNATURE": "true"}),
    ("azure", {"AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:9"}),
    ("azure", {"AZURE_STORAGE_SAS_TOKEN": "sig=operators"}),
    ("azure", {"AZURE_STORAGE_TOKEN": "operators"}),
    ("azure", {"AZURE_STORAGE_USE_EMULATOR": "true"}),
    ("azure", {"AZURE_SKIP_SIGNATURE": "true"}),
]
_FAMILIES = ("AWS", "GOOGLE", "AZURE")
_TOLD = ("operators", "aws:kms", SECRET.lower(), "sse-c", "requester", "unsigned", "enabled: true")


@pytest.mark.parametrize(("kind", "variables"), VARIABLES)
def test_the_operators_environment_stays_here(
    kind: str, variables: dict[str, str], tmp_path: Path, server: ObjectServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, value in variables.items():
        if value == "FILE":
            file = tmp_path / "theirs.json"
            file.write_text(THEIRS)
            value = str(file)
        monkeypatch.setenv(name, value)
    common, begin = objects._common, objectstores._Handler._begin  # pyright: ignore[reportPrivateUsage]
    heard: list[str] = []

    def straight(settings: Any, endpoint: str | None, _way: str | None) -> dict[str, Any]:
        return common(settings, endpoint, None)  # the passage is tested elsewhere

    def listening(self: Any) -> bool:
        heard.extend(f"{name}: {value}".lower() for name, value in self.headers.items())
        return begin(self)

    monkeypatch.setattr(objects, "_common", straight)
    monkeypatch.setattr(objectstores._Handler, "_begin", listening)  # pyright: ignore[reportPrivateUsage]
    store = Objects(store_of(settings_of(kind, tmp_path, server), way="http://127.0.0.1:1"))
    assert store.put("a", iter([b"x"])) == 1
    assert heard, "it came to the endpoint of the tenant"
    assert not [line for line in heard if any(word in line for word in _TOLD)]
    assert any(line.startswith("authorization:") for line in heard)


@pytest.mark.parametrize(
    ("kind", "variable"),
    [("gcs", "GOOGLE_BEARER_TOKEN"), ("azure", "AZURE_STORAGE_ENCRYPTION_KEY")],
)
def test_what_nothing_takes_back_is_refused(
    kind: str, variable: str, tmp_path: Path, server: ObjectServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A token and an encryption key of the operator: the library has no word for "none"."""
    monkeypatch.setenv(variable, SECRET)
    settings = settings_of(kind, tmp_path, server)
    with pytest.raises(StorageUnusable) as refused:
        store_of(settings, way="http://127.0.0.1:1")
    assert (refused.value.reason, SECRET in refused.value.message) == ("environment", False)
    assert variable in refused.value.message
    store_of(settings)  # the operator's own


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure"])
def test_nothing_leads_past_the_passage(
    kind: str, tmp_path: Path, server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy", *(f"{family}_PROXY_EXCLUDES" for family in _FAMILIES)):
        monkeypatch.setenv(name, "*" if name.lower() == "no_proxy" else "127.0.0.1")
    monkeypatch.setattr(objects, "_RETRIES", 0)
    store = Objects(store_of(settings_of(kind, tmp_path, server), way="http://127.0.0.1:1"))
    with pytest.raises(StorageUnavailable):
        store.put("a", iter([b"x"]))
    assert server.seen == []
