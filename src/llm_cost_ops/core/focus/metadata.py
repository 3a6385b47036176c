"""The metadata that goes with a dataset (FOCUS chapter Metadata), as values for a JSON text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llm_cost_ops.core.focus.columns import DECIMAL, Column, columns_of
from llm_cost_ops.core.focus.text import datetime_text

GENERATOR = "LLM Cost Ops"
DATASET = "CostAndUsage"
INSTANCE_NAME = "LLM cost and usage"
PRECISION = 38
SCALE = 20
"""Digits of a Decimal column, and those after the point: unit prices of a time or a thousandth of a
token end within twenty places or are rounded there; costs use ten."""


@dataclass(frozen=True, slots=True)
class TimeSector:
    """A part of the time that the dataset covers: microseconds since 1970, end excluded."""

    start_us: int
    end_us: int
    is_complete: bool
    updated_us: int


def metadata_document(
    version: str,
    *,
    schema_id: str,
    created_us: int,
    generator_version: str,
    instance_id: str,
    sectors: Sequence[TimeSector] = (),
) -> dict[str, Any]:
    """DataGenerator and Schema; from 1.3 also DatasetInstance, and Recency when there are sectors.

    `created_us` is when the schema was made, not the file. Raises FocusError for a version that is
    not known.
    """
    schema: dict[str, Any] = {
        "SchemaId": schema_id,
        "CreationDate": datetime_text(created_us),
        "FocusVersion": version,
        "DataGeneratorVersion": generator_version,
        "ColumnDefinition": [_definition(column, version) for column in columns_of(version)],
    }
    document: dict[str, Any] = {"DataGenerator": {"DataGenerator": GENERATOR}, "Schema": schema}
    if version == "1.2":
        return document
    schema["DatasetInstanceId"] = instance_id
    document["DatasetInstance"] = [
        {
            "DatasetInstanceId": instance_id,
            "DatasetInstanceName": INSTANCE_NAME,
            "FocusDatasetId": DATASET,
        }
    ]
    if sectors:
        document["Recency"] = [_recency(instance_id, sectors)]
    return document


def _recency(instance_id: str, sectors: Sequence[TimeSector]) -> dict[str, Any]:
    updated = datetime_text(max(sector.updated_us for sector in sectors))
    return {
        "DatasetInstanceId": instance_id,
        "DatasetInstanceLastUpdated": updated,
        "RecencyLastUpdated": updated,
        "DatasetInstanceComplete": all(sector.is_complete for sector in sectors),
        "TimeSectors": [
            {
                "TimeSectorStart": datetime_text(sector.start_us),
                "TimeSectorEnd": datetime_text(sector.end_us),
                "TimeSectorComplete": sector.is_complete,
                "TimeSectorLastUpdated": datetime_text(sector.updated_us),
            }
            for sector in sectors
        ],
    }


def _definition(column: Column, version: str) -> dict[str, Any]:
    definition: dict[str, Any] = {"ColumnName": column.name, "DataType": column.type.upper()}
    if column.type == DECIMAL:
        definition["NumericPrecision"] = PRECISION
        definition["NumberScale"] = SCALE
    elif column.type != "datetime":
        definition["StringEncoding"] = "UTF-8"
    if version in column.deprecated:
        definition["Deprecated"] = True
    return definition
