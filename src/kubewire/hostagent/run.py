"""`run COMMAND…`: run kubewire for a remote caller, and end it when that caller ends.

SSH ends it only with a terminal; without one, `kubewire exec … -- sleep 1000` would outlive Ctrl-C.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

GRACE = 5.0  # seconds


def main(arguments: list[str]) -> int:
    """The exit code of `kubewire COMMAND…`."""
    child = subprocess.Popen([sys.executable, "-P", "-m", "kubewire", *arguments], process_group=0)
    watched = os.pidfd_open(child.pid)
    poller = select.poll()
    poller.register(watched, select.POLLIN)
    poller.register(1, 0)
    if all(descriptor != watched for descriptor, _ in poller.poll()):
        _end(child)
    code = child.wait()
    return 128 - code if code < 0 else code


def _end(child: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
            return
