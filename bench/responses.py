"""Raw provider response -> usage -> cost, beside genai-prices `extract_usage` + `calc_price`.

The bodies are those of `examples/responses.jsonl` that both sides can price, each with a kilobyte
of text in place of its placeholder. Ours begins with bytes, the peer with the decoded body.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from bench.calls import batches, body_of, now
from bench.figures import Figure, arguments, paired, ratio_text, say, thousands
from bench.floor import RATE, Floor, goal_text
from bench.machine import installed
from llm_cost_ops.core.instant import parse_instant
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.core.providers.extract import extract
from llm_cost_ops.server.pricing.resolve import CardRegistry, OrganizationPrices, Quote

GOAL = 60_000
GOAL_RATIO = 5
EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "responses.jsonl"
PLACEHOLDER = "(left out)"
TEXT = "Words of an answer that nobody keeps. " * 27
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_FLAVOURS = {"openai": ("chat", "responses", "embeddings"), "azure": ("chat",)}


@dataclass(frozen=True, slots=True)
class Response:
    """One body as bytes and decoded, who sent it and when; `flavour` is the peer's name for it."""

    provider: str
    body: bytes
    decoded: dict[str, Any]
    at: datetime
    flavour: str


def responses() -> list[Response]:
    """The bodies that both sides price."""
    prices = OrganizationPrices(PriceBook.packaged(), CardRegistry())
    made: list[Response] = []
    for line in EXAMPLES.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "model" in row:  # the body names none, so the peer could not know it
            continue
        text = json.dumps(row["response"], separators=(",", ":")).replace(PLACEHOLDER, TEXT)
        at = parse_instant(row["timestamp"])
        for flavour in _FLAVOURS.get(row["provider"], ("default",)):
            found = Response(row["provider"], text.encode(), json.loads(text), at, flavour)
            if priced_by_peer(found) is not None and quoted(prices, found).cost_e10 is not None:
                made.append(found)
                break
    return made


def quoted(prices: OrganizationPrices, response: Response) -> Quote:
    """What a response costs, from its bytes."""
    found = extract(response.provider, _decode(response.body))
    return prices.quote(
        prices.provider(response.provider),
        found.model or "",
        response.at,
        found.usage,
        service_tier=found.service_tier or "standard",
        processing=found.processing or "realtime",
        region=found.region,
    )


def priced_by_peer(response: Response) -> Decimal | None:
    """The peer's cost of a response; None where it has no extractor or no price for it."""
    try:
        return _peer_cost(response)
    except (LookupError, ValueError):
        return None


def _peer_cost(response: Response) -> Decimal:
    from genai_prices import calc_price, extract_usage  # pyright: ignore[reportMissingImports]

    found = extract_usage(
        response.decoded, provider_id=response.provider, api_flavor=response.flavour
    )
    price = calc_price(
        found.usage,
        model_ref=found.model.id if found.model else response.decoded["model"],
        provider_id=response.provider,
        genai_request_timestamp=response.at,
    )
    return price.total_price


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(__doc__, given)
    bodies = responses()
    rounds, peer_rounds = (1, 1) if chosen.tiny else (100, 10)
    prices = OrganizationPrices(PriceBook.packaged(), CardRegistry())

    def ours() -> float:
        began = time.thread_time()
        for _ in range(rounds):
            for response in bodies:
                quoted(prices, response)
        return rounds * len(bodies) / (time.thread_time() - began)

    def peer() -> float:
        began = time.thread_time()
        for _ in range(peer_rounds):
            for response in bodies:
                _peer_cost(response)
        return peer_rounds * len(bodies) / (time.thread_time() - began)

    equal = sum(
        abs((quoted(prices, one).cost_e10 or 0) - (priced_by_peer(one) or 0) * 10**10) <= 1
        for one in bodies
    )
    calls = batches(1 if chosen.tiny else 30, 1000, over=timedelta(days=30), until=now())
    floor = paired(ours, Floor([body_of(batch) for batch in calls]).rate, chosen.runs)
    found = paired(ours, peer, chosen.runs)
    providers = len({one.provider for one in bodies})
    size = sum(len(one.body) for one in bodies) // len(bodies)
    say(
        [
            Figure(
                f"raw provider response ({size} bytes; {len(bodies)} of {providers} providers) to "
                "usage to cost, one core",
                f"{goal_text(GOAL)}; {GOAL_RATIO} x genai-prices `extract_usage` + `calc_price`",
                f"floor of records: {thousands(floor.beside)}/s; "
                f"genai-prices {installed('genai-prices')}: {thousands(found.beside)}/s "
                f"({equal} of {len(bodies)} costs equal; it leaves out served tiers, batch, "
                "residency, searches and audio)",
                f"{thousands(floor.ours)}/s",
                f"{ratio_text(floor, 3)}; {ratio_text(found)}",
                [floor.ratio >= GOAL / RATE, found.ratio >= GOAL_RATIO],
            )
        ]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
