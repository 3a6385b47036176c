"""Who bears which cost: statements of direct use and of the shared costs that rules divide."""

from __future__ import annotations

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
    money = material.currency
    table = Table(
        f"Charged by {name.lower()}",
        (
            Column(name), Column("Direct", "money", money),
            *(Column(rule.name, "money", money) for rule in rules),
            Column("Charged", "money", money),
        ),
        _rows(found, unknown),
        _totals(found, material),
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
        if len(lines) > MAX_ROWS:
            rest = sum(cost for _, _, cost in lines[MAX_ROWS:])
            rows.append((f"{len(lines) - MAX_ROWS} others", "direct", rest))
        for rule, units in zip(rules, statement.allocated_e10, strict=True):
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


def _rows(found: Allocation, unknown: frozenset[str | None]) -> tuple[tuple[Cell, ...], ...]:
    ordered = _ordered(found)
    rows: list[tuple[Cell, ...]] = [
        (
            _label(name), None if name in unknown else each.direct_e10, *each.allocated_e10,
            _charged(each, name in unknown),
        )
        for name, each in ordered[:MAX_ROWS]
    ]  # fmt: skip
    rest = [each for _, each in ordered[MAX_ROWS:]]
    if rest:
        shared = [sum(column) for column in zip(*(e.allocated_e10 for e in rest), strict=True)]
        direct, total = sum(e.direct_e10 for e in rest), sum(e.total_e10 for e in rest)
        rows.append((f"{len(rest)} others", direct, *shared, total))
    if any(found.left):
        rows.append(("(borne by nobody)", 0, *found.left, sum(found.left)))
    return tuple(rows)


def _totals(found: Allocation, material: Material) -> tuple[Cell, ...]:
    if material.overview.is_unpriced:
        return ("Total", None, *(None for _ in found.pools), None)
    direct = sum(each.direct_e10 for each in found.statements.values())
    return ("Total", direct, *found.pools, found.total_e10)


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
            Text(f"{material.overview.unpriced} calls have no price yet and are charged to nobody.")
        )
    return [*blocks, *of_books(material)]
