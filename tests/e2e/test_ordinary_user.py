"""An ordinary user brings labs up; the pods are not root there either. Needs root to become that user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT, Kubewire

pytestmark = pytest.mark.e2e
UID = 54321


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubewire]:
    """The command as installed for a user without rights: own Python packages, cache and state."""
    if os.geteuid() != 0:
        pytest.fail("run this suite as root: it becomes an ordinary user itself")
    home = Path("/tmp") / f"kubewire-e2e-{os.getpid()}"
    home.mkdir(mode=0o755)
    packages = home / "packages"
    site = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    shutil.copytree(site, packages, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "_tree"))
    tree = home / "kubewire"
    shutil.copytree(
        ROOT,
        tree,
        symlinks=True,
        ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache", "__pycache__", ".hypothesis"),
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kubewire" / "bin"
    shutil.copytree(cache, home / ".cache" / "kubewire" / "bin")
    subprocess.run(["chown", "-R", f"{UID}:{UID}", home], check=True)
    command = User(home / "state", home, tree, packages)
    yield command
    for lab in ("iptables", "nftables"):
        command.run("down", lab)
    shutil.rmtree(home)


class User(Kubewire):
    """Runs the command as the ordinary user, with the system's own Python."""

    def __init__(self, state: Path, home: Path, tree: Path, packages: Path) -> None:
        super().__init__(state)
        self.home, self.tree, self.packages = home, tree, packages

    def popen(self, *argv: str, **options: object) -> subprocess.Popen[str]:
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.state),
            "PYTHONPATH": f"{self.tree / 'src'}:{self.packages}",
            "NO_COLOR": "1",
            "LANG": "C.UTF-8",
        }
        user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--"]
        return subprocess.Popen(
            [*user, "/usr/bin/python3", "-m", "kubewire", *argv],
            cwd=self.tree,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,  # type: ignore[call-overload]
        )


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_an_ordinary_user_brings_a_lab_up(ordinary: Kubewire, mode: str) -> None:
    ordinary.ok("up", mode, "--verify", timeout=300)
    uids = ordinary.node(mode, "worker", "ps", "-eo", "uid,args").splitlines()
    servers = [line.split()[0] for line in uids if "-m gunicorn" in line and "unshare" not in line]
    assert servers
    status = ordinary.node(
        mode, "worker", "sh", "-c", "grep -h -e ^CapEff -e ^NoNewPrivs /proc/[0-9]*/status"
    )
    assert "NoNewPrivs:\t1" in status
    assert ordinary.ok("down", mode).code == 0
