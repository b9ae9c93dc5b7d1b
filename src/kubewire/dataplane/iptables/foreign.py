"""Rules and chains that are not kube-proxy's: who owns them, and which of them can end or divert a packet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network

from msgspec.structs import replace

from kubewire.dataplane.core.harm import OTHER_MODE, Scope
from kubewire.dataplane.core.model import Chain, Dataplane, Hook, RuleGroup
from kubewire.dataplane.iptables import names
from kubewire.dataplane.iptables.spec import HARMLESS, Spec, parse_rule, port_ranges

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
_ON_ITS_WAY = HARMLESS | {"ACCEPT", "RETURN", "MARK", "CONNMARK", "MASQUERADE"}
"""Targets by which a packet doesn't end, nor goes elsewhere, nor its replies: they come to the node."""

Owned = Callable[[str, str], bool]
"""Whether kube-proxy writes a chain of that table and name."""


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


class Foreign:
    """What of a dump is not kube-proxy's. `owned` tells its chains by table and name."""

    def __init__(self, dataplane: Dataplane, owned: Owned = names.owned) -> None:
        self._dataplane, self._owned = dataplane, owned
        self._chains: Mapping[tuple[str, str], Chain] = {(c.table, c.name): c for c in dataplane.chains}

    def holds(self, chain: Chain, text: str | None) -> bool:
        """Whether a rule of that text, or a built-in chain's policy, is not kube-proxy's."""
        if text is None:
            return True
        if self._owned(chain.table, chain.name):
            return False
        return chain.hook is None or not self._owned(chain.table, parse_rule(text).target)

    def rest(self) -> Dataplane:
        """The dump without it: kube-proxy's chains, its jumps in built-in chains, whose policies accept."""
        chains = []
        for chain in self._chains.values():
            if chain.hook is None:
                chains += [chain] if self._owned(chain.table, chain.name) else []
                continue
            kept = tuple(rule for rule in chain.rules() if not self.holds(chain, rule.text))
            hook = Hook(chain.hook.name, policy="ACCEPT")
            chains.append(replace(chain, hook=hook, groups=(RuleGroup(kept),)))
        return replace(self._dataplane, chains=tuple(chains))

    def owner(self, chain: Chain, text: str) -> str:
        """Whose a foreign rule is, "" if unknown."""
        spec = parse_rule(text)
        known = owner_of_chain(chain.name) or owner_of_rule(spec)
        left = any(names.owned(chain.table, name) for name in (chain.name, spec.target))
        return known or (OTHER_MODE.format("iptables") if left else "")

    def may_end(self, table: str, text: str) -> bool:
        """Whether a rule that matches may end or divert a packet, for all that its text tells."""
        return any(True for _ in self._endings(table, text, set(), first=table == "nat"))

    def biting(self) -> Iterator[Scope]:
        """What the foreign rules match that may end or divert a packet; a policy matches all.

        To accept a packet, or to leave a built-in chain, diverts it where kube-proxy's jumps come later.
        """
        seen: set[tuple[str, bool]] = set()
        for chain in self._chains.values():
            if chain.hook is None:
                continue
            if chain.hook.policy != "ACCEPT":
                yield Scope()
            rules = list(chain.rules())
            last = max((i for i, rule in enumerate(rules) if not self.holds(chain, rule.text)), default=-1)
            for index, rule in enumerate(rules):
                if self.holds(chain, rule.text):
                    spec = parse_rule(rule.text)
                    if index < last and spec.target == "RETURN":
                        yield scope(spec)
                    yield from self._endings(chain.table, rule.text, seen, first=index < last)

    def _endings(self, table: str, text: str, seen: set[tuple[str, bool]], *, first: bool) -> Iterator[Scope]:
        """The rules that end or divert, from one on; `first`: before kube-proxy's, so accepting diverts."""
        texts = [text]
        while texts:
            spec = parse_rule(texts.pop())
            chain = self._chains.get((table, spec.target))
            if chain is None:
                if spec.target not in _ON_ITS_WAY or (first and spec.target == "ACCEPT"):
                    yield scope(spec)
                continue
            key = f"{table} {chain.name}", first
            if key not in seen and not self._owned(table, chain.name):
                seen.add(key)
                texts += [rule.text for rule in reversed(list(chain.rules()))]


def scope(spec: Spec) -> Scope:
    """What a rule asks for by name; a negated match asks for all the rest, so for nothing."""
    networks, ports, interfaces = [], [], []
    for match in spec.matches:
        if match.negated or not match.values:
            continue
        try:
            if match.option in ("-s", "-d"):
                networks.append((str(ip_network(match.value, strict=False)),))
            elif match.option in ("--dport", "--dports", "--sport", "--sports"):
                ports += port_ranges(match.value)
            elif match.option in ("-i", "-o"):
                interfaces.append(match.value)
        except ValueError:
            continue
    return Scope(tuple(networks), tuple(ports), tuple(interfaces))
