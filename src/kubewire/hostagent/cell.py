"""`cell`: run one cell for a remote caller, and end it when that caller ends.

Reads a CellRequest, one line; writes CELL_MARK, a line with the CellResult, and the packed snapshot.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading

from msgspec.structs import replace

from kubewire.app.cells import WHAT
from kubewire.core.files import own_folder
from kubewire.core.serialization import decode
from kubewire.core.signals import Terminated, raise_on_terminate
from kubewire.core.temporary import new_folder
from kubewire.hosts import definitions
from kubewire.hosts.agent import CELL_MARK
from kubewire.nightly.cell import run_cell
from kubewire.nightly.folder import CellRequest

MERCY = 20.0
"""Seconds that the cell has to remove its lab once the caller has ended."""


def main(_arguments: list[str]) -> int:
    raise_on_terminate()
    request = decode(sys.stdin.buffer.readline(), CellRequest)
    answer = os.dup(1)
    os.dup2(2, 1)  # the cell's output
    folder = new_folder(WHAT)
    threading.Thread(target=_end_with_caller, daemon=True).start()
    try:
        os.environ["XDG_STATE_HOME"] = str(own_folder(folder / "state"))
        lab = definitions.unpack(request.definition)
        result = run_cell(replace(request.order, reference=str(lab)), folder)
        snapshot = folder / "snapshot.tar.gz"
        with os.fdopen(answer, "wb") as stream:
            stream.write(CELL_MARK + result.model_dump_json(by_alias=True).encode() + b"\n")
            stream.write(snapshot.read_bytes() if snapshot.exists() else b"")
    except (KeyboardInterrupt, Terminated):
        return 143
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _end_with_caller() -> None:
    """Wait for the end of standard input, then end this process, by force if it takes too long."""
    while os.read(0, 1 << 10):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(MERCY)
    os._exit(1)
