"""On a host of the inventory: one cell, for a caller at the other end of SSH, ended when that is gone.

A Request is read, one line; MARK, a line with the CellResult and the packed snapshot are written.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from kubewire.core.files import own_folder
from kubewire.core.leftovers import Leftover
from kubewire.core.signals import Terminated, raise_on_terminate
from kubewire.core.temporary import held, left_folders, new_folder
from kubewire.hosts import definitions
from kubewire.nightly import children
from kubewire.nightly.cell import run_cell
from kubewire.nightly.folder import CellOrder

MARK = b"kubewire-cell "
"""Before the result, since a login shell may print what it likes."""
WHAT = "cell"
MERCY = 20.0
"""Seconds that the cell gets to remove its lab once the caller is gone."""


class Request(BaseModel):
    """`definition` as `shipping.pack` makes it; the order's own reference means nothing here."""

    order: CellOrder
    definition: dict[str, Any]


def main() -> int:
    raise_on_terminate()
    request = Request.model_validate_json(sys.stdin.buffer.readline())
    answer = os.dup(1)
    os.dup2(2, 1)  # what the cell says
    folder = new_folder(WHAT)
    threading.Thread(target=_end_with_caller, daemon=True).start()
    try:
        os.environ["XDG_STATE_HOME"] = str(own_folder(folder / "state"))
        lab = definitions.unpack(request.definition)
        result = run_cell(request.order.model_copy(update={"reference": str(lab)}), folder)
        snapshot = folder / "snapshot.tar.gz"
        with os.fdopen(answer, "wb") as stream:
            stream.write(MARK + result.model_dump_json(by_alias=True).encode() + b"\n")
            stream.write(snapshot.read_bytes() if snapshot.exists() else b"")
    except (KeyboardInterrupt, Terminated):
        return 143
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def garbage() -> list[Leftover]:
    """The labs and files of cells that were killed: a state folder in each, one for each cell of a run."""
    return [Leftover(f"the cell {folder}", partial(_forget, folder)) for folder in left_folders(WHAT)]


def _forget(folder: Path) -> bool:
    with held(folder) as ours:
        if not ours:
            return False
        for state in folder.iterdir():
            with contextlib.suppress(OSError):
                children.sweep(state)
        if any(folder.glob("*/kubewire/labs/*")):  # one can't be removed now
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True


def _end_with_caller() -> None:
    """Wait for the end of standard input, then end this process, by force if it takes too long."""
    while os.read(0, 1 << 10):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(MERCY)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
