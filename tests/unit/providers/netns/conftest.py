from __future__ import annotations

from pathlib import Path

import pytest

from kubewire.lab.loading import load_lab
from kubewire.lab.schema import Lab


def load(tmp_path: Path, text: str) -> Lab:
    file = tmp_path / "lab.yml"
    file.write_text(text)
    return load_lab(str(file), {})


@pytest.fixture
def plain_lab(tmp_path: Path) -> Lab:
    return load(tmp_path, "name: plain\nmode: iptables\n")


@pytest.fixture
def dual_lab(tmp_path: Path) -> Lab:
    return load(
        tmp_path, "name: dual\nmode: nftables\nipFamily: dual\nnodes: {controlPlanes: 2, workers: 1}\n"
    )


@pytest.fixture
def v6_lab(tmp_path: Path) -> Lab:
    return load(tmp_path, "name: six\nmode: nftables\nipFamily: ipv6\n")


@pytest.fixture
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own; its kubewire folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "kubewire"
