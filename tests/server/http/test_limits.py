"""Bodies are counted and unpacked while they arrive, and never far beyond their bounds."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Iterable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from llm_cost_ops.server.http.limits import (
    MAX_RATIO,
    RATIO_FREE_BYTES,
    bounded_receive,
    check_length,
)
from llm_cost_ops.server.http.problems import Problem

LIMIT = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def two_members(data: bytes) -> bytes:
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(data[half:])


def many_frames(data: bytes) -> bytes:
    half = len(data) // 2
    pack = zstandard.ZstdCompressor().compress
    return pack(data[:half]) + pack(data[half:])


PACKERS = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": two_members,
    "deflate": zlib.compress,
    "deflate ": raw_deflate,
    "zstd": zstandard.ZstdCompressor().compress,
    "zstd ": many_frames,
}


def receive_all(chunks: Iterable[bytes], encoding: str, limit: int = LIMIT) -> bytes:
    """What an app would receive of a body that arrives in these chunks."""
    parts = list(chunks) or [b""]
    messages = [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1}
        for index, part in enumerate(parts)
    ]
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    async def read() -> bytes:
        bounded = bounded_receive(receive, limit, encoding.strip())
        body = b""
        while True:
            message = await bounded()
            body += message["body"]
            if not message["more_body"]:
                return body

    return asyncio.run(read())


def chunked(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("encoding", PACKERS)
@given(data=st.binary(min_size=2, max_size=3000), size=st.integers(1, 700))
def test_any_body_arrives_whole_however_it_is_cut(encoding: str, data: bytes, size: int) -> None:
    packed = PACKERS[encoding](data)
    assert receive_all(chunked(packed, size), encoding) == data


@pytest.mark.parametrize("encoding", PACKERS)
def test_the_limit_is_the_last_size_that_passes(encoding: str) -> None:
    body = bytes(range(256)) * 16
    packed = PACKERS[encoding](body)
    assert receive_all(chunked(packed, 100), encoding, len(body)) == body
    with pytest.raises(Problem) as caught:
        receive_all(chunked(packed, 100), encoding, len(body) - 1)
    assert (caught.value.status, caught.value.code) == (413, "PAYLOAD_TOO_LARGE")
    assert caught.value.headers == {"Connection": "close"}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "deflate ", "zstd", "zstd "])
def test_a_bomb_is_refused_while_it_is_unpacked(encoding: str) -> None:
    bomb = PACKERS[encoding](bytes(200 << 20))
    assert len(bomb) < 300_000
    tracemalloc.start()
    with pytest.raises(Problem) as caught:
        receive_all(chunked(bomb, 65_536), encoding, 10 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.status == 413
    assert peak < 64 << 20


def test_a_short_body_may_pack_very_well_but_a_long_one_may_not() -> None:
    free = bytes(RATIO_FREE_BYTES)
    assert len(free) / len(gzip.compress(free)) > MAX_RATIO
    assert receive_all([gzip.compress(free)], "gzip", 64 << 20) == free
    with pytest.raises(Problem) as caught:
        receive_all([gzip.compress(free * 4)], "gzip", 64 << 20)
    assert caught.value.status == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-1],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed + b"garbage",
        lambda packed: b"\x00" + packed,
        lambda _packed: b"not packed at all",
        lambda _packed: b"",
    ],
    ids=["last byte gone", "half gone", "garbage after", "garbage before", "plain", "empty"],
)
def test_a_damaged_stream_is_refused(encoding: str, damage: object) -> None:
    packed = PACKERS[encoding](b'{"a": 1}' * 100)
    with pytest.raises(Problem) as caught:
        receive_all(chunked(damage(packed), 50), encoding)  # type: ignore[operator]
    assert (caught.value.status, caught.value.code) == (400, "INVALID_REQUEST")


def test_a_packed_body_is_unpacked_once() -> None:
    inner = gzip.compress(b"{}")
    assert receive_all([gzip.compress(inner)], "gzip") == inner


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip, gzip", "snappy", "gzip;q=1"])
def test_other_encodings_are_refused_with_the_ones_we_know(encoding: str) -> None:
    with pytest.raises(Problem) as caught:
        receive_all([b"{}"], encoding)
    assert caught.value.status == 415
    assert (caught.value.headers or {})["Accept-Encoding"] == "gzip, deflate, zstd"


def test_a_zstd_window_beyond_ours_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(b"x" * 100) + packer.flush()
    with pytest.raises(Problem) as caught:
        receive_all([packed], "zstd")
    assert caught.value.status == 400


@pytest.mark.parametrize("length", [b"1048577", b"9" * 19, b"-1", b"1e3", b"+5", b"0x10"])
def test_an_announced_size_is_refused_before_anything_is_read(length: bytes) -> None:
    with pytest.raises(Problem) as caught:
        check_length(length, LIMIT)
    assert caught.value.status == 413


@pytest.mark.parametrize("length", [None, b"0", b"1048576"])
def test_an_announced_size_within_the_limit_passes(length: bytes | None) -> None:
    check_length(length, LIMIT)
