"""Docker's network `kind`, shared by all clusters: removed with the last lab if a lab created it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path

from kubewire.core import paths
from kubewire.core.files import make_in, read_own, write_atomically
from kubewire.core.leftovers import Leftover
from kubewire.providers.kind.engine import Engine
from kubewire.providers.kind.engine import engine as connected

PATIENCE, PAUSE = 3.0, 0.1


@contextmanager
def shared() -> Iterator[None]:
    """A lock held while a cluster is created or removed, so that the network stays meanwhile."""
    with _held(fcntl.LOCK_SH):
        yield


@contextmanager
def created_for_labs(engine: Engine) -> Iterator[None]:
    """Around a cluster's creation: if that makes the network, remember that it was ours. That it may be is
    recorded beforehand, in case the process is killed meanwhile.
    """
    with shared():
        ours = not engine.network_id()
        if ours:
            write_atomically(_mark(), "\n")
        try:
            yield
        finally:
            if ours and (made := engine.network_id()):
                write_atomically(_mark(), made + "\n")


def garbage(engine: Engine, gone: AbstractSet[str]) -> list[Leftover]:
    """The network that a lab's cluster had made, where no kind cluster but those `gone` is there."""
    left = [node for node in engine.nodes() if not any(node in engine.nodes(name) for name in gone)]
    return [] if left or not _mark().exists() else [Leftover("kind's network", _remove_unused)]


def _remove_unused() -> bool:
    with connected() as engine:
        remove_if_unused(engine)
    return not _mark().exists()


def remove_if_unused(engine: Engine) -> None:
    """Remove the network if a lab's cluster had made it and no kind cluster is left.

    A killed process may take a moment to release the lock; while another lab is created, the network stays.
    """
    deadline = time.monotonic() + PATIENCE
    while _mark().exists():
        try:
            with _held(fcntl.LOCK_EX | fcntl.LOCK_NB):
                return _remove_ours(engine)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return None
            time.sleep(PAUSE)
    return None


def _remove_ours(engine: Engine) -> None:
    mark = _mark()
    if engine.nodes():
        return
    if identity := read_own(mark).decode().strip() or engine.network_id():
        engine.remove_network(identity)
    mark.unlink(missing_ok=True)


def _mark() -> Path:
    return paths.state_dir() / "kind-network"


@contextmanager
def _held(operation: int) -> Iterator[None]:
    """The lock is on the state folder itself, so that no file of it is ever left."""
    folder = paths.state_dir()
    descriptor = make_in(folder, lambda: os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)
