"""Masquerade of traffic from pods to outside the cluster, as kindnet's ip-masq-agent programs it.

Source: kindnetd masq.go. One chain per address family in use, always by iptables, in every mode of
kube-proxy: traffic to a pod subnet keeps its source, all other traffic that leaves this host is masqueraded.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.node_network import Masquerade

CHAIN = "KIND-MASQ-AGENT"
_JUMP_COMMENT = (
    "kind-masq-agent: ensure nat POSTROUTING directs all non-LOCAL destination traffic to our custom "
    f"{CHAIN} chain"
)
_LOCAL_COMMENT = "kind-masq-agent: local traffic is not subject to MASQUERADE"
_LAST_COMMENT = "kind-masq-agent: outbound traffic is subject to MASQUERADE (must be last in chain)"
JUMP = f'-A POSTROUTING -m addrtype ! --dst-type LOCAL -m comment --comment "{_JUMP_COMMENT}" -j {CHAIN}'


def rules(subnets: Iterable[str]) -> list[str]:
    """The chain's rules in iptables-save syntax, for the pod subnets of one family."""
    local = [
        f'-A {CHAIN} -d {subnet} -m comment --comment "{_LOCAL_COMMENT}" -j RETURN' for subnet in subnets
    ]
    return [*local, f'-A {CHAIN} -m comment --comment "{_LAST_COMMENT}" -j MASQUERADE']


def declared(subnets: Iterable[str]) -> tuple[Masquerade, ...]:
    """What a node has for these pod subnets, one of each family that they have."""
    grouped: dict[IpFamily, list[str]] = {}
    for subnet in subnets:
        grouped.setdefault("ipv4" if ip_network(subnet).version == 4 else "ipv6", []).append(subnet)
    return tuple(Masquerade(family, CHAIN, tuple(rules(own)), JUMP) for family, own in grouped.items())


def restore_input(wanted: Masquerade, saved: str) -> tuple[str, list[str]]:
    """Input for `iptables-restore --noflush` that repairs `saved`, and the repairs; empty if all is right."""
    found, jumps = wanted.found(saved)
    commands: list[str] = []
    mended: list[str] = []
    if found != wanted.rules:
        commands += [f":{CHAIN} - [0:0]", *wanted.rules]
        mended.append(f"the rules of chain {CHAIN} put back")
    if jumps != 1:
        commands += [JUMP.replace("-A ", "-D ", 1)] * max(0, jumps - 1) + [JUMP] * (jumps == 0)
        mended.append(f"the jump from POSTROUTING to {CHAIN} put back")
    return ("\n".join(["*nat", *commands, "COMMIT", ""]) if commands else ""), mended
