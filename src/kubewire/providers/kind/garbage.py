"""What crashes left on the engine: clusters that this state folder records and no lab uses."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from kubewire.core import paths
from kubewire.core.errors import LabError
from kubewire.core.leftovers import Leftover
from kubewire.lab.lock import is_locked, lab_lock
from kubewire.providers.kind import cluster, network, state
from kubewire.providers.kind.engine import Engine, engine


def find(docker: Engine) -> list[Leftover]:
    """Clusters of labs that never became ready, and what is kept of those that are gone; kind's network once
    none is left.

    Containers without a record here may be those of a machine or container with a folder of the same name.
    """
    found = []
    for name in sorted(recorded()):
        with suppress(LabError):  # its processes can't be seen from here
            if is_garbage(name, docker) and not is_locked(name):
                nodes = sum(cluster.is_own(node, name) for node in docker.nodes(name))
                what = f"lab {name}: its kind cluster ({nodes} node containers)"
                found.append(Leftover(what, partial(_remove, name), name))
    return [*found, *network.garbage(docker, {left.lab for left in found})]


def is_garbage(name: str, docker: Engine) -> bool:
    """Whether a lab's cluster is certainly unused; call it again under the lab's lock."""
    state.require_here(name)
    if not state.exists(name):
        return False
    recorded = state.read(name)
    if recorded is None or not recorded.ready:
        return True
    return not any(cluster.is_own(node, name) for node in docker.nodes(name))


def _remove(name: str) -> bool:
    with engine() as docker, lab_lock(name, "gc", wait=False):
        if not is_garbage(name, docker):
            return False
        for file in (paths.RECORD, paths.LEDGER):  # written between the nodes' start and the lab's readiness
            (paths.lab_dir(name) / file).unlink(missing_ok=True)
        return cluster.remove(name, docker)


def recorded() -> set[str]:
    labs = paths.state_dir() / "labs"
    entries = labs.iterdir() if labs.is_dir() else ()
    return {
        entry.name for entry in entries if (entry / state.FILE).exists() or (entry / state.OWNER).exists()
    }
