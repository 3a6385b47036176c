"""The audit log at a syslog and at a web server: all of it, in order, also after an outage."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from llm_cost_ops.core import signature
from llm_cost_ops.server.audit import forward, syslog
from llm_cost_ops.server.audit.forward import SinkFailed, sent_until, standing_of
from llm_cost_ops.server.audit.record import record
from llm_cost_ops.server.audit.watch import ForwardWatch
from llm_cost_ops.server.clock import SystemClock
from llm_cost_ops.server.db.engine import Database, open_database
from llm_cost_ops.server.db.session import read, write, write_retrying
from llm_cost_ops.server.settings import (
    AuditSettings,
    DatabaseSettings,
    DeliverySettings,
    Settings,
    load_settings,
)

CLOCK = SystemClock()
ORG = "org-one"
LOOPBACK = DeliverySettings(allow_networks=("127.0.0.0/8",))


@pytest.fixture
def quick(sqlite_settings: DatabaseSettings) -> Iterator[Database]:
    with closing_database(sqlite_settings) as database:
        yield database


class closing_database:
    def __init__(self, settings: DatabaseSettings) -> None:
        self._database = open_database(settings)

    def __enter__(self) -> Database:
        return self._database

    def __exit__(self, *_: object) -> None:
        self._database.dispose()


def log(database: Database, *names: str, organization_id: str = ORG) -> None:
    for name in names:
        with write(database) as session:
            record(
                session,
                organization_id=organization_id,
                actor_id=None,
                action="thing.created" if name != "denied" else "auth.denied",
                resource_type="thing",
                resource_id=name,
                after={"text": 'a "quoted] text\n'},
                now_us=CLOCK.micros(),
                outcome="denied" if name == "denied" else "success",
            )


def send_all(database: Database, settings: Settings, sink: str) -> None:
    way = forward.senders(settings, CLOCK)[sink]
    forward.forward(
        database, sink, way, CLOCK, lambda work: write_retrying(database, work), lambda: False
    )


class Listener:
    """A syslog server of one thread: what each connection sent."""

    def __init__(self, context: ssl.SSLContext | None = None, *, resets: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._context, self._resets = context, resets
        self.got: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            try:
                self._one(plain)
            except OSError:
                continue

    def _one(self, plain: socket.socket) -> None:
        if self._resets:
            self._resets -= 1
            plain.recv(100)
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            plain.close()
            return
        wrapped = self._context.wrap_socket(plain, server_side=True) if self._context else plain
        with closing(wrapped) as connection:
            text = b""
            while chunk := connection.recv(4096):
                text += chunk
            self.got.append(text)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


FORM = re.compile(
    r"<(\d+)>1 (\S+) (\S+) llm-cost-ops - (\S+) "
    r"\[audit@32473 organization=\"(\S+)\" seq=\"(\d+)\" hash=\"([0-9a-f]{64})\""
    r" outcome=\"(\w+)\"\] \ufeff(\{.*\})",
    re.DOTALL,
)


def messages(text: bytes) -> list[re.Match[str]]:
    """The messages of a stream, by the lengths before them."""
    found: list[re.Match[str]] = []
    while text:
        length, _, rest = text.partition(b" ")
        match = FORM.fullmatch(rest[: int(length)].decode())
        assert match is not None, rest
        found.append(match)
        text = rest[int(length) :]
    return found


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, ssl.SSLContext]:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return str(cert), context


def test_entries_arrive_over_tcp_once_and_in_order(database: Database) -> None:
    listener = Listener()
    settings = Settings(audit=AuditSettings(syslog_url=f"tcp://127.0.0.1:{listener.port}"))
    log(database, "a", "denied")
    log(database, "z", organization_id="org-two")
    send_all(database, settings, "syslog")
    log(database, "c")
    send_all(database, settings, "syslog")
    send_all(database, settings, "syslog")
    listener.close()
    first, second, third = (messages(text) for text in listener.got)
    assert [match[1] for match in first] == ["110", "108"], "log audit, informational and warning"
    assert [(match[5], match[6]) for match in (*first, *second, *third)] == [
        (ORG, "1"), (ORG, "2"), ("org-two", "1"), (ORG, "3"),
    ]  # fmt: skip
    entry = json.loads(first[0][9])
    assert entry["resource_id"] == "a"
    assert entry["after"] == {"text": 'a "quoted] text\n'}
    assert entry["hash"] == first[0][7]
    with read(database) as session:
        assert sent_until(session, ORG, ["syslog"]) == 3
        assert sent_until(session, ORG, ["syslog", "http"]) == 0
        assert sent_until(session, ORG, []) is None
        assert standing_of(session, "syslog").waiting == 0


def test_a_server_that_is_down_loses_nothing_and_is_seen(
    quick: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "PAGE", 2)
    with closing(socket.create_server(("127.0.0.1", 0))) as reserved:
        port = int(reserved.getsockname()[1])
    settings = Settings(audit=AuditSettings(syslog_url=f"tcp://127.0.0.1:{port}"))
    log(quick, "a", "b", "c")
    for _ in range(2):
        with pytest.raises(SinkFailed):
            send_all(quick, settings, "syslog")
    watch = ForwardWatch(quick, settings, CollectorRegistry())
    assert watch.warnings() == []
    watch.measure()
    (warning,) = watch.warnings()
    assert "syslog" in warning
    assert "3 entries wait" in warning
    listener = Listener(resets=1)
    settings = Settings(audit=AuditSettings(syslog_url=f"tcp://127.0.0.1:{listener.port}"))
    with pytest.raises(SinkFailed):
        send_all(quick, settings, "syslog")
    send_all(quick, settings, "syslog")
    listener.close()
    got = [match[6] for text in listener.got for match in messages(text)]
    assert got == ["1", "2", "3"]
    watch.measure()
    assert watch.warnings() == []


def test_entries_arrive_over_tls_from_a_server_that_is_known(
    quick: Database, certificate: tuple[str, ssl.SSLContext]
) -> None:
    authority, context = certificate
    listener = Listener(context)
    audit = AuditSettings(syslog_url=f"tls://127.0.0.1:{listener.port}")
    log(quick, "a")
    with pytest.raises(SinkFailed):
        send_all(quick, Settings(audit=audit), "syslog")
    send_all(quick, Settings(audit=replace(audit, syslog_ca_file=authority)), "syslog")
    listener.close()
    assert [match[6] for text in listener.got for match in messages(text)] == ["1"]


def test_entries_arrive_over_udp_also_large_ones(quick: Database) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        url = f"udp://127.0.0.1:{receiver.getsockname()[1]}"
        log(quick, "a")
        send_all(quick, Settings(audit=AuditSettings(syslog_url=url)), "syslog")
        match = FORM.fullmatch(receiver.recv(70_000).decode())
        assert match is not None
        with read(quick) as session:
            (row,) = forward._next(session, ORG, 0)
        large = {**row, "after": json.dumps({"text": "x" * 70_000})}
        syslog.send(url, [large], ca_file=None, timeout_s=5)
        match = FORM.fullmatch(receiver.recv(70_000).decode())
        assert match is not None
        assert json.loads(match[9])["after"] == {"left_out": True}


class Web:
    """A web server of one thread that answers as told."""

    def __init__(self, *answers: int) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        left = list(answers)
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got.append((dict(self.headers), body))
                self.send_response(left.pop(0) if left else 204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def test_batches_arrive_over_http_signed_and_again_after_a_failure(quick: Database) -> None:
    web = Web(503)
    audit = AuditSettings(http_url=f"http://127.0.0.1:{web.port}/a", http_secret="s" * 24)
    settings = Settings(audit=audit, delivery=LOOPBACK)
    log(quick, "a", "b")
    with pytest.raises(SinkFailed, match="503"):
        send_all(quick, settings, "http")
    send_all(quick, settings, "http")
    web.close()
    (_, failed), (headers, body) = web.got
    assert failed == body, "the same batch is the same at each attempt"
    sent = json.loads(body)
    assert sent["type"] == "audit.entries"
    assert [each["seq"] for each in sent["data"]["entries"]] == [1, 2]
    assert signature.plain_matches("s" * 24, body, headers["X-LLM-CostOps-Signature"])
    at_s = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == signature.standard("s" * 24, sent["id"], at_s, body)


def test_a_private_address_is_not_called_unless_it_is_allowed(quick: Database) -> None:
    web = Web()
    audit = AuditSettings(http_url=f"http://127.0.0.1:{web.port}/a")
    log(quick, "a")
    with pytest.raises(SinkFailed, match="refused"):
        send_all(quick, Settings(audit=audit), "http")
    web.close()
    assert web.got == []


@pytest.mark.parametrize(
    "url", ["http://h:1", "tcp://h", "tcp://:514", "udp://h:x", "tls://h:99999", "tcp://h:1/p"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(Exception, match="syslog_url"):
        load_settings(config=Path("none"), environ={}, flags={"audit.syslog_url": url})


def test_a_batch_that_is_never_taken_holds_up_nobody_else(quick: Database) -> None:
    refused, taken = {"org-a", "org-b"}, list[tuple[str, int]]()

    def send(organization_id: str, rows: forward.Rows) -> None:
        taken.append((organization_id, len(rows)))
        if organization_id in refused:
            raise SinkFailed("HTTP 413")

    def go() -> list[tuple[str, int]]:
        taken.clear()
        try:
            forward.forward(
                quick, "http", send, CLOCK, lambda work: write_retrying(quick, work), lambda: False
            )
        except SinkFailed:
            return list(taken)
        raise AssertionError("a batch was refused")

    for organization_id in ("org-a", "org-b", "org-c"):
        log(quick, "one", organization_id=organization_id)
    assert go() == [("org-a", 1)]
    assert go() == [("org-b", 1)]
    assert go() == [("org-c", 1), ("org-a", 1)], "in turns, and last"
    log(quick, "two", organization_id="org-c")
    assert go() == [("org-c", 1), ("org-b", 1)]


def test_a_server_that_talks_without_end_has_nothing(quick: Database) -> None:
    class Talker(Listener):
        def _one(self, plain: socket.socket) -> None:
            with closing(plain):
                while True:
                    plain.sendall(b"x" * 65_536)

    listener = Talker()
    log(quick, "one")
    settings = Settings(
        audit=AuditSettings(syslog_url=f"tcp://127.0.0.1:{listener.port}", timeout_seconds=5)
    )
    with pytest.raises(SinkFailed, match="answers"):
        send_all(quick, settings, "syslog")
    listener.close()
