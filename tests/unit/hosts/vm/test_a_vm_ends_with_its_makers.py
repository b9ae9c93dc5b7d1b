"""The monitor: a VM dies with whoever makes it, outlives them once it is committed, and never outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubewire.hosts.vm import state
from waiting import DEADLINE

LAB = "kept"
Start = Callable[[], subprocess.Popen[bytes]]


def until(condition: Callable[[], object]) -> bool:
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def maker() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def start(maker: subprocess.Popen[bytes]) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run() -> subprocess.Popen[bytes]:
        folder = state.folder(LAB)
        folder.mkdir(parents=True)
        (folder / state.CONSOLE).write_text("the kernel's last words\n")
        keeper = subprocess.Popen(
            [sys.executable, "-m", "kubewire.hosts.vm.monitor", LAB, str(maker.pid)],
            stdin=subprocess.PIPE,
            stderr=(folder / state.LOG).open("wb"),
        )
        order = {"port": 1, "parts": [], "about": "", "argv": ["sleep", "600"]}
        assert keeper.stdin is not None
        with keeper.stdin as stream:
            stream.write(json.dumps(order).encode())
        started.append(keeper)
        assert until(lambda: (found := state.read_state(LAB)) and found.qemu)
        return keeper

    yield run
    for keeper in started:
        keeper.kill()
        keeper.wait()


def qemu() -> int:
    found = state.read_state(LAB)
    assert found is not None and found.qemu is not None
    return found.qemu.pid


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_it_ends_with_its_maker_and_keeps_the_consoles_end(
    start: Start, maker: subprocess.Popen[bytes]
) -> None:
    keeper = start()
    pid = qemu()
    maker.kill()
    maker.wait()
    keeper.wait(DEADLINE)
    assert is_gone(pid)
    assert not state.folder(LAB).exists()
    assert "last words" in (state.post_mortem(LAB) / state.CONSOLE).read_text()
    assert f"pid {maker.pid}" in (state.post_mortem(LAB) / state.LOG).read_text()


def test_committed_it_outlives_its_maker(start: Start, maker: subprocess.Popen[bytes]) -> None:
    keeper = start()
    os.kill(keeper.pid, signal.SIGUSR1)
    assert until(lambda: f"\nPPid:\t{os.getpid()}" in Path(f"/proc/{keeper.pid}/status").read_text())
    commit_is_heeded(keeper.pid)
    maker.kill()
    maker.wait()
    with pytest.raises(subprocess.TimeoutExpired):
        keeper.wait(1.0)
    assert not is_gone(qemu())


def commit_is_heeded(pid: int) -> None:
    """The signal is no longer pending, and the keeper sleeps again."""
    pending = "ShdPnd:\t0000000000000000"
    assert until(lambda: pending in Path(f"/proc/{pid}/status").read_text())
    assert until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S")


def test_a_signal_ends_it_cleanly(start: Start) -> None:
    keeper = start()
    pid = qemu()
    keeper.terminate()
    assert keeper.wait(DEADLINE) == 0
    assert is_gone(pid)
    assert not state.folder(LAB).exists()


def test_qemu_never_outlives_a_killed_keeper(start: Start) -> None:
    keeper = start()
    pid = qemu()
    keeper.kill()
    keeper.wait()
    assert until(lambda: is_gone(pid))


def test_when_qemu_ends_so_does_the_keeper(start: Start) -> None:
    keeper = start()
    os.kill(qemu(), signal.SIGKILL)
    keeper.wait(DEADLINE)
    assert not state.folder(LAB).exists()
