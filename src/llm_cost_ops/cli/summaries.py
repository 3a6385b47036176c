"""A summary for people: totals, tokens by kind, and the groups that cost most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llm_cost_ops.cli.costs import MAX_BREAKDOWN, group_columns
from llm_cost_ops.cli.output import Listing, Row
from llm_cost_ops.cli.profile import Profile
from llm_cost_ops.cli.tables import money, print_listing, print_pairs, shown, time_text
from llm_cost_ops.cli.totals import remarks


def print_summary(profile: Profile, found: Row, breakdown: str | None) -> None:
    """Draw a summary, with its `breakdown` by the named dimensions or its dearest models."""
    print_pairs(profile, _totals(found), title=_title(found))
    for line in remarks(found["unpriced_count"], found["partially_priced_count"]):
        print(line)
    rows = found.get("breakdown") if breakdown else found.get("top_models")
    if not rows:
        return
    print()
    dimensions = (breakdown or "provider,model").split(",")
    listing = Listing(group_columns([name.strip() for name in dimensions]))
    print_listing(profile, rows[:MAX_BREAKDOWN], listing)
    if len(rows) > MAX_BREAKDOWN:
        profile.note(f"{len(rows) - MAX_BREAKDOWN:,} more groups: -o json or csv shows all.")


def _title(found: Row) -> str:
    bounds = [
        f"{word} {time_text(found[name])}"
        for word, name in (("from", "start_date"), ("to", "end_date"))
        if found[name]
    ]
    name = found.get("period") or "Summary"
    return f"{name}: {' '.join(bounds)} UTC" if bounds else str(name)


def _totals(found: Row) -> Iterator[tuple[str, str]]:
    several = found.get("currencies")
    for one in several or [found]:
        yield "Total cost", f"{one['currency']} {money(one['total_cost'])}"
        average = one["avg_cost_per_request"]
        if average is not None:
            yield "Average per priced request", f"{one['currency']} {money(average)}"
    yield "Requests", shown(found["total_requests"])
    yield "Tokens", shown(found["total_tokens"])
    tokens: Mapping[str, Any] = found["tokens"]
    for kind, count in tokens.items():
        if count:
            yield f"  {kind}", shown(count)
