"""Sockets on node ports: kube-proxy's own on localhost, which must be there, and other processes'. Pure.

Only in nftables mode with KEP-6032 does a node port need a socket; everywhere else rules take its packets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from kubewire.dataplane.core.cluster import ServicePort, service_ports
from kubewire.dataplane.core.endpoints import endpoints_of
from kubewire.dataplane.core.findings import FAMILIES, Check, Note, Place
from kubewire.dataplane.core.localhost import KUBE_PROXY, LOOPBACK, Listener, listeners_of, on_localhost
from kubewire.dataplane.core.objects import with_port
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.node import Inputs

LISTENS = "localhost.listener"
_MOST = 10
_WHY = (
    "KubeProxyNFTablesLocalhostNodePorts: a socket of kube-proxy serves each TCP node port on localhost; "
    "it does without where another process has the port (pkg/proxy/nftables/localnodeportproxy, KEP-6032)"
)


def check_listeners(snapshot: Snapshot, inputs: Mapping[str, Inputs]) -> tuple[list[Check], list[Note]]:
    """kube-proxy's sockets of each node where its mode has them, and a note on others' on a node port."""
    checks: list[Check] = []
    notes: list[Note] = []
    for name, node in inputs.items():
        listeners = listeners_of(node.snapshot.json("facts.json", dict) or {})
        for family in FAMILIES:
            if on_localhost(node.config, node.facts.node, node.version, family, "TCP") == "listener":
                for port in service_ports(snapshot.state, family, node.version):
                    checks += _own(snapshot, node, port, listeners)
        notes += [Note(text, name) for text in islice(_others(snapshot, node, listeners or ()), _MOST)]
    return checks, notes


def _own(
    snapshot: Snapshot, node: Inputs, port: ServicePort, listeners: Sequence[Listener] | None
) -> Iterator[Check]:
    """One listens where the Service has an endpoint that it may use (KEP-6032)."""
    if not port.node_port or port.protocol != "TCP":
        return
    endpoints = endpoints_of(snapshot.state, port, node.facts.node, node.version)
    if not (endpoints.local if port.external_policy_local else endpoints.cluster):
        return
    address = LOOPBACK[port.family]
    where, place = with_port(address, port.node_port), Place("", node.snapshot.name, port.family)
    if listeners is None:
        yield place.skip(
            LISTENS, where, "the snapshot's facts.json does not tell listeners", service=port.name
        )
        return
    found = [each for each in listeners if each.takes("tcp", address, port.node_port)]
    mine = [each for each in found if each.process.startswith(KUBE_PROXY)]
    wanted = f"{KUBE_PROXY} listens on {where}/tcp"
    observed = "\n".join(map(str, found[:_MOST])) or f"no process listens on {where}/tcp"
    yield place.check(
        LISTENS, where, _WHY, wanted, wanted if mine else observed, ok=bool(mine), service=port.name
    )


def _others(snapshot: Snapshot, node: Inputs, listeners: Sequence[Listener]) -> Iterator[str]:
    """Other processes that listen on a node port, where no check names them."""
    if not listeners:
        return
    ports: dict[tuple[str, int], list[ServicePort]] = {}
    for family in FAMILIES:
        for port in service_ports(snapshot.state, family, node.version):
            ports.setdefault((port.protocol.lower(), port.node_port), []).append(port)
    for each in listeners:
        found = ports.get((each.protocol, each.port), [])
        if not found or each.process.startswith(KUBE_PROXY) or any(_instead(node, each, p) for p in found):
            continue
        yield (
            f"{each}, the node port of {found[0].name}: what is sent to that port at an address that accepts "
            "node ports is the Service's, by rules that come before any socket"
        )


def _instead(node: Inputs, listener: Listener, port: ServicePort) -> bool:
    """Whether it has the place of kube-proxy's own socket."""
    handling = on_localhost(node.config, node.facts.node, node.version, port.family, port.protocol)
    return handling == "listener" and listener.takes("tcp", LOOPBACK[port.family], port.node_port)
