"""Provider names and aliases."""

from __future__ import annotations

import pytest

from llm_cost_ops.core.providers.names import MAX_NAME_LENGTH, PROVIDERS, provider_id


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("openai", "openai"),
        ("OpenAI", "openai"),
        ("anthropic", "anthropic"),
        ("google", "google"),
        ("azure", "azure"),
        ("aws", "aws"),
        ("cohere", "cohere"),
        ("mistral", "mistral"),
        ("azure_openai", "azure"),
        ("azure_ai", "azure"),
        ("azure.ai.openai", "azure"),
        ("bedrock", "aws"),
        ("aws_bedrock", "aws"),
        ("aws.bedrock", "aws"),
        ("amazon", "aws"),
        ("vertex", "google"),
        ("vertex_ai", "google"),
        ("gcp.vertex_ai", "google"),
        ("gcp.gemini", "google"),
        ("gemini", "google"),
        ("mistral_ai", "mistral"),
        ("mistralai", "mistral"),
        ("xai", "x-ai"),
        ("x_ai", "x-ai"),
        ("grok", "x-ai"),
        ("together_ai", "together"),
        ("fireworks_ai", "fireworks"),
        (" Moonshot AI ", "moonshotai"),
        ("ibm.watsonx.ai", "watsonx"),
        ("huggingface_fireworks-ai", "huggingface_fireworks-ai"),
        ("huggingface-fireworks-ai", "huggingface_fireworks-ai"),
    ],
)
def test_known_names(name: str, provider: str) -> None:
    assert provider_id(name) == provider


@pytest.mark.parametrize("name", ["", "acme", "open", "openai2", "x" * (MAX_NAME_LENGTH + 1)])
def test_unknown_names(name: str) -> None:
    assert provider_id(name) is None


def test_a_name_of_the_greatest_length_is_still_compared() -> None:
    assert provider_id("openai".ljust(MAX_NAME_LENGTH)) == "openai"
    assert provider_id("openai".ljust(MAX_NAME_LENGTH + 1)) is None


def test_every_canonical_id_and_alias_leads_to_one_provider() -> None:
    for provider, aliases in PROVIDERS.items():
        for name in (provider, *aliases):
            assert provider_id(name) == provider
