"""Pages that are read while those before them are written."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def prefetched(pages: Iterator[T]) -> Iterator[T]:
    """The same pages; from the second on a thread makes the next one while one is in use. Who does
    not read to the end waits for nothing: a page that is being made then is made in vain."""
    reader = ThreadPoolExecutor(1, "pages")
    within = copy_context().run  # what the thread logs names the request
    try:
        for page in pages:
            coming = reader.submit(within, next, pages, None)
            yield page
            while (following := coming.result()) is not None:
                coming = reader.submit(within, next, pages, None)
                yield following
    finally:  # of a client that has gone the event loop may come by here, which must not wait
        reader.shutdown(wait=False)
