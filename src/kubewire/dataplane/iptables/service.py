"""The rules of one service port in iptables mode (pkg/proxy/iptables/proxier.go, syncProxyRules)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network

from msgspec import Struct

from kubewire.dataplane.core.cluster import ServicePort
from kubewire.dataplane.core.config import LocalDetector
from kubewire.dataplane.core.endpoints import Categorized, Endpoint
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Chain, Origin, Rule, RuleGroup
from kubewire.dataplane.iptables import names

SOURCE = "pkg/proxy/iptables/proxier.go"


class NodeContext(Struct, frozen=True):
    """What the rules of every service port of one node and family depend on."""

    family: IpFamily
    detector: LocalDetector
    masquerade_all: bool
    localhost_counter: bool
    large: bool
    node_ip: str

    def host(self, ip: str) -> str:
        """A host address as iptables prints it."""
        return f"{ip}/128" if self.family == "ipv6" else f"{ip}/32"

    @property
    def reject(self) -> str:
        icmp = "icmp6" if self.family == "ipv6" else "icmp"
        return f"REJECT --reject-with {icmp}-port-unreachable"

    @property
    def mask(self) -> str:
        return "ffff:" * 7 + "ffff" if self.family == "ipv6" else "255.255.255.255"


class ServiceRules(Struct, frozen=True):
    """The nat chains of one service port, and the rules that it adds to shared chains, by (table, chain)."""

    chains: tuple[Chain, ...]
    shared: tuple[tuple[str, str, Rule | RuleGroup], ...]


def service_rules(port: ServicePort, endpoints: Categorized, around: NodeContext) -> ServiceRules:
    """All rules of one service port."""
    work = _Work(port, endpoints, around)
    return ServiceRules(tuple(work.chains()), tuple(work.shared()))


class _Work:
    def __init__(self, port: ServicePort, endpoints: Categorized, around: NodeContext) -> None:
        self.port, self.endpoints, self.around = port, endpoints, around
        self.name, self.protocol = port.name, port.protocol.lower()
        self.seed = names.seed(port)
        self.seps: dict[str, str] = {}
        tail = names.digest(self.seed)
        self.svc, self.svl = f"KUBE-SVC-{tail}", f"KUBE-SVL-{tail}"
        self.ext, self.fw = f"KUBE-EXT-{tail}", f"KUBE-FW-{tail}"
        self.own = self.origin("chain", f"it belongs to {self.name}")
        self.hairpin = self.origin(
            "endpoint.hairpin", "a pod that reaches itself through the Service is masqueraded"
        )
        has_any, has_local = endpoints.has_any, bool(endpoints.local)
        self.internal = self.svl if port.internal_policy_local else self.svc
        self.external = self.svl if port.external_policy_local else self.svc
        self.has_internal = has_any and (has_local or not port.internal_policy_local)
        self.has_external = has_any and (has_local or not port.external_policy_local)
        self.uses_ext = has_any and port.externally_accessible
        self.uses_fw = has_any and bool(port.lb_vips) and bool(port.source_ranges)

    def origin(self, check: str, why: str) -> Origin:
        return Origin(self.name, why, SOURCE, f"iptables.{check}")

    def to(self, ip: str, port: int, comment: str, target: str, extra: str = "") -> str:
        """A rule on destination address (if any) and port, as iptables-save prints it."""
        where = f"-d {self.around.host(ip)} " if ip else ""
        return (
            f'{where}-p {self.protocol} -m comment --comment "{comment}" {extra}'
            f"-m {self.protocol} --dport {port} -j {target}"
        )

    def shared(self) -> Iterator[tuple[str, str, Rule | RuleGroup]]:
        """What the port adds to KUBE-SERVICES, KUBE-NODEPORTS and the filter chains."""
        port, name = self.port, self.name
        if self.has_internal:
            origin = self.origin("services.dispatch", f"{name} is reached at its cluster IP")
            text = self.to(port.cluster_ip, port.port, f"{name} cluster IP", self.internal)
            yield "nat", names.SERVICES, Rule(text, origin)
        else:
            yield "filter", names.SERVICES, self.refusal(port.cluster_ip, port.port)
        if self.endpoints.has_any:
            yield from self.external_dispatch()
        if not self.has_external:
            for ip in (*port.external_ips, *port.lb_vips):
                yield "filter", names.EXTERNAL_SERVICES, self.refusal(ip, port.port)
            if port.node_port:
                yield "filter", names.EXTERNAL_SERVICES, self.refusal("", port.node_port)
        if self.uses_fw:
            origin = self.origin(
                "service.firewall", "what no source range let pass must not reach the load balancer"
            )
            for ip in port.lb_vips:
                text = self.to(ip, port.port, f"{name} traffic not accepted by {self.fw}", "DROP")
                yield "filter", names.PROXY_FIREWALL, Rule(text, origin)
        if port.health_check_node_port:
            origin = self.origin("health-check", "load balancers probe this port to find local endpoints")
            text = (
                f'-p tcp -m comment --comment "{name} health check node port" '
                f"-m tcp --dport {port.health_check_node_port} -j ACCEPT"
            )
            yield "filter", names.NODEPORTS, Rule(text, origin)

    def external_dispatch(self) -> Iterator[tuple[str, str, Rule | RuleGroup]]:
        port, name = self.port, self.name
        origin = self.origin("services.dispatch", f"{name} is reached at its external addresses")
        for ip in port.external_ips:
            text = self.to(ip, port.port, f"{name} external IP", self.ext)
            yield "nat", names.SERVICES, Rule(text, origin)
        target = self.fw if self.uses_fw else self.ext
        for ip in port.lb_vips:
            text = self.to(ip, port.port, f"{name} loadbalancer IP", target)
            yield "nat", names.SERVICES, Rule(text, origin)
        if port.node_port:
            origin = self.origin("nodeport", f"{name} is reached at node port {port.node_port} of every node")
            plain = self.to("", port.node_port, name, self.ext)
            rules = [Rule(plain, origin)]
            if self.around.localhost_counter:
                counted = "-m nfacct --nfacct-name  localhost_nps_accepted_pkts -j "
                text = "-d 127.0.0.0/8 " + plain.replace("-j ", counted)
                rules.insert(0, Rule(text, origin))
            yield "nat", names.NODEPORTS, RuleGroup(tuple(rules))

    def refusal(self, ip: str, number: int) -> Rule:
        """REJECT when the Service has no endpoint at all, DROP when it lacks only the local ones it needs."""
        if self.endpoints.has_any:
            comment, verdict = f"{self.name} has no local endpoints", "DROP"
            why = "its traffic policy is Local and this node has no endpoint of it"
        else:
            comment, verdict = f"{self.name} has no endpoints", self.around.reject
            why = "no endpoint of it is ready"
        extra = "" if ip else "-m addrtype --dst-type LOCAL "
        return Rule(self.to(ip, number, comment, verdict, extra), self.origin("no-endpoints", why))

    def chains(self) -> Iterator[Chain]:
        """KUBE-EXT, KUBE-FW, KUBE-SVC, KUBE-SVL and KUBE-SEP chains of the port."""
        if self.uses_ext:
            yield self.chain(self.ext, self.external_rules())
        if self.uses_fw:
            yield self.chain(self.fw, self.firewall_rules())
        if self.endpoints.cluster and self.port.uses_cluster_endpoints:
            yield self.chain(self.svc, self.balancing(self.svc, self.endpoints.cluster))
        if self.endpoints.local and self.port.uses_local_endpoints:
            yield self.chain(self.svl, self.balancing(self.svl, self.endpoints.local))
        for endpoint in self.endpoints.reachable:
            text = str(endpoint)
            yield self.chain(self.sep(text), self.endpoint_rules(endpoint, text))

    def chain(self, name: str, rules: Iterable[Rule]) -> Chain:
        return Chain(self.around.family, "nat", name, None, (RuleGroup(tuple(rules)),), self.own)

    def sep(self, endpoint: str) -> str:
        """The name of an endpoint's chain."""
        name = self.seps.get(endpoint)
        if name is None:
            name = self.seps[endpoint] = f"KUBE-SEP-{names.digest(self.seed + endpoint)}"
        return name

    def external_rules(self) -> Iterator[Rule]:
        def rule(match: str, comment: str, addrtype: str, target: str) -> Rule:
            text = f'{match}-m comment --comment "{comment} for {self.name} external destinations" '
            return Rule(f"{text}{addrtype}-j {target}", origin)

        if self.port.external_policy_local:
            origin = self.origin("service.external", "with policy Local, local clients may use any endpoint")
            if self.around.detector.implemented:
                yield rule(local_match(self.around.detector), "pod traffic", "", self.svc)
            local = "-m addrtype --src-type LOCAL "
            yield rule("", "masquerade LOCAL traffic", local, names.MARK_MASQ)
            yield rule("", "route LOCAL traffic", local, self.svc)
        else:
            origin = self.origin("service.external", "external clients are masqueraded with policy Cluster")
            yield rule("", "masquerade traffic", "", names.MARK_MASQ)
        if self.has_external:
            origin = self.origin("service.external", "external traffic goes on to the endpoints")
            yield Rule(f"-j {self.external}", origin)

    def firewall_rules(self) -> Iterator[Rule]:
        origin = self.origin("service.firewall", "only loadBalancerSourceRanges may use the load balancer")
        comment = f'-m comment --comment "{self.name} loadbalancer IP" -j {self.ext}'
        for cidr in self.port.source_ranges:
            source = "" if cidr.endswith("/0") else f"-s {cidr} "
            yield Rule(source + comment, origin)
        if in_any(self.around.node_ip, self.port.source_ranges):
            for ip in self.port.lb_vips:
                yield Rule(f"-s {self.around.host(ip)} {comment}", origin)
        drop = f"other traffic to {self.name} will be dropped by {names.PROXY_FIREWALL}"
        yield Rule(f'-m comment --comment "{drop}"', origin)

    def balancing(self, chain: str, endpoints: tuple[Endpoint, ...]) -> Iterator[Rule]:
        if chain == self.internal and self.has_internal:
            yield from self.masquerade()
        if self.port.sticky_seconds is not None:
            origin = self.origin("affinity", f"a client stays {self.port.sticky_seconds} s on its endpoint")
            for text in map(str, endpoints):
                sep = self.sep(text)
                recent = (
                    f"-m recent --rcheck --seconds {self.port.sticky_seconds} --reap "
                    f"--name {sep} --mask {self.around.mask} --rsource "
                )
                yield self.endpoint_rule("", f"{self.name} -> {text}", recent, sep, origin)
        count = len(endpoints)
        origin = self.origin(
            "service.probability",
            f"each of {count} endpoints gets the same share, so rule i has 1/({count}-i)",
        )
        for share, text in zip(range(count, 0, -1), map(str, endpoints), strict=True):
            chance = names.probability(share)
            statistic = f"-m statistic --mode random --probability {chance} " if share > 1 else ""
            sep = self.sep(text)
            yield self.endpoint_rule("", f"{self.name} -> {text}", statistic, sep, origin)

    def masquerade(self) -> Iterator[Rule]:
        detector = self.around.detector
        port = self.port
        text = self.to(port.cluster_ip, port.port, f"{self.name} cluster IP", names.MARK_MASQ)
        if self.around.masquerade_all:
            origin = self.origin(
                "service.masquerade", "masqueradeAll: every cluster IP client is masqueraded"
            )
        elif detector.implemented:
            origin = self.origin("service.masquerade", "what does not come from a local pod is masqueraded")
            if detector.kind == "cidr":
                text = f"! -s {detector.value} {text}"
            else:
                text = text.replace(" -p ", f" ! {local_match(detector)}-p ", 1)
        else:
            return
        yield Rule(text, origin)

    def endpoint_rule(self, head: str, comment: str, match: str, target: str, origin: Origin) -> Rule:
        """A rule that large clusters write without its comment, so that both forms are right."""
        plain = f"{head}{match}-j {target}"
        full = f'{head}-m comment --comment "{comment}" {match}-j {target}'
        text, other = (plain, full) if self.around.large else (full, plain)
        return Rule(text, origin, False, (other,))

    def endpoint_rules(self, endpoint: Endpoint, text: str) -> tuple[Rule, ...]:
        recent = ""
        if self.port.sticky_seconds is not None:
            recent = f"-m recent --set --name {self.sep(text)} --mask {self.around.mask} --rsource "
        source = f"-s {self.around.host(endpoint.ip)} "
        dnat = self.origin("endpoint.dnat", f"{text} is an endpoint of {self.name}")
        protocol, target = self.protocol, f"DNAT --to-destination {text}"
        return (
            self.endpoint_rule(source, self.name, "", names.MARK_MASQ, self.hairpin),
            self.endpoint_rule(f"-p {protocol} ", self.name, f"{recent}-m {protocol} ", target, dnat),
        )


def local_match(detector: LocalDetector) -> str:
    """The match of traffic from local pods."""
    if detector.kind == "cidr":
        return f"-s {detector.value} "
    return f"-i {detector.value}{'+' if detector.kind == 'prefix' else ''} "


def in_any(ip: str, cidrs: tuple[str, ...]) -> bool:
    """Whether an address ("" for none) lies in one of the CIDRs."""
    return bool(ip) and any(ip_address(ip) in ip_network(cidr) for cidr in cidrs)
