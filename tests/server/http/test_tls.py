"""TLS versions, ciphers, renewed certificates, and the way from HTTP to HTTPS."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse

from llm_cost_ops.server.http.listen import DrainingServer, server_config
from llm_cost_ops.server.http.redirect import RedirectApp, https_address
from llm_cost_ops.server.http.tls import Certificate
from llm_cost_ops.server.settings import DatabaseSettings, ServerSettings, Settings
from tests.support.application import running


def make_certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """A certificate and its key for 127.0.0.1, in place of those that were there."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    new_cert, new_key = folder / "cert.new", folder / "key.new"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", str(new_key), "-out", str(new_cert)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    os.replace(new_key, key)
    os.replace(new_cert, cert)
    return cert, key


@contextmanager
def listening(settings: ServerSettings) -> Iterator[int]:
    """An app behind TLS on a real socket, in a thread; its port."""
    server = DrainingServer(server_config(PlainTextResponse("ok"), settings, port=0), lambda: None)
    server.config.lifespan = "off"
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    port: int = listener.getsockname()[1]
    thread.start()
    yield port
    server.stop()
    thread.join(10)


def settings(folder: Path, **more: str) -> ServerSettings:
    return ServerSettings(
        host="127.0.0.1",
        tls_cert_file=str(folder / "cert.pem"),
        tls_key_file=str(folder / "key.pem"),
        shutdown_seconds=1,
        **more,  # type: ignore[arg-type]
    )


def handshake(
    port: int, least: ssl.TLSVersion | None = None, most: ssl.TLSVersion | None = None, **more: str
) -> tuple[str | None, str, bytes]:
    """Version, cipher and certificate of a connection."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if "ciphers" in more:
        context.set_ciphers(more["ciphers"])
    context.minimum_version = least or ssl.TLSVersion.TLSv1_2
    if most is not None:
        context.maximum_version = most
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        with context.wrap_socket(plain) as opened:
            cipher, certificate = opened.cipher(), opened.getpeercert(binary_form=True)
            assert cipher is not None
            assert certificate is not None
            return opened.version(), cipher[0], certificate


def test_1_3_is_preferred_and_1_2_is_the_floor(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    with listening(settings(tmp_path)) as port:
        assert handshake(port)[0] == "TLSv1.3"
        version, cipher, _ = handshake(port, most=ssl.TLSVersion.TLSv1_2)
        assert (version, cipher.startswith("ECDHE")) == ("TLSv1.2", True)
        assert "GCM" in cipher or "CHACHA20" in cipher
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(port, most=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE+SHA256:!AESGCM:!CHACHA20")


def test_1_3_alone_may_be_demanded(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    with listening(settings(tmp_path, tls_min_version="1.3")) as port:
        assert handshake(port)[0] == "TLSv1.3"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(port, most=ssl.TLSVersion.TLSv1_2)


def test_nothing_below_1_2_is_spoken(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    assert Certificate(str(cert), str(key)).context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_renewed_certificate_is_used_by_new_connections(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    client = httpx.Client(verify=False)  # noqa: S501 - its certificate is what changes
    with listening(settings(tmp_path)) as port, client as open_before:
        address = f"https://127.0.0.1:{port}/"
        assert open_before.get(address).text == "ok"
        _, _, first = handshake(port)
        make_certificate(tmp_path, "renewed")
        until = time.monotonic() + 15
        while handshake(port)[2] == first:
            assert time.monotonic() < until, "the new certificate is not served"
            time.sleep(0.1)
        assert open_before.get(address).text == "ok", "the old connection goes on"


def test_files_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    held = Certificate(str(cert), str(key))
    assert not held.refresh()
    old = key.read_bytes()
    make_certificate(tmp_path)
    new = key.read_bytes()
    key.write_bytes(old)
    assert not held.refresh(), "the key of another certificate"
    key.unlink()
    assert not held.refresh(), "no key at all"
    key.write_bytes(new)
    assert held.refresh()
    assert not held.refresh()


@pytest.mark.parametrize(
    ("path", "host", "server", "address"),
    [
        ("/docs", "a.example", {}, "https://a.example/docs"),
        ("/docs", "a.example:80", {}, "https://a.example/docs"),
        ("//evil.example/x", "a.example", {}, "https://a.example/evil.example/x"),
        ("/\\evil.example", "a.example", {}, "https://a.example/evil.example"),
        ("/x", "[::1]:8080", {}, "https://[::1]/x"),
        ("/x", "evil@a.example", {}, None),
        ("/x", "a.example/evil", {}, None),
        ("/x", "", {}, None),
        ("/x", "evil.example", {"allowed_hosts": ("a.example",)}, None),
        ("/x", "evil.example", {"public_url": "https://b.example/"}, "https://b.example/x"),
    ],
)
def test_where_http_is_sent_to(
    path: str, host: str, server: dict[str, object], address: str | None
) -> None:
    scope = {
        "type": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", host.encode())] if host else [],
    }
    assert https_address(scope, ServerSettings(**server), 443) == address  # type: ignore[arg-type]


def test_the_redirecting_listener() -> None:
    app = RedirectApp(ServerSettings(), 8443)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://a.example") as client:
            return await client.post("/api/v1/usage?strict=true", content=b"{}")

    answer = asyncio.run(ask())
    assert answer.status_code == 308
    assert answer.headers["location"] == "https://a.example:8443/api/v1/usage?strict=true"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.check(24)
def test_https_only_behind_a_proxy(sqlite_settings: DatabaseSettings) -> None:
    given = Settings(database=sqlite_settings, server=ServerSettings(https_only=True))
    with running(given) as app:
        sent = app.get("/api/v1/costs?limit=1")
        assert sent.status_code == 308
        assert sent.headers["location"] == "https://testserver/api/v1/costs?limit=1"
        assert app.get("/live", key=None).status_code == 200
        proxied = app.get("/api/v1/costs", headers={"X-Forwarded-Proto": "https"})
        assert proxied.status_code == 200
        assert proxied.headers["strict-transport-security"].startswith("max-age=31536000")
