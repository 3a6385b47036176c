"""The server as a program: starting, draining, several processes, TLS, a side port."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from llm_cost_ops.server.db.engine import open_database
from llm_cost_ops.server.db.session import read, write
from llm_cost_ops.server.settings import (
    AppSettings,
    DatabaseSettings,
    MetricsSettings,
    Settings,
)
from tests.support.live import (
    START_SECONDS,
    LiveServer,
    children,
    local,
    serving,
    sqlite_at,
    start_process,
    wait_for_port,
)

RECORD = {"provider": "openai", "model": "gpt-4o", "prompt_tokens": 10, "completion_tokens": 5}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def eventually(check: Callable[[], Any], seconds: float = 10) -> Any:
    until = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_drains_and_exits_0(tmp_path: Path, number: int) -> None:
    """What is under way finishes; what comes after is not accepted."""
    with serving(local(sqlite_at(tmp_path)), tmp_path) as server:
        body = json.dumps(RECORD).encode()
        with socket.create_connection((server.host, server.port), 20) as opened:
            head = (
                f"POST /api/v1/usage HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
                f"Authorization: Bearer {server.api_key}\r\n\r\n"
            )
            opened.sendall(head.encode() + body[:-1])
            time.sleep(0.3)
            server.process.send_signal(number)
            eventually(lambda: not accepts(server), 5)
            assert not accepts(server)
            assert server.process.poll() is None
            opened.sendall(body[-1:])
            answer = opened.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 201 Created")
        assert b"connection: close" in answer
        assert server.process.wait(10) == 0


def accepts(server: LiveServer) -> bool:
    try:
        socket.create_connection((server.host, server.port), 1).close()
    except OSError:
        return False
    return True


def test_idle_connections_do_not_hold_it(tmp_path: Path) -> None:
    with serving(local(sqlite_at(tmp_path), keepalive_seconds=60), tmp_path) as server:
        with httpx.Client(base_url=server.base_url) as client:
            assert client.get("/live").status_code == 200
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 20


def test_a_client_that_never_finishes_is_cut_when_the_time_is_over(tmp_path: Path) -> None:
    settings = local(sqlite_at(tmp_path), shutdown_seconds=2)
    with (
        serving(settings, tmp_path) as server,
        socket.create_connection((server.host, server.port)) as opened,
    ):
        opened.sendall(b"POST /api/v1/usage HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n")
        opened.sendall(f"Authorization: Bearer {server.api_key}".encode())
        time.sleep(0.3)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 20


def test_twenty_restarts_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Rolling restarts under load (fault row 2): every acknowledged call is there, once."""
    database = sqlite_at(tmp_path)
    port = free_port()
    settings = local(database, port=port)
    acknowledged: list[str] = []
    failures: list[str] = []
    stop = threading.Event()
    opened = open_database(database)
    from llm_cost_ops.server.clock import SystemClock
    from tests.support.application import make_key, make_organization

    organization_id = make_organization(opened, SystemClock())
    _, key = make_key(opened, SystemClock(), organization_id)

    def send(sender: int) -> None:
        number = 0
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=10) as client:
            while not stop.is_set():
                event_id = f"e-{sender}-{number}"
                try:
                    answer = client.post(
                        f"http://127.0.0.1:{port}/api/v1/usage",
                        json={**RECORD, "event_id": event_id},
                    )
                except httpx.TransportError:
                    time.sleep(0.02)
                    continue
                if answer.status_code in (200, 201):
                    acknowledged.append(event_id)
                    number += 1
                elif answer.status_code != 503:
                    failures.append(answer.text)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for restart in range(5):
        process, log_path = start_process(settings, tmp_path / str(restart))
        wait_for_port(process, log_path)
        time.sleep(0.4)
        process.terminate()
        assert process.wait(40) == 0
    stop.set()
    for thread in threads:
        thread.join()
    with read(opened) as session:
        from sqlalchemy import text

        stored = session.execute(text("SELECT event_id FROM usage_records")).scalars().all()
    opened.dispose()
    assert failures == []
    assert len(acknowledged) > 50
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)


PROCESSES = 3
"""Of `workers=2` on SQLite: the worker of the queue has one of its own."""


