"""The command `kubewire` and its subcommands."""

from __future__ import annotations

from typing import NoReturn

import typer

import kubewire.app  # noqa: F401 - registers the providers' checks of lab files
from kubewire.cli import (
    diff,
    doctor,
    down,
    exec_,
    explain,
    gc,
    image,
    kubeconfig,
    list_,
    matrix,
    prefetch,
    render,
    shell,
    snapshot,
    status,
    trace,
    up,
    verify,
    versions,
)
from kubewire.core.exits import end_with

app = typer.Typer(
    name="kubewire",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Labs that show and verify how Kubernetes networking works on a node.

    Start with `kubewire up iptables --verify`, then look around:
    `kubewire exec iptables worker -- iptables -t nat -L KUBE-SERVICES`.
    LAB is the name of a lab (see the folder `labs/`) or the path of a lab file.

    Exit codes: 0 all checks passed, 1 a check failed, 2 the lab file or the command line is invalid,
    3 this machine can't run it, 4 the lab or the tool failed, 130 and 143 on Ctrl-C and SIGTERM.
    """,
)
app.command("up")(up.up)
app.command("verify")(verify.verify)
app.command("explain")(explain.explain)
app.command("trace")(trace.trace)
app.command("down")(down.down)
app.command("exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})(
    exec_.exec_
)
app.command("shell")(shell.shell)
app.command("kubeconfig")(kubeconfig.kubeconfig)
app.command("list")(list_.list_)
app.command("status")(status.status)
app.command("snapshot")(snapshot.snapshot)
app.command("render")(render.render)
app.command("prefetch")(prefetch.prefetch)
app.command("versions")(versions.versions)
app.command("matrix")(matrix.matrix)
app.command("diff")(diff.diff)
app.command("doctor")(doctor.doctor)
app.command("gc")(gc.gc)
app.add_typer(image.app, name="image")


def run() -> NoReturn:
    """Run the command line to its end."""
    end_with(app)
