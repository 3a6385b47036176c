"""Reading a sample or bytes with one format, for the tests of the importers."""

from __future__ import annotations

import io
import os
from pathlib import Path

from llm_cost_ops import importers
from llm_cost_ops.importers import ImportOptions, ImportProblem, Record

SAMPLES = Path(__file__).parent / "samples"
REPOSITORY = Path(__file__).parents[2]
SHARED = Path(os.environ.get("COST_OPS_SHARED", REPOSITORY.parent / "shared"))


def items_of(data: bytes | str, format: str, **options: object) -> list[Record | ImportProblem]:
    body = data.encode() if isinstance(data, str) else data
    given = ImportOptions(**options)  # type: ignore[arg-type]
    return list(importers.read(io.BytesIO(body), format=format, options=given))


def split(items: list[Record | ImportProblem]) -> tuple[list[Record], list[ImportProblem]]:
    records = [item for item in items if not isinstance(item, ImportProblem)]
    problems = [item for item in items if isinstance(item, ImportProblem)]
    return records, problems


def sample(name: str, format: str | None = None, **options: object):
    """Records and problems of a sample; the format is detected where none is given."""
    data = (SAMPLES / name).read_bytes()
    return split(items_of(data, format or importers.detect(data, name), **options))
