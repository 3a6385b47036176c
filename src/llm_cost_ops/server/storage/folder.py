"""Files in a folder: written under another name, brought to the disk, and then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llm_cost_ops.server.storage.storage import CHUNK, NotKept, StorageUnavailable, checked

PART = ".part-"
_PIECE = min(CHUNK, 256 * 1024)
_OWNER_ALONE = 0o700


class Folder:
    """`Storage` in a folder, which is made by the first `put`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        target = self._path(key)
        count = 0
        with _failing():
            target.parent.mkdir(mode=_OWNER_ALONE, parents=True, exist_ok=True)
        part = target.with_name(f"{PART}{secrets.token_hex(8)}")
        try:
            with _failing():
                handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:  # outside `_failing`: its faults are the maker's
                    with _failing():
                        file.write(chunk)
                    count += len(chunk)
                with _failing():
                    file.flush()
                    os.fsync(file.fileno())
            with _failing():
                part.replace(target)
                _bring_to_disk(target.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return count

    def size(self, key: str) -> int | None:
        with _failing():
            try:
                return self._path(key).stat().st_size
            except FileNotFoundError:
                return None

    def get(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        path = self._path(key)
        with _failing():
            try:
                file = path.open("rb")
            except FileNotFoundError:
                raise NotKept(key) from None
        with file:
            left = (os.fstat(file.fileno()).st_size if end is None else end) - start
            file.seek(start)
            while left > 0:
                with _failing():
                    piece = file.read(min(left, _PIECE))
                if not piece:
                    return
                left -= len(piece)
                yield piece

    def delete(self, key: str) -> None:
        with _failing():
            self._path(key).unlink(missing_ok=True)

    def tidy(self, before_s: float) -> int:
        found = 0
        with _failing():
            for part in self._root.rglob(f"{PART}*"):
                with suppress(FileNotFoundError):  # its writer is done
                    if part.stat().st_mtime < before_s:
                        part.unlink()
                        found += 1
        return found

    def _path(self, key: str) -> Path:
        return self._root / checked(key)


def _bring_to_disk(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _failing() -> Generator[None]:
    """What the system refuses, as an outage; its path is nobody's business."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"Files cannot be kept or read: {error.strerror}.") from error
