"""The shapes file is consistent with itself and with the usage kinds."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from llm_cost_ops.core.errors import UsageError
from llm_cost_ops.core.providers.counts import whole
from llm_cost_ops.core.providers.extract import extract
from llm_cost_ops.core.providers.names import PROVIDERS
from llm_cost_ops.core.providers.notes import NOTES
from llm_cost_ops.core.providers.readers import object_reader
from llm_cost_ops.core.providers.shapes import CUSTOM, PROFILES, profile_for

DOCUMENT: dict[str, Any] = json.loads(
    files("llm_cost_ops.core.providers").joinpath("shapes.json").read_text("utf-8")
)
DOCUMENTED_FLAVOURS = (
    "default chat responses completions embeddings images audio transcription speech realtime live "
    "moderations batch anthropic converse tokens ocr ocr_annotated rerank"
).split()


def test_providers_are_canonical_ids() -> None:
    assert set(DOCUMENT["providers"]) <= set(PROVIDERS)


def test_providers_and_flavours_name_shapes() -> None:
    names = set(DOCUMENT["shapes"])
    for entry in DOCUMENT["providers"].values():
        assert set(entry.get("shapes", {})) <= names
        assert set(entry.get("shapes", {}).values()) <= names
        assert entry.get("prefers", "responses") in names
    for shapes in DOCUMENT["flavours"].values():
        assert set(shapes) <= names


def test_documented_flavours_exist() -> None:
    assert set(DOCUMENTED_FLAVOURS) <= set(DOCUMENT["flavours"])


def test_every_shape_compiles_and_its_notes_exist() -> None:
    for shape in profile_for(CUSTOM).shapes.values():
        assert set(shape.notes) <= set(NOTES)
        assert bool(shape.marks) == bool(shape.template)


def test_every_note_is_used() -> None:
    used = {note for shape in profile_for(CUSTOM).shapes.values() for note in shape.notes}
    assert used == set(NOTES)


def test_unlisted_providers_share_one_profile() -> None:
    assert profile_for("acme") is profile_for("another") is PROFILES[CUSTOM]
    assert profile_for("openai") is profile_for("openai") is PROFILES["openai"]
    assert set(PROFILES) <= {CUSTOM, *DOCUMENT["providers"]}


def test_a_template_with_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="prompt names unknown usage kinds"):
        object_reader({"prompt": "prompt_tokens!"}, "", whole)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "acme"])
def test_an_unknown_flavour_is_named_with_the_known_ones(provider: str) -> None:
    with pytest.raises(UsageError, match="must be one of default, batch, audio, chat") as refusal:
        extract(provider, {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}, "telepathy")
    assert refusal.value.field == "api_flavor"


def test_a_flavour_that_does_not_fit_gives_way_to_the_form_of_the_body() -> None:
    body = {"usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    for flavour in ("responses", "anthropic", "converse", "ocr", "live", "images", "rerank"):
        assert extract("openai", body, flavour).usage == {"input_tokens": 5, "output_tokens": 2}
