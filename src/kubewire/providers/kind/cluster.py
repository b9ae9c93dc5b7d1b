"""`up` on kind: create a missing cluster; repair an existing one, or refuse one that isn't the lab's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from kubewire.core import paths
from kubewire.core.errors import DefinitionError, LabError
from kubewire.core.files import write_atomically
from kubewire.core.progress import emit
from kubewire.lab.record import changes_between
from kubewire.lab.rendering import lab_data
from kubewire.lab.schema import Lab, node_names
from kubewire.providers.base import Change, NodeRecord
from kubewire.providers.kind import httpbin, network, node_network, preflight, pull, state, tool
from kubewire.providers.kind.config import kind_config
from kubewire.providers.kind.engine import Engine
from kubewire.providers.kind.images import choose_image
from kubewire.providers.kind.ready import wait_for_nodes, wait_until_ready
from kubewire.providers.kind.records import NodeContainer

REMOVAL_SECONDS, PAUSE = 60.0, 0.1


def up(lab: Lab, engine: Engine, *, check: bool = False, keep: bool = False) -> list[Change]:
    """Create or repair the cluster; the changes, with `check` only planned. `keep` leaves what a failed
    creation created.
    """
    containers = engine.nodes(lab.name)
    require_own(lab.name, containers)
    recorded = state.read(lab.name)
    if recorded and recorded.ready and containers:
        require_same_cluster(recorded.definition, lab)
        return _hint(lab, engine, containers, recorded, check=check)
    left_over = bool(containers) or recorded is not None
    if not check:
        if left_over:
            remove(lab.name, engine)
        _create(lab, engine, keep=keep)
    made = "cluster made anew" if left_over else "cluster made"
    return [
        Change(lab.name, made, "what an unfinished `up` had left was removed" if left_over else "", anew=True)
    ]


def require_own(name: str, containers: Sequence[NodeContainer]) -> None:
    """Refuse a cluster of that name that wasn't created for this lab; it is never changed."""
    foreign = [node.name for node in containers if not is_own(node, name)]
    if foreign:
        raise DefinitionError(
            f"a kind cluster {name} is already there, and kubewire didn't make it ({', '.join(foreign)})",
            where=f"lab {name}",
            hint=f"give the lab another “name:”, or remove that cluster: kind delete cluster --name {name}",
        )


def is_own(node: NodeContainer, name: str) -> bool:
    """Whether the node has this lab's owner folder mounted (Docker Desktop puts its own prefix before it);
    the load balancer of several control planes has no mounts, and is removed with its cluster."""
    owner = str(state.owner_folder(name))
    return node.role == "other" or any(
        destination == state.OWNER_MOUNT and source.endswith(owner) for source, destination in node.mounts
    )


def require_same_cluster(definition: dict[str, Any], lab: Lab) -> None:
    """DefinitionError with the differences: kind can't change a cluster, --recreate is needed."""
    differences, _ = changes_between(Lab.model_validate(definition), lab)
    if differences:
        raise DefinitionError(
            f"kind can't change a cluster that is up: {'; '.join(differences)}",
            where=f"lab {lab.name}",
            hint=f"kubewire up {lab.name} --recreate removes and recreates it",
        )


def remove(name: str, engine: Engine) -> bool:
    """Remove the lab's own node containers, their volumes, and kind's network if it was created for a lab.

    LabError, and nothing is changed, if it has none and its processes can't be seen from here.
    """
    if not _own(name, engine):  # another machine's engine may have its containers
        state.require_here(name)
    removed, deadline = False, time.monotonic() + REMOVAL_SECONDS
    with network.shared(), ThreadPoolExecutor() as pool:
        while True:
            over = tool.is_over(name)  # first: a process that ends later may create one that isn't listed
            containers = _own(name, engine)
            if over and not containers:
                break
            if time.monotonic() > deadline:
                what = (
                    f"remove {containers[0].name}"
                    if containers
                    else "come to an end with what kind asked of it"
                )
                raise LabError(f"the Docker engine doesn't {what}", where=f"lab {name}")
            list(pool.map(engine.remove, containers))
            removed = removed or bool(containers)
            time.sleep(0 if containers else PAUSE)
    network.remove_if_unused(engine)
    return state.remove(name) or removed


def _own(name: str, engine: Engine) -> list[NodeContainer]:
    containers = [node for node in engine.nodes(name) if is_own(node, name)]
    return [] if all(node.role == "other" for node in containers) else containers


def _create(lab: Lab, engine: Engine, *, keep: bool) -> None:
    """Wait until the nodes are ready; `commit` waits for the rest, in parallel with the workload."""
    preflight.require(lab, engine, load=True)
    kind = tool.find(emit)
    image = choose_image(lab, engine.images())
    if not image.present:
        pull.pull(engine, image.reference, emit)
    version = image.kubernetes or pull.peek_version(engine, image.reference)
    pull.require_fitting(lab, image.reference, version, engine)
    folder = paths.lab_dir(lab.name)
    owner = state.owner_folder(lab.name)
    owner.mkdir(parents=True, exist_ok=True)
    config = folder / state.CONFIG
    write_atomically(config, kind_config(lab, owner))
    made = state.ClusterState(lab.name, version, image.reference, (), lab_data(lab), kept=keep)
    state.write(made)
    kubeconfig = folder / state.KUBECONFIG
    emit("cluster", f"kind makes the nodes ({image.reference.partition('@')[0]})")
    try:
        with network.created_for_labs(engine):
            tool.create(kind, lab.name, config, image.reference, kubeconfig, keep=keep, progress=emit)
        kubeconfig.chmod(0o600)
        httpbin.bring(lab, engine, image.reference, node_names(lab), emit)
        wait_for_nodes(lab, kubeconfig, emit)
    except LabError:
        if not keep:
            with suppress(LabError):  # the first failure is reported; `gc` finds the rest
                remove(lab.name, engine)
        raise
    _record_nodes(made, engine)


def _hint(
    lab: Lab,
    engine: Engine,
    containers: Sequence[NodeContainer],
    recorded: state.ClusterState,
    *,
    check: bool,
) -> list[Change]:
    missing = sorted(set(node_names(lab)) - {node.name for node in containers})
    if missing:
        raise LabError(
            f"the node container {', '.join(missing)} was removed, and kind can't put it back",
            where=f"lab {lab.name}",
            hint=f"kubewire up {lab.name} --recreate recreates the lab",
        )
    stopped = [node for node in containers if node.state != "running"]
    changes = [
        Change(node.name, "node container started", f"it was {node.state}", afresh=True) for node in stopped
    ]
    for node in () if check else stopped:
        emit("cluster", f"starting {node.name}")
        engine.start(node)
    running = [node for node in containers if node not in stopped]
    changes += node_network.hint(lab, recorded, engine, running, check=check)
    if not check:
        wait_until_ready(lab, paths.lab_dir(lab.name) / state.KUBECONFIG, emit)
        if any(change.afresh for change in changes):
            _record_nodes(recorded, engine)
    return changes


def _record_nodes(recorded: state.ClusterState, engine: Engine) -> None:
    nodes = [node for node in engine.nodes(recorded.lab) if node.role != "other"]
    records = tuple(NodeRecord(node.name, node.role, node.ips) for node in nodes)
    state.write(replace(recorded, nodes=tuple(sorted(records, key=lambda node: (node.role, node.name)))))
