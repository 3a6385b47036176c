"""A server that speaks as the object stores do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.objectstores import ObjectServer, object_server


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with object_server() as made:
        yield made
