"""JSON usage record -> priced, beside LiteLLM's `completion_cost` for the same calls.

Ours begins with the bytes of a request of 1,000 records: strict decoding (duplicate keys refused),
the price of the call's date, provider and context, its tier, the kinds of tokens, one rounding.
The peer begins with a response object that is already built. Both are timed in seconds of the
thread's CPU, because the unit is records per second and core. No price depends on the metadata,
which are looked into on the way to a row of the ledger only; the floor does not look into them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bench.calls import batches, body_of, now
from bench.figures import Figure, arguments, paired, ratio_text, say, thousands
from bench.floor import RATE, Floor, goal_text
from bench.machine import installed
from llm_cost_ops.core.instant import to_micros
from llm_cost_ops.core.pricing.book import PriceBook
from llm_cost_ops.server.ingest import decode
from llm_cost_ops.server.ingest.draft import Door, draft_usage, price_usual
from llm_cost_ops.server.ingest.schema import WireRecord
from llm_cost_ops.server.pricing.resolve import CardRegistry, OrganizationPrices

GOAL = 300_000
GOAL_RATIO = 25
BATCH = 1000
JSON = "application/json"


class Ours:
    """The path of `POST /usage/batch` up to the price, and up to the row of the ledger."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self._bodies = bodies
        self._prices = OrganizationPrices(PriceBook.packaged(), CardRegistry())

    def _door(self) -> Door:
        return Door("org-bench", self._prices, to_micros(now()), recorded_by="key_bench")

    def priced(self) -> list[float | None]:
        """The cost of each record in 1e-10 USD."""
        found: list[float | None] = []
        for body in self._bodies:
            door = self._door()
            priced = [price_usual(record, door) for record in _to_price(body)]
            found += [None if one is None else one[4] for one in priced]
        return found

    def price_rate(self) -> float:
        count = 0
        began = time.thread_time()
        for body in self._bodies:
            door = self._door()
            count += len([price_usual(record, door) for record in _to_price(body)])
        return count / (time.thread_time() - began)

    def draft_rate(self) -> float:
        count = 0
        began = time.thread_time()
        for body in self._bodies:
            door = self._door()
            count += len([draft_usage(record, door) for record in _whole(body)])
        return count / (time.thread_time() - began)


def _to_price(body: bytes) -> list[Any]:
    return decode.records_to_price(body, JSON, BATCH)


def _whole(body: bytes) -> list[Any]:
    return decode.decode_records(body, JSON, BATCH)


class Peer:
    """LiteLLM, on response objects made beforehand."""

    def __init__(self, records: Sequence[WireRecord]) -> None:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no download of a newer table
        import litellm  # pyright: ignore[reportMissingImports]

        self._cost = litellm.completion_cost
        self._calls = [(self._response(litellm, record), record.provider) for record in records]

    @staticmethod
    def _response(litellm: Any, record: WireRecord) -> Any:
        usage = litellm.Usage(
            prompt_tokens=record.prompt_tokens,
            completion_tokens=record.completion_tokens,
            total_tokens=(record.prompt_tokens or 0) + (record.completion_tokens or 0),
            prompt_tokens_details={"cached_tokens": record.cached_tokens or 0},
        )
        return litellm.ModelResponse(model=record.model, usage=usage)

    def costs(self) -> list[float]:
        provider = {"google": "gemini"}
        return [
            self._cost(completion_response=response, custom_llm_provider=provider.get(name, name))
            for response, name in self._calls
        ]

    def rate(self) -> float:
        began = time.thread_time()
        count = len(self.costs())
        return count / (time.thread_time() - began)


def agreement(ours: Sequence[float | None], theirs: Sequence[float]) -> str:
    """How many of the calls cost the same on both sides, to a part in a million."""
    same = sum(
        cost is not None and abs(cost / 1e10 - other) <= 1e-6 * other
        for cost, other in zip(ours, theirs, strict=False)
    )
    return f"{same} of {len(theirs)} costs equal"


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(__doc__, given)
    count, peers = (1, 20) if chosen.tiny else (100, 2000)
    made = batches(count, BATCH, over=timedelta(days=30), until=now())
    bodies = [body_of(batch) for batch in made]
    ours = Ours(bodies)
    records = [r for body in bodies for r in _to_price(body)][:peers]
    peer = Peer([record for record in records if isinstance(record, WireRecord)])
    equal = agreement(ours.priced()[:peers], peer.costs())
    floor = paired(ours.price_rate, Floor(bodies).rate, chosen.runs)
    found = paired(ours.price_rate, peer.rate, chosen.runs)
    drafted = paired(ours.draft_rate, peer.rate, chosen.runs)
    size = sum(map(len, bodies)) // (count * BATCH)
    peer_name = f"LiteLLM {installed('litellm')}"
    say(
        [
            Figure(
                f"JSON usage record ({size} bytes, metadata unread) to price, one core",
                f"{goal_text(GOAL)}; {GOAL_RATIO} x LiteLLM `completion_cost`",
                f"floor: {thousands(floor.beside)}/s; "
                f"{peer_name}: {thousands(found.beside)}/s ({equal})",
                f"{thousands(floor.ours)}/s",
                f"{ratio_text(floor)}; {ratio_text(found)}",
                [floor.ratio >= GOAL / RATE, found.ratio >= GOAL_RATIO],
            ),
            Figure(
                "the same to a row of the ledger (labels, metadata, digest)",
                "stated",
                f"{peer_name}: {thousands(drafted.beside)}/s",
                f"{thousands(drafted.ours)}/s",
                ratio_text(drafted),
                [],
            ),
        ]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
