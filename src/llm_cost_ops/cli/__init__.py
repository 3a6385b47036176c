"""The command line: `cost-ops` and `llm-cost-ops`, which are the same program.

A command parses, calls and prints. It calls the API through the SDK, on a server or, for the local
database, on the app in this process; what has no route it calls in the server's rooms. Modules are
imported when their command runs, so that `--help` and `estimate` load neither client nor server.
"""

from __future__ import annotations

import sys

MISSING_CLI = (
    "cost-ops needs the package {name}, which the command line extra brings: "
    "pip install 'llm-cost-ops[cli]'"
)


def main() -> None:
    """Run the command of this process and exit with its code."""
    try:
        from llm_cost_ops.cli.app import run
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith("llm_cost_ops"):
            raise
        print(MISSING_CLI.format(name=missing.name), file=sys.stderr)
        raise SystemExit(1) from None
    raise SystemExit(run(sys.argv[1:]))
