"""The reference of the command line, from its own help."""

from collections.abc import Iterator
from inspect import cleandoc

import click

from docs.generator.markdown import joined, table

INTRODUCTION = """# Commands

What `datapusher --help` and the help of each command say, written by `make docs`. The exit status is 0 when all is
done, 1 when the job failed or something was refused, 2 for a wrong option or setting.
"""


def page(main: click.Group) -> str:
    context = click.Context(main, info_name="datapusher", **main.context_settings)
    return joined([INTRODUCTION, *_command(context), *_all(context)])


def _all(above: click.Context) -> Iterator[str]:
    group = above.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(above):
        command = group.commands[name]
        context = click.Context(command, info_name=name, parent=above)
        yield from (f"## {context.command_path} {{#{context.command_path.replace(' ', '-')}}}", "", *_command(context))
        if isinstance(command, click.Group):
            yield from _all(context)


def _command(context: click.Context) -> Iterator[str]:
    command = context.command
    yield from ("```sh", f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}", "```", "")
    yield from (_help(command), "")
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    yield from table(("option", "what it does"), ((f"`{record[0]}`", record[1]) for record in records if record))


def _help(command: click.Command) -> str:
    return cleandoc(command.help or "").replace("\b\n", "")
