"""The latest numbers of a stream, kept in order of size."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque


class SortedWindow:
    """The latest `size` numbers; quantiles without sorting anew."""

    __slots__ = ("_arrived", "_size", "_sorted")

    def __init__(self, size: int) -> None:
        self._size = size
        self._arrived: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def push(self, number: float) -> None:
        """Take one in; the oldest goes when there are more than `size`."""
        self._arrived.append(number)
        insort(self._sorted, number)
        if len(self._sorted) > self._size:
            del self._sorted[bisect_left(self._sorted, self._arrived.popleft())]

    @property
    def size(self) -> int:
        """How many it keeps at most."""
        return self._size

    @property
    def ordered(self) -> list[float]:
        """All of them, smallest first; not to be changed."""
        return self._sorted

    def median(self) -> float:
        return median_of_sorted(self._sorted)

    def quantile(self, share: float) -> float:
        return quantile_of_sorted(self._sorted, share)


def median_of_sorted(numbers: list[float]) -> float:
    """The middle number, or the mean of the two in the middle; 0 of none."""
    count = len(numbers)
    if not count:
        return 0.0
    middle = count // 2
    return numbers[middle] if count % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def quantile_of_sorted(numbers: list[float], share: float) -> float:
    """Linear interpolation between order statistics (Hyndman and Fan 1996, definition 7)."""
    if not numbers:
        return 0.0
    place = share * (len(numbers) - 1)
    below = int(place)
    rest = place - below
    if not rest:
        return numbers[below]
    return numbers[below] * (1 - rest) + numbers[below + 1] * rest
