"""What holds for every command: format, verbosity, and which ledger is meant."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_cost_ops.cli.failure import CommandError

if TYPE_CHECKING:
    from llm_cost_ops.server.settings import Settings


class Output(StrEnum):
    """Formats of what is printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Profile:
    """The shared options; None where an option was not given."""

    output: Output | None = None
    config: Path | None = None
    verbose: int = 0
    quiet: bool = False
    no_color: bool = False
    api_key: str | None = field(default=None, repr=False)
    api_url: str | None = None
    database_url: str | None = field(default=None, repr=False)
    organization: str | None = None

    def over(self, outer: Profile) -> Profile:
        """This profile with the values of the outer one where it has none of its own."""
        given = {f.name: getattr(self, f.name) or getattr(outer, f.name) for f in fields(self)}
        return replace(self, **{**given, "verbose": self.verbose + outer.verbose})

    @property
    def format(self) -> Output:
        return self.output or Output.TABLE

    @property
    def color(self) -> bool:
        return not self.no_color and not os.environ.get("NO_COLOR")

    @property
    def remote(self) -> bool:
        """Whether a server is meant: by --api-url, by the environment and no --database-url, or by
        a login where no database is named at all.

        Raises CommandError when both flags are given, SettingsError.
        """
        if self.api_url is not None and self.database_url is not None:
            raise CommandError("give --api-url or --database-url, not both", exit_code=2)
        if self.api_url is not None:
            return True
        if self.database_url is not None:
            return False
        return self._named_server is not None or self._server_of_login is not None

    @property
    def server(self) -> str | None:
        """The server that is meant, by the flag, the environment, or the last login; None when
        there is none."""
        from llm_cost_ops.cli.logins import current_server

        return self.api_url or self._named_server or current_server()

    @property
    def _named_server(self) -> str | None:
        from llm_cost_ops.client.settings import VARIABLES

        found = (os.environ.get(name) for name in VARIABLES["base_url"])
        return next((address for address in found if address), None)

    @property
    def _server_of_login(self) -> str | None:
        """The server of the last login, unless the settings name a database."""
        from llm_cost_ops.cli.logins import current_server

        server = current_server()
        if server is None or self.settings().origins.get("database.url") != "default":
            return None
        return server

    def refuse_remote(self, command: str) -> None:
        """Raises CommandError where a command that works on the database was given a server."""
        if self.api_url is not None:
            raise CommandError(
                f"{command} works on the database itself: run it where the database is, "
                "without --api-url",
                exit_code=2,
            )

    def settings(self, flags: Mapping[str, object] | None = None) -> Settings:
        """The server's settings, `flags` by path over those of the profile.

        Raises SettingsError.
        """
        from llm_cost_ops.server.settings import load_settings

        given: dict[str, Any] = {"database.url": self.database_url, **(flags or {})}
        return load_settings(config=self.config, flags=given)

    def note(self, text: str) -> None:
        """Tell the person at the terminal something that is no result."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def detail(self, text: str) -> None:
        """The same for what only -v asks for."""
        if self.verbose and not self.quiet:
            print(text, file=sys.stderr)