def test_several_workers_share_one_port_and_one_set_of_metrics(tmp_path: Path) -> None:
    side = free_port()
    settings = replace(local(sqlite_at(tmp_path), workers=2), metrics=MetricsSettings(port=side))
    with serving(settings, tmp_path) as server:
        workers = eventually(
            lambda: len(children(server.process)) == PROCESSES and children(server.process)
        )
        assert workers
        for _ in range(40):
            assert httpx.get(f"{server.base_url}/live").status_code == 200
        key_id, secret = server.new_key("*")
        for _ in range(20):
            assert server.post("/api/v1/usage", json=RECORD).status_code == 201
        text = httpx.get(f"http://127.0.0.1:{side}/metrics").text
        line = next(row for row in text.splitlines() if row.startswith("llm_cost_ops_entries"))
        assert line == 'llm_cost_ops_entries_created_total{model="gpt-4o",user_id=""} 20.0'
        assert server.get("/metrics").text.count("llm_cost_ops_entries_created_total{") == 1
        assert httpx.get(f"http://127.0.0.1:{side}/api/v1/costs").status_code == 404
        headers = {"Authorization": f"Bearer {secret}"}
        assert server.get("/api/v1/auth/validate", headers=headers).status_code == 200
        assert server.request("DELETE", f"/api/v1/auth/api-keys/{key_id}").status_code == 204
        time.sleep(1)
        for _ in range(20):
            assert server.get("/api/v1/auth/validate", headers=headers).status_code == 401
        assert server.stop() == 0
        assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with serving(local(sqlite_at(tmp_path), workers=2), tmp_path) as server:
        first = eventually(
            lambda: len(children(server.process)) == PROCESSES and children(server.process)
        )
        killed = {first[0], first[-1]}
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        second = eventually(
            lambda: (
                len(now := children(server.process)) == PROCESSES and not killed & set(now) and now
            )
        )
        assert second
        assert eventually(lambda: [x for x in server.log() if x["event"] == "worker ended"])
        assert server.get("/live").status_code == 200
        assert server.stop() == 0


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    with serving(local(sqlite_at(tmp_path), workers=2), tmp_path) as server:
        workers = eventually(
            lambda: len(children(server.process)) == PROCESSES and children(server.process)
        )
        assert workers
        server.process.kill()
        server.process.wait()
        assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 15)


def ended(settings: Settings, folder: Path) -> tuple[int, list[dict[str, Any]]]:
    process, log_path = start_process(settings, folder)
    try:
        code = process.wait(START_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    lines = log_path.read_text(encoding="utf-8").splitlines()
    return code, [json.loads(line) for line in lines if line.startswith("{")]


def test_a_schema_that_is_behind_stops_the_start(tmp_path: Path) -> None:
    database = DatabaseSettings(url=f"sqlite:///{tmp_path}/new.db")
    code, lines = ended(local(database), tmp_path)
    assert code == 5
    assert "cost-ops migrate" in lines[-1]["reason"]


def test_unless_it_may_migrate_itself(tmp_path: Path) -> None:
    database = DatabaseSettings(url=f"sqlite:///{tmp_path}/new.db", auto_migrate=True)
    process, log_path = start_process(local(database, workers=2), tmp_path)
    port = wait_for_port(process, log_path)
    ready = httpx.get(f"http://127.0.0.1:{port}/ready")
    process.terminate()
    assert process.wait(30) == 0
    assert ready.status_code == 200


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, lines = ended(local(sqlite_at(tmp_path), port=port), tmp_path)
    assert code == 1
    assert lines[-1]["event"] == "cannot listen"


@pytest.mark.parametrize("workers", [1, 2])
def test_production_refuses_a_database_that_forgets(tmp_path: Path, workers: int) -> None:
    database = replace(sqlite_at(tmp_path), sqlite_synchronous="normal")
    settings = replace(local(database, workers=workers), app=AppSettings(environment="production"))
    code, lines = ended(settings, tmp_path)
    assert code != 0
    assert any("synchronous" in json.dumps(line) for line in lines)


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    settings = local(sqlite_at(tmp_path), tls_cert_file=str(tmp_path / "cert.pem"))
    code, lines = ended(settings, tmp_path)
    assert (code, lines[-1]["event"]) == (2, "certificate not usable")


def test_tls(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    settings = local(sqlite_at(tmp_path), tls_cert_file=str(cert), tls_key_file=str(key))
    with serving(settings, tmp_path) as server:
        context = ssl.create_default_context(cafile=str(cert))
        address = f"https://127.0.0.1:{server.port}/live"
        answer = httpx.get(address, verify=context)
        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
        old = ssl.create_default_context(cafile=str(cert))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert httpx.get(address, verify=old).status_code == 200
        assert server.stop() == 0


def test_it_stays_small(tmp_path: Path) -> None:
    with serving(local(sqlite_at(tmp_path)), tmp_path) as server:
        assert server.get("/api/v1/auth/validate").status_code == 200
        assert server.memory_bytes() < 160 << 20


@pytest.mark.check(46)
def test_the_log_is_json_and_holds_no_key(tmp_path: Path) -> None:
    with serving(local(sqlite_at(tmp_path)), tmp_path) as server:
        server.get("/api/v1/auth/validate")
        server.get(f"/api/v1/auth/validate?api_key={server.api_key}")
        server.get(f"/api/v1/auth/api-keys/{server.api_key}")
        server.post("/api/v1/auth/api-keys", json={"name": server.api_key, "secret": "hunter2!"})
        assert server.stop() == 0
        text = server.log_path.read_text(encoding="utf-8")
    assert server.api_key not in text
    assert "hunter2!" not in text
    requests = [line for line in server.log() if line["event"] == "request"]
    assert {line["path"] for line in requests} >= {"/api/v1/auth/validate"}
    for line in requests:
        assert set(line) >= {"timestamp", "level", "request_id", "method", "status", "duration_ms"}
        assert "?" not in line["path"]


def test_writes_wait_for_no_reader(tmp_path: Path) -> None:
    """A transaction of somebody else delays an answer, and health checks still answer."""
    with serving(local(sqlite_at(tmp_path)), tmp_path) as server:
        with write(server.database) as session:
            session.scalar(__import__("sqlalchemy").text("SELECT 1"))
            assert server.get("/health").status_code == 200
            assert server.get("/ready").status_code == 200
            assert server.get("/live").status_code == 200
