"""Names that calls report, and the model each means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cost_ops.core.pricing.match import MAX_NAME_LENGTH, Match, match_model
from tests.support.price_books import AUTUMN, find, packaged

HOSTS = {"openai", "anthropic", "google", "aws", "azure", "fireworks", "openrouter"}


def match(provider: str, name: str, *known: str, aliases: tuple[str, ...] = ()) -> Match | None:
    """Match within a book of one provider's models and aliases (each alias of the first model)."""

    def lookup(host: str, wanted: str) -> tuple[str, bool] | None:
        if host != provider and f"{host}:{wanted}" not in known:
            return None
        if wanted in known or f"{host}:{wanted}" in known:
            return wanted, False
        return (known[0], True) if wanted in aliases else None

    return match_model(provider, name, lookup)


@pytest.mark.parametrize("name", ["gpt-4o", "GPT-4o", " gpt-4o "])
def test_the_name_itself(name: str) -> None:
    assert match("openai", name, "gpt-4o") == Match("openai", "gpt-4o", "exact")


def test_an_alias_and_a_dated_alias() -> None:
    known = ("claude-opus-4-0",)
    aliases = ("claude-opus-4", "claude-opus-4-20250514")
    by_name = match("anthropic", "claude-opus-4", *known, aliases=aliases)
    by_date = match("anthropic", "claude-opus-4-20250514", *known, aliases=aliases)
    assert by_name == Match("anthropic", "claude-opus-4-0", "alias")
    assert by_date == Match("anthropic", "claude-opus-4-0", "snapshot")


@pytest.mark.parametrize(
    "name",
    ["m-2024-08-06", "m-20240806", "m@20240806", "m@2024-08-06", "m-latest"],
)
def test_snapshots_of_a_known_model(name: str) -> None:
    assert match("anthropic", name, "m") == Match("anthropic", "m", "snapshot")


def test_a_snapshot_of_a_model_listed_only_as_latest() -> None:
    found = match("anthropic", "claude-3-5-haiku-20241022", "claude-3-5-haiku-latest")
    assert found == Match("anthropic", "claude-3-5-haiku-latest", "snapshot")


def test_an_own_price_of_a_snapshot_wins_in_either_spelling() -> None:
    known = ("gpt-4o", "gpt-4o-2024-05-13")
    compact = match("openai", "gpt-4o-20240513", *known)
    assert compact == Match("openai", "gpt-4o-2024-05-13", "snapshot")
    dashed = match("openai", "m-2024-05-13", "m", "m-20240513")
    assert dashed == Match("openai", "m-20240513", "snapshot")


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o-mini",
        "gpt-4o-2024-13-01",
        "gpt-4o-2024-00-10",
        "gpt-4o-2024-01-32",
        "gpt-4o-20240806x",
        "gpt-4o-0806",
        "gpt-4",
        "xgpt-4o",
        "gpt-4o-",
        "",
        "   ",
        "x" * (MAX_NAME_LENGTH + 1),
        "/".join("abcdefghijklmnop"),
        "openai/",
    ],
)
def test_what_is_not_a_documented_form_is_not_matched(name: str) -> None:
    assert match("openai", name, "gpt-4o") is None


@pytest.mark.parametrize(
    "name", ["ft:gpt-4o-2024-08-06:acme::id", "ft:gpt-4o:acme:suffix:id", "gpt-4o.ft-0123abcd"]
)
def test_fine_tunes_have_rows_of_their_own(name: str) -> None:
    found = match("openai", name, "ft:gpt-4o")
    assert found == Match("openai", "ft:gpt-4o", "fine_tuned")


def test_a_fine_tune_never_falls_to_its_base() -> None:
    assert match("openai", "ft:gpt-4o:acme::id", "gpt-4o") is None
    assert match("openai", "ft:gpt-4o-2024-08-06:acme::id", "gpt-4o", "gpt-4o-2024-08-06") is None


def test_a_fine_tune_listed_as_such_is_exact() -> None:
    assert match("openai", "ft:gpt-4o", "ft:gpt-4o") == Match("openai", "ft:gpt-4o", "exact")


