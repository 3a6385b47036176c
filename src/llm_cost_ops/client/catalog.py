"""Whose model a bare name is, for records that name none: `gpt-4` is OpenAI's."""

from __future__ import annotations

PREFIXES: tuple[tuple[str, str], ...] = (
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("ft:gpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-", "openai"),
    ("dall-e", "openai"),
    ("whisper", "openai"),
    ("tts-", "openai"),
    ("omni-moderation", "openai"),
    ("claude", "anthropic"),
    ("gemini", "google"),
    ("palm", "google"),
    ("command", "cohere"),
    ("embed-", "cohere"),
    ("rerank-", "cohere"),
    ("mistral", "mistral"),
    ("ministral", "mistral"),
    ("magistral", "mistral"),
    ("codestral", "mistral"),
    ("pixtral", "mistral"),
    ("grok", "xai"),
    ("deepseek", "deepseek"),
    ("sonar", "perplexity"),
)


def provider_of(model: str) -> str | None:
    """The provider that a model name implies, or None: hosts that resell models must be named."""
    name = model.lower()
    return next((provider for prefix, provider in PREFIXES if name.startswith(prefix)), None)
