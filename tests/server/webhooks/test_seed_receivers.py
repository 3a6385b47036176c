"""The receivers printed in the developer guide take our deliveries, in all three languages."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.snippets import SEEDS
from tests.server.webhooks import receivers
from tests.server.webhooks.conftest import SECRET, Place
from tests.server.webhooks.test_delivery import record

GUIDE = SEEDS / "developer-guide.md"
pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason="COST_OPS_SHARED has no seeds")


def block(language: str, holds: str) -> str:
    """The code block of the guide in a language that holds a text."""
    parts = GUIDE.read_text(encoding="utf-8").split("```")
    (found,) = (
        part.removeprefix(language + "\n")
        for part in parts[1::2]
        if part.startswith(language + "\n") and holds in part
    )
    return found


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def receiving(command: list[str], **environment: str) -> Iterator[int]:
    """A receiver as a process, until it listens; its port."""
    port = free_port()
    env = {**os.environ, **environment, "PORT": str(port), "WEBHOOK_SECRET": SECRET}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            assert process.poll() is None, "the receiver ended"
            with socket.socket() as asking:
                if asking.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def check(place: Place, port: int) -> None:
    """Ours are taken with 200; those by another secret are refused with 401."""
    url = f"http://127.0.0.1:{port}/webhooks/costs"
    events = ("cost.created", "cost.updated", "budget.threshold_exceeded")
    good = place.register(*events, url=url)
    bad = place.register(*events, url=url, secret="another-secret-of-ours")
    record_id = record(place)
    path = f"/api/v1/costs/{record_id}"
    assert place.app.request("PATCH", path, json={"tags": ["x"]}).status_code == 200
    place.publish("budget.threshold_exceeded", {"budget_name": "b", "utilization": 1})
    place.work()
    rows = place.deliveries(good["id"])
    assert sorted(row["type"] for row in rows) == sorted(events)
    assert {row["last_status_code"] for row in rows} == {200}
    assert {row["last_status_code"] for row in place.deliveries(bad["id"])} == {401}


def test_python(sqlite_place: Place, tmp_path: Path) -> None:
    (tmp_path / "flask.py").write_text(receivers.FLASK, encoding="utf-8")
    server = tmp_path / "webhook_server.py"
    server.write_text(block("python", "# webhook_server.py"), encoding="utf-8")
    paths = os.pathsep.join((str(tmp_path), *sys.path))
    with receiving([sys.executable, str(server)], PYTHONPATH=paths) as port:
        check(sqlite_place, port)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_typescript(sqlite_place: Place, tmp_path: Path) -> None:
    code = block("typescript", "verifyWebhookSignature")
    for typed, plain in receivers.TYPES:
        assert typed in code
        code = code.replace(typed, plain)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "express.js").write_text(receivers.EXPRESS, encoding="utf-8")
    server = tmp_path / "server.js"
    server.write_text(code, encoding="utf-8")
    with receiving(["node", str(server)]) as port:
        check(sqlite_place, port)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_go(sqlite_place: Place, tmp_path: Path) -> None:
    code = block("go", "webhookHandler")
    assert '":8080"' in code
    (tmp_path / "main.go").write_text(
        code.replace('":8080"', '"127.0.0.1:" + os.Getenv("PORT")').replace(
            '    "net/http"\n', '    "net/http"\n    "os"\n'
        ),
        encoding="utf-8",
    )
    (tmp_path / "go.mod").write_text("module receiver\n\ngo 1.21\n", encoding="utf-8")
    env = {**os.environ, "GOFLAGS": "-mod=mod -p=1", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    built = subprocess.run(
        ["go", "build", "-o", "receiver", "."], cwd=tmp_path, env=env, capture_output=True
    )
    assert built.returncode == 0, built.stderr.decode()
    with receiving([str(tmp_path / "receiver")]) as port:
        check(sqlite_place, port)
