"""``completion``: what makes a shell complete commands, ids and keys."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_PROGRAM = "polos"
_VARIABLE = "_POLOS_COMPLETE"


_HELP = """Print what makes a shell complete 'polos'.

\b
bash:  eval "$(polos completion bash)"   in ~/.bashrc
zsh:   eval "$(polos completion zsh)"    in ~/.zshrc
fish:  polos completion fish | source    in ~/.config/fish/config.fish
"""


@click.command(help=_HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script of a shell."""
    # For the program 'polos', also where 'celery polos' prints it.
    maker = get_completion_class(shell)
    assert maker is not None
    click.echo(maker(context.find_root().command, {}, _PROGRAM, _VARIABLE).source())
