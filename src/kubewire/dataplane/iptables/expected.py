"""What kube-proxy in iptables mode must have written on a node, in one address family."""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_address

from kubewire.dataplane.core.cluster import ClusterState, service_ports
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.endpoints import categorize, endpoints_for
from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.features import Version, has
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.localhost import on_localhost
from kubewire.dataplane.core.model import Chain, Dataplane, Hook, Origin, Rule, RuleGroup, Table
from kubewire.dataplane.iptables import names
from kubewire.dataplane.iptables.service import SOURCE, NodeContext, service_rules

LARGE_CLUSTER_ENDPOINTS = 1000
_PORTALS = "kubernetes service portals"
_EXTERNAL = "kubernetes externally-visible service portals"
_LB_FIREWALL = "kubernetes load balancer firewall"
# (table, built-in chain, only new connections, comment, target): iptablesJumpChains in proxier.go
JUMPS = (
    ("filter", "INPUT", True, _EXTERNAL, names.EXTERNAL_SERVICES),
    ("filter", "FORWARD", True, _EXTERNAL, names.EXTERNAL_SERVICES),
    ("filter", "INPUT", False, "kubernetes health check service ports", names.NODEPORTS),
    ("filter", "FORWARD", True, _PORTALS, names.SERVICES),
    ("filter", "OUTPUT", True, _PORTALS, names.SERVICES),
    ("filter", "FORWARD", False, "kubernetes forwarding rules", names.FORWARD),
    ("filter", "INPUT", True, _LB_FIREWALL, names.PROXY_FIREWALL),
    ("filter", "OUTPUT", True, _LB_FIREWALL, names.PROXY_FIREWALL),
    ("filter", "FORWARD", True, _LB_FIREWALL, names.PROXY_FIREWALL),
    ("nat", "OUTPUT", False, _PORTALS, names.SERVICES),
    ("nat", "PREROUTING", False, _PORTALS, names.SERVICES),
    ("nat", "POSTROUTING", False, "kubernetes postrouting rules", names.POSTROUTING),
    ("filter", "INPUT", False, "", names.FIREWALL),
    ("filter", "OUTPUT", False, "", names.FIREWALL),
)


def expected_iptables(
    cluster: ClusterState, config: ProxyConfig, facts: NodeFacts, version: Version, family: IpFamily
) -> Dataplane:
    """The tables filter, nat and mangle as kube-proxy keeps them; built-in chains hold only its jumps.

    Source: pkg/proxy/iptables/proxier.go of Kubernetes 1.29 to 1.37.
    """
    counters = facts.nfacct and has(version, "nfacct")
    localhost = bool(on_localhost(config, facts.node, version, family, "TCP"))
    ports = service_ports(cluster, family, version)
    cached = [endpoints_for(cluster, port, facts.name, version) for port in ports]
    around = NodeContext(
        family=family,
        detector=config.detector(family, facts.node),
        masquerade_all=config.masquerade_all,
        localhost_counter=localhost and counters,
        large=sum(map(len, cached)) > LARGE_CLUSTER_ENDPOINTS,
        node_ip=facts.node_ip(family, config),
    )
    shared: dict[tuple[str, str], list[Rule | RuleGroup]] = defaultdict(list)
    own: list[Chain] = []
    for port, endpoints in zip(ports, cached, strict=True):
        rules = service_rules(port, categorize(endpoints, port, facts.node, version), around)
        own += rules.chains
        for table, chain, rule in rules.shared:
            shared[table, chain].append(rule)
    fixed = _fixed_rules(config, facts, counters=counters)
    cidrs = config.node_port_cidrs(family, facts.node, version)
    fixed["nat", names.SERVICES] = (
        RuleGroup(_to_nodeports(facts, cidrs, family, localhost=localhost), ordered=False),
    )
    chains = [
        _chain(
            family,
            table,
            name,
            (RuleGroup(tuple(shared[table, name]), ordered=False), *fixed.get((table, name), ())),
        )
        for table, members in names.FIXED.items()
        for name in members
    ]
    chains.append(_firewall(family, localhost))
    chains += _jumps(family)
    return Dataplane(
        tables=tuple(Table(family, name) for name in ("filter", "nat", "mangle")), chains=(*chains, *own)
    )


def _chain(family: IpFamily, table: str, name: str, groups: tuple[RuleGroup, ...]) -> Chain:
    check = "iptables.canary" if name == names.CANARY else "iptables.chain"
    why = (
        "kube-proxy watches it to notice that the tables were flushed"
        if name == names.CANARY
        else "kube-proxy keeps it, with or without Services"
    )
    return Chain(family, table, name, groups=groups, origin=Origin("", why, SOURCE, check))


