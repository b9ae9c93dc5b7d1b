"""The command `kubewire`. A command's module is imported when the command is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, NoReturn

import typer.core

import kubewire.app  # noqa: F401 - hands the providers to what reads lab files
from kubewire.core.exits import end_with

NAMES = (
    *("up", "verify", "explain", "trace", "down", "exec", "shell", "kubeconfig", "list", "status"),
    *("snapshot", "render", "prefetch", "versions", "matrix", "diff", "doctor", "gc", "image"),
)
"""In the order of the help."""
SETTINGS = {"exec": {"allow_interspersed_args": False, "ignore_unknown_options": True}}
MARKUP: typer.core.MarkupMode = "markdown"


class _Commands(Mapping[str, Any]):
    """Each command by its name: the function in the module of that name, or the module's `app`."""

    def __getitem__(self, name: str) -> Any:
        if name not in NAMES:
            raise KeyError(name)
        return _build(name)

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


@cache
def _build(name: str) -> Any:
    attribute = f"{name}_" if name in ("exec", "list") else name  # builtins of Python
    module = import_module(f"kubewire.cli.{attribute}")
    commands = getattr(module, "app", None)
    if commands is None:
        commands = typer.Typer(add_completion=False, rich_markup_mode=MARKUP)
        commands.command(name, context_settings=SETTINGS.get(name))(getattr(module, attribute))
    return typer.main.get_command(commands)


class _Group(typer.core.TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": _Commands()})


app = typer.Typer(
    name="kubewire",
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode=MARKUP,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root() -> None:
    """Labs that show and verify how Kubernetes networking works on a node.

    Start with `kubewire up iptables --verify`, then look around:
    `kubewire exec iptables worker -- iptables -t nat -L KUBE-SERVICES`.
    LAB is the name of a lab (see the folder `labs/`) or the path of a lab file.

    Exit codes: 0 all checks passed, 1 a check failed, 2 the lab file or the command line is invalid,
    3 this machine can't run it, 4 the lab or the tool failed, 130 and 143 on Ctrl-C and SIGTERM.
    """


def run() -> NoReturn:
    """Run the command line to its end."""
    end_with(app)
