"""`/docs`: the OpenAPI document as one page of plain HTML, with no script and nothing from outside.

A hosted viewer would load its program from somebody else's server into a page that people paste
API keys into.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, cast

_STYLE = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{margin:0 auto;max-width:60rem;padding:1rem}
code,pre{font:0.875rem/1.4 ui-monospace,monospace}
pre{overflow:auto;padding:.75rem;border:1px solid #8886;border-radius:.25rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.25rem .5rem;border-top:1px solid #8886}
details{border:1px solid #8886;border-radius:.25rem;margin:.5rem 0;padding:.5rem .75rem}
summary{cursor:pointer}
.method{display:inline-block;min-width:4.5rem;font-weight:700}
nav a{margin-right:.75rem}
"""
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_page(document: Mapping[str, Any]) -> str:
    """The page."""
    info = document["info"]
    groups = _by_tag(document)
    links = "".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in groups)
    sections = "".join(
        f'<section id="{escape(tag)}"><h2>{escape(tag)}</h2>{"".join(operations)}</section>'
        for tag, operations in groups.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>{escape(info['title'])} API</h1><p>{escape(info['description'])}</p>"
        f"<p>Version {escape(info['version'])}. The same as a document for programs: "
        '<a href="openapi.json">openapi.json</a>.</p></header>'
        f"<nav>{links}</nav><main>{sections}</main></body></html>"
    )


def _by_tag(document: Mapping[str, Any]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = next(iter(operation.get("tags", ())), "operations")
            groups.setdefault(tag, []).append(_operation(path, method, operation, document))
    return groups


def _operation(
    path: str, method: str, operation: Mapping[str, Any], document: Mapping[str, Any]
) -> str:
    parts = [
        f'<details><summary><span class="method">{escape(method.upper())}</span>'
        f"<code>{escape(path)}</code> {escape(operation.get('summary', ''))}</summary>",
        f"<p>{escape(operation.get('description', ''))}</p>",
        *_parameters(operation),
        *_body(operation, document),
        *_responses(operation, document),
        "</details>",
    ]
    return "".join(parts)


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    parameters: list[Mapping[str, Any]] = operation.get("parameters", [])
    if not parameters:
        return
    yield "<h3>Parameters</h3><table><tr><th>Name</th><th>In</th><th>Type</th><th></th></tr>"
    for parameter in parameters:
        needed = "required. " if parameter.get("required") else ""
        text = needed + str(parameter.get("description", ""))
        yield (
            f"<tr><td><code>{escape(parameter['name'])}</code></td>"
            f"<td>{escape(parameter['in'])}</td>"
            f"<td><code>{escape(_kind(parameter.get('schema', {})))}</code></td>"
            f"<td>{escape(text)}</td></tr>"
        )
    yield "</table>"


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, str):
        return kind
    if isinstance(kind, list):
        return " or ".join(cast("list[str]", kind))
    choices: list[Mapping[str, Any]] = schema.get("anyOf", schema.get("oneOf", []))
    return " or ".join(_kind(choice) for choice in choices) or "any"


def _body(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    content: Mapping[str, Any] = operation.get("requestBody", {}).get("content", {})
    for media_type, described in content.items():
        yield f"<h3>Body: <code>{escape(media_type)}</code></h3>"
        yield _schema(described.get("schema", {}), document)


def _responses(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    yield "<h3>Answers</h3>"
    for status, response in operation.get("responses", {}).items():
        text = response.get("description", "any other error")
        yield f"<p><code>{escape(str(status))}</code> {escape(text)}</p>"
        if str(status).startswith("2"):
            for described in response.get("content", {}).values():
                yield _schema(described.get("schema", {}), document)


def _schema(schema: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name:
        schema = document.get("components", {}).get("schemas", {}).get(name, schema)
    return f"<pre>{escape(json.dumps(schema, indent=2, ensure_ascii=False))}</pre>"
