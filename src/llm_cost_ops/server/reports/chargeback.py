"""Who bears which cost: statements of direct use and of the shared costs that rules divide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llm_cost_ops.core.money import plain
from llm_cost_ops.core.report.allocate import Allocation, Line, Statement, allocate
from llm_cost_ops.core.report.document import (
    Block,
    Cell,
    Chart,
    Column,
    Section,
    Series,
    Table,
    Text,
)
from llm_cost_ops.core.wording import calls
from llm_cost_ops.server.reports.blocks import (
    MAX_ROWS,
    NONE,
    TOP,
    Options,
    title_of,
    titled,
)
from llm_cost_ops.server.reports.booked import of_books
from llm_cost_ops.server.reports.compared import cost_cell
from llm_cost_ops.server.reports.material import Grouped, Material, Names

STATEMENTS = 50
MODELS = ("provider", "model")
_BASES = {
    "equal": "in equal parts", "fixed": "by fixed shares", "cost": "in proportion to direct cost",
    "tokens": "in proportion to tokens", "requests": "in proportion to calls",
}  # fmt: skip


def chargeback(material: Material, options: Options) -> Section:
    """What each is charged: direct cost, a part of each shared cost, and the total."""
    wanted = material.wanted
    name, rules = title_of(wanted.charge_by), wanted.rules
    groups = material.groups((wanted.charge_by,))
    found = allocate(_lines(groups), rules)
    unknown = _unknown(groups)
    lost = _lost(material, unknown, groups)
    money = material.currency
    table = Table(
        f"Charged by {name.lower()}",
        (
            Column(name), Column("Direct", "money", money),
            *(Column(rule.name, "money", money) for rule in rules),
            Column("Charged", "money", money),
        ),
        _rows(found, unknown, lost),
        _totals(found, material, unknown, lost),
        "The shares of a rule are rounded to 1e-10 by the largest remainder, so that they sum to "
        "what it divides; all that is charged is the total cost of the report.",
        material.query("/costs/aggregate", group_by=(wanted.charge_by,)),
    )  # fmt: skip
    top = _ordered(found)[:TOP]
    chart = Chart(
        "bars", f"Charged most by {name.lower()}",
        f"The {len(top)} that are charged most.", tuple(_label(each) for each, _ in top),
        (Series("Charged", tuple(_charged(one, each in unknown) for each, one in top)),),
        currency=money, query=table.query,
    )  # fmt: skip
    return Section(
        titled(options, "Chargeback"), (chart, table, *_told(material, found, name.lower()))
    )


def statements(material: Material, options: Options) -> Section:
    """A statement of each that is charged: the models it used, and its part of what is shared."""
    wanted = material.wanted
    by, rules = wanted.charge_by, wanted.rules
    detail = material.groups((by, *MODELS))
    groups = material.groups((by,))
    found, unknown = allocate(_lines(groups), rules), _unknown(groups)
    lost = _lost(material, unknown, groups)
    own: dict[str | None, list[tuple[Names, Cell, int]]] = {}
    for key, totals in detail.items():
        own.setdefault(key[0], []).append((key[1:], cost_cell(totals), totals.cost))
    ordered = _ordered(found)
    query = material.query("/costs/aggregate", group_by=(by, *MODELS))
    blocks: list[Block] = []
    for name, statement in ordered[:STATEMENTS]:
        lines = sorted(own.get(name, []), key=lambda each: (-each[2], str(each[0])))
        rows: list[tuple[Cell, ...]] = [
            (" / ".join(str(part) for part in key), "direct", cost)
            for key, cost, _ in lines[:MAX_ROWS]
        ]
        if rest := lines[MAX_ROWS:]:
            has_price = any(cell is not None for _, cell, _ in rest)
            cost = sum(each for _, _, each in rest) if has_price else None
            rows.append((f"{len(rest)} others", "direct", cost))
        for rule, units in zip(rules, _known(statement.allocated_e10, lost), strict=True):
            rows.append((rule.name, "shared", units))
        blocks.append(
            Table(
                f"Statement of {_label(name)}",
                (
                    Column("Position"), Column("Kind"),
                    Column("Amount", "money", material.currency),
                ),
                tuple(rows), ("Total", "", _charged(statement, name in unknown)), None, query,
            )
        )  # fmt: skip
    if len(ordered) > STATEMENTS:
        blocks.append(
            Text(f"{len(ordered) - STATEMENTS} further statements are sums in the table above.")
        )
    if not blocks:
        blocks.append(Text("Nothing was used."))
    return Section(titled(options, "Statements"), tuple(blocks))


def _lines(groups: Grouped) -> dict[str | None, Line]:
    return {
        key[0]: Line(totals.cost, totals.total_tokens, totals.requests)
        for key, totals in groups.items()
    }


def _label(name: str | None) -> str:
    return NONE if name is None else name


def _unknown(groups: Grouped) -> frozenset[str | None]:
    """Those of whose calls none has a price: their direct cost is not known."""
    return frozenset(key[0] for key, totals in groups.items() if totals.is_unpriced)


def _charged(statement: Statement, unknown: bool) -> int | None:
    """What is charged; not known where nothing is but calls without a price."""
    return None if unknown and not any(statement.allocated_e10) else statement.total_e10


def _ordered(found: Allocation) -> list[tuple[str | None, Statement]]:
    return sorted(found.statements.items(), key=lambda each: (-each[1].total_e10, str(each[0])))


def _rows(
    found: Allocation, unknown: frozenset[str | None], lost: Sequence[bool]
) -> tuple[tuple[Cell, ...], ...]:
    ordered = _ordered(found)
    rows = [_row(_label(name), [(name, each)], unknown, lost) for name, each in ordered[:MAX_ROWS]]
    if rest := ordered[MAX_ROWS:]:
        rows.append(_row(f"{len(rest)} others", rest, unknown, lost))
    if any(found.left):
        rows.append(("(borne by nobody)", 0, *found.left, sum(found.left)))
    return tuple(rows)


def _row(
    label: str,
    them: Sequence[tuple[str | None, Statement]],
    unknown: frozenset[str | None],
    lost: Sequence[bool],
) -> tuple[Cell, ...]:
    """What they are charged together; not known where of nobody's calls one has a price."""
    parts = [(each.direct_e10, *each.allocated_e10) for _, each in them]
    direct, *shared = (sum(column) for column in zip(*parts, strict=True))
    is_unknown = all(name in unknown for name, _ in them)
    charged = None if is_unknown and not any(shared) else direct + sum(shared)
    return (label, None if is_unknown else direct, *_known(shared, lost), charged)


