"""Scratch folders for building: removed afterwards, and at the next start if their owner was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from kubewire.core import paths
from kubewire.core.files import UnsafeFileError
from kubewire.core.leftovers import Leftover
from kubewire.core.locks import is_held, locked, open_lock, try_lock
from kubewire.core.progress import Progress, emit

LOCK = "lock"


class Workspace:
    """`…/kubewire/build/<label>.<pid>.…`, created at first use.

    Its lock lives as long as this process or a child that inherited `descriptor`: a compiler that outlives a
    killed parent still counts.
    """

    def __init__(self, label: str, progress: Progress) -> None:
        self._prefix = f"{label}.{os.getpid()}."
        self._directory = Path()
        self._progress = progress
        self._descriptor = -1

    @property
    def path(self) -> Path:
        if self._descriptor < 0:
            with locked(_parent() / ".lock", "the build folder", self._progress):
                _remove_dead()
                self._directory = Path(tempfile.mkdtemp(prefix=self._prefix, dir=_parent()))
                self._descriptor = open_lock(self._directory / LOCK)
                try_lock(self._descriptor)
        return self._directory

    @property
    def descriptor(self) -> int:
        _ = self.path
        return self._descriptor

    def subdirectory(self, name: str) -> Path:
        directory = self.path / name
        directory.mkdir(exist_ok=True)
        return directory

    def close(self) -> None:
        if self._descriptor < 0:
            return
        remove_tree(self._directory)
        os.close(self._descriptor)
        self._descriptor = -1


@contextlib.contextmanager
def workspace(label: str, progress: Progress) -> Iterator[Workspace]:
    """A workspace that is removed afterwards, also after an error or Ctrl-C."""
    space = Workspace(label, progress)
    try:
        yield space
    finally:
        space.close()


def leftovers() -> tuple[Path, ...]:
    """Workspaces whose owner is dead."""
    return tuple(directory for directory in _folders(_parent()) if _is_left(directory))


def garbage() -> list[Leftover]:
    """The workspaces that killed builds left."""
    return [Leftover(f"the build folder {each}", partial(_remove, each)) for each in leftovers()]


def _is_left(directory: Path) -> bool:
    try:
        return not is_held(directory / LOCK)
    except UnsafeFileError:  # not created by kubewire
        return False


def _remove(directory: Path) -> bool:
    with locked(_parent() / ".lock", "the build folder", emit):
        if not _is_left(directory):
            return False
        remove_tree(directory)
        return True


def sweep(progress: Progress) -> tuple[Path, ...]:
    """Remove the workspaces of killed builds; returns what was removed."""
    if not _parent().is_dir():
        return ()
    with locked(_parent() / ".lock", "the build folder", progress):
        return _remove_dead()


def remove_tree(directory: Path) -> None:
    """`rm -rf` that also removes Go's read-only module cache."""
    for parent, folders, _ in os.walk(directory):
        for folder in folders:
            child = Path(parent, folder)
            if not child.is_symlink():
                child.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _parent() -> Path:
    return paths.cache_dir() / "build"


def _folders(parent: Path) -> list[Path]:
    return [entry for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []


def _remove_dead() -> tuple[Path, ...]:
    dead = leftovers()
    for directory in dead:
        remove_tree(directory)
    return dead