def test_a_fine_tune_behind_a_route() -> None:
    found = match("openai", "openai/ft:gpt-4o:acme::id", "ft:gpt-4o")
    assert found == Match("openai", "ft:gpt-4o", "fine_tuned")


@pytest.mark.parametrize(
    ("provider", "name", "known"),
    [
        ("openai", "openai/gpt-4o", "gpt-4o"),
        ("openai", "openai/gpt-4o-2024-08-06", "gpt-4o"),
        ("azure", "azure_ai/deepseek-r1", "deepseek-r1"),
        ("azure", "openai/gpt-4o", "gpt-4o"),
        ("google", "gemini/gemini-2.5-pro", "gemini-2.5-pro"),
        ("google", "vertex_ai/claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("google", "models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("google", "publishers/google/models/gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("fireworks", "llama-v3", "accounts/fireworks/models/llama-v3"),
        ("fireworks", "fireworks/models/llama-v3", "accounts/fireworks/models/llama-v3"),
        ("fireworks", "fireworks_ai/llama-v3", "accounts/fireworks/models/llama-v3"),
    ],
)
def test_routes_and_resource_paths(provider: str, name: str, known: str) -> None:
    assert match(provider, name, known) == Match(provider, known, "prefix")


@pytest.mark.parametrize("version", ["-001", "@001", "@default", "@latest", "-latest", "@20250101"])
def test_versions_of_google(version: str) -> None:
    found = match("google", f"gemini-2.0-flash{version}", "gemini-2.0-flash")
    assert found == Match("google", "gemini-2.0-flash", "snapshot")


def test_the_location_of_a_resource_path_is_the_region() -> None:
    name = "projects/p/locations/us-central1/publishers/anthropic/models/claude-opus-5"
    expected = Match("google", "claude-opus-5", "prefix", "us-central1")
    assert match("google", name, "claude-opus-5") == expected


@pytest.mark.parametrize("name", ["tunedModels/gemini-x", "projects/p/endpoints/1", "models/a/b"])
def test_tuned_models_and_endpoints_have_no_public_price(name: str) -> None:
    assert match("google", name, "gemini-x", "1", "a", "b") is None


def test_a_gateway_takes_the_provider_from_the_name() -> None:
    found = match("litellm", "openai/gpt-4o", "openai:gpt-4o")
    assert found == Match("openai", "gpt-4o", "prefix")


def test_a_gateway_in_the_packaged_book() -> None:
    found = find("litellm", "openai/gpt-4o")
    assert (found.provider, found.model, found.rule) == ("openai", "gpt-4o", "prefix")
    assert packaged().resolve("litellm", "gpt-4o", at=AUTUMN) is None


@pytest.mark.parametrize("host", ["vllm", "ollama", "in-house"])
def test_a_host_of_its_own_is_no_gateway(host: str) -> None:
    assert packaged().resolve(host, "openai/gpt-oss-120b", at=AUTUMN) is None


def test_a_provider_with_prices_does_not_lend_its_name_to_another_host() -> None:
    assert match("openai", "azure/gpt-4o", "gpt-4o") is None
    assert match("openai", "unknown/gpt-4o", "gpt-4o") is None


def test_a_gateway_with_prices_of_its_own_uses_them() -> None:
    found = match("openrouter", "openai/gpt-4o", "openai/gpt-4o", "openai:gpt-4o")
    assert found == Match("openrouter", "openai/gpt-4o", "exact")


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("eu/gpt-4o", "eu"),
        ("azure/us/gpt-4o", "us"),
        ("azure/global-standard/gpt-4o", "global"),
        ("azure/us-gov/gpt-4o-2024-08-06", "us-gov"),
    ],
)
def test_azure_zones(name: str, region: str) -> None:
    assert match("azure", name, "gpt-4o") == Match("azure", "gpt-4o", "prefix", region)


def test_an_unknown_azure_zone_is_no_zone() -> None:
    assert match("azure", "mars/gpt-4o", "gpt-4o") is None


CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"


@pytest.mark.parametrize(
    ("name", "region"),
    [
        (f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE}", "us-east-1"),
        (f"arn:aws:bedrock:::foundation-model/{CLAUDE}", None),
        (f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/{CLAUDE}", None),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{CLAUDE}", None),
        (f"arn:aws-us-gov:bedrock:us-gov-east-1::foundation-model/{CLAUDE}", "us-gov-east-1"),
        (f"converse/{CLAUDE}", None),
        (f"us-gov-west-1/{CLAUDE}", "us-gov-west-1"),
        (f"invoke/eu-west-3/{CLAUDE}", "eu-west-3"),
        (f"us.{CLAUDE}", None),
        (f"us-gov.{CLAUDE}", "us-gov-west-1"),
    ],
)
def test_bedrock_ids(name: str, region: str | None) -> None:
    assert match("aws", name, CLAUDE) == Match("aws", CLAUDE, "bedrock_id", region)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku"),
        ("amazon.nova-lite-v1:0", "amazon.nova-lite"),
        ("anthropic.claude-opus-4-6-v1", "anthropic.claude-opus-4-6"),
    ],
)
def test_bedrock_versions(name: str, known: str) -> None:
    assert match("aws", name, known) == Match("aws", known, "bedrock_id")


@pytest.mark.parametrize(
    "name",
    [
        f"{CLAUDE}:28k",
        "amazon.nova-lite-v1:0:mm",
        "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc",
        "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
        f"arn:aws:s3:::bucket/{CLAUDE}",
        f"eu.{CLAUDE}",
        f"apac.{CLAUDE}",
    ],
)
def test_bedrock_names_without_a_price_per_call(name: str) -> None:
    known = (CLAUDE, "amazon.nova-lite-v1:0", "amazon.nova-lite", "abc")
    assert match("aws", name, *known) is None


def test_a_bedrock_name_behind_a_route_segment_that_is_none() -> None:
    assert match("aws", f"elsewhere/{CLAUDE}", CLAUDE) is None


def test_every_id_and_alias_of_the_packaged_book_is_matched_to_its_model() -> None:
    for entry in packaged().models():
        for name in (entry.model, entry.model.upper(), *entry.aliases):
            series = packaged().resolve_series(entry.provider, name)
            contexts = {(card.service_tier, card.processing) for card in entry.cards}
            if ("standard", "realtime") in contexts and any(c.region is None for c in entry.cards):
                assert series is not None, name
                assert series.model == entry.model


@given(st.text(max_size=60), st.sampled_from(sorted(HOSTS | {"litellm", "nobody"})))
def test_no_name_raises(name: str, provider: str) -> None:
    packaged().resolve(provider, name, at=AUTUMN)


@given(
    st.sampled_from(["gpt-4o", "claude-sonnet-4-5", "o3"]),
    st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=12),
)
def test_a_suffix_that_is_no_date_finds_only_models_listed_under_it(base: str, suffix: str) -> None:
    name = f"{base}{suffix}"
    found = packaged().resolve("openai", name, at=AUTUMN)
    if found is not None and found.rule in ("exact", "alias"):
        listed = {found.card.model.lower()}
        listed.update(
            alias
            for entry in packaged().models()
            if entry.model == found.card.model
            for alias in entry.aliases
        )
        assert name in listed


@pytest.mark.parametrize(
    ("provider", "name", "rule"),
    [
        ("openai", "gpt-4o", "exact"),
        ("openai", "gpt-4o-2024-11-20", "snapshot"),
        ("openai", "chat-latest", "alias"),
        ("openai", "ft:gpt-4o-2024-08-06:o::i", "fine_tuned"),
        ("aws", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "bedrock_id"),
        ("google", "models/gemini-2.5-pro", "prefix"),
        ("azure", "gpt-6.1-terra", "provider_fallback"),
    ],
)
def test_the_rule_is_reported(provider: str, name: str, rule: str) -> None:
    assert find(provider, name).rule == rule
