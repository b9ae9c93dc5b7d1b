"""What kube-proxy in nftables mode writes for one service port.

Source: pkg/proxy/nftables/proxier.go, syncProxyRules, of v1.29.6 to v1.37.2; KEP-3866.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from msgspec import Struct

from kubewire.dataplane.core.cluster import ServicePort
from kubewire.dataplane.core.config import LocalDetector, ProxyConfig
from kubewire.dataplane.core.endpoints import Categorized, Endpoint
from kubewire.dataplane.core.model import Origin
from kubewire.dataplane.nftables.builder import SOURCE, Builder, NftFeatures
from kubewire.dataplane.nftables.names import (
    AFFINITY_PREFIX,
    LOCALHOST_REJECT_PREFIX,
    LOCALHOST_REJECTS,
    address_set,
    cut_comment,
    endpoint_base,
    local_match,
)
from kubewire.dataplane.nftables.text import duration_text


class ServiceObjects(Struct, frozen=True):
    """One service port's objects; the names follow syncProxyRules, `base` is what its chains' names share."""

    b: Builder
    config: ProxyConfig
    generation: NftFeatures
    detector: LocalDetector
    port: ServicePort
    endpoints: Categorized
    node_ip: str
    base: str

    def add(self) -> None:
        """Add chains, rules, elements and affinity sets to the table."""
        self._add_chains()
        self._add_dispatch()
        self._add_external()
        self._add_firewall()
        self._add_endpoints()

    @property
    def _internal(self) -> bool:
        """Whether the cluster IP has endpoints that its policy allows."""
        e = self.endpoints
        return e.has_any and (bool(e.local) or not self.port.internal_policy_local)

    @property
    def _external(self) -> bool:
        e = self.endpoints
        return e.has_any and (bool(e.local) or not self.port.external_policy_local)

    def _chain(self, prefix: str) -> str:
        return f"{prefix}-{self.base}"

    def _policy_chain(self, *, local: bool) -> str:
        return self._chain("local" if local else "service")

    def _origin(self, check: str, why: str) -> Origin:
        return Origin(self.port.name, why, SOURCE, check)

    def _mark(self) -> str:
        if self.generation.dnat_map:
            return f"meta mark set meta mark | 0x{self.config.mark:08x}"
        return "jump mark-for-masquerade"

    def _add_chains(self) -> None:
        e, port = self.endpoints, self.port
        balancing = self._origin("nftables.service.balancing", "its endpoints are spread over here")
        if e.cluster and port.uses_cluster_endpoints:
            self.b.chain(self._chain("service"), balancing)
        if e.local and port.uses_local_endpoints:
            self.b.chain(self._chain("local"), balancing)
        if e.has_any and port.externally_accessible:
            why = "traffic to its node port, external and load balancer addresses is handled here"
            self.b.chain(self._chain("external"), self._origin("nftables.service.external", why))

    def _add_dispatch(self) -> None:
        b, port = self.b, self.port
        protocol = port.protocol.lower()
        services = self._origin("nftables.services.dispatch", "a packet to its address must reach its chain")
        node_ports = self._origin("nftables.nodeports", "a packet to its node port must reach its chain")
        if self.generation.cluster_ips:
            why = "it is the cluster IP of an existing Service"
            b.element("cluster-ips", port.cluster_ip, self._origin("nftables.cluster-ips", why))
        addresses = [(port.cluster_ip, False), *((ip, True) for ip in (*port.external_ips, *port.lb_vips))]
        for ip, is_external in addresses:
            key = f"{ip} . {protocol} . {port.port}"
            chain = (
                self._chain("external")
                if is_external
                else self._policy_chain(local=port.internal_policy_local)
            )
            if self.endpoints.has_any if is_external else self._internal:
                b.element("service-ips", key, services, value=f"goto {chain}")
            self._add_no_endpoints("no-endpoint-services", key, is_external=is_external)
        if port.node_port:
            key = f"{protocol} . {port.node_port}"
            if self.endpoints.has_any:
                b.element("service-nodeports", key, node_ports, value=f"goto {self._chain('external')}")
            self._add_no_endpoints("no-endpoint-nodeports", key, is_external=True)
            if (chain := LOCALHOST_REJECT_PREFIX + protocol) in b.chains:
                b.element(LOCALHOST_REJECTS, key, node_ports, value=f"goto {chain}")

    def _add_no_endpoints(self, name: str, key: str, *, is_external: bool) -> None:
        if self._external if is_external else self._internal:
            return
        any_at_all = self.endpoints.has_any
        why = "it has no endpoints on this node, as its policy wants" if any_at_all else "it has no endpoints"
        comment = cut_comment(self.port.name) if self.generation.comment_cut else self.port.name
        verdict = "drop" if any_at_all else "goto reject-chain"
        self.b.element(name, key, self._origin("nftables.no-endpoints", why), value=verdict, comment=comment)

    def _add_external(self) -> None:
        b, port, chain = self.b, self.port, self._chain("external")
        if not (self.endpoints.has_any and port.externally_accessible):
            return
        origin = self._origin(
            "nftables.service.external",
            f"externalTrafficPolicy: {'Local' if port.external_policy_local else 'Cluster'}",
        )
        if not port.external_policy_local:
            b.rule(chain, self._mark(), origin, comment="masquerade" if self.generation.dnat_map else "")
        else:
            cluster = f"goto {self._chain('service')}"
            if self.detector.implemented:
                pods = local_match(self.detector, b.words.ip, self.generation.interface_word)
                b.rule(chain, f"{pods} {cluster}", origin, comment="short-circuit pod traffic")
            from_node = "fib saddr type local"
            b.rule(chain, f"{from_node} {self._mark()}", origin, comment="masquerade local traffic")
            b.rule(chain, f"{from_node} {cluster}", origin, comment="short-circuit local traffic")
        if self._external:
            b.rule(chain, f"goto {self._policy_chain(local=port.external_policy_local)}", origin)

    def _add_firewall(self) -> None:
        b, port = self.b, self.port
        if not (port.lb_vips and port.source_ranges):
            return
        origin = self._origin("nftables.service.firewall", "loadBalancerSourceRanges name who may come in")
        from_node = any(ip_address(self.node_ip) in ip_network(cidr) for cidr in port.source_ranges)
        keys = [f"{vip} . {port.protocol.lower()} . {port.port}" for vip in port.lb_vips]
        comment = port.name if self.generation.firewall_comments else ""
        if not self.generation.cluster_ips:
            for vip, key in zip(port.lb_vips, keys, strict=True):
                b.element("firewall", key, origin, comment=comment)
                for cidr in port.source_ranges:
                    source = address_set([cidr])[0]
                    b.element("firewall-allow", f"{key} . {source}", origin, comment=comment)
                if from_node:
                    b.element("firewall-allow", f"{key} . {vip}", origin)
            return
        chain = self._chain("firewall")
        b.chain(chain, origin)
        sources = [*port.source_ranges, *(port.lb_vips if from_node else ())]
        text, *others = (f"{b.words.ip} saddr != {form} drop" for form in address_set(sources))
        b.rule(chain, text, origin, alternatives=others)
        for key in keys:
            b.element("firewall-ips", key, origin, value=f"goto {chain}", comment=comment)

    def _add_endpoints(self) -> None:
        e, port = self.endpoints, self.port
        if not self.generation.dnat_map:
            self._add_masquerade()
        for used, endpoints, prefix in (
            (port.uses_cluster_endpoints, e.cluster, "service"),
            (port.uses_local_endpoints, e.local, "local"),
        ):
            if used and endpoints:
                self._balance(self._chain(prefix), endpoints)
        for endpoint in e.reachable:
            self._add_endpoint(endpoint)

    def _add_masquerade(self) -> None:
        """Up to 1.35 each service chain marks for itself what comes from outside the pods."""
        if not self._internal or not (self.config.masquerade_all or self.detector.implemented):
            return
        b, port, ip = self.b, self.port, self.b.words.ip
        words = [f"{ip} daddr {port.cluster_ip}"]
        if not self.generation.masquerade_any_port:
            words.append(f"{port.protocol.lower()} dport {port.port}")
        if not self.config.masquerade_all:
            words.append(local_match(self.detector, ip, self.generation.interface_word, negated=True))
        origin = self._origin(
            "nftables.service.masquerade", "replies to clients outside the pods must come back here"
        )
        chain = self._policy_chain(local=port.internal_policy_local)
        b.rule(chain, " ".join([*words, self._mark()]), origin)

    def _balance(self, chain: str, endpoints: Sequence[Endpoint]) -> None:
        b, port, protocol = self.b, self.port, self.port.protocol.lower()
        count = len(endpoints)
        origin = self._origin(
            "nftables.service.balancing", f"each of {count} endpoints gets 1/{count} of the connections"
        )
        numgen = f"numgen random mod {count}"
        if port.sticky_seconds is None and self.generation.dnat_map:
            if count == 1 and self.generation.single_dnat:
                b.rule(chain, f"meta l4proto {protocol} dnat to {endpoints[0]}", origin)
                return
            pairs = ", ".join(f"{i} : {e.ip} . {e.port}" for i, e in enumerate(endpoints))
            target = f"dnat {b.words.ip} to {numgen} map {{ {pairs} }}"
            b.rule(chain, f"meta l4proto {protocol} {target}", origin)
            return
        bases = [endpoint_base(port, endpoint) for endpoint in endpoints]
        if port.sticky_seconds is not None:
            affinity = self._origin(
                "nftables.affinity", f"a client stays {port.sticky_seconds} s on its endpoint"
            )
            for base in bases:
                text = f"{b.words.ip} saddr @{AFFINITY_PREFIX}{base} goto endpoint-{base}"
                b.rule(chain, text, affinity)
        pairs = ", ".join(f"{i} : goto endpoint-{base}" for i, base in enumerate(bases))
        b.rule(chain, f"{numgen} vmap {{ {pairs} }}", origin)

    def _add_endpoint(self, endpoint: Endpoint) -> None:
        b, port, protocol = self.b, self.port, self.port.protocol.lower()
        sticky = port.sticky_seconds
        hairpin = self._origin("nftables.hairpin", "a pod that reaches itself needs its reply to come back")
        if self.generation.dnat_map and endpoint.is_local:
            key = f"{endpoint.ip} . {endpoint.ip} . {protocol} . {endpoint.port}"
            b.element("hairpin-connections", key, hairpin)
        if self.generation.dnat_map and sticky is None:
            return
        base = endpoint_base(port, endpoint)
        dnat = self._origin("nftables.endpoint.dnat", f"{endpoint} is a ready endpoint")
        chain = f"endpoint-{base}"
        b.chain(chain, dnat)
        if not self.generation.dnat_map:
            b.rule(chain, f"{b.words.ip} saddr {endpoint.ip} {self._mark()}", hairpin)
        if sticky is not None:
            affinity = self._origin("nftables.affinity", f"a client stays {sticky} s on its endpoint")
            name = f"{AFFINITY_PREFIX}{base}"
            b.set(
                name,
                b.words.address_type,
                affinity,
                options=("flags timeout", f"timeout {duration_text(sticky)}"),
                dynamic=True,
            )
            b.rule(chain, f"update @{name} {{ {b.words.ip} saddr }}", affinity)
        b.rule(chain, f"meta l4proto {protocol} dnat to {endpoint}", dnat)
