"""Completion scripts for shells, and the version."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from llm_cost_ops.cli.command import single
from llm_cost_ops.cli.output import show_object
from llm_cost_ops.cli.profile import Output, Profile

PROGRAMS = ("cost-ops", "llm-cost-ops")


class Shell(StrEnum):
    """Shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def offer() -> None:
    """Make Typer's answers to completion scripts known, before a command line is read."""
    from typer.completion import completion_init  # pyright: ignore[reportPrivateImportUsage]

    completion_init()


@single("completion")
def completion(
    profile: Profile,  # noqa: ARG001
    shell: Annotated[Shell, typer.Argument(help="bash, zsh, fish or powershell.")],
) -> None:
    """Print a completion script for both program names.

    $ cost-ops completion bash > ~/.local/share/bash-completion/completions/cost-ops
    $ cost-ops completion zsh > ~/.zfunc/_cost-ops
    $ cost-ops completion fish > ~/.config/fish/completions/cost-ops.fish
    """
    from typer.completion import (
        get_completion_script,  # pyright: ignore[reportPrivateImportUsage]
    )

    for name in PROGRAMS:
        variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
        print(get_completion_script(prog_name=name, complete_var=variable, shell=shell.value))


@single("version")
def version(profile: Profile) -> None:
    """Print the version of this program and of the packaged price book.

    $ cost-ops version
    $ cost-ops version -o json
    """
    from llm_cost_ops.client.version import version as installed
    from llm_cost_ops.core.pricing.book import PriceBook

    book = PriceBook.packaged()
    if profile.format is Output.TABLE:
        print(f"cost-ops {installed()}")
        print(f"price book {book.version} of {book.built_at.isoformat()}")
        return
    shown = {
        "version": installed(),
        "price_book": {"version": book.version, "built_at": book.built_at.isoformat()},
    }
    show_object(profile, shown)
