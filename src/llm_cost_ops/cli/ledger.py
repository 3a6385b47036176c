"""`verify` and `rebuild`: rollups and budgets against the ledger they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_cost_ops.cli.command import single
from llm_cost_ops.cli.failure import GENERAL, OK
from llm_cost_ops.cli.output import show_object
from llm_cost_ops.cli.profile import Profile


@single("verify", organization=True, shows=("database_url",))
def verify(profile: Profile) -> int:
    """Prove that rollups and budgets equal the ledger to the last digit; exit with 1 otherwise.

    Without --organization all organizations of the database are compared.

    $ cost-ops verify
    $ cost-ops verify --organization acme -o json
    """
    if profile.remote:
        from llm_cost_ops.cli.connect import connected

        with connected(profile) as api:
            result = api.read("/ledger/verify")
    else:
        from llm_cost_ops.cli.proof import proof

        result = proof(profile)
    show_object(profile, result, _show)
    return OK if result["ok"] else GENERAL


@single("rebuild", organization=True, shows=("database_url",))
def rebuild(profile: Profile) -> int:
    """Make rollups and the counters of budgets anew from the ledger, which is not touched.

    One transaction; writers wait meanwhile. Without --organization those of all are made.

    $ cost-ops rebuild
    $ cost-ops rebuild --organization acme
    """
    from llm_cost_ops.cli.proof import make_anew

    profile.refuse_remote("rebuild")
    show_object(profile, make_anew(profile), _show_made)
    return OK


def _show_made(_profile: Profile, made: Mapping[str, Any]) -> None:
    print(f"{made['rollup_rows']:,} rollup rows made.")
    if made["budgets"]:
        print(f"{made['budgets']:,} budgets counted again.")


def _show(profile: Profile, result: Mapping[str, Any]) -> None:
    from llm_cost_ops.cli.output import pretty
    from llm_cost_ops.cli.tables import amount

    print(
        "The rollups equal the ledger." if result["ok"] else "The rollups differ from the ledger."
    )
    print(f"{result['records']:,} calls")
    for currency, total in result["totals"].items():
        print(f"{currency} {amount(total)}")
    difference = result["first_difference"]
    if difference is not None:
        print(pretty(difference))
        profile.note("`cost-ops rebuild` makes the rollups anew from the ledger.")