def snat_rule(facts: NodeFacts, origin: Origin) -> Rule:
    """What masquerades the marked packets; with an old iptables on the node its ports may not be random."""
    text = '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE'
    flagged = f"{text} --random-fully"
    return Rule(flagged, origin, False, () if facts.random_fully else (text,))


def _fixed_rules(
    config: ProxyConfig, facts: NodeFacts, *, counters: bool
) -> dict[tuple[str, str], tuple[RuleGroup, ...]]:
    mark = f"{config.mark:#x}"
    masq = Origin("", f"what is marked {mark} is masqueraded on its way out", SOURCE, "iptables.postrouting")
    set_mark = Origin(
        "", f"sets the mark {mark} that KUBE-POSTROUTING masquerades", SOURCE, "iptables.mark-masq"
    )
    forward = Origin(
        "", "forwarded service traffic must pass a FORWARD policy of DROP", SOURCE, "iptables.forward"
    )
    invalid = Origin(
        "", "a packet that conntrack finds invalid would leave without NAT", SOURCE, "iptables.forward"
    )
    counter = "-m nfacct --nfacct-name  ct_state_invalid_dropped_pkts " if counters else ""
    drop_invalid = (
        () if facts.tcp_be_liberal else (Rule(f"-m conntrack --ctstate INVALID {counter}-j DROP", invalid),)
    )
    return {
        ("nat", names.POSTROUTING): _ordered(
            Rule(f"-m mark ! --mark {mark}/{mark} -j RETURN", masq),
            Rule(f"-j MARK --set-xmark {mark}/0x0", masq),
            snat_rule(facts, masq),
        ),
        ("nat", names.MARK_MASQ): _ordered(Rule(f"-j MARK --set-xmark {mark}/{mark}", set_mark)),
        ("filter", names.FORWARD): _ordered(
            *drop_invalid,
            Rule(
                f'-m comment --comment "kubernetes forwarding rules" -m mark --mark {mark}/{mark} -j ACCEPT',
                forward,
            ),
            Rule(
                '-m comment --comment "kubernetes forwarding conntrack rule" '
                "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                forward,
            ),
        ),
    }


def _ordered(*rules: Rule) -> tuple[RuleGroup, ...]:
    return (RuleGroup(rules),)


def _to_nodeports(
    facts: NodeFacts, cidrs: tuple[str, ...], family: IpFamily, *, localhost: bool
) -> tuple[Rule, ...]:
    """The tail of KUBE-SERVICES: one rule for all local addresses, or one for each selected address."""
    origin = Origin(
        "",
        "what is for no service address but for this node may be for a node port",
        SOURCE,
        "iptables.services.nodeports",
    )
    note = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"
    comment = f'-m comment --comment "{note}" '
    target = names.NODEPORTS
    if any(cidr.endswith("/0") for cidr in cidrs):
        loopback = "" if localhost else "! -d ::1/128 " if family == "ipv6" else "! -d 127.0.0.0/8 "
        texts = [f"{loopback}{comment}-m addrtype --dst-type LOCAL -j {target}"]
    else:
        ips = facts.node_port_ips(cidrs, family)
        length = 128 if family == "ipv6" else 32
        texts = [
            f"-d {ip}/{length} {comment}-j {target}"
            for ip in ips
            if localhost or not ip_address(ip).is_loopback
        ]
    return tuple(Rule(text, origin) for text in texts)


def _firewall(family: IpFamily, localhost: bool) -> Chain:
    """KUBE-FIREWALL; kubelet writes the same IPv4 rule, so it may stand without localhost node ports."""
    origin = Origin("", "route_localnet must not open 127.0.0.0/8 to others", SOURCE, "iptables.firewall")
    text = (
        '! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" '
        "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
    )
    rules = (Rule(text, origin, optional=not localhost),) if family == "ipv4" else ()
    return Chain(family, "filter", names.FIREWALL, groups=(RuleGroup(rules),), origin=origin)


def _jumps(family: IpFamily) -> list[Chain]:
    rules: dict[tuple[str, str], list[Rule]] = defaultdict(list)
    for table, base, new, comment, target in JUMPS:
        origin = Origin("", f"without it no packet of {base} sees {target}", SOURCE, "iptables.jump")
        state = "-m conntrack --ctstate NEW " if new else ""
        words = f'-m comment --comment "{comment}" ' if comment else ""
        rules[table, base].append(Rule(f"{state}{words}-j {target}", origin))
    return [
        Chain(family, table, base, Hook(base), (RuleGroup(tuple(members), ordered=False),), shared=True)
        for (table, base), members in rules.items()
    ]
