"""Commands that run on the lab's host: kubewire on the host gets the same command line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import typer

from kubewire.cli import options


def command_line(context: typer.Context, lab: str = "") -> list[str]:
    """The command line for kubewire on the lab's host: all parameters that aren't the default, the lab by
    its name, and no --host.
    """
    named: list[str] = []
    positional: list[str] = []
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if parameter.name == "lab" and lab:
            value = lab
        if parameter.name == "host" or value is None or value == parameter.default:
            continue
        values = [str(each) for each in (value if isinstance(value, list | tuple) else [value])]
        if parameter.param_type_name == "argument":
            positional += values
        elif value is True:
            named.append(parameter.opts[0])
        elif value is False:
            named.append(parameter.secondary_opts[0])
        else:
            named += [part for each in values for part in (parameter.opts[0], each)]
    return [str(context.info_name), *named, *(["--", *positional] if positional else [])]


def where_the_lab_is(command: Callable[..., None], *, terminal: bool = False) -> Callable[..., None]:
    """Add --host to the command. For a lab on this machine, or a snapshot folder, it runs in this process and
    gets the lab's name. Otherwise it runs on the lab's host, with `terminal` on this terminal, and this
    process exits as it does.
    """

    @functools.wraps(command)
    def run(context: typer.Context, host: str, **arguments: Any) -> None:
        from kubewire.app.placement import resolve

        lab = arguments["lab"]
        if "snapshot" in arguments:
            options.require_lab_or_snapshot(str(context.info_name), lab, arguments["snapshot"], host)
        if lab:
            placement = resolve(lab, host)
            placement.run(command_line(context, placement.lab), terminal=terminal)
            arguments["lab"] = placement.lab
        command(**arguments)

    signature = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter("host", inspect.Parameter.KEYWORD_ONLY, default="", annotation=options.OnHost),
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
    ]
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), *added]
    )
    run.__annotations__ = command.__annotations__ | {each.name: each.annotation for each in added}
    return run


in_the_terminal = functools.partial(where_the_lab_is, terminal=True)
