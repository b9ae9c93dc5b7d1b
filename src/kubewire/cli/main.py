"""The command `kubewire`: its commands, and what each way of ending means to the caller."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
import traceback
from typing import NoReturn

import typer

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
)
from kubewire.cli.signals import Terminated, raise_on_terminate
from kubewire.errors import KubewireError, refusal

app = typer.Typer(
    name="kubewire",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Labs that show, and prove, how Kubernetes networking really works on a node.

    Start with `kubewire up iptables --verify`, then look around:
    `kubewire exec iptables worker -- iptables -t nat -L KUBE-SERVICES`.
    LAB is the name of a lab (see the folder `labs/`) or the path of a lab's file.

    Exit codes: 0 all checks hold, 1 a check failed, 2 the definition or the call is wrong,
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
app.command("matrix")(matrix.matrix)
app.command("diff")(diff.diff)
app.command("doctor")(doctor.doctor)
app.command("gc")(gc.gc)
app.add_typer(image.app, name="image")


def run() -> NoReturn:
    """Run the command line; every way to end has its exit code and, if it went wrong, one clear message."""
    raise_on_terminate()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # no locale lacks a letter badly enough to fail
            stream.reconfigure(errors="replace")
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2 if end.code else 0
    except KubewireError as error:
        _say(str(error))
        return error.exit_code
    except (KeyboardInterrupt, Terminated) as stop:
        return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 4
    except Exception as error:
        refused = refusal(error)
        _say(str(refused or f"unexpected {type(error).__name__}: {error}\n  {_keep_traceback()}"))
        return refused.exit_code if refused else 4
    return 0


def _say(text: str) -> None:
    print(f"kubewire: {text}", file=sys.stderr, flush=True)


def _keep_traceback() -> str:
    """Write the traceback of the exception at hand to a log; where it is, for people."""
    from kubewire.paths import state_dir

    path = state_dir() / "errors" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(traceback.format_exc())
    except OSError:
        return traceback.format_exc()
    return f"this is a fault of kubewire; its traceback is in {path}"
