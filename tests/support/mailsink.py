"""An SMTP server that is really there: it keeps what it took and answers as told."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail as it came, and for whom; `encrypted` tells whether it came through TLS."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    hello: str
    encrypted: bool

    @property
    def mail(self) -> EmailMessage:
        read = message_from_bytes(self.raw, policy=default)
        assert isinstance(read, EmailMessage)
        return read


@dataclass
class MailSink:
    """`refuse` maps an address, or a command (MAIL, DATA, QUIT), to what is answered instead."""

    port: int = 0
    refuse: dict[str, str] = field(default_factory=dict[str, str])
    taken: list[Taken] = field(default_factory=list[Taken])
    logins: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "MAIL" in self.refuse:
            return self.refuse["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if "DATA" in self.refuse:
            return self.refuse["DATA"]
        raw = envelope.original_content
        assert isinstance(raw, bytes)
        encrypted = session.ssl is not None or isinstance(server.transport, ssl.SSLObject)
        self.taken.append(
            Taken(
                str(envelope.mail_from),
                tuple(envelope.rcpt_tos),
                raw,
                str(session.host_name),
                encrypted,
            )
        )
        return "250 taken"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return self.refuse.get("QUIT", "221 Bye")


@contextmanager
def mail_sink(
    certificate: tuple[Path, Path] | None = None,
    *,
    implicit: bool = False,
    accounts: Mapping[bytes, bytes] | None = None,
) -> Iterator[MailSink]:
    """A sink on a free port of 127.0.0.1. With a certificate it wants STARTTLS, or speaks TLS from
    the first byte if `implicit`; with accounts it wants a log-in."""
    made = MailSink()
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)

    def check(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        made.logins.append((data.login, data.password))
        good = (accounts or {}).get(data.login) == data.password
        return AuthResult(success=good, handled=good)

    async def serve(ready: threading.Event, ended: asyncio.Event) -> None:
        starttls = None if implicit else context
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(
                made,
                hostname="sink.test",
                tls_context=starttls,
                require_starttls=starttls is not None,
                auth_required=accounts is not None,
                auth_require_tls=starttls is not None,
                authenticator=check if accounts is not None else None,
            ),
            "127.0.0.1",
            0,
            ssl=context if implicit else None,
        )
        made.port = server.sockets[0].getsockname()[1]
        ready.set()
        await ended.wait()
        server.close()

    with _in_thread(serve):
        yield made


@contextmanager
def _in_thread(serve: Any) -> Iterator[None]:
    ready, loop, ended = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        await serve(ready, ended)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@contextmanager
def scripted(*answers: bytes | None) -> Iterator[int]:
    """The port of a server that says the first answer at once and one more after each line it
    reads, then hangs up; None says nothing and waits for the caller to give up."""
    listener = socket.create_server(("127.0.0.1", 0))
    gone = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                for number, answer in enumerate(answers):
                    if number:
                        connection.recv(4096)
                    if answer is None:
                        gone.wait(30)
                        return
                    connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        gone.set()
        listener.close()
        thread.join(10)
