"""What crashes left on the engine: clusters that this state folder made and no lab has any more."""

from __future__ import annotations

from pathlib import Path

from kubewire import paths
from kubewire.kind import cluster, network, state
from kubewire.kind.engine import Engine
from kubewire.steps.lock import is_locked


def collect(engine: Engine) -> list[str]:
    """Remove clusters of labs that never became ready, or whose folder is gone; what was removed."""
    removed = []
    for name in sorted(_made_here(engine) | _recorded()):
        recorded = state.read(name)
        containers = [node for node in engine.nodes(name) if cluster.is_own(node, name)]
        if is_locked(name) or (recorded and recorded.ready and containers):
            continue
        if cluster.remove(name, engine):
            removed.append(f"lab {name}: its kind cluster ({len(containers)} node containers)")
    network.remove_if_unused(engine)
    return removed


def _made_here(engine: Engine) -> set[str]:
    """The labs of this state folder that have node containers, by the folder that is mounted into them."""
    labs = paths.state_dir() / "labs"
    found = set()
    for node in engine.nodes():
        for source, destination in node.mounts:
            path = Path(source)
            if destination == state.OWNER_MOUNT and path.name == state.OWNER and path.parent.parent == labs:
                found.add(path.parent.name)
    return found


def _recorded() -> set[str]:
    labs = paths.state_dir() / "labs"
    entries = labs.iterdir() if labs.is_dir() else ()
    return {
        entry.name for entry in entries if (entry / state.FILE).exists() or (entry / state.OWNER).exists()
    }
