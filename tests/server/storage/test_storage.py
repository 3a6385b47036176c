"""The same of every storage: what can be read is whole, and what fails is an outage."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops.server.settings import StorageSettings
from llm_cost_ops.server.storage import objects
from llm_cost_ops.server.storage.choose import folder_of, open_storage
from llm_cost_ops.server.storage.storage import MAX_KEY, NotKept, Storage, StorageUnavailable
from tests.support.objectstores import (
    ACCESS_KEY,
    ACCOUNT,
    ACCOUNT_KEY,
    REGION,
    SECRET_KEY,
    ObjectServer,
)

KINDS = ("local", "s3", "gcs", "azure")
REMOTE = KINDS[1:]
KEY = "exports/org_1/exp_2"
CHUNK = 200_000
"""Instead of eight megabytes, so that a file of several pieces is soon made."""


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "CHUNK", CHUNK)


def settings_of(kind: str, folder: Path, server: ObjectServer, **given: Any) -> StorageSettings:
    fields: dict[str, Any] = {
        "local": {"directory": str(folder / "files")},
        "s3": {
            "s3_bucket": "bucket", "s3_region": REGION, "s3_access_key": ACCESS_KEY,
            "s3_secret_key": SECRET_KEY, "s3_endpoint": server.url,
        },
        "gcs": {
            "gcs_bucket": "bucket", "gcs_endpoint": server.url,
            "gcs_credentials": json.dumps(
                {"private_key": "", "private_key_id": "", "client_email": "",
                 "disable_oauth": True, "gcs_base_url": server.url}
            ),
        },
        "azure": {
            "azure_account": ACCOUNT, "azure_key": ACCOUNT_KEY, "azure_container": "bucket",
            "azure_endpoint": f"{server.url}/{ACCOUNT}",
        },
    }[kind]  # fmt: skip
    return StorageSettings(backend=kind, timeout_seconds=2, **{**fields, **given})


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path, server: ObjectServer) -> Storage:
    settings = settings_of(request.param, tmp_path, server)
    return open_storage(settings, "sqlite:cost-ops.db")


@pytest.fixture(params=REMOTE)
def remote(request: pytest.FixtureRequest, tmp_path: Path, server: ObjectServer) -> Storage:
    settings = settings_of(request.param, tmp_path, server)
    return open_storage(settings, "sqlite:cost-ops.db")


def read(storage: Storage, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(storage.get(KEY, start, end))


def failing(before: bytes) -> Iterator[bytes]:
    yield before
    raise RuntimeError("the maker fails")


def test_a_file_comes_back_whole_and_by_ranges(storage: Storage) -> None:
    data = bytes(range(256)) * 300
    assert storage.put(KEY, (data[:70_000], b"", data[70_000:])) == len(data)
    assert storage.size(KEY) == len(data)
    assert read(storage) == data
    assert read(storage, 1, 3) == data[1:3]
    assert read(storage, len(data) - 1) == data[-1:]
    assert read(storage, 70_000, 10**9) == data[70_000:]
    storage.put(KEY, [b"other"])
    assert read(storage) == b"other"


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_files_of_one_piece_and_of_several(storage: Storage, size: int) -> None:
    piece = os.urandom(1) * min(size, 30_000)
    pieces = (piece[: min(len(piece), size - at)] for at in range(0, size, 30_000))
    assert storage.put(KEY, pieces) == size
    assert storage.size(KEY) == size
    found = read(storage)
    assert (len(found), set(found)) == (size, set(piece))


def test_what_is_not_there(storage: Storage) -> None:
    assert storage.size(KEY) is None
    storage.delete(KEY)
    with pytest.raises(NotKept):
        next(iter(storage.get(KEY)))


def test_a_deleted_file_is_gone(storage: Storage) -> None:
    storage.put(KEY, [b"x"])
    storage.delete(KEY)
    assert storage.size(KEY) is None


@pytest.mark.parametrize("long", [False, True])
def test_a_maker_that_fails_leaves_what_was(storage: Storage, long: bool) -> None:
    storage.put(KEY, [b"before"])
    with pytest.raises(RuntimeError, match="the maker fails"):
        storage.put(KEY, failing(b"x" * (2 * CHUNK + 1 if long else 10)))
    assert read(storage) == b"before"


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.part-1", "a b", "a\n", "é", "a\\b",
            "a%2e", "x" * (MAX_KEY + 1)]
)  # fmt: skip
def test_a_key_is_never_a_way_out(storage: Storage, key: str) -> None:
    for act in (storage.size, storage.delete, lambda k: list(storage.get(k))):
        with pytest.raises(ValueError, match="letters, digits"):
            act(key)
    with pytest.raises(ValueError, match="letters, digits"):
        storage.put(key, [b"x"])
    assert storage.put("x" * 200, [b"x"]) == 1


@pytest.mark.parametrize("status", [400, 403, 503])
def test_a_store_that_refuses_is_an_outage(
    remote: Storage, server: ObjectServer, status: int
) -> None:
    remote.put(KEY, [b"x"])
    server.refusing = status
    acts: list[Callable[[], object]] = [
        lambda: remote.put(KEY, [b"y"]),
        lambda: remote.size(KEY),
        lambda: list(remote.get(KEY)),
        lambda: remote.delete(KEY),
    ]
    for act in acts:
        with pytest.raises(StorageUnavailable) as caught:
            act()
        assert caught.value.status == 503
        assert (caught.value.headers or {}) == {"Retry-After": "15"}
        assert str(server.port) not in caught.value.message
    server.refusing = None
    assert read(remote) == b"x"


def test_a_store_that_fails_in_the_middle_has_no_half_file(
    remote: Storage, server: ObjectServer
) -> None:
    server.refusing, server.refuse_after = 400, 2
    with pytest.raises(StorageUnavailable):
        remote.put(KEY, [b"x" * CHUNK] * 4)
    server.refusing = None
    assert server.objects == {}


@pytest.mark.parametrize("kind", REMOTE)
def test_a_store_that_is_down(kind: str, tmp_path: Path) -> None:
    down = ObjectServer(port=9)
    storage = open_storage(settings_of(kind, tmp_path, down), "sqlite:x.db")
    with pytest.raises(StorageUnavailable, match="does not answer"):
        storage.size(KEY)


def test_a_wrong_secret_is_told_as_one(tmp_path: Path, server: ObjectServer) -> None:
    settings = settings_of("s3", tmp_path, server, s3_secret_key="wrong")
    with pytest.raises(StorageUnavailable, match="does not let this server in"):
        open_storage(settings, "sqlite:x.db").put(KEY, [b"x"])


def test_objects_lie_below_the_prefix(tmp_path: Path, server: ObjectServer) -> None:
    for kind in REMOTE:
        settings = settings_of(kind, tmp_path, server, prefix="team/costs")
        open_storage(settings, "sqlite:x.db").put(KEY, [b"x"])
    assert set(server.objects) == {
        f"/bucket/team/costs/{KEY}", f"/{ACCOUNT}/bucket/team/costs/{KEY}"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ({"backend": "s3"}, "storage.s3_bucket"),
        ({"backend": "s3", "s3_bucket": "b", "s3_access_key": "k"}, "storage.s3_secret_key"),
        ({"backend": "gcs"}, "storage.gcs_bucket"),
        ({"backend": "azure"}, "storage.azure_account"),
        ({"backend": "azure", "azure_account": "a"}, "storage.azure_container"),
        ({"backend": "gcs", "gcs_bucket": "b", "gcs_credentials": "no JSON"}, "storage.gcs_"),
        ({"backend": "azure", "azure_account": "a", "azure_container": "c", "azure_key": "!"},
         "storage.azure_"),
    ],
)  # fmt: skip
def test_what_lacks_in_the_settings_is_named(given: dict[str, Any], lacking: str) -> None:
    with pytest.raises(StorageUnavailable, match=lacking) as caught:
        open_storage(StorageSettings(**given), "sqlite:x.db")
    assert caught.value.retry_after == 3600


def test_without_the_library_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(objects.importlib, "import_module", missing)
    with pytest.raises(StorageUnavailable) as caught:
        open_storage(StorageSettings(backend="s3", s3_bucket="b"), "sqlite:x.db")
    assert "pip install 'llm-cost-ops[storage]'" in caught.value.message


def test_where_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = StorageSettings()
    assert folder_of(plain, f"sqlite:{tmp_path}/data/x.db") == tmp_path / "data/cost-ops-files"
    assert folder_of(plain, "postgresql://h/n") == tmp_path / "cost-ops-files"
    assert folder_of(StorageSettings(directory="there"), "sqlite:x.db") == tmp_path / "there"


def test_a_folder_is_its_owners_and_keeps_no_halves(tmp_path: Path) -> None:
    storage = open_storage(StorageSettings(directory=str(tmp_path / "f")), "sqlite:x.db")
    storage.put(KEY, [b"x"])
    with pytest.raises(RuntimeError):
        storage.put(KEY, failing(b"y"))
    (file,) = (path for path in (tmp_path / "f").rglob("*") if path.is_file())
    assert (file.name, oct(file.stat().st_mode)[-3:]) == ("exp_2", "600")
    assert oct(file.parent.stat().st_mode)[-3:] == "700"


def test_what_a_killed_writer_left_is_removed_in_time(tmp_path: Path) -> None:
    storage = open_storage(StorageSettings(directory=str(tmp_path)), "sqlite:x.db")
    storage.put(KEY, [b"x"])
    left = tmp_path / "exports/org_1/.part-0123"
    left.write_bytes(b"half")
    assert storage.tidy(left.stat().st_mtime) == 0
    assert storage.tidy(time.time() + 1) == 1
    assert (left.exists(), read(storage)) == (False, b"x")


def test_a_folder_that_is_a_file_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    storage = open_storage(StorageSettings(directory=str(tmp_path / "f")), "sqlite:x.db")
    with pytest.raises(StorageUnavailable) as caught:
        storage.put(KEY, [b"x"])
    assert str(tmp_path) not in caught.value.message
