"""Where files that come are written: whole or not at all, and no pipe or link is replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from threading import Thread

import pytest

from llm_cost_ops.client.files import replacing, restart


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    came: list[bytes] = []
    reader = Thread(target=lambda: came.append(pipe.read_bytes()), daemon=True)
    reader.start()
    with replacing(pipe) as file:
        assert restart(file, 0)
        file.write(b"rows")
        assert not restart(file, 4)
    reader.join(10)
    assert came == [b"rows"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_links_stay_and_none_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    real, link, other = tmp_path / "sub" / "real.csv", tmp_path / "c.csv", tmp_path / "other"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    other.write_text("kept")
    for folder in (tmp_path, tmp_path / "sub"):
        for name in ("c.csv", "real.csv"):
            (folder / f".{name}.part").symlink_to(other)
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert (real.read_text(), other.read_text()) == ("new", "kept")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "c.csv"
    place.write_text("old")

    def fail() -> None:
        with replacing(place) as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]
    with pytest.raises(IsADirectoryError), replacing(tmp_path):
        pass
