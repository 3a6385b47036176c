"""Which provider an export means that names only a model."""

from __future__ import annotations

from llm_cost_ops.core.providers.names import PROVIDERS
from llm_cost_ops.importers.problem import RowError
from llm_cost_ops.importers.record import ImportOptions

# Only names that one vendor uses. Open weights (llama, qwen, gpt-oss ...) are hosted by many, each
# with prices of its own, so the caller has to say which.
_PREFIXES = {
    "gpt-oss": None,
    "gpt-": "openai",
    "chatgpt-": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "ft:": "openai",
    "text-embedding-3": "openai",
    "text-embedding-ada": "openai",
    "whisper-1": "openai",
    "tts-1": "openai",
    "dall-e": "openai",
    "codex-": "openai",
    "claude": "anthropic",
    "gemini": "google",
    "command-": "cohere",
    "rerank-": "cohere",
    "mistral-large": "mistral",
    "mistral-medium": "mistral",
    "codestral": "mistral",
    "grok-": "x-ai",
    "deepseek-chat": "deepseek",
    "deepseek-reasoner": "deepseek",
    "sonar": "perplexity",
}


# Prefixes of gateways that say where a model ran. Others (`meta-llama/`, `qwen/`) name who made it.
_HOSTS = frozenset(
    {"azure_ai", "bedrock", "bedrock_converse", "fireworks_ai", "gemini", "hosted_vllm",
     "ollama_chat", "together_ai", "vertex_ai", "xai"}
)  # fmt: skip


def provider_of_model(model: str) -> str | None:
    """The host in `host/model`, or the vendor whose own name for a model this is; else None."""
    host, slash, _ = model.lower().partition("/")
    if slash:
        return host if host in PROVIDERS or host in _HOSTS else None
    for start, provider in _PREFIXES.items():
        if host.startswith(start):
            return provider
    return None


def provider_for(given: str | None, model: str | None, options: ImportOptions) -> str:
    """The provider that the row names, else the caller's, else the model's own vendor.

    Raises RowError.
    """
    provider = given or options.provider or (provider_of_model(model) if model else None)
    if provider is None:
        raise RowError(
            f"the row names no provider for {model!r}: give one with --provider", field="provider"
        )
    return provider
