"""Pages of OpenAI's usage API (`/v1/organization/usage/..`): sums per bucket and group.

`input_tokens` contains cached and cache-write tokens of every modality. A page has to be grouped
by model to be priced; batch and service tier are rate rows of their own, so group by those too.
Pulls of the same days with other bucket widths or groups count the same calls again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO

from llm_cost_ops.importers.buckets import Bucket, identify, read_buckets, texts
from llm_cost_ops.importers.fields import count_of, text_of
from llm_cost_ops.importers.problem import RowError
from llm_cost_ops.importers.record import ImportOptions, ItemStream, Record, Row, metadata
from llm_cost_ops.importers.times import stamp

SOURCE = "openai-usage"
_PREFIX = "organization.usage."
_SUFFIX = ".result"

_COMPLETIONS = {
    "input_tokens": "input_tokens",
    "input_cached_tokens": "cache_read_tokens",
    "input_cache_write_tokens": "cache_write_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "input_cached_audio_tokens": "cache_audio_read_tokens",
    "input_cached_image_tokens": "cache_image_read_tokens",
    "output_tokens": "output_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
    "num_model_requests": "requests",
}
# What each report counts, by usage kind. Text tokens are what the other modalities leave over.
_MEASURES: Mapping[str, Mapping[str, str]] = {
    "completions": _COMPLETIONS,
    "embeddings": {"input_tokens": "input_tokens", "num_model_requests": "requests"},
    "moderations": {"input_tokens": "input_tokens", "num_model_requests": "requests"},
    "images": {"images": "output_images", "num_model_requests": "requests"},
    "audio_speeches": {"characters": "input_characters", "num_model_requests": "requests"},
    "audio_transcriptions": {"seconds": "audio_seconds", "num_model_requests": "requests"},
    "code_interpreter_sessions": {"num_sessions": "code_executions"},
    "file_searches": {"num_requests": "storage_searches"},
    "web_searches": {"num_requests": "web_searches"},
}
# The reports of tools name no model: what they count is sold by itself.
_TOOLS = {
    "code_interpreter_sessions": "code-interpreter",
    "file_searches": "file-search",
    "web_searches": "web-search",
}
_SAME_REPORT = {
    "code_interpreter": "code_interpreter_sessions",
    "file_search": "file_searches",
    "file_search_calls": "file_searches",
    "web_search": "web_searches",
    "web_search_calls": "web_searches",
}
_IDS = ("project_id", "user_id", "api_key_id")


def read_openai_usage(stream: IO[bytes], options: ImportOptions) -> ItemStream:
    return read_buckets(stream, options, epoch_span, _converter(options))


def epoch_span(bucket: Row) -> Bucket:
    start = stamp(bucket.get("start_time"), "start_time", unit="s")
    if start is None:
        raise RowError("is required", field="start_time")
    return Bucket(start, stamp(bucket.get("end_time"), "end_time", unit="s"))


def _converter(options: ImportOptions) -> Callable[[Row, Bucket], Record | None]:
    def convert(result: Row, bucket: Bucket) -> Record | None:
        report = report_of(result)
        measures = _MEASURES.get(report)
        if measures is None:
            raise RowError(
                f"{report!r} has no usage kind; import its cost with openai-costs", field="object"
            )
        counts = {kind: count_of(result.get(name), name) or 0 for name, kind in measures.items()}
        usage = {kind: count for kind, count in counts.items() if count}
        if not usage:
            return None
        model = text_of(result.get("model"), "model") or _TOOLS.get(report) or options.model
        if model is None:
            raise RowError(
                "the page is not grouped by model: ask for group_by=model", field="model"
            )
        record: Record = {
            "source": SOURCE,
            "provider": options.provider or "openai",
            "model": model,
            "usage": usage,
            "processing": "batch" if result.get("batch") is True else None,
            "service_tier": tier_of(text_of(result.get("service_tier"), "service_tier")),
            **texts(result, *_IDS),
            "metadata": metadata(
                report=report,
                bucket_end=bucket.end,
                **texts(result, "size", "vector_store_id", "context_level", "api_source"),
                image_source=result.get("source"),
            ),
        }
        return identify(record, f"usage.{report}", result, bucket, frozenset(measures))

    return convert


def report_of(result: Mapping[str, object]) -> str:
    """Which report a result is of, by the name it carries. Raises RowError."""
    name = text_of(result.get("object"), "object") or ""
    if not name.startswith(_PREFIX) or not name.endswith(_SUFFIX):
        raise RowError("is no usage result", field="object")
    report = name[len(_PREFIX) : -len(_SUFFIX)]
    return _SAME_REPORT.get(report, report)


def tier_of(name: str | None) -> str | None:
    return "standard" if name in ("default", "auto") else name
