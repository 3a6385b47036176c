"""A running server against its own document: no operation answers 5xx whatever it is sent, and
what it answers is of the documented media types and shapes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.live import LiveServer, live_server

__all__ = ["live_server"]

NO_FAULT = "not_a_server_error"
CONFORMS = f"{NO_FAULT},content_type_conformance,response_schema_conformance"
EXAMPLES = 5


@pytest.mark.slow
def test_every_operation(live_server: LiveServer, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("st")), "run", f"{live_server.base_url}/openapi.json",
        "-H", f"Authorization: Bearer {live_server.api_key}", "--checks", CONFORMS,
        "--phases", "examples,coverage,fuzzing", "-n", str(EXAMPLES), "--seed", "1",
        "--generation-allow-x00", "true", "--continue-on-failure",
        "--suppress-health-check", "all", "--request-timeout", "60",
        # It would revoke the key of this run, and all that follows would be refused.
        "--exclude-operation-id", "revokeApiKey",
        # 501 is what SCIM wants of a server without it (RFC 7644, 3.11).
        "--exclude-path", "/scim/v2/Me",
        # With more, CPython 3.11 loses count of its recursion when schemathesis builds syntax trees
        "-w", "1",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    logged = live_server.log_path.read_bytes().split(b"\n")  # names may hold U+2028
    lines = [json.loads(line) for line in logged[:-1] if line.startswith(b"{")]
    statuses = [line["status"] for line in lines if line["event"] == "request"]
    assert len(statuses) > 100
    assert not [status for status in statuses if status >= 500]


def documented(server: LiveServer, path: str) -> Any:
    """What the document says of a GET's 200, by media type."""
    operation = server.get("/openapi.json").json()["paths"][path]["get"]
    return operation["responses"]["200"]["content"]


def test_the_stream_of_costs_is_documented(live_server: LiveServer) -> None:
    answer = live_server.get("/api/v1/costs?stream=true")
    assert answer.status_code == 200
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in documented(live_server, "/api/v1/costs")


def test_an_empty_group_by_is_refused(live_server: LiveServer) -> None:
    answer = live_server.get("/api/v1/costs?group_by=")
    assert answer.status_code == 422
    assert "group_by" in answer.json()["error"]["field_errors"]
    assert live_server.get("/api/v1/costs?group_by=none").json()["breakdown"] == []
