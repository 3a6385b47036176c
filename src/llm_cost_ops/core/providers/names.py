"""Provider names: one canonical id per provider, and the other names it goes by.

The ids are those of the price book. Aliases are the names of SDKs, gateways, OpenTelemetry
(`gen_ai.provider.name`) and the public price books. A name is compared without case, and with
space, `_`, `.` and `/` read as `-`, so `azure_openai` and `azure.openai` need one entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MAX_NAME_LENGTH = 100

PROVIDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "openai": ("open-ai", "chatgpt", "text-completion-openai"),
        "anthropic": ("claude",),
        "google": (
            "gemini", "google-gemini", "google-ai", "google-ai-studio", "google-genai",
            "google-gla", "google-vertex", "google-cloud", "vertex", "vertexai", "vertex-ai",
            "gcp", "gcp-gemini", "gcp-vertex-ai", "gcp-gen-ai", "palm",
            "vertex-ai-language-models", "vertex-ai-anthropic-models", "vertex-ai-mistral-models",
            "vertex-ai-llama-models", "vertex-ai-embedding-models", "vertex-ai-video-models",
            "vertex-ai-ai21-models", "vertex-ai-deepseek-models", "vertex-ai-qwen-models",
            "vertex-ai-zai-models", "vertex-ai-openai-models", "vertex-ai-text-models",
            "vertex-ai-minimax-models", "vertex-ai-moonshot-models",
        ),
        "azure": (
            "azure-openai", "azureopenai", "openai-azure", "azure-ai", "azure-ai-openai",
            "azure-ai-inference", "azure-ai-foundry", "azure-text", "az-ai-inference",
            "az-ai-openai", "microsoft", "microsoft-foundry", "microsoft-azure",
        ),
        "aws": (
            "bedrock", "aws-bedrock", "amazon-bedrock", "amazon", "amazon-nova",
            "bedrock-converse", "bedrock-mantle", "bedrock-runtime",
        ),
        "cohere": ("cohere-ai", "cohere-chat"),
        "mistral": ("mistral-ai", "mistralai", "codestral", "text-completion-codestral"),
        "x-ai": ("xai", "grok"),
        "deepseek": ("deep-seek", "deepseek-ai"),
        "groq": ("groqcloud",),
        "perplexity": ("perplexity-ai", "perplexityai", "pplx"),
        "openrouter": ("open-router", "openrouter-ai"),
        "together": ("together-ai", "togetherai"),
        "fireworks": ("fireworks-ai", "fireworksai", "fireworks-ai-embedding-models"),
        "cerebras": ("cerebras-ai",),
        "ollama": ("ollama-chat", "ollama-cloud"),
        "vllm": ("hosted-vllm",),
        "ai21": ("ai21-labs", "ai21labs"),
        "aihubmix": (),
        "aiml": ("aimlapi", "aiml-api"),
        "alibaba": (
            "dashscope", "qwen", "alibaba-cloud", "aliyun", "qwen-ai-platform", "qwencloud",
        ),
        "anyscale": (),
        "arcee": ("arcee-ai",),
        "assemblyai": ("assembly-ai",),
        "avian": (),
        "baseten": (),
        "black-forest-labs": ("bfl",),
        "cloudflare": ("workers-ai", "cloudflare-workers-ai"),
        "crusoe": (),
        "cursor": (),
        "databricks": ("mosaic",),
        "deepgram": (),
        "deepinfra": ("deep-infra",),
        "doubleword": (),
        "elevenlabs": ("eleven-labs",),
        "fal": ("fal-ai",),
        "featherless": ("featherless-ai",),
        "friendli": ("friendliai", "friendli-ai"),
        "gigachat": (),
        "github-copilot": ("copilot", "githubcopilot"),
        "github": ("github-models",),
        "gmi": ("gmi-cloud",),
        "gradient": ("gradient-ai", "digitalocean"),
        "heroku": (),
        "huggingface": ("hugging-face", "hf"),
        "huggingface_cerebras": (),
        "huggingface_fireworks-ai": (),
        "huggingface_groq": (),
        "huggingface_hyperbolic": (),
        "huggingface_nebius": (),
        "huggingface_novita": (),
        "huggingface_nscale": (),
        "huggingface_ovhcloud": (),
        "huggingface_publicai": (),
        "huggingface_sambanova": (),
        "huggingface_together": (),
        "hyperbolic": (),
        "inception": ("inception-ai", "text-completion-inception"),
        "jina": ("jina-ai", "jinaai"),
        "lambda": ("lambda-ai", "lambda-labs"),
        "lemonade": (),
        "litellm": ("litellm-proxy",),
        "llamacpp": ("llama-cpp",),
        "lmstudio": ("lm-studio",),
        "meta": ("meta-llama", "llama-api", "meta-llama-api"),
        "minimax": ("minimax-ai",),
        "modal": (),
        "moonshotai": ("moonshot", "moonshot-ai", "kimi"),
        "morph": (),
        "nebius": ("nebius-ai", "nebius-ai-studio"),
        "novita": ("novita-ai",),
        "nscale": (),
        "nvidia": ("nvidia-nim", "nim"),
        "oci": ("oracle", "oracle-cloud", "oci-genai"),
        "openai-decisions": (),
        "ovhcloud": ("ovh",),
        "publicai": ("public-ai",),
        "quicksilverpro": (),
        "recraft": (),
        "replicate": (),
        "runwayml": ("runway",),
        "sagemaker": ("aws-sagemaker",),
        "sambanova": ("samba-nova",),
        "scaleway": (),
        "snowflake": ("snowflake-cortex", "cortex"),
        "stability": ("stability-ai",),
        "tencent": ("hunyuan",),
        "typesafe": (),
        "v0": ("vercel-v0",),
        "vercel": ("vercel-ai-gateway", "ai-gateway"),
        "volcengine": ("bytedance", "ark", "doubao", "byteplus"),
        "voyageai": ("voyage", "voyage-ai"),
        "wandb": ("weights-and-biases", "wandb-inference"),
        "watsonx": ("ibm-watsonx-ai", "watsonx-ai", "ibm", "ibm-watsonx"),
        "xiaomi": ("xiaomi-mimo", "mimo"),
        "zai": ("z-ai",),
        "zhipuai": ("zhipu", "zhipu-ai", "bigmodel"),
    }
)  # fmt: skip
"""Canonical id -> aliases."""

_SEPARATORS = str.maketrans(" _./", "----")


def _key(name: str) -> str:
    return name.strip().lower().translate(_SEPARATORS)


_IDS: Mapping[str, str] = MappingProxyType(
    {
        _key(name): provider
        for provider, aliases in PROVIDERS.items()
        for name in (provider, *aliases)
    }
)


def provider_id(name: str) -> str | None:
    """Canonical id of a provider by any of its names; None when the name is not known."""
    if name in PROVIDERS:
        return name
    return _IDS.get(_key(name)) if len(name) <= MAX_NAME_LENGTH else None
