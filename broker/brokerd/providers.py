"""What is known of each provider: its hosts, its variables, the shape of its keys. (Data.)

Sources: each vendor's API reference for the host and the variable; LiteLLM's provider list for
the variables it reads; the vendors' published key prefixes, as secret scanners use them.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Provider(NamedTuple):
    """One provider of models.

    Attributes:
        hosts: Where its keys may go, unless the user says otherwise.
        variable: The variable that its SDK reads the key from.
        aliases: Variables that would be read instead of `variable`, and so shadow a reference.
        pattern: What its keys look like, where they have a shape; None otherwise.
    """

    hosts: tuple[str, ...]
    variable: str
    aliases: tuple[str, ...] = ()
    pattern: str | None = None


PROVIDERS: dict[str, Provider] = {
    "openai": Provider(
        ("api.openai.com",),
        "OPENAI_API_KEY",
        ("OPENAI_KEY", "OPENAI_LIKE_API_KEY", "OPENAI_ADMIN_KEY"),
        r"sk-(?!ant-|or-)(?:proj-|svcacct-|admin-|None-)?[A-Za-z0-9_-]{20,}",
    ),
    "anthropic": Provider(
        ("api.anthropic.com",),
        "ANTHROPIC_API_KEY",
        ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_TOKEN", "CLAUDE_API_KEY"),
        r"sk-ant-[A-Za-z0-9_-]{20,}",
    ),
    "openrouter": Provider(
        ("openrouter.ai",), "OPENROUTER_API_KEY", ("OR_API_KEY",), r"sk-or-[A-Za-z0-9_-]{20,}"
    ),
    "gemini": Provider(
        ("generativelanguage.googleapis.com",),
        "GEMINI_API_KEY",
        ("GOOGLE_API_KEY", "PALM_API_KEY"),
        r"AIza[A-Za-z0-9_-]{35}",
    ),
    "groq": Provider(("api.groq.com",), "GROQ_API_KEY", (), r"gsk_[A-Za-z0-9]{20,}"),
    "mistral": Provider(("api.mistral.ai",), "MISTRAL_API_KEY"),
    "codestral": Provider(("codestral.mistral.ai",), "CODESTRAL_API_KEY"),
    "cohere": Provider(("api.cohere.com", "api.cohere.ai"), "COHERE_API_KEY", ("CO_API_KEY",)),
    "deepseek": Provider(("api.deepseek.com",), "DEEPSEEK_API_KEY"),
    "xai": Provider(("api.x.ai",), "XAI_API_KEY", (), r"xai-[A-Za-z0-9]{20,}"),
    "perplexity": Provider(
        ("api.perplexity.ai",),
        "PERPLEXITYAI_API_KEY",
        ("PERPLEXITY_API_KEY",),
        r"pplx-[A-Za-z0-9]{20,}",
    ),
    "together_ai": Provider(
        ("api.together.xyz", "api.together.ai"),
        "TOGETHERAI_API_KEY",
        ("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHER_AI_TOKEN"),
    ),
    "fireworks_ai": Provider(
        ("api.fireworks.ai",),
        "FIREWORKS_AI_API_KEY",
        ("FIREWORKS_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
        r"fw_[A-Za-z0-9]{20,}",
    ),
    "huggingface": Provider(
        ("router.huggingface.co", "api-inference.huggingface.co"),
        "HUGGINGFACE_API_KEY",
        ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
        r"hf_[A-Za-z0-9]{30,}",
    ),
    "replicate": Provider(
        ("api.replicate.com",),
        "REPLICATE_API_KEY",
        ("REPLICATE_API_TOKEN",),
        r"r8_[A-Za-z0-9]{30,}",
    ),
    "cerebras": Provider(("api.cerebras.ai",), "CEREBRAS_API_KEY", (), r"csk-[a-z0-9]{20,}"),
    "deepinfra": Provider(("api.deepinfra.com",), "DEEPINFRA_API_KEY"),
    "nvidia_nim": Provider(
        ("integrate.api.nvidia.com",),
        "NVIDIA_NIM_API_KEY",
        ("NVIDIA_API_KEY",),
        r"nvapi-[A-Za-z0-9_-]{20,}",
    ),
    "sambanova": Provider(("api.sambanova.ai",), "SAMBANOVA_API_KEY"),
    "voyage": Provider(("api.voyageai.com",), "VOYAGE_API_KEY"),
    "jina_ai": Provider(("api.jina.ai",), "JINA_AI_API_KEY", ("JINA_API_KEY",)),
    "moonshot": Provider(("api.moonshot.ai",), "MOONSHOT_API_KEY"),
    "bedrock": Provider(  # its hosts are its region's
        (),
        "AWS_ACCESS_KEY_ID",
        (
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_SECURITY_TOKEN",
            "AWS_BEARER_TOKEN_BEDROCK",
            "AWS_CREDENTIAL_EXPIRATION",  # of the user's own: botocore would take it for these
        ),
        r"A(?:KIA|SIA)[A-Z2-7]{16}(?![A-Z0-9])",
    ),
    "azure": Provider((), "AZURE_API_KEY", ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN")),
    "azure_ai": Provider((), "AZURE_AI_API_KEY"),
}

# Not in the middle of a word: "task-management-service-production" holds no OpenAI key.
_PATTERNS = re.compile(
    "(?<![A-Za-z0-9])(?:"
    + "|".join(p.pattern for p in PROVIDERS.values() if p.pattern is not None)
    + ")"
)
_VARIABLES: dict[str, str] = {
    variable: name
    for name, provider in PROVIDERS.items()
    for variable in (provider.variable, *provider.aliases)
}


def provider_of_variable(variable: str) -> str | None:
    """Return the provider whose key stands in an environment variable of that name."""
    return _VARIABLES.get(variable)


def looks_like_key(value: str) -> bool:
    """Return whether a text is, or holds, something shaped like a known provider's key."""
    return _PATTERNS.search(value) is not None
