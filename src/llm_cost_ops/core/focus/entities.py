"""Who sells a model and who made it: names as providers write them.

A cloud that serves a model in its own name is service provider, host and invoice issuer; the
developer of the model is then a property of the SKU price (1.5 draft, appendix on AI models).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_SELLERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "openai": ("OpenAI", "OpenAI API"),
        "anthropic": ("Anthropic", "Claude API"),
        "google": ("Google", "Gemini API"),
        "azure": ("Microsoft", "Azure AI Foundry"),
        "aws": ("AWS", "Amazon Bedrock"),
        "sagemaker": ("AWS", "Amazon SageMaker"),
        "cohere": ("Cohere", "Cohere API"),
        "mistral": ("Mistral AI", "Mistral API"),
        "x-ai": ("xAI", "xAI API"),
        "deepseek": ("DeepSeek", "DeepSeek API"),
        "groq": ("Groq", "GroqCloud"),
        "perplexity": ("Perplexity", "Perplexity API"),
        "openrouter": ("OpenRouter", "OpenRouter API"),
        "together": ("Together AI", "Together AI API"),
        "fireworks": ("Fireworks AI", "Fireworks AI API"),
        "cerebras": ("Cerebras", "Cerebras Inference"),
        "ai21": ("AI21 Labs", "AI21 API"),
        "alibaba": ("Alibaba Cloud", "Alibaba Cloud Model Studio"),
        "cloudflare": ("Cloudflare", "Workers AI"),
        "databricks": ("Databricks", "Mosaic AI Model Serving"),
        "github": ("GitHub", "GitHub Models"),
        "github-copilot": ("GitHub", "GitHub Copilot"),
        "huggingface": ("Hugging Face", "Hugging Face Inference"),
        "meta": ("Meta", "Llama API"),
        "moonshotai": ("Moonshot AI", "Kimi API"),
        "nvidia": ("NVIDIA", "NVIDIA NIM"),
        "oci": ("Oracle", "OCI Generative AI"),
        "snowflake": ("Snowflake", "Snowflake Cortex"),
        "voyageai": ("Voyage AI", "Voyage AI API"),
        "watsonx": ("IBM", "watsonx.ai"),
    }
)
"""Provider id -> name of the seller, name of the service."""

_FAMILIES: tuple[tuple[str, str], ...] = (
    ("claude", "Anthropic"),
    ("gpt", "OpenAI"),
    ("chatgpt", "OpenAI"),
    ("o1", "OpenAI"),
    ("o3", "OpenAI"),
    ("o4", "OpenAI"),
    ("text-embedding-3", "OpenAI"),
    ("text-embedding-ada", "OpenAI"),
    ("whisper", "OpenAI"),
    ("gemini", "Google"),
    ("gemma", "Google"),
    ("llama", "Meta"),
    ("mistral", "Mistral AI"),
    ("mixtral", "Mistral AI"),
    ("codestral", "Mistral AI"),
    ("command", "Cohere"),
    ("deepseek", "DeepSeek"),
    ("grok", "xAI"),
    ("qwen", "Alibaba Cloud"),
    ("kimi", "Moonshot AI"),
    ("nova", "Amazon"),
    ("titan", "Amazon"),
    ("phi", "Microsoft"),
)
"""Beginning of a model's own name -> its developer."""

_GEOGRAPHIES = ("us", "eu", "apac", "au", "jp", "global")


def seller_name(provider: str) -> str:
    """The provider's name: `OpenAI` of `openai`; a provider that is not listed keeps its id."""
    known = _SELLERS.get(provider)
    return known[0] if known else provider


def service_name(provider: str) -> str:
    """The provider's name for its service: `Claude API` of `anthropic`."""
    known = _SELLERS.get(provider)
    return known[1] if known else f"{provider} API"


def model_developer(model: str) -> str | None:
    """Who made the model, by the beginning of its name without vendor path and geography; None
    when the name does not tell it. It is not guessed from who sells the model."""
    name = model.lower().rpartition("/")[2]
    parts = name.split(".")
    if parts[0] in _GEOGRAPHIES and len(parts) > 1:
        parts = parts[1:]
    names = (parts[0], ".".join(parts[1:])) if len(parts) > 1 else (parts[0],)
    for family, developer in _FAMILIES:
        if any(_begins(candidate, family) for candidate in names):
            return developer
    return None


def _begins(name: str, family: str) -> bool:
    """Whether the name is the family's, or it goes on with what is not a letter: `gpt-5`, `o3`."""
    return name.startswith(family) and not name[len(family) : len(family) + 1].isalpha()
