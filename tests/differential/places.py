"""Where the kube-proxies run: here, or in a VM whose kernel has ip_vs, one SSH connection away."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubewire.core.processes import Outcome, run

DEADLINE = 300  # seconds, for what takes one or less; an emulated machine takes its time


@dataclass(frozen=True)
class Place:
    """Runs commands as root. `ssh`: the client's argv, none for this machine; `binaries`: where they lie."""

    ssh: tuple[str, ...] = ()
    binaries: Path | None = None

    @property
    def emulated(self) -> bool:
        """Whether each program takes many times as long there."""
        return bool(self.ssh)

    @property
    def pause(self) -> float:
        """Seconds before the second look at a node, and where looking is work, before the first."""
        return 1.0 if self.emulated else 0.05

    def argv(self, words: Sequence[str]) -> list[str]:
        """What has to be run here so that these words run there."""
        return [*self.ssh, shlex.join(words)] if self.ssh else [*words]

    def run(self, words: Sequence[str]) -> Outcome:
        return run(self.argv(words), timeout=DEADLINE)

    def do(self, words: Sequence[str], text: str = "") -> None:
        """Run a command that must succeed, with this text as its input."""
        subprocess.run(self.argv(words), input=text, text=True, check=True, stdout=subprocess.DEVNULL)

    def write(self, path: Path, text: str) -> None:
        self.do(("tee", str(path)), text)

    def binary(self, path: Path) -> Path:
        """Where a binary of the cache lies there."""
        return self.binaries / path.parent.name / path.name if self.binaries else path
