"""The hashes of Go modules (go.sum): those that ship with kubewire, and those of this machine's builds."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from kubewire.core import paths
from kubewire.core.files import read_own, write_atomically
from kubewire.core.locks import locked
from kubewire.core.progress import Progress

SHIPPED = Path(__file__).with_name("go.sum")

Sums = frozenset[str]
"""Lines of a go.sum: `k8s.io/api v0.37.2 h1:…`."""


def parse(content: str) -> Sums:
    return frozenset(line for line in content.splitlines() if line)


def text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in sorted(lines))


def known() -> Sums:
    """The known hashes of modules. LabError where this machine's own file is damaged."""
    return shipped() | _kept()


@cache
def shipped() -> Sums:
    """The modules of every version that kubewire knows."""
    return parse(SHIPPED.read_text())


def remember(lines: Sums, progress: Progress) -> None:
    """Record the hashes of modules that weren't known yet."""
    if not lines:
        return
    modules = {tuple(line.split()[:2]) for line in lines}
    progress("build", f"{len(modules)} Go modules are new here; their hashes are remembered")
    with locked(paths.cache_dir() / "locks" / "go.sum.lock", "the known Go modules", progress):
        write_atomically(kept_file(), text(_kept() | lines))


def kept_file() -> Path:
    """`~/.cache/kubewire/go.sum`."""
    return paths.cache_dir() / "go.sum"


def _kept() -> Sums:
    try:
        return parse(read_own(kept_file()).decode())
    except FileNotFoundError:
        return frozenset()
