"""An interrupt from the keyboard at any step of the main thread leaves nobody waiting."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from llm_cost_ops.cli.handover import Handover, Helpers
from llm_cost_ops.cli.sending import Sending, SendOptions
from llm_cost_ops.cli.tally import Tally

PATIENCE_SECONDS = 20
RECORDS = 3  # one more than are sent at once


class InstantApi:
    """Answers at once, as the app of this process may."""

    def change(self, method: str, path: str, body: object = None) -> dict[str, str]:
        return {"id": "an-import"}

    def repeatable(self, door: str, body: bytes, params: object) -> dict[str, Any]:
        counts = ("created", "duplicates", "corrected", "failed", "unpriced", "partially_priced")
        return {**dict.fromkeys(counts, 0), "results": []}


class Interrupt:
    """A trace function that raises KeyboardInterrupt before the main thread's n-th instruction.

    A line would be too coarse: a lock is taken and given to its block within one.
    """

    def __init__(self, instruction: int) -> None:
        self._left = instruction
        self.raised = False

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Interrupt | None:
        frame.f_trace_opcodes = True
        if self.raised or event != "opcode":
            return None if self.raised else self
        self._left -= 1
        if self._left < 0:
            self.raised = True
            raise KeyboardInterrupt
        return self


@pytest.fixture
def patience() -> Iterator[None]:
    """Fails the test, instead of hanging, when somebody waits for ever."""

    def expired(*_: object) -> None:
        raise TimeoutError("somebody still waits")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(PATIENCE_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def send_all(interrupt: Interrupt) -> None:
    sending = Sending(InstantApi(), Tally("calls", "jsonl"), "calls", SendOptions(1))  # type: ignore[arg-type]
    before = sys.gettrace()
    with sending:
        gc.disable()  # Python ignores what is raised while it collects, for instance by us
        try:
            sys.settrace(interrupt)
            for number in range(RECORDS):
                sending.add({"provider": "openai", "event_id": str(number)})
            sending.finish()
        finally:
            sys.settrace(before)
            gc.enable()


@pytest.mark.usefixtures("patience")
def test_sending_ends_wherever_it_is_interrupted() -> None:
    struck = 0
    while True:
        interrupt = Interrupt(struck)
        if not interrupted(interrupt):
            break
        struck += 1
    assert struck > 100


def interrupted(interrupt: Interrupt) -> bool:
    try:
        send_all(interrupt)
    except KeyboardInterrupt:
        return True
    return False


def test_an_interrupted_import_waits_for_what_is_on_its_way() -> None:
    """The interrupt comes while the main thread waits for an answer, where it nearly always is."""
    posted: list[bytes] = []

    class SlowApi(InstantApi):
        def repeatable(self, door: str, body: bytes, params: object) -> dict[str, Any]:
            time.sleep(0.3)
            posted.append(body)
            return super().repeatable(door, body, params)

    main = threading.main_thread().ident or 0
    # A suite that runs in the background of a shell would not hear it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def send_slowly() -> None:
        with Sending(SlowApi(), Tally("calls", "jsonl"), "calls", SendOptions(1)) as sending:  # type: ignore[arg-type]
            threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
            for number in range(RECORDS):
                sending.add({"provider": "openai", "event_id": str(number)})

    try:
        with pytest.raises(KeyboardInterrupt):
            send_slowly()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(posted) == 2


def test_a_handover_gives_what_it_got_again_and_again() -> None:
    helpers = Helpers(2, "test")
    good, bad = helpers.ask(lambda: 5), helpers.ask(lambda: 1 // 0)
    assert [good.take(PATIENCE_SECONDS), good.take()] == [5, 5]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            bad.take(PATIENCE_SECONDS)
    helpers.end()


def test_a_handover_that_nobody_gives_times_out() -> None:
    with pytest.raises(TimeoutError):
        Handover[int]().take(0.01)


def test_helpers_do_what_was_asked_for_before_the_end() -> None:
    helpers, gate = Helpers(1, "gate"), threading.Event()
    first, second = helpers.ask(gate.wait), helpers.ask(lambda: "done")
    helpers.end()
    gate.set()
    assert first.take(PATIENCE_SECONDS)
    assert second.take(PATIENCE_SECONDS) == "done"
