"""Recorded snapshots to explain Services of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from msgspec.structs import replace

from kubewire.dataplane.core.cluster import ClusterState, ServicePort, service_ports
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.core.snapshot import NODE_FILES, NodeSnapshot, Snapshot
from kubewire.dataplane.explain import Line, explain
from kubewire.dataplane.explain_service import FAMILIES
from kubewire.dataplane.node import Inputs, expected_dataplane, read_inputs
from repository import GOLDEN

TOLD = GOLDEN / "told"
LABS = {"iptables": "verify/iptables-v1.37.2", "nftables": "verify/nftables-v1.37.2"}


def recorded() -> list[str]:
    """The recorded snapshots of single nodes, as paths below the goldens; without the large, gzipped one."""
    return sorted(
        f"{group}/{path.parent.name}"
        for group in ("dataplane", "dataplane_nft")
        for path in (GOLDEN / group).glob("*-v*/cluster.json")
    )


@cache
def load(name: str) -> Snapshot:
    root = GOLDEN / name
    nodes = tuple(
        NodeSnapshot(folder.name, {p.name: p.read_text() for p in folder.iterdir() if p.name in NODE_FILES})
        for folder in sorted((root / "nodes").iterdir())
    )
    return Snapshot(json.loads((root / "cluster.json").read_text()), nodes)


@dataclass(frozen=True)
class Told:
    """What is told of one Service in one family of one node, and what was to be told from."""

    node: Inputs
    family: IpFamily
    ports: tuple[ServicePort, ...]
    expected: Dataplane
    lines: tuple[Line, ...]


@cache
def everything(name: str) -> tuple[Told, ...]:
    """Every Service of every node of a snapshot, explained."""
    snapshot = load(name)
    cluster = ClusterState.from_list(snapshot.cluster)
    found: list[Told] = []
    for node in (read_inputs(entry, cluster) for entry in snapshot.nodes):
        for family in FAMILIES:
            expected = expected_dataplane(node, cluster, family)
            ports = service_ports(cluster, family, node.version)
            for _, group in groupby(ports, lambda port: (port.namespace, port.service)):
                own = tuple(group)
                found.append(Told(node, family, own, expected, tuple(explain(expected, own))))
    return tuple(found)


def in_ipvs_mode(snapshot: Snapshot) -> Snapshot:
    """The same nodes with a kube-proxy that is configured for ipvs mode."""

    def changed(node: NodeSnapshot) -> NodeSnapshot:
        config = node.files["kube-proxy.yaml"].replace('"mode": "iptables"', '"mode": "ipvs"')
        assert config != node.files["kube-proxy.yaml"]
        return replace(node, files={**node.files, "kube-proxy.yaml": config})

    return replace(snapshot, nodes=tuple(map(changed, snapshot.nodes)))
