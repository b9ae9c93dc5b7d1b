"""An ordinary user brings labs up; the pods are not root there either. Needs root to become that user."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT, Kubewire

from waiting import DEADLINE

pytestmark = pytest.mark.e2e
UID = 54321


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubewire]:
    """A checkout of the user's own, set up by `make` with the system's Python; cached binaries are copied."""
    if os.geteuid() != 0:
        pytest.fail("run this suite as root: it becomes an ordinary user itself")
    home = Path(tempfile.mkdtemp(prefix="kubewire-user-", dir="/tmp"))
    home.chmod(0o755)
    tree = home / "kubewire"
    left_out = shutil.ignore_patterns(".venv", ".git", ".*_cache", "__pycache__", ".hypothesis")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=left_out)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kubewire" / "bin"
    shutil.copytree(
        cache, home / ".cache" / "kubewire" / "bin", ignore=shutil.ignore_patterns("v1.2*", "v1.3[0-6]*")
    )
    subprocess.run(["chown", "-R", f"{UID}:{UID}", home], check=True)
    command = User(home / "state", home=home, tree=tree)
    try:
        made = command.user("make", "setup", "PYTHON=/usr/bin/python3")
        out, _ = made.communicate(timeout=3 * DEADLINE)
        assert made.returncode == 0, out
        yield command
    finally:
        for lab in ("iptables", "nftables"):
            command.run("down", lab)
        shutil.rmtree(home)


@dataclass
class User(Kubewire):
    """Runs everything as the ordinary user."""

    home: Path = Path("/")
    tree: Path = ROOT

    def user(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        environment = {
            **kept,
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.state),
            "NO_COLOR": "1",
            "LANG": "C.UTF-8",
        }
        become = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--"]
        return subprocess.Popen(
            [*become, *argv],
            cwd=self.tree,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def popen(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        return self.user(".venv/bin/kubewire", *argv, **options)


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_an_ordinary_user_brings_a_lab_up(ordinary: Kubewire, mode: str) -> None:
    ordinary.ok("up", mode, "--verify")
    held = ordinary.privileges(mode, "worker")
    assert held
    for uid, capabilities, no_new in held:
        assert uid != 0
        assert int(capabilities, 16) == 0
        assert no_new == "1"
    assert ordinary.ok("down", mode).code == 0
