"""`serve`, which is also `server` and `server start`."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_cost_ops.cli.command import command, group, single
from llm_cost_ops.cli.profile import Profile

Host = Annotated[str | None, typer.Option("--host", "--bind", help="Address to listen on.")]
Port = Annotated[int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one.")]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Server processes; 0 starts one per CPU.")
]
NoWorker = Annotated[
    bool,
    typer.Option("--no-worker", help="Run no background jobs beside the API (there are none yet)."),
]
SHOWN = ("config", "database_url")


def _serve(
    profile: Profile,
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    no_worker: NoWorker = False,  # noqa: ARG001
) -> int:
    """Serve the API until SIGTERM or SIGINT, then finish what is under way and stop.

    Settings come from --config, the environment and these flags; see `cost-ops config show`.

    $ cost-ops serve
    $ cost-ops serve --host 127.0.0.1 --port 8080 --workers 4
    """
    profile.refuse_remote("serve")
    flags = {"server.host": host, "server.port": port, "server.workers": workers}
    settings = profile.settings(flags)
    from llm_cost_ops.server.serve import run

    return run(settings)


serve = single("serve", shows=SHOWN)(_serve)
server = group("Serve the API.", _serve, shows=SHOWN)
command(server, "start", shows=SHOWN)(_serve)
