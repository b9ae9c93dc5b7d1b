"""A docker command that outlives a killed kind still makes its container: removal waits for its end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kubewire.providers.kind import state, tool
from waiting import eventually

KIND = """#!/bin/sh
sh -c 'echo client started; sleep 1; touch "$MADE"' &
wait
"""
MAKER = """
import sys
import time
from pathlib import Path
from kubewire.providers.kind import tool
kind, config = Path(sys.argv[1]), Path(sys.argv[2])
tool.create(kind, "lab", config, "image", config, keep=False, progress=lambda *said: print(*said, flush=True))
"""


def test_until_the_last_that_a_killed_maker_had_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, kind = tmp_path / "made", tmp_path / "kind"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MADE", str(made))
    state.owner_folder("lab").mkdir(parents=True)
    kind.write_text(KIND)
    kind.chmod(0o755)
    argv = [sys.executable, "-c", MAKER, str(kind), str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        assert any("client started" in line for line in maker.stdout)
        maker.send_signal(signal.SIGKILL)
    assert not made.exists()
    eventually(lambda: tool.is_over("lab"))
    assert made.exists()


def test_not_at_all_for_a_lab_that_nobody_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert tool.is_over("lab")
    state.owner_folder("lab").mkdir(parents=True)
    assert tool.is_over("lab")
