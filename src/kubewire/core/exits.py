"""The end of the process: the exit code and, on failure, one message."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from kubewire.core import console
from kubewire.core.errors import KubewireError
from kubewire.core.refusals import refusal
from kubewire.core.signals import Terminated, raise_on_terminate

NEW_OBJECTS = 50_000
"""After so many Python looks for cycles, of which a snapshot's objects have none; not after its own 700."""


def end_with(command: Callable[[], object]) -> NoReturn:
    """Run the command and end the process with the exit code it means.

    The process ends at once: to free what a big snapshot became takes Python longer than to start.
    """
    raise_on_terminate()
    gc.set_threshold(NEW_OBJECTS)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that the locale lacks is no reason to fail
            stream.reconfigure(errors="replace")
    os._exit(exit_code(lambda: _run(command)))


def _run(command: Callable[[], object]) -> None:
    try:
        command()
    finally:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None where it is closed
            stream.flush()


def exit_code(command: Callable[[], object]) -> int:
    """Run the command, which may raise SystemExit; the exit code it means. A failure is printed."""
    try:
        command()
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
    console.err(f"kubewire: {text}")


def _keep_traceback() -> str:
    """Write the traceback of the current exception to a log; the sentence that names the file."""
    import traceback

    from kubewire.core.files import make_in
    from kubewire.core.paths import state_dir

    path = state_dir() / "errors" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        make_in(path.parent, lambda: path.write_text(traceback.format_exc()))
    except OSError:
        return traceback.format_exc()
    return f"this is a fault of kubewire; its traceback is in {path}"
