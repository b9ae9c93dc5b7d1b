"""Rules and chains that are not kube-proxy's: who owns them, and which of them conflict with it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from kubewire.dataplane.core.cluster import ClusterState, ServicePort, service_ports
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.objects import family_of
from kubewire.dataplane.iptables.spec import HARMLESS, Spec

OWNERS = (
    (("KUBE-KUBELET-CANARY", "KUBE-IPTABLES-HINT", "KUBE-FIREWALL"), "kubelet"),
    (("KUBE-MARK-DROP",), "a kubelet before 1.28"),
    (
        ("KUBE-NODE-PORT", "KUBE-LOAD-BALANCER", "KUBE-SOURCE-RANGES-FIREWALL", "KUBE-IPVS-"),
        "kube-proxy's ipvs mode",
    ),
    (("KIND-MASQ-AGENT",), "kindnet"),
    (("CNI-",), "CNI plugins"),
    (("DOCKER",), "Docker"),
    (("FLANNEL-",), "flannel"),
    (("cali-",), "Calico"),
    (("CILIUM_", "OLD_CILIUM_"), "Cilium"),
    (("ufw-", "ufw6-"), "ufw"),
    (("f2b-",), "fail2ban"),
    (("LIBVIRT_",), "libvirt"),
    (("NETAVARK",), "Podman"),
)
_DOCKER_BRIDGE = re.compile(r"docker\d+|docker_gwbridge|br-[0-9a-f]{12}")
_LIBVIRT_BRIDGE = re.compile(r"virbr\d+")
_FLANNEL = ("flanneld masq", "flanneld forward")


class Traffic(Struct, frozen=True):
    """The service and pod traffic of one family: what a foreign rule must not touch."""

    ports: tuple[ServicePort, ...]
    pod_cidrs: tuple[str, ...]
    node_ips: tuple[str, ...]

    @property
    def inside(self) -> tuple[str, ...]:
        """Where the cluster's own traffic comes from."""
        return (*self.pod_cidrs, *self.node_ips)

    @classmethod
    def of(cls, cluster: ClusterState, config: ProxyConfig, family: IpFamily, version: Version) -> Traffic:
        """All Services of the family, the pods' networks and the nodes' addresses."""
        cidrs = {*config.cluster_cidrs, *(cidr for node in cluster.nodes for cidr in node.pod_cidrs)}
        return cls(
            ports=service_ports(cluster, family, version),
            pod_cidrs=tuple(sorted(cidr for cidr in cidrs if family_of(cidr) == family)),
            node_ips=tuple(ip for node in cluster.nodes if (ip := node.internal_ip(family))),
        )


def owner_of_chain(name: str) -> str:
    """The owner of a chain of that name, "" if unknown."""
    return next((owner for prefixes, owner in OWNERS if name.startswith(prefixes)), "")


def owner_of_rule(spec: Spec) -> str:
    """The owner of a rule of a built-in chain, by its bridge, its target, or its comment (flannel before it
    had chains of its own); "" if unknown. Without a network only a bridge counts.
    """
    for match in spec.interfaces:
        if not match.negated or spec.source or spec.destination:
            if _DOCKER_BRIDGE.fullmatch(match.value):
                return "Docker"
            if _LIBVIRT_BRIDGE.fullmatch(match.value):
                return "libvirt"
    comment = spec.match("--comment")
    return owner_of_chain(spec.target) or ("flannel" if comment and comment.value in _FLANNEL else "")


def harm(spec: Spec, table: str, chain: str, traffic: Traffic, owner: str = "") -> tuple[str, str]:
    """What service or pod traffic a rule can match, in words, and the Service if it is one; else "" twice.

    A rule of a known owner may match all traffic on its way, but not single out a Service's address.
    """
    if spec.target in HARMLESS or (table not in ("filter", "nat") and spec.target in ("ACCEPT", "RETURN")):
        return "", ""
    if owner:
        return _service_harm(spec, traffic) or ("", "") if _singles_out(spec, traffic) else ("", "")
    if any(match.value == "lo" and not match.negated for match in spec.interfaces):
        return "", ""
    if (table, chain) == ("nat", "POSTROUTING") and spec.source and not spec.may_come_from(traffic.inside):
        return "", ""  # another network's own source NAT
    states = spec.match("--ctstate", "--state")
    if spec.target == "ACCEPT" and states and not states.negated and "NEW" not in states.value:
        return "", ""
    return _service_harm(spec, traffic) or _pod_harm(spec, chain, traffic.pod_cidrs) or ("", "")


def _singles_out(spec: Spec, traffic: Traffic) -> bool:
    """Whether a rule names the exact address of a Service."""
    if spec.destination is None or spec.destination.negated:
        return False
    address, _, length = spec.destination.value.partition("/")
    vips = {ip for port in traffic.ports for ip in (port.cluster_ip, *port.external_ips, *port.lb_vips)}
    return length in ("", "32", "128") and address in vips


def _service_harm(spec: Spec, traffic: Traffic) -> tuple[str, str] | None:
    hits = []
    for port in traffic.ports:
        protocol = port.protocol.lower()
        if spec.may_use(protocol, port.port):
            hits += [
                (f"{ip} port {port.port}", port.name)
                for ip in (port.cluster_ip, *port.external_ips, *port.lb_vips)
                if spec.may_go_to((ip,))
            ]
        if port.node_port and spec.may_use(protocol, port.node_port) and spec.may_go_to(traffic.node_ips):
            hits.append((f"node port {port.node_port}", port.name))
    if not hits:
        return None
    services = {name for _, name in hits}
    if len(services) == 1:
        return f"it can match {hits[0][0]} of {hits[0][1]}", hits[0][1]
    return f"it can match the traffic of {len(services)} Services, such as {hits[0][0]} of {hits[0][1]}", ""


def _pod_harm(spec: Spec, chain: str, pod_cidrs: Sequence[str]) -> tuple[str, str] | None:
    if chain == "INPUT" or not pod_cidrs:
        return None
    named = [
        can
        for match, can in (
            (spec.source, spec.may_come_from(pod_cidrs)),
            (spec.destination, spec.may_go_to(pod_cidrs)),
        )
        if match is not None
    ]
    if named and not any(named):
        return None
    return f"it can match pod traffic ({', '.join(pod_cidrs)})", ""
