"""Model matching: the names that calls report to the models of the price book, by stated rules.

A name never matches a different model: only whole names, documented prefixes (routes, resource
paths, ARNs, geo profiles) and documented suffixes (snapshot dates, versions) are taken apart, and
an own price under the longer name always wins. What is not matched is unpriced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from llm_cost_ops.core.providers.names import provider_id

MAX_NAME_LENGTH = 512
MAX_SEGMENTS = 12
GOV_REGION = "us-gov-west-1"

Find = Callable[[str, str], tuple[str, bool] | None]
"""(provider, lower-case name) to (canonical lower-case model, whether the name is an alias)."""

_DATE = re.compile(r"^(?P<base>.+?)[-@](?P<y>20\d\d)(?P<dash>-?)(?P<m>\d\d)(?P=dash)(?P<d>\d\d)$")
_GOOGLE_VERSION = re.compile(r"^(?P<base>.+?)(?:-\d{3}|@(?:\d{3}|default|latest))$")
_LATEST = re.compile(r"^(?P<base>.+?)-latest$")
_FT_SUFFIX = re.compile(r"^(?P<base>.+?)\.ft-.+$")
_ARN = re.compile(
    r"^arn:(?P<partition>aws[a-z-]*):bedrock:(?P<region>[a-z0-9-]*):\d*:"
    r"(?P<type>foundation-model|inference-profile)/(?P<id>[^/]+)$"
)
_BEDROCK_VERSION = re.compile(r"^(?P<base>.+?)-v\d+(?::\d+)?$")
_BEDROCK_MINOR = re.compile(r"^(?P<base>.+-v\d+):\d+$")
_BEDROCK_THROUGHPUT = re.compile(r":\d+:(?:\d+k|mm|\d+)$")
_BEDROCK_GEO = re.compile(r"^(?P<geo>us-gov|us)\.(?P<base>.+)$")
_AWS_REGION = re.compile(r"^[a-z]{2}(?:-[a-z]+)+-\d$")
_AWS_ROUTES = frozenset({"converse", "converse_like", "invoke"})
_AZURE_ZONES = frozenset({"eu", "us", "apac", "global", "global-standard", "us-gov"})
GATEWAYS = frozenset({"litellm", "portkey", "helicone"})
"""Providers that pass a call on to the one that the model name begins with. A host that runs
models itself (vllm, ollama) is none of them: `openai/gpt-oss-120b` there is not OpenAI's price."""

_MAKERS = frozenset(
    {"openai", "anthropic", "google", "mistral", "cohere", "meta", "deepseek", "x-ai", "moonshotai"}
)


@dataclass(frozen=True, slots=True)
class Match:
    """`model` is the canonical lower-case model; `region` is one that the name itself states."""

    provider: str
    model: str
    rule: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class _Form:
    """A way to read a name; `fixed` forms may not be shortened further."""

    provider: str
    name: str
    rule: str
    region: str | None = None
    fixed: bool = False


def match_model(provider: str, model: str, find: Find) -> Match | None:
    """The model that a call's provider and model name mean, or None.

    The name's own prefix decides the provider only for gateways, which forward calls and sell none.
    """
    name = model.strip().lower()
    if not name or len(name) > MAX_NAME_LENGTH or name.count("/") > MAX_SEGMENTS:
        return None
    for form in _forms(provider, name):
        found = find(form.provider, form.name)
        if found is not None:
            return _match(form, found, "exact")
        if form.fixed:
            continue
        for shorter, rule in _shorter(form.provider, form.name):
            found = find(form.provider, shorter)
            if found is not None:
                return _match(form, found, rule)
    return None


def _match(form: _Form, found: tuple[str, bool], rule: str) -> Match:
    canonical, is_alias = found
    if form.rule != "exact":
        rule = form.rule
    elif rule == "exact" and is_alias:
        rule = "snapshot" if _is_snapshot(form.name) else "alias"
    return Match(form.provider, canonical, rule, form.region)


def _is_snapshot(name: str) -> bool:
    match = _DATE.match(name)
    return match is not None and _is_date(match)


def _forms(provider: str, name: str) -> Iterator[_Form]:
    """Readings of a name from the most literal to the most taken apart."""
    plain = _Form(provider, name, "exact")
    if name.startswith("ft:") or _FT_SUFFIX.match(name):
        yield _Form(provider, name, "exact", fixed=True)
        yield from _fine_tuned(provider, name)
        return
    yield plain
    yield from _provider_forms(plain)
    head, slash, rest = name.partition("/")
    if not slash or not rest:
        return
    named = provider_id(head)
    if named == provider:
        yield from _prefixed(provider, rest)
    elif named is not None and provider in GATEWAYS:
        yield from _prefixed(named, rest)
    elif named in _MAKERS:
        yield _Form(provider, rest, "prefix")


