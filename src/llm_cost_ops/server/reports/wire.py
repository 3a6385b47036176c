"""Reports and saved sections as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.core.instant import format_micros
from llm_cost_ops.core.jsontext import loads

PATH = "/api/v1/reports"


def report_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """One report, without its content."""
    done, finished = row["status"] == "completed", row["finished_at"]
    limited = row["limited_to"]
    return {
        "id": row["id"],
        "organization_id": row["organization_id"],
        "type": row["type"],
        "title": row["title"],
        "status": row["status"],
        "format": row["format"],
        "error": row["error"],
        "request": loads(row["request"]),
        "limited_to": None if limited is None else loads(limited),
        "download_url": f"{PATH}/{row['id']}/download" if done else None,
        "created_by": row["created_by"],
        "created_at": format_micros(row["created_at"]),
        "finished_at": None if finished is None else format_micros(finished),
        "expires_at": format_micros(row["expires_at"]),
    }


def event_data(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the event of a report that was made says."""
    return {
        "report_id": row["id"],
        "type": row["type"],
        "title": row["title"],
        "format": row["format"],
        "download_url": f"{PATH}/{row['id']}/download",
        "expires_at": format_micros(row["expires_at"]),
    }


def template_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Kept sections."""
    return {
        "id": row["id"],
        "name": row["name"],
        "sections": loads(row["sections"]),
        "created_by": row["created_by"],
        "created_at": format_micros(row["created_at"]),
    }
