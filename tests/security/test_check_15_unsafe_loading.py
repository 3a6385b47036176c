"""Checks 15 and 16: no object comes out of YAML, pickle or XML that somebody hands in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_cost_ops.server.settings import SettingsError, load_settings
from tests.support.application import Application

SOURCES = Path(__file__).resolve().parents[2] / "src" / "llm_cost_ops"
UNSAFE = {"pickle", "cPickle", "dill", "shelve", "marshal", "jsonpickle", "cloudpickle"}
XML = {"xml", "lxml", "xmltodict", "openpyxl", "defusedxml"}
SAFE_LOADERS = {"_UniqueKeyLoader", "yaml.BaseLoader"}


def calls() -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield path, node


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module.partition(".")[0]}
    return set()


@pytest.mark.check(15)
def test_nothing_unpickles() -> None:
    found = {str(path.relative_to(SOURCES)) for path, node in calls() if imported(node) & UNSAFE}
    # A forecast runs in a child of our own: what goes through its pipes never comes from outside.
    assert found == {"forecasting/__main__.py", "server/forecasts/apart.py"}


@pytest.mark.check(15)
def test_yaml_is_loaded_by_a_safe_loader_alone() -> None:
    found = 0
    for path, node in calls():
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if not isinstance(node.func.value, ast.Name) or node.func.value.id != "yaml":
            continue
        assert node.func.attr in {"safe_load", "safe_dump", "dump", "load"}, path
        if node.func.attr == "load":
            assert ast.unparse(node.args[1]) in SAFE_LOADERS, path
        found += 1
    assert found


@pytest.mark.check(15)
@pytest.mark.parametrize(
    "text",
    [
        "server: !!python/object/apply:os.system [touch CANARY]",
        "server: !!python/object/new:subprocess.Popen [[touch, CANARY]]",
        "server: !!python/name:os.system",
        "server:\n  port: !!python/object:llm_cost_ops.server.clock.SystemClock {}",
    ],
)
def test_a_settings_file_makes_no_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match="not valid YAML"):
        load_settings(config=config, environ={})
    assert not (tmp_path / "CANARY").exists()


@pytest.mark.check(16)
def test_no_xml_is_read() -> None:
    """But by the library of SAML: `test_saml` sends that one a document type with entities."""
    assert {path.name for path, node in calls() if imported(node) & XML} == set()


BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "{}"><!ENTITY c SYSTEM "file:///etc/passwd">]>
<a>&b;&c;</a>""".format("x" * 1000)


@pytest.mark.check(16)
@pytest.mark.parametrize("media_type", ["application/xml", "text/xml", "application/xhtml+xml"])
@pytest.mark.parametrize("path", ["/api/v1/usage", "/api/v1/usage/batch", "/api/v1/providers"])
def test_xml_is_no_body(sqlite_application: Application, media_type: str, path: str) -> None:
    answer = sqlite_application.post(path, content=BOMB, headers={"Content-Type": media_type})
    assert answer.status_code == 415
    assert "root:" not in answer.text
