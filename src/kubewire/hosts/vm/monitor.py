"""A VM's one process beside QEMU: starts it, ends it with its makers, tidies up after it.

`python -m kubewire.hosts.vm.monitor MAKER-PID…` with `{"lab", "port", "parts", "about", "argv"}` on standard
input. Until SIGUSR1 (commit) the VM ends with any of its makers; from then on it outlives them. SIGTERM ends
it. QEMU dies with the keeper, whatever kills that.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from kubewire.core import console
from kubewire.core.proc import Process, boot_id, die_with_parent, host_id, pid_namespace, set_process_name
from kubewire.hosts.vm.state import CONSOLE, LOG, VmState, folder, post_mortem, write_state

_TAIL = 1 << 16


def main(makers: list[int]) -> int:
    set_process_name("kubewire-vm")
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken)
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    order = json.loads(sys.stdin.buffer.read())
    state = VmState(
        lab=order["lab"],
        boot=boot_id(),
        keeper=Process.of(os.getpid()),
        qemu=None,
        port=order["port"],
        parts=tuple(order["parts"]),
        about=order["about"],
        host=host_id(),
        pid_namespace=pid_namespace(),
    )
    qemu: subprocess.Popen[bytes] | None = None
    try:
        write_state(state)
        qemu = start(order["argv"], folder(state.lab))
        write_state(replace(state, qemu=Process.of(qemu.pid)))
        watch(qemu.pid, makers, wake)
    except Exception:  # whatever it is, it belongs in the log, and the VM's files must go
        console.err(traceback.format_exc())
    finally:
        if qemu is not None:
            qemu.kill()
            qemu.wait()
        tidy(state.lab)
    return 0


def start(argv: list[str], directory: Path) -> subprocess.Popen[bytes]:
    """QEMU, which the kernel kills with this process; its copy of the root is a nameless file there."""
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(directory)},
        preexec_fn=lambda: die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one thread here
    )


def watch(qemu: int, makers: list[int], wake: int) -> None:
    """Until QEMU ends, a maker goes too early, or a signal says so."""
    poller = select.poll()
    poller.register(os.pidfd_open(qemu), select.POLLIN)
    poller.register(wake, select.POLLIN)
    watched = {}
    for pid in makers:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            console.err(f"pid {pid}, which was making this VM, has ended")
            return
        watched[descriptor] = pid
        poller.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poller.poll():
            if descriptor != wake:
                what = (
                    f"pid {watched[descriptor]}, which was making this VM,"
                    if descriptor in watched
                    else "QEMU"
                )
                console.err(f"{what} has ended")
                return
            if set(os.read(wake, 64)) != {signal.SIGUSR1}:
                return
            for maker in watched:
                poller.unregister(maker)
            watched.clear()


def tidy(lab: str) -> None:
    """Keep what tells how it went, remove the rest."""
    directory, kept = folder(lab), post_mortem(lab)
    with suppress(OSError):
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in (CONSOLE, LOG):
            if (directory / name).exists():
                (kept / name).write_bytes((directory / name).read_bytes()[-_TAIL:])
    shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):
        directory.parent.rmdir()


if __name__ == "__main__":
    sys.exit(main([int(pid) for pid in sys.argv[1:]]))
