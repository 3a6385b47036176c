"""One guarded HTTP call: to the address that was judged, within a time, with a bounded answer.

The connection goes to the address; the Host header, the name in the TLS handshake and the
certificate's check keep the name. No redirect is followed (it would lead round the guard), no
proxy or other setting is taken from the environment, nothing is decompressed.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache

import httpx

from llm_cost_ops.server.clock import Clock, SystemClock
from llm_cost_ops.server.delivery.notice import Outcome
from llm_cost_ops.server.delivery.target import (
    Guard,
    Resolver,
    Target,
    TargetRefused,
    Unresolved,
    system_resolver,
)
from llm_cost_ops.server.delivery.wording import line
from llm_cost_ops.server.settings import DeliverySettings

MAX_ANSWER_BYTES = 64 * 1024
MAX_RETRY_AFTER_S = 24 * 3600.0
MAX_ADDRESSES = 4
MAX_DETAIL = 200
GONE = 410
TIMED_OUT = "timed out"
_PERMANENT = frozenset({GONE})


@dataclass(frozen=True, slots=True)
class Call:
    """How a call went. `outcome.final` after 410 alone; callers that know better look at
    `outcome.status`. `head` is the head of the answer as text, `body` its first 64 KiB as they
    came, `took_us` the time from the look-up of the name to the end of the answer."""

    outcome: Outcome
    took_us: int
    head: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    reason: str
    headers: httpx.Headers
    body: bytes


class Outbound:
    """Calls what users name. Holds no connection between calls; threads may share one."""

    def __init__(
        self,
        settings: DeliverySettings,
        clock: Clock | None = None,
        *,
        resolver: Resolver = system_resolver,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self.guard = Guard(settings, resolver)
        self._timeout_s = settings.timeout_seconds
        self._ca_file = settings.ca_file
        self._clock = clock or SystemClock()
        self._elapsed = elapsed

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_s: float | None = None,
    ) -> Call:
        """`call` with POST."""
        return self.call("POST", url, body, headers, timeout_s=timeout_s)

    def get(self, url: str, headers: Mapping[str, str], *, timeout_s: float | None = None) -> Call:
        """`call` with GET."""
        return self.call("GET", url, b"", headers, timeout_s=timeout_s)

    def call(
        self,
        method: str,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_s: float | None = None,
    ) -> Call:
        """Ask once. Never raises for what the other side does; a refused target is an outcome,
        too. `headers` has no Host and no Content-Length."""
        began_s = self._elapsed()
        until_s = began_s + (timeout_s or self._timeout_s)
        answer: _Answer | None = None
        try:
            target = self.guard.judge(url)
            found = self.guard.addresses(target, max(until_s - self._elapsed(), 0.001))
            answer = asyncio.run(
                _sent_to(
                    found[:MAX_ADDRESSES],
                    target,
                    method,
                    body,
                    {**headers, "Host": target.host_header, "Accept-Encoding": "identity"},
                    max(until_s - self._elapsed(), 0.001),
                    _trust(self._ca_file),
                )
            )
            outcome = self._judged(answer)
        except TargetRefused as refused:
            outcome = Outcome(False, f"refused: {refused}")
        except Unresolved as error:
            outcome = Outcome(False, f"the name could not be resolved: {error}")
        except TimeoutError:
            outcome = Outcome(False, TIMED_OUT)
        except Exception as error:
            # Also what nobody foresaw: an attempt that is not recorded is made again for ever.
            outcome = Outcome(False, _described(error))
        took_us = round((self._elapsed() - began_s) * 1_000_000)
        if answer is None:
            return Call(outcome, took_us)
        return Call(outcome, took_us, _head(answer), answer.body)

    def _judged(self, answer: _Answer) -> Outcome:
        status = answer.status
        if 200 <= status < 300:
            return Outcome(True, f"HTTP {status}", status)
        detail = line(f"HTTP {status} {answer.reason}", MAX_DETAIL)
        if 300 <= status < 400:
            detail += ", redirects are not followed"
        # A wait of nothing is none: the sender's own holds then.
        wait_s = retry_after_s(answer.headers.get("Retry-After"), self._clock) or None
        return Outcome(False, detail, status, final=status in _PERMANENT, retry_after_s=wait_s)


def retry_after_s(value: str | None, clock: Clock) -> float | None:
    """The wait that a Retry-After header names, as seconds or as a date (RFC 9110 10.2.3), between
    0 and a day; None when there is none or it cannot be read."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:12]), MAX_RETRY_AFTER_S)
    try:
        named = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    if named.tzinfo is None:
        named = named.replace(tzinfo=UTC)
    return min(max((named - clock.now()).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


async def _sent_to(
    addresses: list[str],
    target: Target,
    method: str,
    body: bytes,
    headers: Mapping[str, str],
    timeout_s: float,
    trust: ssl.SSLContext,
) -> _Answer:
    """Try the addresses in turn until one takes the connection; all of it within `timeout_s`."""
    until = asyncio.get_running_loop().time() + timeout_s
    async with httpx.AsyncClient(
        verify=trust, trust_env=False, follow_redirects=False, timeout=timeout_s
    ) as client:
        async with asyncio.timeout_at(until):
            response = await _head_from(client, addresses, target, method, body, headers, until)
        try:
            body = await _bounded(response, until)
        finally:
            await response.aclose()
        return _Answer(response.status_code, response.reason_phrase, response.headers, body)


async def _head_from(
    client: httpx.AsyncClient,
    addresses: list[str],
    target: Target,
    method: str,
    body: bytes,
    headers: Mapping[str, str],
    until: float,
) -> httpx.Response:
    """The answer's head, from the first address that can be connected to. Connecting to one may
    take its part of the time that is left: an IPv6 address that leads nowhere from here must not
    use up that of the IPv4 one."""
    extensions = {"sni_hostname": target.host} if target.scheme == "https" else {}
    failed: Exception = OSError("no address")
    clock = asyncio.get_running_loop().time
    for number, address in enumerate(addresses):
        host = f"[{address}]" if ":" in address else address
        url = f"{target.scheme}://{host}:{target.port}{target.request}"
        left_s = max(until - clock(), 0.001)
        request = client.build_request(
            method,
            url,
            content=body or None,
            headers=headers,
            extensions=extensions,
            timeout=httpx.Timeout(left_s, connect=left_s / (len(addresses) - number)),
        )
        try:
            return await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failed = error
    raise failed


async def _bounded(response: httpx.Response, until: float) -> bytes:
    """What comes of the body until then, at most MAX_ANSWER_BYTES. It is for the log: the head has
    decided, so a body that is slow, endless or cut off changes nothing."""
    taken = bytearray()
    try:
        async with asyncio.timeout_at(until):
            async for chunk in response.aiter_raw():
                taken += chunk
                if len(taken) >= MAX_ANSWER_BYTES:
                    break
    except (TimeoutError, httpx.HTTPError):
        pass
    return bytes(taken[:MAX_ANSWER_BYTES])


@lru_cache(maxsize=4)
def _trust(ca_file: str | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


def _described(error: Exception) -> str:
    """One line about what went wrong on the way, such as a refused connection."""
    if isinstance(error, httpx.TimeoutException):
        return TIMED_OUT
    return line(str(error), MAX_DETAIL) or type(error).__name__


def _head(answer: _Answer) -> str:
    lines = [f"HTTP {answer.status} {answer.reason}".rstrip()]
    lines += [f"{name}: {value}" for name, value in answer.headers.multi_items()]
    return "\n".join(lines)
