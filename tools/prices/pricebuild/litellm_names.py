"""LiteLLM's names: which provider of ours a row belongs to, and what the provider calls the model.

Their keys carry routing prefixes (`azure/eu/gpt-4o`, `bedrock/us-gov-west-1/anthropic...`); the
prefix becomes the provider and, where it names a data zone or a source region, the region.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PROVIDERS = {
    "ai21": "ai21",
    "aihubmix": "aihubmix",
    "aiml": "aiml",
    "amazon_nova": "aws",
    "anthropic": "anthropic",
    "anyscale": "anyscale",
    "assemblyai": "assemblyai",
    "aws_polly": "aws",
    "azure": "azure",
    "azure_ai": "azure",
    "azure_text": "azure",
    "baseten": "baseten",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle": "aws",
    "black_forest_labs": "black-forest-labs",
    "cerebras": "cerebras",
    "cloudflare": "cloudflare",
    "codestral": "mistral",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "crusoe": "crusoe",
    "dashscope": "alibaba",
    "databricks": "databricks",
    "deepgram": "deepgram",
    "deepinfra": "deepinfra",
    "deepseek": "deepseek",
    "elevenlabs": "elevenlabs",
    "fal_ai": "fal",
    "featherless_ai": "featherless",
    "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks",
    "friendliai": "friendli",
    "gemini": "google",
    "gigachat": "gigachat",
    "gmi": "gmi",
    "gradient_ai": "gradient",
    "groq": "groq",
    "heroku": "heroku",
    "hyperbolic": "hyperbolic",
    "inception": "inception",
    "jina_ai": "jina",
    "lambda_ai": "lambda",
    "meta": "meta",
    "meta_llama": "meta",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshotai",
    "morph": "morph",
    "nebius": "nebius",
    "novita": "novita",
    "nscale": "nscale",
    "nvidia_nim": "nvidia",
    "oci": "oci",
    "openai": "openai",
    "ovhcloud": "ovhcloud",
    "perplexity": "perplexity",
    "publicai": "publicai",
    "qwen_ai_platform": "alibaba",
    "qwencloud": "alibaba",
    "recraft": "recraft",
    "replicate": "replicate",
    "runwayml": "runwayml",
    "sambanova": "sambanova",
    "scaleway": "scaleway",
    "snowflake": "snowflake",
    "stability": "stability",
    "tencent": "tencent",
    "text-completion-codestral": "mistral",
    "text-completion-inception": "inception",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "transcribe": "aws",
    "v0": "v0",
    "vercel_ai_gateway": "vercel",
    "vertex_ai": "google",
    "volcengine": "volcengine",
    "voyage": "voyageai",
    "wandb": "wandb",
    "watsonx": "watsonx",
    "xai": "x-ai",
    "zai": "zai",
}
"""Every provider whose rows are list prices per call. Subscriptions, self-hosted runtimes and
search engines are left out."""

_ROUTES = (*PROVIDERS, "amazon-nova", "azure_ai", "bedrock", "fal_ai", "vertex_ai")

_AZURE_REGION = re.compile(r"^(?:azure/)?(global-standard|global|eu|us-gov|us|apac)/(.+)$")
_BEDROCK_REGION = re.compile(r"^([a-z]{2}(?:-[a-z]+)+-\d)/(.+)$")
_COMMITMENT = re.compile(r"-month-commitment/")
_GENERIC_SIZE = re.compile(r"^(?:together-ai|fireworks-ai)-[\d.]|^fireworks-ai-(?:above|default)")


class Place(NamedTuple):
    """Where a row belongs. Rank 0 is the provider's own endpoint; higher ranks yield to it."""

    provider: str
    model: str
    region: str | None
    rank: int


def place(name: str, litellm_provider: str) -> Place | None:
    """The provider, model and region of a row, or None when the row is not a price per call."""
    provider = PROVIDERS.get(litellm_provider) or PROVIDERS.get(litellm_provider.split("-")[0])
    if provider is None or _COMMITMENT.search(name) or _GENERIC_SIZE.match(name):
        return None
    model = _without_route(name)
    rank = _rank(name, litellm_provider)
    region = None
    if provider == "azure":
        match = _AZURE_REGION.match(model)
        if match:
            region, model = match.groups()
            region = "global" if region == "global-standard" else region
    elif provider == "aws":
        model = model.removeprefix("invoke/")
        match = _BEDROCK_REGION.match(model)
        if match:
            region, model = match.groups()
    if "/" in model and model.split("/", 1)[0] == "*":
        return None
    return Place(provider, model, region, rank)


def _without_route(name: str) -> str:
    for route in _ROUTES:
        if name.startswith(f"{route}/"):
            return name[len(route) + 1 :]
    return name


def _rank(name: str, litellm_provider: str) -> int:
    """Google's rows come three times: the Gemini API, Vertex AI by route, Vertex AI without."""
    if litellm_provider == "gemini":
        return 0 if name.startswith("gemini/") else 1
    if litellm_provider.startswith("vertex_ai"):
        return 2 if name.startswith("vertex_ai/") else 3
    if litellm_provider in ("azure_ai", "bedrock_mantle", "qwencloud", "qwen_ai_platform"):
        return 1
    if litellm_provider == "azure":
        return 2 if model_maker_is_not_openai(name) else 0
    return 0 if "/" not in name else 1


def model_maker_is_not_openai(name: str) -> bool:
    """Old rows of other makers' models under `azure/`; `azure_ai/` carries their current price."""
    return name.startswith(("azure/mistral", "azure/command"))
