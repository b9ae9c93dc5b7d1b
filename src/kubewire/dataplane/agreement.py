"""Whether nodes with the same duty carry the same service chains: one node's finding seen from the others."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kubewire.dataplane.findings import Check, IpFamily
from kubewire.dataplane.model import Chain, Dataplane

_SHOWN = 5
_COMMENT = re.compile(r'-m comment --comment "[^"]*" ')  # optional in large clusters
_PREFIXES = ("KUBE-SVC-", "service-")


@dataclass(frozen=True, slots=True)
class NodeChains:
    """A node's service chains of one family, each as one number: what it must be and what it is."""

    node: str
    family: IpFamily
    expected: Mapping[str, int]
    observed: Mapping[str, int]


def service_chains(node: str, family: IpFamily, expected: Dataplane, observed: Dataplane) -> NodeChains:
    """Fold the chains that spread a Service's traffic over its endpoints into comparable numbers."""
    return NodeChains(node, family, _numbers(expected.chains), _numbers(observed.chains))


def judge_agreement(nodes: Iterable[NodeChains]) -> list[Check]:
    """One check a family, wherever two or more nodes must carry the same chain."""
    families: dict[IpFamily, list[NodeChains]] = defaultdict(list)
    for entry in nodes:
        families[entry.family].append(entry)
    checks = (_agree(family, members) for family, members in families.items())
    return [check for check in checks if check is not None]


def _numbers(chains: Iterable[Chain]) -> dict[str, int]:
    return {
        chain.name: hash(tuple(_COMMENT.sub("", rule.text) for rule in chain.rules()))
        for chain in chains
        if chain.name.startswith(_PREFIXES)
    }


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
    same = f"{len(shared)} service chains are the same on every node that must have them"
    return Check(
        "dataplane.agreement",
        "failed" if odd else "passed",
        family=family,
        object=f"{family} service chains",
        reason="nodes with the same Services, configuration and version write the same chains",
        expected=same,
        observed="\n".join(shown) or same,
    )
