"""Two makers of one lab: the second waits or fails, and says who the first is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kubewire.core.errors import LabError
from kubewire.lab.lock import HELD, is_locked, lab_lock
from waiting import DEADLINE

HOLDER = """
import sys, time
from kubewire.lab.lock import lab_lock
with lab_lock("demo", "up demo"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv(HELD, raising=False)
    return tmp_path


@pytest.fixture
def holder() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def release(holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    holder.stdin.close()
    holder.wait(DEADLINE)


def test_without_waiting_it_fails_and_names_the_holder(holder: subprocess.Popen[str]) -> None:
    with pytest.raises(LabError) as caught, lab_lock("demo", "down demo", wait=False):
        pass
    assert f"process {holder.pid} (up demo, since" in caught.value.what
    assert is_locked("demo")
    release(holder)


def test_another_lab_is_free(holder: subprocess.Popen[str]) -> None:
    with lab_lock("other", "up other", wait=False):
        pass
    release(holder)


def test_waiting_tells_once_and_ends_with_the_holder(holder: subprocess.Popen[str], state: Path) -> None:
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        release(holder)

    with lab_lock("demo", "down demo", tell=tell):
        assert holder.poll() is not None
    assert len(told) == 1
    assert str(holder.pid) in told[0]
    assert list(state.iterdir()) == [], "an unused lock leaves no file"


def test_a_killed_holder_frees_it(holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait(DEADLINE)
    with lab_lock("demo", "up demo", wait=False):
        assert is_locked("demo")
    assert not is_locked("demo")


def test_a_child_of_the_holder_passes(monkeypatch: pytest.MonkeyPatch, holder: subprocess.Popen[str]) -> None:
    monkeypatch.setenv(HELD, "demo")
    with lab_lock("demo", "up demo", wait=False):
        pass
    release(holder)


def test_a_folder_that_no_one_can_make_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nope")
    with pytest.raises(FileNotFoundError), lab_lock("demo", "up demo"):
        pass


def test_one_at_a_time_among_many(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = f"""
import os, time
from pathlib import Path
from kubewire.lab.lock import lab_lock
for _ in range(100):
    with lab_lock("demo", "up"), Path({str(log)!r}).open("a") as f:
        f.write("in\\n"); f.flush(); time.sleep(0.0005); f.write("out\\n")
"""
    many = [subprocess.Popen([sys.executable, "-c", code], env=os.environ) for _ in range(4)]
    assert [process.wait(DEADLINE) for process in many] == [0, 0, 0, 0]
    assert log.read_text() == "in\nout\n" * 400
