"""``completion``: what makes a shell complete commands, ids and keys."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_PROGRAM = "polos"
_VARIABLE = "_POLOS_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete ``polos``.

    \b
    bash:  eval "$(polos completion bash)"        in ~/.bashrc
    zsh:   eval "$(polos completion zsh)"         in ~/.zshrc
    fish:  polos completion fish | source         in ~/.config/fish/config.fish
    """
    # Always for the program 'polos': below 'celery' the shell asks that program.
    maker = get_completion_class(shell)
    assert maker is not None
    root = context.find_root().command
    click.echo(maker(root, {}, _PROGRAM, _VARIABLE).source())
