"""Role names for random values: addresses, node ports, and chain names that are hashed from them.

Two runs differ in every pod's address; by roles (⟨default/httpbin endpoint 2⟩) they are comparable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from kubewire.dataplane.core.cluster import ClusterState, ServicePort, service_ports
from kubewire.dataplane.core.endpoints import endpoints_for
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import FAMILIES
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.explain_service import Explanation, explain_service
from kubewire.dataplane.iptables.names import digest, seed
from kubewire.dataplane.nftables.names import endpoint_base

_CANDIDATE = re.compile(
    r"KUBE-SEP-[A-Z2-7]{16}"
    r"|(?:endpoint|affinity)-[^\s,}\"]+"
    r"|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])"
    r"|(?<![\w:])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])"
    r"|(?<![\w.])3[0-2]\d{3}(?![\w.])"
)
"""Words that may have a role: names hashed from endpoints, addresses of both families, node ports."""


@dataclass(frozen=True)
class Roles:
    """`words` maps a word of a dump to its role."""

    words: Mapping[str, str]
    _told: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def of(self, text: str) -> str:
        """The text with every such word as its role; each text is processed once."""
        told = self._told.get(text)
        if told is None:
            told = self._told[text] = _CANDIDATE.sub(lambda match: self.words.get(match[0], match[0]), text)
        return told


def roles_of(cluster: ClusterState, lab: str, version: Version, own: str) -> Roles:
    """The roles as the node `own` sees them; without the `lab` name in node names."""
    words: dict[str, str] = {}
    for node in cluster.nodes:
        for ip in node.internal_ips:
            words[ip] = "⟨this node⟩" if node.name == own else f"⟨{role_of_node(node.name, lab)}⟩"
    for family in FAMILIES:
        for port in service_ports(cluster, family, version):
            words.update(_of_port(cluster, port, version))
    return Roles(words)


def explained_by_roles(snapshot: Snapshot, service: str) -> Explanation:
    """A Service's explanation on the last node, so that two runs differ only where kube-proxy does."""
    found = explain_service(snapshot, service)
    cluster = ClusterState.from_list(snapshot.cluster)
    lab = str(snapshot.meta.get("lab", ""))
    roles = roles_of(cluster, lab, found.version, found.node)
    families = tuple(
        (family, tuple(replace(line, place=roles.of(line.place), text=roles.of(line.text)) for line in lines))
        for family, lines in found.families
    )
    return replace(found, node=role_of_node(found.node, lab), families=families)


def role_of_node(name: str, lab: str) -> str:
    """`worker` for `nodeport-worker`."""
    return name.removeprefix(f"{lab}-") if lab else name


def _of_port(cluster: ClusterState, port: ServicePort, version: Version) -> Iterator[tuple[str, str]]:
    service = f"{port.namespace}/{port.service}"
    yield port.cluster_ip, f"⟨{service} cluster IP⟩"
    if port.node_port:
        yield str(port.node_port), f"⟨{port.name} node port⟩"
    for number, endpoint in enumerate(endpoints_for(cluster, port, "", version), 1):
        role = f"⟨{service} endpoint {number}⟩"
        yield endpoint.ip, role
        yield f"KUBE-SEP-{digest(f'{seed(port)}{endpoint}')}", f"KUBE-SEP-⟨{port.name} endpoint {number}⟩"
        base = endpoint_base(port, endpoint)
        for kind in ("endpoint", "affinity"):
            yield f"{kind}-{base}", f"{kind}-⟨{port.name} {port.protocol.lower()} endpoint {number}⟩"
