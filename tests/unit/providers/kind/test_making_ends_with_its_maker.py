"""What makes a lab is killed with whoever waits for it, and with nobody else."""

from __future__ import annotations

import signal
import subprocess

import pytest

from kubewire.core.owners import VARIABLE, ended_with_owners


def sleeping() -> subprocess.Popen[str]:
    return subprocess.Popen(["sleep", "60"], text=True, start_new_session=True)


def test_it_dies_with_the_command_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    maker, process = sleeping(), sleeping()
    monkeypatch.setenv(VARIABLE, str(maker.pid))
    with ended_with_owners(process):
        assert process.poll() is None
        maker.kill()
        assert process.wait(10) == -signal.SIGKILL
    maker.wait()


def test_it_lives_on_once_it_is_no_longer_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    maker, process = sleeping(), sleeping()
    monkeypatch.setenv(VARIABLE, str(maker.pid))
    with ended_with_owners(process):
        pass
    maker.kill()
    maker.wait()
    assert process.poll() is None
    process.kill()
    process.wait()
