"""Explaining a Service of a snapshot: finds the Service and the node, then its path."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from kubewire.core.errors import DefinitionError
from kubewire.dataplane.core.cluster import ServicePort, service_ports
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import FAMILIES, IpFamily
from kubewire.dataplane.core.objects import Service
from kubewire.dataplane.core.pods import find_node
from kubewire.dataplane.core.registry import Mode
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.explain import Line, explain
from kubewire.dataplane.node import expected_dataplane, read_inputs


@dataclass(frozen=True, slots=True)
class Explanation:
    """A Service's path on one node in each family in which it has one; `nothing` says why there is none."""

    service: str
    node: str
    mode: Mode
    version: Version
    ports: tuple[ServicePort, ...]
    families: tuple[tuple[IpFamily, tuple[Line, ...]], ...]
    nothing: str = ""


def explain_service(snapshot: Snapshot, service: str, node: str = "") -> Explanation:
    """Explain a Service, `[NAMESPACE/]NAME[:PORT]`, on a node (the last one by default).

    Raises DefinitionError for an unknown Service or node, naming the nearest, and LabError for a snapshot
    from which the node's rules can't be computed.
    """
    cluster = snapshot.state
    namespace, name, port_name = _split(service)
    found = _service(cluster.services, namespace, name)
    nodes = {each.name: each for each in snapshot.nodes}
    chosen = nodes[find_node(node, nodes)] if node else snapshot.nodes[-1]
    inputs = read_inputs(chosen, cluster)
    ports, families = [], []
    for family in FAMILIES:
        own = [
            port
            for port in service_ports(cluster, family, inputs.version)
            if (port.namespace, port.service) == (namespace, name) and port_name in ("", port.port_name)
        ]
        if own:
            families.append((family, tuple(explain(expected_dataplane(inputs, cluster, family), own))))
            ports += own
    if port_name and not ports and found.ports:
        known = [port.name for port in found.ports]
        raise DefinitionError(
            f"Service {namespace}/{name} has no port {port_name!r}", hint=f"its ports: {', '.join(known)}"
        )
    return Explanation(
        f"{namespace}/{name}",
        chosen.name,
        inputs.config.mode,
        inputs.version,
        tuple(ports),
        tuple(families),
        "" if ports else _why_nothing(found),
    )


def _split(service: str) -> tuple[str, str, str]:
    whole, _, port = service.partition(":")
    namespace, slash, name = whole.partition("/")
    return (namespace, name, port) if slash else ("default", whole, port)


def _service(services: Sequence[Service], namespace: str, name: str) -> Service:
    for service in services:
        if (service.namespace, service.name) == (namespace, name):
            return service
    names = [f"{service.namespace}/{service.name}" for service in services]
    same = [known for known in names if known.partition("/")[2] == name]
    near = same or difflib.get_close_matches(f"{namespace}/{name}", names, n=3, cutoff=0.4)
    raise DefinitionError(
        f"there is no Service {namespace}/{name}" + (f"; did you mean {near[0]}?" if near else ""),
        hint=f"the nearest: {', '.join(near or sorted(names)[:5])}",
    )


def _why_nothing(service: Service) -> str:
    if service.type == "ExternalName":
        return "it is of type ExternalName: DNS answers with another name, and kube-proxy writes nothing"
    if not any(service.cluster_ips.values()):
        return (
            "it has no cluster IP that kube-proxy serves (headless, or left to another proxy): kube-proxy "
            "writes nothing, and clients reach the pods by the addresses that DNS gives"
        )
    return "it has no port"
