"""The metadata document: every column of the version, and recency from 1.3."""

from __future__ import annotations

from typing import Any

import pytest

from llm_cost_ops.core.focus.columns import VERSIONS, columns_of
from llm_cost_ops.core.focus.metadata import TimeSector, metadata_document
from llm_cost_ops.core.jsontext import dumps, loads

DAY = 86_400_000_000
SECTORS = (TimeSector(0, DAY, True, 3 * DAY), TimeSector(DAY, 2 * DAY, False, 4 * DAY))


def _document(version: str, sectors: tuple[TimeSector, ...] = SECTORS) -> dict[str, Any]:
    document = metadata_document(
        version, schema_id="s1", created_us=DAY, generator_version="0.9",
        instance_id="d1", sectors=sectors,
    )  # fmt: skip
    return loads(dumps(document))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_names_every_column_in_order(version: str) -> None:
    document = _document(version)
    schema = document["Schema"]
    assert document["DataGenerator"] == {"DataGenerator": "LLM Cost Ops"}
    assert schema["SchemaId"] == "s1"
    assert schema["CreationDate"] == "1970-01-02T00:00:00Z"
    assert schema["FocusVersion"] == version
    assert schema["DataGeneratorVersion"] == "0.9"
    names = [definition["ColumnName"] for definition in schema["ColumnDefinition"]]
    assert names == [column.name for column in columns_of(version)]


def test_definitions_tell_types_and_what_will_go() -> None:
    definitions = {d["ColumnName"]: d for d in _document("1.3")["Schema"]["ColumnDefinition"]}
    assert definitions["BilledCost"] == {
        "ColumnName": "BilledCost",
        "DataType": "DECIMAL",
        "NumericPrecision": 38,
        "NumberScale": 20,
    }
    assert definitions["ChargePeriodEnd"] == {
        "ColumnName": "ChargePeriodEnd",
        "DataType": "DATETIME",
    }
    assert definitions["Tags"]["DataType"] == "JSON"
    assert definitions["SkuId"]["StringEncoding"] == "UTF-8"
    assert {name for name, d in definitions.items() if d.get("Deprecated")} == {
        "ProviderName",
        "PublisherName",
    }


def test_recency_is_known_from_1_3() -> None:
    assert _document("1.2").keys() == {"DataGenerator", "Schema"}
    document = _document("1.4")
    (instance,) = document["DatasetInstance"]
    assert instance["FocusDatasetId"] == "CostAndUsage"
    assert instance["DatasetInstanceId"] == document["Schema"]["DatasetInstanceId"] == "d1"
    (recency,) = document["Recency"]
    assert recency["DatasetInstanceComplete"] is False
    assert recency["DatasetInstanceLastUpdated"] == "1970-01-05T00:00:00Z"
    assert recency["TimeSectors"][0] == {
        "TimeSectorStart": "1970-01-01T00:00:00Z",
        "TimeSectorEnd": "1970-01-02T00:00:00Z",
        "TimeSectorComplete": True,
        "TimeSectorLastUpdated": "1970-01-04T00:00:00Z",
    }


def test_all_sectors_complete_a_dataset_and_none_says_nothing() -> None:
    assert _document("1.3", SECTORS[:1])["Recency"][0]["DatasetInstanceComplete"] is True
    assert "Recency" not in _document("1.3", ())
