"""The few iptables rules of ipvs mode, which use sets for lookups (writeIptablesRules)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct

from kubewire.dataplane.core.config import LocalDetector
from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Chain, Hook, Origin, Rule, RuleGroup
from kubewire.dataplane.iptables.expected import snat_rule
from kubewire.dataplane.iptables.service import local_match
from kubewire.dataplane.ipvs import names
from kubewire.dataplane.ipvs.service import SOURCE, Blocked

_PORTALS = "kubernetes service portals"
_ACCESS = "kubernetes ipvs access filter"
# (table, built-in chain, comment, target): iptablesJumpChain in proxier.go
JUMPS = (
    ("nat", "OUTPUT", _PORTALS, names.SERVICES),
    ("nat", "PREROUTING", _PORTALS, names.SERVICES),
    ("nat", "POSTROUTING", "kubernetes postrouting rules", names.POSTROUTING),
    ("filter", "FORWARD", "kubernetes forwarding rules", names.FORWARD),
    ("filter", "INPUT", "kubernetes health check rules", names.NODE_PORT),
    ("filter", "INPUT", "kube-proxy firewall rules", names.PROXY_FIREWALL),
    ("filter", "FORWARD", "kube-proxy firewall rules", names.PROXY_FIREWALL),
    ("filter", "INPUT", _ACCESS, names.IPVS_FILTER),
    ("filter", "OUTPUT", _ACCESS, names.IPVS_OUT_FILTER),
)
_PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}


class Fixed(Struct, frozen=True):
    """What the rules of one node and family depend on; `filled` are the sets that kube-proxy fills."""

    family: IpFamily
    facts: NodeFacts
    mark: int
    masquerade_all: bool
    detector: LocalDetector
    filled: Collection[str]
    blocked: Sequence[Blocked]
    external_local_passes: bool


def ipvs_chains(fixed: Fixed) -> list[Chain]:
    """kube-proxy's chains of nat and filter, and its jumps from the built-in ones."""
    rules = _Rules(fixed)
    bodies = {
        ("nat", names.SERVICES): rules.services(),
        ("nat", names.POSTROUTING): rules.postrouting(),
        ("nat", names.NODE_PORT): rules.node_ports(),
        ("nat", names.LOAD_BALANCER): rules.load_balancer(),
        ("nat", names.MARK_MASQ): rules.mark_masq(),
        ("filter", names.FORWARD): rules.forward(),
        ("filter", names.NODE_PORT): rules.health_check(),
        ("filter", names.PROXY_FIREWALL): rules.firewall(),
        ("filter", names.SOURCE_RANGES_FIREWALL): rules.source_ranges(),
        ("filter", names.IPVS_FILTER): rules.access(),
        ("filter", names.IPVS_OUT_FILTER): rules.access_from_node(),
    }
    origin = Origin("", "kube-proxy keeps it, with or without Services", SOURCE, "ipvs.chain")
    own = [
        Chain(fixed.family, table, name, groups=tuple(bodies[table, name]), origin=origin)
        for table, members in names.CHAINS.items()
        for name in members
    ]
    return own + _jumps(fixed.family)


def _jumps(family: IpFamily) -> list[Chain]:
    rules: dict[tuple[str, str], list[Rule]] = defaultdict(list)
    for table, base, comment, target in JUMPS:
        origin = Origin("", f"without it no packet of {base} sees {target}", SOURCE, "ipvs.jump")
        text = f'-m comment --comment "{comment}" -j {target}'
        rules[table, base].append(Rule(text, origin))
    return [
        Chain(family, table, base, Hook(base), (RuleGroup(tuple(members), ordered=False),), shared=True)
        for (table, base), members in rules.items()
    ]


def _any_order(*rules: Rule | None) -> RuleGroup:
    return RuleGroup(tuple(rule for rule in rules if rule), ordered=False)


def _in_order(*rules: Rule | None) -> RuleGroup:
    return RuleGroup(tuple(rule for rule in rules if rule))