def _prefixed(provider: str, rest: str) -> Iterator[_Form]:
    if rest.startswith("ft:"):
        return _fine_tuned(provider, rest)
    form = _Form(provider, rest, "prefix")
    return chain((form,), _provider_forms(form))


def _fine_tuned(provider: str, name: str) -> Iterator[_Form]:
    """`ft:base:org:name:id` and Azure's `base.ft-id` have rows of their own; never the base's."""
    suffixed = _FT_SUFFIX.match(name)
    base = suffixed["base"] if suffixed else name.split(":")[1]
    for candidate in (base, *(shorter for shorter, _ in _shorter(provider, base))):
        yield _Form(provider, f"ft:{candidate}", "fine_tuned", fixed=True)


def _provider_forms(form: _Form) -> Iterator[_Form]:
    if form.provider == "aws":
        yield from _bedrock_forms(form)
    elif form.provider == "google":
        yield from _google_forms(form)
    elif form.provider == "azure":
        zone, slash, rest = form.name.partition("/")
        if slash and zone in _AZURE_ZONES:
            region = "global" if zone == "global-standard" else zone
            yield _Form("azure", rest, "prefix", region)
    elif form.provider == "fireworks":
        rest = form.name.removeprefix("fireworks/models/").removeprefix("models/")
        yield _Form("fireworks", f"accounts/fireworks/models/{rest}", "prefix")


def _bedrock_forms(form: _Form) -> Iterator[_Form]:
    region: str | None = form.region
    name = form.name
    if name.startswith("arn:"):
        arn = _ARN.match(name)
        if arn is None:
            return  # provisioned throughput, imported and custom models have no price per call
        name = arn["id"]
        # A profile names its geography itself; where it was called from sets no price.
        stated = arn["type"] == "foundation-model" or arn["region"].startswith("us-gov")
        region = arn["region"] or None if stated else None
    else:
        head, slash, rest = name.partition("/")
        if slash and head in _AWS_ROUTES:
            name, (head, slash, rest) = rest, rest.partition("/")
        if slash and _AWS_REGION.match(head):
            region, name = head, rest
    if _BEDROCK_THROUGHPUT.search(name):
        return
    if name != form.name or region != form.region:
        yield _Form("aws", name, "bedrock_id", region)
    geo = _BEDROCK_GEO.match(name)
    if geo:
        gov = GOV_REGION if geo["geo"] == "us-gov" else region
        yield _Form("aws", geo["base"], "bedrock_id", gov)


def _google_forms(form: _Form) -> Iterator[_Form]:
    """`models/x`, `publishers/p/models/x` and the full resource path; endpoints have no model."""
    head, marker, rest = form.name.rpartition("models/")
    if not marker or "/" in rest or head.endswith("tuned"):
        return
    location = re.search(r"(?:^|/)locations/([a-z0-9-]+)/", head)
    yield _Form("google", rest, "prefix", location[1] if location else form.region)


def _shorter(provider: str, name: str) -> Iterator[tuple[str, str]]:
    """The same model under a less specific name: other date spelling, then no date or version."""
    match = _DATE.match(name)
    if match and _is_date(match):
        base, joint = match["base"], "" if match["dash"] else "-"
        yield f"{base}-{joint.join((match['y'], match['m'], match['d']))}", "snapshot"
        yield base, "snapshot"
        yield f"{base}-latest", "snapshot"
    for pattern in _suffixes(provider):
        found = pattern.match(name)
        if found:
            yield found["base"], "bedrock_id" if provider == "aws" else "snapshot"
            inner = _DATE.match(found["base"])
            if inner and _is_date(inner):
                yield inner["base"], "bedrock_id" if provider == "aws" else "snapshot"


def _suffixes(provider: str) -> tuple[re.Pattern[str], ...]:
    if provider == "aws":
        return (_BEDROCK_MINOR, _BEDROCK_VERSION)
    if provider == "google":
        return (_GOOGLE_VERSION, _LATEST)
    return (_LATEST,)


def _is_date(match: re.Match[str]) -> bool:
    return 1 <= int(match["m"]) <= 12 and 1 <= int(match["d"]) <= 31
