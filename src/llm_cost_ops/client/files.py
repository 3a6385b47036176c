"""Files that come over the network, written so that what stood there is replaced only by a whole
one."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Generator[IO[bytes]]:
    """A file that takes the place of the one at a path, on the disk, when the block ends well.

    A symbolic link stays, and the file that it leads to is replaced. A device or a pipe is written
    to: in its place a file would be of no use to whoever reads there.
    """
    place = Path(os.path.realpath(path))
    mode = _mode(place)
    if mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        with place.open("wb") as file:
            yield file
        return
    if mode is not None and stat.S_ISDIR(mode):
        raise IsADirectoryError(21, "Is a directory", str(path))
    # Of a name that nobody can foresee, and never one that is there: no link is followed.
    part = place.with_name(f".{secrets.token_hex(8)}.part")
    file = part.open("xb")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            part.chmod(stat.S_IMODE(mode))
        part.replace(place)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def restart(file: IO[bytes], size: int) -> bool:
    """Empty a file to which so many bytes were written; False where they cannot be taken back."""
    if size == 0:
        return True
    try:
        file.seek(0)
        file.truncate()
    except OSError:
        return False
    return True


def _mode(place: Path) -> int | None:
    try:
        return place.stat().st_mode
    except OSError:
        return None