class _Rules:
    def __init__(self, fixed: Fixed) -> None:
        self.fixed = fixed
        six = fixed.family == "ipv6"
        self.localhost = "::1/128" if six else "127.0.0.0/8"
        self.reject = f"REJECT --reject-with {'icmp6' if six else 'icmp'}-port-unreachable"
        self.length = 128 if six else 32

    def rule(self, check: str, why: str, match: str, target: str) -> Rule:
        origin = Origin("", why, SOURCE, f"ipvs.{check}")
        return Rule(f"{match}-j {target}", origin)

    def match(self, name: str, flags: str) -> str:
        return f"-m set --match-set {names.set_name(name, self.fixed.family)} {flags} "

    def said(self, name: str, flags: str) -> str:
        """The match of a set behind the set's comment, quoted as iptables-save quotes."""
        comment = re.sub(r"([\"'\\])", r"\\\1", names.SETS[name].comment)
        return f'-m comment --comment "{comment}" {self.match(name, flags)}'

    def filled(self, name: str, rule: Rule) -> Rule | None:
        """Rules on most sets are only written while kube-proxy has something in them."""
        return rule if name in self.fixed.filled else None

    def services(self) -> Iterator[RuleGroup]:
        why = "what comes from this host's loopback is no service traffic"
        yield _in_order(self.rule("services", why, f"-s {self.localhost} ", "RETURN"))
        balancer = self.said(names.LB, "dst,dst")
        why = "traffic to a load balancer's address may have to be masqueraded"
        external = self.said(names.EXTERNAL_IP, "dst,dst")
        cross = "traffic to an external IP may go on to another node, so it is masqueraded"
        yield _any_order(
            self.filled(names.LB, self.rule("services", why, balancer, names.LOAD_BALANCER)),
            self.filled(names.CLUSTER_IP, self.masquerade()),
            self.filled(names.EXTERNAL_IP, self.rule("masquerade", cross, external, names.MARK_MASQ)),
        )
        yield _any_order(
            *self.accept_external(names.EXTERNAL_IP), *self.accept_external(names.EXTERNAL_IP_LOCAL)
        )
        why = "what is for this node may be for a node port"
        yield _in_order(self.rule("services", why, "-m addrtype --dst-type LOCAL ", names.NODE_PORT))
        why = "what ipvs will take must meet no further nat rule"
        yield _any_order(
            *(
                self.filled(name, self.rule("services", why, self.match(name, "dst,dst"), "ACCEPT"))
                for name in (names.CLUSTER_IP, names.LB)
            )
        )

    def masquerade(self) -> Rule:
        detector = self.fixed.detector
        matched = self.said(names.CLUSTER_IP, "dst,dst")
        if self.fixed.masquerade_all:
            why = "masqueradeAll: every cluster IP client is masqueraded"
        elif detector.implemented:
            why, matched = (
                "what does not come from a local pod is masqueraded",
                f"! {local_match(detector)}{matched}",
            )
        else:
            why = "a client that took a service address as its source is masqueraded"
            matched = self.said(names.CLUSTER_IP, "src,dst")
        return self.rule("masquerade", why, matched, names.MARK_MASQ)

    def accept_external(self, name: str) -> Iterator[Rule | None]:
        matched = self.said(name, "dst,dst")
        outside = f"{matched}-m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL "
        why = "clients outside this host go on to ipvs"
        yield self.filled(name, self.rule("services", why, outside, "ACCEPT"))
        why = "an external IP that is local here goes on to ipvs"
        inside = f"{matched}-m addrtype --dst-type LOCAL "
        yield self.filled(name, self.rule("services", why, inside, "ACCEPT"))

    def postrouting(self) -> Iterator[RuleGroup]:
        mark = f"{self.fixed.mark:#x}"
        hairpin = "a pod that reaches itself through a Service is masqueraded"
        loop = self.rule("hairpin", hairpin, self.said(names.LOOP_BACK, "dst,dst,src"), "MASQUERADE")
        why = f"what is marked {mark} is masqueraded on its way out"
        yield _in_order(
            self.filled(names.LOOP_BACK, loop),
            self.rule("postrouting", why, f"-m mark ! --mark {mark}/{mark} ", "RETURN"),
            self.rule("postrouting", why, "", f"MARK --set-xmark {mark}/0x0"),
            snat_rule(self.fixed.facts, Origin("", why, SOURCE, "ipvs.postrouting")),
        )

    def mark_masq(self) -> Iterator[RuleGroup]:
        mark = f"{self.fixed.mark:#x}"
        why = f"sets the mark {mark} that KUBE-POSTROUTING masquerades"
        yield _in_order(self.rule("mark-masq", why, "", f"MARK --set-xmark {mark}/{mark}"))

    def node_ports(self) -> Iterator[RuleGroup]:
        groups = []
        for protocol in ("tcp", "udp", "sctp"):
            flags = "dst,dst" if protocol == "sctp" else "dst"
            local, every = names.NODE_PORTS_LOCAL[protocol], names.NODE_PORTS[protocol]
            keep, hide = (f"-p {protocol} {self.said(name, flags)}" for name in (local, every))
            why = "with policy Local a node port's client keeps its address"
            kept = self.filled(local, self.rule("nodeport", why, keep, "RETURN"))
            why = "a node port's client is masqueraded, since the endpoint may be elsewhere"
            masked = self.filled(every, self.rule("nodeport", why, hide, names.MARK_MASQ))
            groups.append(_in_order(kept, masked))
        yield RuleGroup(tuple(groups), ordered=False)

    def load_balancer(self) -> Iterator[RuleGroup]:
        why = "with policy Local a load balancer's client keeps its address"
        kept = self.rule("masquerade", why, self.said(names.LB_LOCAL, "dst,dst"), "RETURN")
        why = "a load balancer's client is masqueraded, since the endpoint may be elsewhere"
        yield _in_order(self.filled(names.LB_LOCAL, kept), self.rule("masquerade", why, "", names.MARK_MASQ))

    def forward(self) -> Iterator[RuleGroup]:
        mark = f"{self.fixed.mark:#x}"
        why = "forwarded service traffic must pass a FORWARD policy of DROP"
        comment = '-m comment --comment "kubernetes forwarding'
        yield _any_order(
            self.rule("forward", why, f'{comment} rules" -m mark --mark {mark}/{mark} ', "ACCEPT"),
            self.rule(
                "forward",
                why,
                f'{comment} conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED ',
                "ACCEPT",
            ),
        )

    def health_check(self) -> Iterator[RuleGroup]:
        why = "load balancers probe these ports to find local endpoints"
        yield _in_order(self.rule("health-check", why, self.said(names.HEALTH_CHECK, "dst"), "ACCEPT"))

    def firewall(self) -> Iterator[RuleGroup]:
        why = "load balancers with source ranges are checked for them"
        matched = self.said(names.LB_FW, "dst,dst")
        rule = self.rule("firewall", why, matched, names.SOURCE_RANGES_FIREWALL)
        yield _in_order(self.filled(names.LB_FW, rule))

    def source_ranges(self) -> Iterator[RuleGroup]:
        why = "a source range lets it pass"
        yield _any_order(
            *(
                self.filled(name, self.rule("firewall", why, self.said(name, "dst,dst,src"), "RETURN"))
                for name in (names.LB_SOURCE_CIDR, names.LB_SOURCE_IP)
            )
        )
        yield _in_order(self.rule("firewall", "what no source range let pass is dropped", "", "DROP"))

    def access(self) -> Iterator[RuleGroup]:
        """Ports of the host itself must not be open at service addresses (issue 72236)."""
        why = "a service port of a service address is open"
        passing = [names.LB, names.CLUSTER_IP, names.EXTERNAL_IP]
        passing += [names.EXTERNAL_IP_LOCAL] if self.fixed.external_local_passes else []
        yield _any_order(
            *(self.rule("filter", why, self.match(name, "dst,dst"), "RETURN") for name in passing),
            self.rule("filter", why, self.match(names.HEALTH_CHECK, "dst"), "RETURN"),
        )
        why = "other ports of a service address would reach the host itself (issue 72236)"
        matched = f"-m conntrack --ctstate NEW {self.match(names.IPVS_IPS, 'dst')}"
        yield _in_order(self.rule("filter", why, matched, self.reject))

    def access_from_node(self) -> Iterator[RuleGroup]:
        """In the order in which libxt_ipvs prints its options."""
        rules = [
            Rule(
                f"-s {entry.ip}/{self.length} -m ipvs --vproto {_PROTOCOL_NUMBERS[entry.protocol]} "
                f"--vaddr {entry.ip} --vport {entry.port} -j DROP",
                entry.origin,
            )
            for entry in self.fixed.blocked
        ]
        yield _any_order(*rules)
