"""The VM's cached parts: each a folder of `~/.cache/kubewire/vm`, named by its inputs, complete or absent."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kubewire.core import paths
from kubewire.core.errors import HostError
from kubewire.core.files import is_own_folder, own_folder
from kubewire.core.locks import locked
from kubewire.core.processes import NOT_STARTED, run
from kubewire.core.progress import Progress

STEP = "vm"
TOOL_SECONDS = 3600.0


def folder() -> Path:
    return paths.cache_dir() / "vm"


def part(
    kind: str, key: str, gib: float, make: Callable[[Path], None], progress: Progress, *, keep: int = 2
) -> Path:
    """The folder `KIND-KEY`, created once by one process while others wait; a failure leaves nothing.

    `gib` is the disk space that its creation needs at most. Of the folders of a kind the `keep` newest stay.
    """
    target = folder() / f"{kind}-{key}"
    if _is_whole(target):
        return target
    with locked(paths.cache_dir() / "locks" / f"vm-{kind}.lock", f"the VM's {kind}", progress):
        if _is_whole(target):
            return target
        own_folder(folder())
        remove_tree(target)  # another user's
        for leftover in folder().glob(f".{kind}-*"):  # of a killed process: its lock is ours now
            remove_tree(leftover)
        require_space(folder(), gib, f"the VM's {kind}")
        with _scratch(kind) as scratch:
            make(scratch)
            scratch.chmod(0o755)
            scratch.replace(target)
        _forget_old(kind, keep)
    return target


def _is_whole(target: Path) -> bool:
    """Whether a part exists (then it is complete); one that another user could have changed doesn't count."""
    return is_own_folder(target.parent) and is_own_folder(target)


def require_space(where: Path, gib: float, what: str) -> None:
    free = shutil.disk_usage(where).free / 2**30
    if free < gib:
        raise HostError(
            f"{what} needs {gib:.1f} GiB of disk, {free:.1f} GiB are free",
            where=str(where),
            hint="free some space, or set XDG_CACHE_HOME to a folder on a bigger disk",
        )


def run_tool(argv: Sequence[str], what: str, hint: str = "") -> None:
    """Run a tool to its end, in a locale that supports every file name; HostError with its last lines."""
    done = run(argv, timeout=TOOL_SECONDS, env=os.environ | {"LC_ALL": "C.UTF-8"})
    if done.code == NOT_STARTED and not done.out:
        raise HostError(f"{what}: {done.err}", hint=hint)
    if done.code:
        words = "\n".join((done.err or done.out).strip().splitlines()[-12:])
        raise HostError(f"{what} (exit code {done.code})", hint=f"{hint}\n{words}".strip())


def remove_tree(tree: Path) -> None:
    """Remove a tree whose folders may be read-only, as those of a Debian root are."""
    for path, folders, _ in os.walk(tree):
        for name in ("", *folders):
            with suppress(OSError):
                directory = Path(path, name)
                if not directory.is_symlink():
                    directory.chmod(directory.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(tree, ignore_errors=True)


@contextmanager
def _scratch(kind: str) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix=f".{kind}-", dir=folder()))
    try:
        yield made
    finally:
        remove_tree(made)


def _forget_old(kind: str, keep: int) -> None:
    """A running QEMU keeps its images open, so even one in use may be removed."""
    made = sorted(folder().glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in made[keep:]:
        remove_tree(old)
