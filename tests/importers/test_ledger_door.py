"""What the readers give is what the door of the ledger takes."""

from __future__ import annotations

import pytest

from llm_cost_ops import importers
from llm_cost_ops.core.usage import check_usage
from llm_cost_ops.importers import Record, pop_signals
from tests.importers.reading import REPOSITORY, SAMPLES, items_of, split

pytest.importorskip("msgspec", reason="the ledger comes with the server extra")
pytest.importorskip("llm_cost_ops.server.ingest.validate")

MAPPING = importers.parse_mapping(
    "timestamp=when,provider=vendor,model=model name,prompt_tokens=in,completion_tokens=out"
)


def door(record: Record) -> object:
    from llm_cost_ops.server.ingest.validate import cost_from, record_from

    return cost_from(record) if "cost" in record else record_from(record)


def records_of(name: str) -> list[Record]:
    folder = SAMPLES if (SAMPLES / name).exists() else REPOSITORY / "examples"
    data = (folder / name).read_bytes()
    mapping = MAPPING if name.endswith("calls.csv") else None
    format = importers.detect(data, name)
    return split(items_of(data, format, mapping=mapping, provider="openai"))[0]


NAMES = [path.name for path in sorted(SAMPLES.iterdir())] + ["responses.jsonl", "usage.jsonl"]


@pytest.mark.parametrize("name", NAMES)
def test_every_record_of_every_sample_is_taken(name: str) -> None:
    from llm_cost_ops.server.ingest.validate import Invalid

    records = records_of(name)
    assert records
    for record in records:
        pop_signals(record)
        taken = door(record)
        assert not isinstance(taken, Invalid), (record, taken)
        usage = record.get("usage")
        if isinstance(usage, dict):
            assert check_usage(usage)
