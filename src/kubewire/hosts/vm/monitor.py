"""A VM's monitor: `python -m kubewire.hosts.vm.monitor LAB OWNER…`, with its order on standard input.

QEMU ends with it, even if it is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from kubewire.core import monitor
from kubewire.core.prctl import die_with_parent
from kubewire.core.proc import Process, boot_id
from kubewire.core.serialization import decode
from kubewire.hosts.vm.state import CONSOLE, LOG, VmState, folder, post_mortem, write_state


class Order(msgspec.Struct):
    """`argv` starts QEMU; the rest is for the record."""

    port: int
    parts: tuple[str, ...]
    about: str
    argv: list[str]


class Vm(monitor.Monitored):
    what = "VM"
    program = "QEMU"

    def __init__(self, lab: str) -> None:
        self._lab = lab

    def start(self, order: bytes) -> None:
        """Record it, and start QEMU; its copy of the root is an unnamed file in its folder."""
        told = decode(order, Order)
        state = VmState(
            lab=self._lab,
            boot=boot_id(),
            monitor=Process.of(os.getpid()),
            qemu=None,
            port=told.port,
            parts=told.parts,
            about=told.about,
        )
        write_state(state)
        qemu = subprocess.Popen(
            told.argv,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(folder(self._lab))},
            preexec_fn=lambda: die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one thread here
        )
        qemu.returncode = 0  # the monitor reaps it, Popen must not
        self.pid = qemu.pid
        write_state(replace(state, qemu=Process.of(qemu.pid)))

    def tidy(self) -> None:
        directory, kept = folder(self._lab), post_mortem(self._lab)
        for name in (CONSOLE, LOG):
            with suppress(OSError):
                kept.mkdir(mode=0o700, parents=True, exist_ok=True)
                monitor.keep_tail(os.open(directory / name, os.O_RDONLY), kept / name)
        shutil.rmtree(directory, ignore_errors=True)
        with suppress(OSError):
            directory.parent.rmdir()


if __name__ == "__main__":
    sys.exit(monitor.run(Vm))
