"""Files packed with gzip or zstd: whole, in several members, cut off, damaged, and bombs."""

from __future__ import annotations

import builtins
import gzip
import importlib
import io
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard

from llm_cost_ops import importers
from llm_cost_ops.importers import ImportFormatError, detect
from tests.importers.reading import SAMPLES, items_of, split

Pack = Callable[[bytes], bytes]
PACKS = pytest.mark.parametrize(
    ("pack", "name"),
    [(gzip.compress, "gzip"), (zstandard.compress, "zstd")],
    ids=["gzip", "zstd"],
)
ROW = b'{"provider": "openai", "model": "gpt-5.4", "prompt_tokens": %d, "completion_tokens": 1}\n'


def rows(count: int) -> bytes:
    return b"".join(ROW % number for number in range(count))


@PACKS
def test_the_content_is_what_is_read(pack: Pack, name: str) -> None:
    assert items_of(pack(rows(3000)), "jsonl") == items_of(rows(3000), "jsonl")


@PACKS
def test_several_members_are_one_file(pack: Pack, name: str) -> None:
    parts = [pack(rows(1500)), pack(b""), pack(rows(700)[-40_000:])]
    records, problems = split(items_of(b"".join(parts), "jsonl"))
    expected, cut = split(items_of(rows(1500) + rows(700)[-40_000:], "jsonl"))
    assert records == expected
    assert [problem.line for problem in problems] == [problem.line for problem in cut]


@PACKS
def test_the_format_is_told_from_the_content(pack: Pack, name: str) -> None:
    data = (SAMPLES / "claude_code.jsonl").read_bytes()
    assert detect(pack(data), "session.jsonl.zst") == "claude-code"
    big = data * 200
    assert detect(pack(big)[: importers.HEAD_BYTES], "") == "claude-code"
    assert detect(pack(big)[:-10], "") == "claude-code"


@PACKS
def test_what_is_cut_off_gives_its_beginning_and_a_problem(pack: Pack, name: str) -> None:
    whole = pack(b"".join(ROW % (number * 7919 % 100_003) for number in range(60_000)))
    records, problems = split(items_of(whole[: len(whole) // 2], "jsonl"))
    assert 0 < len(records) < 60_000
    assert f"the {name} data is damaged; the rest" in problems[-1].message


@PACKS
def test_damage_ends_with_a_problem(pack: Pack, name: str) -> None:
    whole = bytearray(pack(rows(20_000)))
    whole[len(whole) // 2 :] = b"\xff" * (len(whole) - len(whole) // 2)
    problems = split(items_of(bytes(whole), "jsonl"))[1]
    assert "is damaged" in problems[-1].message


@pytest.mark.parametrize("head", [b"\x1f\x8bnot packed", b"\x28\xb5\x2f\xfd\xff\xff\xff\xff"])
def test_what_only_begins_like_it_is_refused(head: bytes) -> None:
    with pytest.raises(ImportFormatError, match=r"begins like .* and is not"):
        detect(head, "x.jsonl")


@PACKS
def test_a_bomb_takes_no_more_memory_than_a_piece(pack: Pack, name: str) -> None:
    bomb = pack(b" " * 100_000_000)
    tracemalloc.start()
    try:
        problems = split(items_of(bomb, "jsonl", max_row_bytes=100_000))[1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "longer than" in problems[0].message
    assert peak < 50_000_000


def test_without_zstandard_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> object:
        if name == "zstandard":
            raise builtins.ImportError(name)
        return real(name, package)

    packed = zstandard.compress(rows(1))
    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportFormatError, match=r"pip install 'llm-cost-ops\[files\]'"):
        detect(packed, "x.jsonl.zst")
    with pytest.raises(ImportFormatError, match="zstd files need zstandard"):
        list(importers.read(io.BytesIO(packed), format="jsonl"))
