"""What to send, when to try again and what to raise: written once, without I/O.

A call is a generator (a flow) that yields actions and is resumed with their outcomes, so the
synchronous and the asynchronous client run the same code and differ only in how they perform an
action (`transport.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import SystemRandom
from typing import Any, Protocol, TypeVar

from llm_cost_ops.client.clock import utc_now
from llm_cost_ops.client.failures import error_from
from llm_cost_ops.client.response import Response
from llm_cost_ops.exceptions import CostOpsError, NetworkError

T = TypeVar("T")
Flow = Generator["Send | Sleep | Guarded", Any, T]


class Into(Protocol):
    """Where the body of a good answer goes piece by piece, instead of into memory."""

    def restart(self) -> object:
        """An attempt begins, again from nothing."""
        ...

    def write(self, data: bytes, /) -> object: ...


class Resumed(Into, Protocol):
    """What keeps the pieces of a broken answer and goes on behind them."""

    @property
    def size(self) -> int:
        """Bytes that have come."""
        ...

    def lacking(self) -> Mapping[str, str]:
        """The headers that ask for the rest; none for the whole."""
        ...


@dataclass(frozen=True, slots=True)
class Send:
    """One HTTP exchange. The outcome is a Response; a failure is thrown in as NetworkError. With
    `into` the body of an answer of 200 goes there, and the Response has none; `resume` gives the
    headers of each attempt that ask for what is lacking, which an answer of 206 then adds."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None
    into: Into | None = None
    resume: Callable[[], Mapping[str, str]] | None = None

    def with_headers(self, headers: Mapping[str, str]) -> Send:
        return replace(self, headers={**self.headers, **headers})


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class Guarded:
    """Run a flow alone among the guarded flows of a client: one token request, not a hundred."""

    flow: Flow[Any]


@dataclass(frozen=True, slots=True)
class Return:
    response: Response


@dataclass(frozen=True, slots=True)
class Retry:
    after: float


@dataclass(frozen=True, slots=True)
class Raise:
    error: CostOpsError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try again.

    The n-th wait is drawn evenly from [0, delay * backoff**n], at most `max_wait` seconds ("full
    jitter": callers that failed together do not come back together). A server's Retry-After is
    obeyed instead, up to `max_wait`.
    """

    max_retries: int = 3
    delay: float = 1.0
    backoff: float = 2.0
    max_wait: float = 60.0
    random: Callable[[], float] = SystemRandom().random
    now: Callable[[], datetime] = utc_now

    def wait(self, attempt: int, response: Response | None) -> float:
        asked = response.retry_after(self.now()) if response is not None else None
        if asked is not None:
            return min(asked, self.max_wait)
        try:
            ceiling = min(self.max_wait, self.delay * self.backoff**attempt)
        except OverflowError:
            ceiling = self.max_wait
        return self.random() * ceiling


def decide(
    attempt: int, outcome: Response | NetworkError, policy: RetryPolicy
) -> Return | Retry | Raise:
    """What follows from the outcome of attempt number `attempt`, counted from 0.

    Repeated are 429, 500 and above, and lost connections; other refusals are final. The one
    exception is a 409 with Retry-After to our own repetition: the server still works on our first
    attempt, whose answer was lost, and asks us to come back for it.
    """
    response = outcome if isinstance(outcome, Response) else None
    if response is not None and response.status_code < 300:
        return Return(response)
    if _repeatable(attempt, outcome) and attempt < policy.max_retries:
        return Retry(policy.wait(attempt, response))
    if isinstance(outcome, Response):
        return Raise(error_from(outcome, policy.now()))
    return Raise(outcome)


def _repeatable(attempt: int, outcome: Response | NetworkError) -> bool:
    if isinstance(outcome, NetworkError):
        return outcome.retryable
    status = outcome.status_code
    if status == 409:
        return attempt > 0 and "retry-after" in outcome.headers
    return status == 429 or status >= 500


def exchange(request: Send, policy: RetryPolicy) -> Flow[Response]:
    """Send until answered: the successful Response, or the error of the last attempt raised."""
    attempt = 0
    while True:
        try:
            asked = request if request.resume is None else request.with_headers(request.resume())
            outcome: Response | NetworkError = yield asked
        except NetworkError as failure:
            outcome = failure
        match decide(attempt, outcome, policy):
            case Return(response):
                return response
            case Retry(after):
                yield Sleep(after)
            case Raise(error):
                raise error
        attempt += 1
