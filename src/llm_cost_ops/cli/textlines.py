"""Lines of text from a file or standard input."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from llm_cost_ops.cli.failure import ARGUMENTS, CommandError


@contextmanager
def text_lines(file: str, *, errors: str) -> Generator[Iterable[str]]:
    """The lines of a file (`-`: standard input) without a byte order mark; `errors` says what
    becomes of bytes that are no UTF-8, as in `bytes.decode`.

    Raises CommandError where there is no such file.
    """
    if file == "-":
        yield _decoded(sys.stdin.buffer, errors)
        return
    try:
        with Path(file).open("rb") as stream:
            yield _decoded(stream, errors)
    except FileNotFoundError:
        raise CommandError(f"{file}: there is no such file", exit_code=ARGUMENTS) from None


def _decoded(stream: Iterable[bytes], errors: str) -> Iterator[str]:
    for number, line in enumerate(stream):
        text = line.decode("utf-8", errors)
        yield text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}") if number == 0 else text
