"""Whether nodes that must have the same service chains do have them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from kubewire.dataplane.core.findings import Check, IpFamily, Place
from kubewire.dataplane.core.model import Chain, Dataplane, VirtualServer

_SHOWN = 5
_COMMENT = re.compile(r'-m comment --comment "[^"]*" ')  # optional in large clusters
_PREFIXES = ("KUBE-SVC-", "service-")


class NodeChains(Struct, frozen=True):
    """A node's service chains of one family, each as one number: what it must be and what it is.

    `kind`: what is compared: chains, in ipvs mode virtual servers.
    """

    node: str
    family: IpFamily
    expected: Mapping[str, int]
    observed: Mapping[str, int]
    kind: str = "service chains"


def service_chains(node: str, family: IpFamily, expected: Dataplane, observed: Dataplane) -> NodeChains:
    """Hash what spreads a Service's traffic over its endpoints into comparable numbers."""
    if expected.servers:
        numbers = _server_numbers(expected.servers), _server_numbers(observed.servers)
        return NodeChains(node, family, *numbers, kind="virtual servers")
    return NodeChains(node, family, _numbers(expected.chains), _numbers(observed.chains))


def check_agreement(nodes: Iterable[NodeChains]) -> list[Check]:
    """One check a family, wherever two or more nodes must carry the same chain."""
    groups: dict[tuple[IpFamily, str], list[NodeChains]] = defaultdict(list)
    for entry in nodes:
        groups[entry.family, entry.kind].append(entry)
    checks = (_agree(family, members) for (family, _), members in groups.items())
    return [check for check in checks if check is not None]


def _numbers(chains: Iterable[Chain]) -> dict[str, int]:
    return {
        chain.name: hash(tuple(_COMMENT.sub("", rule.text) for rule in chain.rules()))
        for chain in chains
        if chain.name.startswith(_PREFIXES)
    }


def _server_numbers(servers: Iterable[VirtualServer]) -> dict[str, int]:
    """Leave out chains that several Services share, which differ by chance, and those without weight."""
    from kubewire.dataplane.ipvs.ipvsadm import real_lines, server_line, service_text

    lines: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for server in servers:
        reals = sorted(real_lines(server, [real for real in server.servers if real.weight]))
        lines[service_text(server)].append((server_line(server), *reals))
    return {name: hash(only) for name, (only, *others) in lines.items() if not others}


def _agree(family: IpFamily, members: Sequence[NodeChains]) -> Check | None:
    duties: dict[tuple[str, int], list[NodeChains]] = defaultdict(list)
    for member in members:
        for name, number in member.expected.items():
            duties[name, number].append(member)
    shared = {duty: nodes for duty, nodes in duties.items() if len(nodes) > 1}
    if not shared:
        return None
    odd: list[str] = []
    for (name, _), nodes in sorted(shared.items(), key=lambda item: item[0][0]):
        kinds = Counter(node.observed.get(name) for node in nodes)
        if len(kinds) > 1:
            usual = kinds.most_common(1)[0][0]
            where = ", ".join(node.node for node in nodes if node.observed.get(name) != usual)
            odd.append(f"{name} differs on {where}")
    shown = odd[:_SHOWN] + ([f"and {len(odd) - _SHOWN} more"] if len(odd) > _SHOWN else [])
    kind = members[0].kind
    same = f"{len(shared)} {kind} are the same on every node that must have them"
    why = f"nodes with the same Services, configuration and version write the same {kind}"
    observed = "\n".join(shown) or same
    return Place("", "", family).check("dataplane.agreement", f"{family} {kind}", why, same, observed)
