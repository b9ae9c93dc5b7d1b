"""A lab's VM: started, found, ended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from kubewire.core import monitor
from kubewire.core.errors import LabError
from kubewire.core.files import last_lines, write_atomically
from kubewire.core.leftovers import Leftover
from kubewire.core.ports import free_port
from kubewire.core.proc import await_end
from kubewire.core.progress import Progress, emit
from kubewire.hosts.vm import disks, preflight, qemu, state
from kubewire.hosts.vm.cache import STEP, require_space
from kubewire.hosts.vm.monitor import Order
from kubewire.hosts.vm.parts import Parts
from kubewire.hosts.vm.state import VmState
from kubewire.lab.lock import is_locked, lab_lock

MODULE = "kubewire.hosts.vm.monitor"
READY = "kubewire-vm: ready"
DEADLINE = {"kvm": 60.0, "tcg": 300.0}
"""Seconds from QEMU's start to an answering SSH server; emulated on a busy machine it may take minutes."""
TRIES = 3
"""A free port may be taken between its choice and QEMU's start."""
OVERLAY = 2.0
"""GiB that the VM's own copy of its root may take."""
_MONITOR_DEADLINE = 60.0
_POLL = 0.1


def ensure(lab: str, parts: Parts, progress: Progress = emit) -> VmState:
    """The lab's VM, started unless it runs; on any error nothing of it stays.

    Until `commit` it ends with its owner. LabError with the end of its console if it doesn't come up; a VM of
    other parts is replaced.
    """
    if running := state.running(lab):
        if running.parts == parts.names:
            return running
        remove(lab)
    for attempt in range(TRIES):
        try:
            return _start(lab, parts, progress)
        except _PortTakenError:
            if attempt == TRIES - 1:
                raise
    raise AssertionError


def parts_of(lab: str) -> tuple[str, ...]:
    """The names of the lab's VM's parts; none if it doesn't run."""
    found = state.running(lab)
    return found.parts if found else ()


def commit(lab: str) -> None:
    """From now on the VM outlives its owners."""
    _signal(lab, signal.SIGUSR1)


def remove(lab: str) -> bool:
    """End the lab's VM and remove all its files; False if there was nothing.

    LabError, and nothing is changed, if its processes can't be seen from here.
    """
    found = state.read_state(lab)
    if found:
        found.require_seen(f"the VM of lab {lab} was started", "it runs", state.folder(lab))
    pidfd = found.monitor.open() if found and found.seen() == "here" else None
    if pidfd is not None:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        await_end(pidfd, 30.0)
        os.close(pidfd)
    there = pidfd is not None or state.folder(lab).exists()
    for folder in (state.folder(lab), state.post_mortem(lab)):
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.parent.rmdir()
    return there


def garbage() -> list[Leftover]:
    """What crashes left of VMs that are certainly dead and not locked."""
    found = []
    for lab in state.recorded():
        with suppress(LabError):  # its processes can't be seen from here
            if _is_proved_dead(lab) and not is_locked(lab):
                what = f"lab {lab}: what a crash left of its VM in {state.folder(lab)}"
                found.append(Leftover(what, partial(_remove_dead, lab)))
    return found


def _is_proved_dead(lab: str) -> bool:
    found = state.read_state(lab)
    if found is None:
        return not (state.folder(lab) / state.FILE).exists()
    return found.seen() != "elsewhere" and not found.alive()


def _remove_dead(lab: str) -> bool:
    with lab_lock(lab, "gc", wait=False):
        return _is_proved_dead(lab) and remove(lab)


class _PortTakenError(LabError):
    pass


def _start(lab: str, parts: Parts, progress: Progress) -> VmState:
    directory = state.folder(lab)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    started: subprocess.Popen[bytes] | None = None
    try:
        require_space(directory, OVERLAY, "the VM")
        port = free_port()
        _write_keys(lab, parts.library)
        machine = qemu.Machine(
            root=parts.root,
            disks=(parts.packages, parts.binaries, directory / state.SEED),
            memory=preflight.memory(),
            cpus=preflight.cpus(),
            port=port,
            console=directory / state.CONSOLE,
        )
        command = qemu.command(parts.program, parts.accelerator, machine)
        order = Order(port, parts.names, parts.about, command)
        progress(STEP, f"starting the VM ({parts.about}, {machine.memory} MiB, {machine.cpus} CPUs)")
        started = monitor.start(MODULE, lab, order, directory / state.LOG)
        _wait(lab, directory, started, port, DEADLINE[parts.accelerator])
    except BaseException:
        if started is not None:
            started.terminate()
            started.wait()
        shutil.rmtree(directory, ignore_errors=True)
        with suppress(OSError):
            directory.parent.rmdir()
        raise
    found = state.read_state(lab)
    if found is None:
        raise LabError("the VM's record has vanished", where=f"lab {lab}")
    return found


def _write_keys(lab: str, library: Path) -> None:
    directory = state.folder(lab)
    host, login = disks.new_key(), disks.new_key()
    write_atomically(directory / state.KEY, login.private)
    write_atomically(directory / state.KNOWN_HOSTS, f"{state.alias(lab)} {host.public}\n")
    disks.write_seed(directory / state.SEED, library, lab, host, login.public)


def _wait(lab: str, directory: Path, started: subprocess.Popen[bytes], port: int, deadline: float) -> None:
    """Wait until the guest reports that it is ready and its SSH server answers."""
    end = time.monotonic() + _MONITOR_DEADLINE
    booting = False
    while time.monotonic() < end:
        if started.poll() is not None:
            raise _ended(lab)
        if not booting and (directory / state.CONSOLE).exists():
            booting, end = True, time.monotonic() + deadline
        if READY in _tail(directory / state.CONSOLE) and _greets(port):
            return
        time.sleep(_POLL)
    console = _tail(directory / state.CONSOLE)
    what = "its SSH server doesn't answer" if READY in console else "it didn't come up"
    raise LabError(
        f"the VM: {what} within {deadline:.0f} s",
        where=f"lab {lab}",
        hint=f"the end of its console:\n{console or '(none)'}",
    )


def _ended(lab: str) -> LabError:
    kept = state.post_mortem(lab)
    words = "\n".join(text for name in (state.CONSOLE, state.LOG) if (text := _tail(kept / name)))
    kind = _PortTakenError if "Could not set up host forwarding" in words else LabError
    return kind(
        "the VM ended while it was starting", where=f"lab {lab}", hint=f"the end of its console:\n{words}"
    )


def _tail(path: Path, lines: int = 12) -> str:
    return "\n".join(last_lines(path, lines))


def _greets(port: int) -> bool:
    """QEMU itself accepts any connection; only the guest's server sends `SSH-2.0`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5.0) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _signal(lab: str, number: signal.Signals) -> None:
    found = state.read_state(lab)
    pidfd = found.monitor.open() if found else None
    if pidfd is None:
        raise LabError(f"lab {lab} has no VM", hint=f"bring it up with: kubewire up {lab} --host vm")
    signal.pidfd_send_signal(pidfd, number)
    os.close(pidfd)
