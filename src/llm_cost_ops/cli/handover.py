"""Results handed from one thread to another, safe against an interrupt from the keyboard.

Python raises KeyboardInterrupt between any two instructions of the main thread. If that is inside
the `__enter__` of a lock written in Python, which `Future`, `Event` and `ThreadPoolExecutor` use,
then the lock stays taken and the other threads wait for it for ever. `SimpleQueue` has no such
moment: it is one step of the interpreter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """One result, given by one thread and taken, any number of times, by another."""

    def __init__(self) -> None:
        self._result: T
        self._error: BaseException | None = None
        self._given = False
        self._bell: SimpleQueue[None] = SimpleQueue()

    @property
    def given(self) -> bool:
        return self._given

    def give(self, result: T) -> None:
        self._result = result
        self._ring()

    def fail(self, error: BaseException) -> None:
        """What `take` raises."""
        self._error = error
        self._ring()

    def _ring(self) -> None:
        # Before the bell, so that a taker who is interrupted after hearing it needs no other.
        self._given = True
        self._bell.put(None)

    def wait(self, seconds: float | None = None) -> None:
        """Until there is a result or an error. Raises TimeoutError."""
        while not self._given:
            try:
                self._bell.get(timeout=seconds)
            except Empty:
                raise TimeoutError from None

    def take(self, seconds: float | None = None) -> T:
        """The result. Raises TimeoutError, and what was given to `fail`."""
        self.wait(seconds)
        if self._error is not None:
            raise self._error
        return self._result


class Helpers:
    """Threads that do what they are asked to, in the order of asking. `end` lets them go."""

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        for index in range(number):
            # Daemons: an interrupt during start() may leave one that never begins nor ends.
            threading.Thread(target=self._work, name=f"{name}-{index}", daemon=True).start()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()

    def ask(self, task: Callable[[], T]) -> Handover[T]:
        handover: Handover[T] = Handover()

        def run() -> None:
            try:
                result = task()
            except BaseException as error:
                handover.fail(error)
            else:
                handover.give(result)

        self._tasks.put(run)
        return handover

    def end(self) -> None:
        """No waiting: what was asked for before is still done."""
        for _ in range(self._number):
            self._tasks.put(None)
