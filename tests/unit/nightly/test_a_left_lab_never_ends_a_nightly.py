"""Sweeping a state folder: what `down` does there, or doesn't, never reaches the nightly."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewire.app import cells


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state" / "kubewire" / "labs" / "left").mkdir(parents=True)
    return tmp_path / "state"


def test_a_removal_that_does_not_end_is_left_for_gc(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = tmp_path / "stuck"
    stuck.write_text("#!/bin/sh\nexec sleep 600\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(cells.sys, "executable", str(stuck))
    monkeypatch.setattr(cells, "DOWN_SECONDS", 0.2)
    cells.sweep(state)
    assert (state / "kubewire" / "labs" / "left").is_dir()


def test_what_is_gone_leaves_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells.sys, "executable", "/bin/true")
    cells.sweep(state)
    assert not state.exists()
