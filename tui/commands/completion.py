"""`detui completion`: the shell's completion script."""

from __future__ import annotations

import click


@click.command("completion", short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, recipes and runs in SHELL.

    \b
    bash   eval "$(detui completion bash)"   in ~/.bashrc
    zsh    eval "$(detui completion zsh)"    in ~/.zshrc
    fish   detui completion fish > ~/.config/fish/completions/detui.fish
    """
    from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

    kinds: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    script = kinds[shell](ctx.find_root().command, {}, "detui", "_DETUI_COMPLETE").source_vars()
    click.echo(kinds[shell].source_template % script)
