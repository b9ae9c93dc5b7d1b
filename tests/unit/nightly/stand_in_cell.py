"""In the place of kubewire.nightly.cell: what the lab's name says befalls this cell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from kubewire.core.files import write_atomically
from kubewire.core.serialization import decode
from kubewire.matrix.results import unchecked
from kubewire.nightly.folder import CellOrder


def main() -> None:
    folder = Path(sys.argv[1])
    order = decode(sys.stdin.buffer.read(), CellOrder)
    with (folder.parent.parent / "started").open("a") as log:
        log.write(f"{order.id}\n")
    (folder / "pid").write_text(str(os.getpid()))
    what = order.lab
    if what == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN if order.mode == "ipvs" else signal.SIG_DFL)
        subprocess.Popen(["sleep", "1000"])
        print("waiting for what never comes", flush=True)
        time.sleep(1000)
    while what == "slow" and not (folder.parent.parent / "go-on").exists():
        time.sleep(0.02)
    if what == "oom":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "crash":
        raise RuntimeError("no space left on device")
    if what == "fill" and not (folder.parent.parent / "freed").exists():
        with (folder / "dump").open("wb") as dump:
            while True:
                dump.write(bytes(1 << 16))
                dump.flush()
    if what == "silent":
        return
    status = {"red": "failed", "broken": "error"}.get(what, "passed")
    result = unchecked(order, status, "kube-apiserver ended" if what == "broken" else "")
    write_atomically(folder / "result.json", result.model_dump_json(by_alias=True))


main()
