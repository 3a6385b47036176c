"""`health`: what the server, or the app over the local database, says of itself."""

from __future__ import annotations

from llm_cost_ops.cli.command import single
from llm_cost_ops.cli.failure import API, DATABASE, OK
from llm_cost_ops.cli.output import show_object
from llm_cost_ops.cli.profile import Profile


@single("health")
def health(profile: Profile) -> int:
    """Ask for the health of the server, or of the local database.

    The exit code is 0 when it is healthy or degraded, 4 when the server is not, 5 when the local
    database is not.

    $ cost-ops health
    $ cost-ops health --api-url https://costs.example.com -o json
    """
    from llm_cost_ops.cli.connect import connected
    from llm_cost_ops.exceptions import ServerError

    with connected(profile, scoped=False) as api:
        try:
            body, code = api.outside("/health").json(), OK
        except ServerError as error:
            if error.response is None or error.status_code != 503:
                raise
            body, code = error.response.json(), DATABASE if api.local else API
    show_object(profile, body)
    return code
