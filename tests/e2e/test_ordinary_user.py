"""Labs of an ordinary user, in a user namespace; run by root, under a uid that owns nothing of this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT, Kubewire

from kubewire.paths import cache_dir

UID = 54321
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="the other tests already run as an ordinary user"),
]

# Shows the folders given, which may lie in someone's home, at their places to every uid; then runs the rest.
AS_USER = """
import os, sys
from pathlib import Path
from kubewire.netns import linux
uid, count = sys.argv[1], int(sys.argv[2])
folders, command = [Path(f) for f in sys.argv[3:3 + count]], sys.argv[3 + count:]
linux.unshare(linux.CLONE_NEWNS)
linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
kept = {folder: os.open(folder, os.O_PATH) for folder in folders}
covered = set()
for folder in folders:
    for above in reversed(folder.parents):
        if above.is_dir() and not above.stat().st_mode & 1 and above not in covered:
            linux.mount("tmpfs", above, "tmpfs", data="mode=755")
            covered.add(above)
for folder, descriptor in kept.items():
    if any(folder.is_relative_to(above) for above in covered):
        folder.mkdir(parents=True, exist_ok=True)
        linux.mount(f"/proc/self/fd/{descriptor}", folder, flags=linux.MS_BIND)
os.execvp("setpriv", ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--bounding-set=-all",
                      "--inh-caps=-all", "--", *command])
"""


class AsUser(Kubewire):
    """The command as that uid; its PATH lacks the system folders, as an ordinary user's may."""

    def popen(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        home = self.state.parent
        interpreter = Path(sys.executable).parent.parent
        folders = list(dict.fromkeys(map(str, (Path(sys.base_prefix).resolve(), interpreter, ROOT, home))))
        environment = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_STATE_HOME": str(self.state),
            "NO_COLOR": "1",
            "COLUMNS": "120",
        }
        command = [sys.executable, "-m", "kubewire", *argv]
        return subprocess.Popen(
            [sys.executable, "-c", AS_USER, str(UID), str(len(folders)), *folders, *command],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )


@pytest.fixture
def user(tmp_path: Path) -> Iterator[AsUser]:
    home = tmp_path / "home"
    shutil.copytree(
        cache_dir(), home / "cache" / "kubewire", ignore=shutil.ignore_patterns("build", "*.lock")
    )
    for folder, _, files in os.walk(home):
        for name in (".", *files):
            os.chown(Path(folder, name), UID, UID)
    command = AsUser(home / "state")
    yield command
    for lab in ("iptables", "nftables"):
        command.run("down", lab, timeout=120)
    shutil.rmtree(home)


@pytest.mark.parametrize("lab", ["iptables", "nftables"])
def test_a_lab_comes_up_verifies_and_its_pods_are_not_root(user: AsUser, lab: str) -> None:
    user.ok("up", lab)
    code, report = user.report(lab)
    assert code == 0, report
    assert user.node(lab, "worker", "hostname").strip() == f"{lab}-worker"
    listed = user.node(lab, "worker", "ps", "-eo", "uid=,args=").splitlines()
    pods = [line.split()[0] for line in listed if "gunicorn" in line]
    assert pods
    recorded = json.loads((user.state / "kubewire" / "labs" / lab / "sandbox.json").read_text())
    assert os.stat(f"/proc/{recorded['init']['pid']}").st_uid == UID
    user.ok("down", lab)
