"""An ordinary user of this machine, with a checkout and a cache of its own, set up as the README says."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ROOT, Kubewire

from waiting import DEADLINE

UID = 54321


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


@contextmanager
def ordinary_user() -> Iterator[User]:
    """The user, set up by `make` with the system's Python; the cached binaries of 1.37 are copied.

    The home is a new folder in /tmp, removed at the end with the labs of labs/ that are up. Takes root.
    """
    home = Path(tempfile.mkdtemp(prefix="kubewire-user-", dir="/tmp"))
    home.chmod(0o755)
    tree = home / "kubewire"
    left_out = shutil.ignore_patterns(".venv", ".git", ".*_cache", "__pycache__", ".hypothesis")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=left_out)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kubewire" / "bin"
    older = shutil.ignore_patterns("v1.2*", "v1.3[0-6]*")
    shutil.copytree(cache, home / ".cache" / "kubewire" / "bin", ignore=older)
    subprocess.run(["chown", "-R", f"{UID}:{UID}", home], check=True)
    user = User(home / "state", home=home, tree=tree)
    try:
        made = user.user("make", "setup", "PYTHON=/usr/bin/python3")
        out, _ = made.communicate(timeout=3 * DEADLINE)
        assert made.returncode == 0, out
        yield user
    finally:
        labs = user.state / "kubewire" / "labs"
        for lab in sorted(labs.iterdir()) if labs.is_dir() else ():
            user.run("down", lab.name)
        shutil.rmtree(home)
