"""`brokerctl completion`: the script that a shell loads to complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash:  eval "$(brokerctl completion bash)"         in ~/.bashrc
    zsh:   eval "$(brokerctl completion zsh)"          in ~/.zshrc, after compinit
    fish:  brokerctl completion fish | source          in ~/.config/fish/config.fish
    """  # noqa: D301 - click reads the character, not the two letters
    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(ctx.find_root().command, {}, "brokerctl", "_BROKERCTL_COMPLETE").source())
