"""Somebody else's store gets nothing of the operator's environment."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.storage import objects
from llm_cost_ops.server.storage.objects import Objects, store_of
from tests.server.storage.test_storage import settings_of
from tests.support import objectstores
from tests.support.objectstores import ObjectServer

SECRET = base64.b64encode(b"operators-key-of-thirty-two-byte").decode()
KMS = "arn:aws:kms:eu:111122223333:key/operators"
VARIABLES = [
    ("s3", {"AWS_SERVER_SIDE_ENCRYPTION": "sse-c", "AWS_SSE_CUSTOMER_KEY_BASE64": SECRET}),
    ("s3", {"AWS_SERVER_SIDE_ENCRYPTION": "aws:kms", "AWS_SSE_KMS_KEY_ID": KMS}),
    ("s3", {"AWS_SERVER_SIDE_ENCRYPTION": "aws:kms", "AWS_SSE_BUCKET_KEY_ENABLED": "true"}),
    ("s3", {"AWS_SKIP_SIGNATURE": "true"}),
    ("s3", {"AWS_REQUEST_PAYER": "true"}),
    ("s3", {"AWS_UNSIGNED_PAYLOAD": "true"}),
    ("s3", {"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"}),
    ("s3", {"AWS_S3_EXPRESS": "true"}),
    ("azure", {"AZURE_STORAGE_USE_EMULATOR": "true"}),
    ("azure", {"AZURE_SKIP_SIGNATURE": "true"}),
]
_TOLD = ("operators", "aws:kms", SECRET.lower(), "sse-c", "requester", "unsigned", "enabled: true")


@pytest.mark.parametrize(("kind", "variables"), VARIABLES)
def test_the_operators_environment_stays_here(
    kind: str, variables: dict[str, str], tmp_path: Path, server: ObjectServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, value in variables.items():
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
