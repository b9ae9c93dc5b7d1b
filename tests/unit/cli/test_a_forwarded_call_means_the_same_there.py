"""What kubewire on a lab's host gets is the call as it was typed here, whatever kinds of parameter it has."""

from __future__ import annotations

import pytest
import typer
import typer.core
import typer.main

from kubewire.cli.forwarding import command_line
from kubewire.cli.main import app

GROUP = typer.main.get_command(app)
CALLS = (
    "exec iptables worker -- sh -c x --host bob --",
    "exec --host bob iptables worker ls -l",
    "shell iptables worker",
    "explain --service default/httpbin:http iptables --node worker2",
    "trace iptables --from external --to 10.0.0.1:80/udp",
    "gc --dry-run",
    "down iptables --no-wait --host bob",
    "up iptables --replicas 7 --set a=1 --set b=-2 -i room.yml -i more.yml --verify --check",
    "verify iptables --format junit --output -report.xml",
)


def parsed(argv: list[str]) -> typer.Context:
    assert isinstance(GROUP, typer.core.TyperGroup)
    return GROUP.commands[argv[0]].make_context(argv[0], argv[1:])


@pytest.mark.parametrize("call", CALLS)
def test_it_is_parsed_as_the_call_here_but_for_the_host(call: str) -> None:
    here = parsed(call.split())
    there = parsed(command_line(here))
    assert there.params == {**here.params, **({"host": ""} if "host" in here.params else {})}


def test_no_parameter_of_any_command_is_left_out() -> None:
    assert isinstance(GROUP, typer.core.TyperGroup)
    for name, command in GROUP.commands.items():
        context = typer.Context(command, info_name=name)
        flags = {each.name for each in command.params if isinstance(each.default, bool)}
        for each in command.params:
            key = str(each.name)
            context.params[key] = not each.default if key in flags else f"given-{key}"
        line = command_line(context)
        for each in command.params:
            given = {*each.opts, *each.secondary_opts} if each.name in flags else {f"given-{each.name}"}
            assert bool(given & set(line)) == (each.name != "host"), (name, each.name)


def test_the_lab_goes_by_its_name() -> None:
    line = command_line(parsed(["trace", "my/lab.yml", "--from", "node/a", "--to", "10.0.0.1:80"]), "lab")
    assert line == ["trace", "--from", "node/a", "--to", "10.0.0.1:80", "--", "lab"]
