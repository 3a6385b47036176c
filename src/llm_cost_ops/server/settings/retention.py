"""Settings of what is kept and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from llm_cost_ops.server.settings.spec import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """`[retention]`: archives of what organizations no longer keep."""

    archive_directory: str | None = setting(
        None,
        "An existing folder for archives. Without one a policy that archives removes nothing.",
    )
