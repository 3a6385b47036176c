"""Entries as syslog messages (RFC 5424), over UDP, TCP or TLS.

Over TCP and TLS each message has its length before it (RFC 6587, RFC 5425). Syslog has no answers:
that a batch arrived is known when the server, told that nothing more comes, closes its side without
a reset. What UDP loses nobody knows.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import dumps
from llm_cost_ops.server.audit.record import SUCCESS
from llm_cost_ops.server.audit.shown import shown

APP = "llm-cost-ops"
_FACILITY = 13
"""Log audit."""
_INFORMATIONAL, _WARNING = 6, 4
MAX_DATAGRAM_BYTES = 60_000
MAX_REPLIES = 16
"""Reads of what a server says before it closes; none of it means anything."""
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")


def message(row: Mapping[str, Any], host: str) -> bytes:
    """One entry. The structured data names its place in the chain, the text is it all as JSON."""
    severity = _INFORMATIONAL if row["outcome"] == SUCCESS else _WARNING
    head = (
        f"<{_FACILITY * 8 + severity}>1 {format_micros(int(row['timestamp']))}"
        f" {_word(host, 255)} {APP} - {_word(str(row['action']), 32)}"
    )
    facts = {
        "organization": row["organization_id"],
        "seq": row["seq"],
        "hash": row["hash"],
        "outcome": row["outcome"],
    }
    data = " ".join(f'{name}="{_quoted(str(value))}"' for name, value in facts.items())
    return f"{head} [audit@32473 {data}] \ufeff{dumps(shown(row))}".encode()


def _word(text: str, most: int) -> str:
    return _NOT_PRINTABLE.sub("_", text)[:most] or "-"


def _quoted(text: str) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", text)


def send(
    url: str, rows: Sequence[Mapping[str, Any]], *, ca_file: str | None, timeout_s: float
) -> None:
    """Send entries in order. Raises OSError, also where it is not known that all arrived."""
    parts = urlsplit(url)
    address = (str(parts.hostname), int(parts.port or 0))
    host = socket.gethostname()
    if parts.scheme == "udp":
        _send_datagrams(address, [_short(row, host) for row in rows], timeout_s)
        return
    framed = b"".join(_framed(message(row, host)) for row in rows)
    with closing(socket.create_connection(address, timeout_s)) as plain:
        plain.settimeout(timeout_s)
        if parts.scheme == "tls":
            context = ssl.create_default_context(cafile=ca_file)
            with context.wrap_socket(plain, server_hostname=address[0]) as tls:
                tls.sendall(framed)
                _end(tls)
        else:
            plain.sendall(framed)
            _end(plain)


def _framed(text: bytes) -> bytes:
    return b"%d " % len(text) + text


def _end(connection: socket.socket) -> None:
    """Tell that nothing more comes, and wait for the other side to have read it all."""
    try:
        if isinstance(connection, ssl.SSLSocket):
            connection.unwrap()
            return
        connection.shutdown(socket.SHUT_WR)
        for _ in range(MAX_REPLIES):
            if not connection.recv(4096):
                return
        raise OSError("the syslog server answers, which syslog has no way to")
    except ssl.SSLError as error:
        # Many servers close without a word of TLS; that is an end, and no reset.
        if not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            raise


def _short(row: Mapping[str, Any], host: str) -> bytes:
    """One that fits into a datagram: without the values before and after where it must."""
    text = message(row, host)
    if len(text) > MAX_DATAGRAM_BYTES:
        text = message({**row, "before": None, "after": '{"left_out":true}'}, host)
    return text


def _send_datagrams(address: tuple[str, int], texts: Sequence[bytes], timeout_s: float) -> None:
    found = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
    with socket.socket(found[0], socket.SOCK_DGRAM) as sender:
        sender.settimeout(timeout_s)
        for text in texts:
            sender.sendto(text, found[4])