def _known(shared: Sequence[int], lost: Sequence[bool]) -> Iterator[int | None]:
    """Parts of what rules divide; None of what is not known."""
    return (None if no else part for part, no in zip(shared, lost, strict=True))


def _lost(material: Material, unknown: frozenset[str | None], groups: Grouped) -> list[bool]:
    """For each rule whether it divides nothing but calls without a price."""
    names = {key[0] for key in groups}
    named = [names & rule.shared for rule in material.wanted.rules]
    return [bool(shared) and shared <= unknown for shared in named]


def _totals(
    found: Allocation, material: Material, unknown: frozenset[str | None], lost: Sequence[bool]
) -> tuple[Cell, ...]:
    if material.overview.is_unpriced:
        return ("Total", None, *(None for _ in found.pools), None)
    direct = sum(each.direct_e10 for each in found.statements.values())
    is_unknown = bool(found.statements) and found.statements.keys() <= unknown
    pools = _known(found.pools, lost)
    return ("Total", None if is_unknown else direct, *pools, found.total_e10)


def _told(material: Material, found: Allocation, name: str) -> list[Block]:
    """The rules in words, and what they left."""
    blocks: list[Block] = []
    for rule, left in zip(material.wanted.rules, found.left, strict=True):
        shared = ", ".join(sorted(_label(each) for each in rule.shared))
        shares = "".join(f"; {each} {plain(share)}" for each, share in sorted(rule.shares.items()))
        blocks.append(Text(f"{rule.name}: the cost of {name} {shared} is divided "
                           f"{_BASES[rule.by]}{shares}."))  # fmt: skip
        if left:
            blocks.append(Text(f"Nobody can bear {rule.name}: there is no {name} to divide it by."))
    if material.overview.unpriced:
        blocks.append(
            Text(f"Charged to nobody: {calls(material.overview.unpriced)} without a price.")
        )
    return [*blocks, *of_books(material)]
