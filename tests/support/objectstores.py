"""A server that speaks as S3, Google Cloud Storage and Azure Blob do, as far as files of ours go:
objects whole or in parts, ranges, sizes, deletion. It checks S3's signatures and the names of the
other two's callers, keeps what it was sent, and fails as told.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "secret-of-the-example"
ACCOUNT, ACCOUNT_KEY = "account", base64.b64encode(b"key of the account").decode()
REGION = "eu-central-1"


@dataclass
class ObjectServer:
    """`objects` by path; `unfinished` are uploads whose parts were not joined. While `refusing` is
    a status every request is answered with it; `refuse_after` counts the requests until then."""

    port: int = 0
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    unfinished: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    seen: list[str] = field(default_factory=list[str])
    refusing: int | None = None
    refuse_after: int = 0
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def refuses(self) -> int | None:
        if self.refusing is None:
            return None
        self.refuse_after -= 1
        return self.refusing if self.refuse_after < 0 else None


@contextmanager
def object_server() -> Iterator[ObjectServer]:
    """One on a free port of 127.0.0.1."""
    made = ObjectServer()

    class Bound(_Handler):
        state = made

    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: ObjectServer
    path_alone: str
    query: dict[str, str]
    body: bytes

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):  # the other side gave up
            self.close_connection = True

    def _begin(self) -> bool:
        split = urlsplit(self.path)
        self.path_alone = unquote(split.path)
        found = parse_qs(split.query, keep_blank_values=True)
        self.query = {name: values[0] for name, values in found.items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.state.seen.append(f"{self.command} {self.path}")
        status = self.state.refuses()
        if status is None and not self._let_in(split.path, split.query):
            status = 403
        if status is not None:
            self._answer(status, b"<Error><Code>Refused</Code></Error>")
        return status is None

    def do_PUT(self) -> None:
        if not self._begin():
            return
        part = self.query.get("partNumber") or self.query.get("blockid")
        if self.query.get("comp") == "blocklist":
            names = re.findall(rb"<(?:Latest|Uncommitted)>(.*?)<", self.body)
            parts = self.state.unfinished.pop(self.path_alone, {})
            self.state.objects[self.path_alone] = b"".join(parts[name.decode()] for name in names)
            return self._answer(201)
        if part is not None:
            upload = self.query.get("uploadId", self.path_alone)
            self.state.unfinished.setdefault(upload, {})[part] = self.body
            return self._answer(201 if "blockid" in self.query else 200)
        self.state.objects[self.path_alone] = self.body
        return self._answer(201 if "x-ms-blob-type" in self.headers else 200)

    def do_POST(self) -> None:
        if not self._begin():
            return
        if "uploads" in self.query:
            upload = f"upload-{next(self.state.numbers)}"
            self.state.unfinished[upload] = {}
            text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId>"
            return self._answer(200, f"{text}</InitiateMultipartUploadResult>".encode())
        if self.query.get("comp") == "batch":
            return self._delete_batch()
        parts = self.state.unfinished.pop(self.query["uploadId"])
        numbers = re.findall(rb"<PartNumber>(\d+)<", self.body)
        self.state.objects[self.path_alone] = b"".join(parts[n.decode()] for n in numbers)
        text = "<CompleteMultipartUploadResult><ETag>&quot;1&quot;</ETag>"
        return self._answer(200, f"{text}</CompleteMultipartUploadResult>".encode())

    def _delete_batch(self) -> None:
        """Azure's deletion: requests in a body, whose answers are in a body."""
        (path,) = re.findall(rb"DELETE (\S+) HTTP", self.body)
        found = self.state.objects.pop(unquote(path.decode()), None)
        said = "404 The specified blob does not exist." if found is None else "202 Accepted"
        head = "Content-Type: application/http\r\nContent-ID: 0\r\n\r\n"
        code = "x-ms-error-code: BlobNotFound\r\n" if found is None else ""
        text = f"--b\r\n{head}HTTP/1.1 {said}\r\n{code}x-ms-version: 2018-11-09\r\n\r\n--b--\r\n"
        self._answer(202, text.encode(), {"Content-Type": "multipart/mixed; boundary=b"})

    def do_GET(self) -> None:
        self._read(with_body=True)

    def do_HEAD(self) -> None:
        self._read(with_body=False)

    def do_DELETE(self) -> None:
        if not self._begin():
            return
        if "uploadId" in self.query:
            self.state.unfinished.pop(self.query["uploadId"], None)
            return self._answer(204)
        self.state.objects.pop(self.path_alone, None)
        return self._answer(204)

    def _read(self, *, with_body: bool) -> None:
        if not self._begin():
            return
        data = self.state.objects.get(self.path_alone)
        if data is None:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>" * with_body)
        asked = re.fullmatch(
            r"bytes=(\d+)-(\d*)", self.headers.get("x-ms-range") or self.headers.get("Range") or ""
        )
        if asked is None:
            return self._answer(200, data, shown=with_body)
        start, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        self._answer(
            206, data[start : last + 1], {"Content-Range": f"bytes {start}-{last}/{len(data)}"}
        )

    def _answer(
        self,
        status: int,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        shown: bool = True,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()[:16]}"')
        self.send_header("Last-Modified", formatdate(0, usegmt=True))
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if shown and self.command != "HEAD":
            self.wfile.write(body)

    def _let_in(self, path: str, query: str) -> bool:
        said = self.headers.get("Authorization", "")
        if said.startswith("AWS4-HMAC-SHA256"):
            return self._signed(said, path, query)
        if "x-ms-version" in self.headers:
            return said.startswith(f"SharedKey {ACCOUNT}:")
        return said in ("", "Bearer ")  # the key of the service account says: without a login

    def _signed(self, said: str, path: str, query: str) -> bool:
        found = dict(re.findall(r"(\w+)=([^, ]+)", said))
        key, day, region, service, end = found["Credential"].split("/")
        names = found["SignedHeaders"].split(";")
        pairs = sorted(parse_qs(query, keep_blank_values=True).items())
        canonical = "\n".join(
            (
                self.command,
                path,
                "&".join(f"{quote(k, safe='')}={quote(v[0], safe='')}" for k, v in pairs),
                *(f"{name}:{(self.headers[name] or '').strip()}" for name in names),
                "",
                found["SignedHeaders"],
                self.headers["x-amz-content-sha256"],
            )
        )
        scope = f"{day}/{region}/{service}/{end}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self.headers['x-amz-date']}\n{scope}\n{digest}"
        secret = f"AWS4{SECRET_KEY}".encode()
        for part in (day, region, service, end, text):
            secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
        wanted = (ACCESS_KEY, REGION, secret.hex())
        return (key, region, found["Signature"]) == wanted

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests look at `seen`."""
