"""Taking a snapshot: the cluster's objects before and after, one exec per node between, all read-only."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from msgspec.structs import replace

from kubewire.core.errors import LabError
from kubewire.core.processes import run
from kubewire.core.serialization import encode
from kubewire.dataplane.core.snapshot import NODE_NETWORK, NodeSnapshot, Snapshot
from kubewire.dataplane.node_network import NodeNetwork
from kubewire.lab.schema import Lab
from kubewire.providers.base import NodeHandle, Provider
from kubewire.snapshot.cluster import Reader, fingerprint, read_cluster
from kubewire.snapshot.node import SCRIPT, node_snapshot, split_sections

NODE_SECONDS = 60.0
PAUSE_SECONDS = 0.2
SCHEMA = 1


def take_snapshot(
    provider: Provider, lab: Lab, api: Reader, *, kubernetes: str = "", deadline: float = 10.0
) -> Snapshot:
    """Observe a running lab. `meta["settled"]` is false if the cluster kept changing for `deadline` seconds.

    `kubernetes` is the lab's exact version ("v1.37.2"), used for nodes whose kube-proxy does not run.
    Raises LabError when no node could be read, ApiError when the apiserver does not answer.
    """
    handles = provider.nodes(lab.name)
    networks = provider.node_networks(lab)
    end = time.monotonic() + deadline
    before = read_cluster(api)
    while True:
        nodes = tuple(_with_network(node, networks) for node in read_nodes(handles, kubernetes))
        after = read_cluster(api)
        settled = fingerprint(before) == fingerprint(after)
        if settled or time.monotonic() > end:
            break
        time.sleep(PAUSE_SECONDS)
        before = after
    meta = {
        "schema": SCHEMA,
        "lab": lab.name,
        "provider": provider.name,
        "kubernetes": kubernetes,
        "mode": lab.mode.value,
        "service": f"{lab.httpbin.namespace}/httpbin:{lab.httpbin.port_name}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "settled": settled,
    }
    return Snapshot(after, nodes, meta)


def _with_network(node: NodeSnapshot, networks: Mapping[str, NodeNetwork]) -> NodeSnapshot:
    """With what the provider wrote there, unless nothing could be read of it."""
    if node.name not in networks or not node.files:
        return node
    return replace(node, files={**node.files, NODE_NETWORK: encode(networks[node.name]).decode()})


def read_nodes(handles: Sequence[NodeHandle], kubernetes: str) -> tuple[NodeSnapshot, ...]:
    """Every node, a few at a time; LabError with the first failure if none could be read."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        nodes = tuple(pool.map(lambda handle: read_node(handle, kubernetes), handles))
    if not any(node.files for node in nodes):
        why = next((next(iter(node.errors.values())) for node in nodes), "the lab has no nodes")
        raise LabError(f"no node could be read: {why}", hint="`kubewire up` starts the lab again")
    return nodes


def read_node(handle: NodeHandle, kubernetes: str) -> NodeSnapshot:
    """One exec of the script on one node. A node that doesn't answer has only errors."""
    mark = secrets.token_hex(16)
    outcome = run([*handle.prefix, "sh", "-c", SCRIPT, "kubewire", mark], timeout=NODE_SECONDS)
    sections, whole = split_sections(outcome.out, mark)
    if not sections:
        why = f"exit code {outcome.code}: {outcome.err}"
        return NodeSnapshot(handle.name, {}, {"node": f"the node does not answer ({why})"})
    taken = node_snapshot(handle.name, sections, kubernetes)
    if not whole:
        cut = {"node": f"the node's answer is cut short (exit code {outcome.code}: {outcome.err})"}
        return NodeSnapshot(taken.name, taken.files, {**taken.errors, **cut})
    return taken
