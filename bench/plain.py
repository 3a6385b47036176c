"""The least that a call over HTTP can cost in Python: decode the record, answer, store nothing.

python -m bench.plain PORT    serve until SIGTERM
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from bench.floor import Record

_decode = msgspec.json.Decoder(Record).decode
_encode = msgspec.json.Encoder().encode
_JSON = (b"content-type", b"application/json")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """`GET /ready` and anything with the body of a record."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    status, body = 200, b"{}"
    if scope["method"] == "POST":
        record = _decode(await _body(receive))
        status, body = 201, _encode({"event_id": record.event_id, "model": record.model})
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [_JSON, length]})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message: Message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def main(given: Sequence[str]) -> int:
    (port,) = given
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
