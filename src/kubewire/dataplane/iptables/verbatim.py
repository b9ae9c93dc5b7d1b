"""Service ports whose rules stand in an iptables dump word for word: they hold without being read.

Most ports differ in nothing but names and addresses. The rules of one such form are written once, with
placeholders, by the code that writes every Service's; each port's own text is then filled in and looked up.
One port of each form stays in the reading, and tells how many checks the others hold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from kubewire.dataplane.core.cluster import ClusterState, ServicePort
from kubewire.dataplane.core.endpoints import Categorized, Endpoint
from kubewire.dataplane.core.findings import Check, IpFamily
from kubewire.dataplane.core.model import Dataplane, RuleGroup
from kubewire.dataplane.core.snapshot import NodeSnapshot
from kubewire.dataplane.iptables import names
from kubewire.dataplane.iptables.service import Surroundings, service_rules
from kubewire.dataplane.node import Inputs

Served = tuple[ServicePort, Categorized]
Writer = Callable[[Served], list[str]]
_BLOCK = re.compile(r"^-A (\S+) .*\n(?:-A \1 .*\n)*", re.M)
_DECLARED = re.compile(r"^:(\S+) ", re.M)
_TO_NODEPORTS = re.compile(rf"^-A {names.SERVICES} .*-j {names.NODEPORTS}$", re.M)
_END = "\0"


class Rest(Struct, frozen=True):
    """What is left to judge: ports and dump; `held` counts the ports left out, by their example's name."""

    services: Sequence[Served]
    dump: str
    held: Mapping[str, int]


class Shrunk(Struct, frozen=True):
    """A node's inputs and what is expected of it, both without the ports that hold already; see Rest."""

    node: Inputs
    expected: Dataplane
    held: Mapping[str, int]


def shrink(node: Inputs, cluster: ClusterState, family: IpFamily) -> Shrunk | None:
    """The node with less to judge; None in a mode whose dumps are read whole, or without its dump."""
    name = "ip6tables-save.txt" if family == "ipv6" else "iptables-save.txt"
    files = node.snapshot.files
    if node.config.mode != "iptables" or not files.get(name):
        return None
    from kubewire.dataplane.iptables.expected import Plan, plan_iptables, planned_iptables

    plan = plan_iptables(cluster, node.config, node.facts, node.version, family)
    rest = left_to_judge(plan.services, plan.around, files[name])
    snapshot = NodeSnapshot(node.snapshot.name, {**files, name: rest.dump}, node.snapshot.errors)
    expected = planned_iptables(Plan(rest.services, plan.around), node.config, node.facts, node.version)
    return Shrunk(Inputs(snapshot, node.config, node.facts, node.version), expected, rest.held)


def left_to_judge(services: Sequence[Served], around: Surroundings, dump: str) -> Rest:
    """Take the ports out of both sides whose rules, whole chains in their order, stand in the dump.

    A dispatch rule counts only in front of the way to the node ports; a chain only if it is there once.
    """
    everything = Rest(services, dump, {})
    before, mark, rest = dump.partition("\n*nat\n")
    table, end, after = rest.partition("\nCOMMIT\n")
    head, _, rules = table.partition("\n-A ")
    found = [(match[1], match[0]) for match in _BLOCK.finditer(f"-A {rules}\n")]
    if "\n*nat\n" in after or sum(len(block) for _, block in found) != len(rules) + 4:
        return everything
    blocks, declared = dict(found), _DECLARED.findall(head)
    dispatching = _TO_NODEPORTS.split(blocks.get(names.SERVICES, ""), maxsplit=1)[0].split("\n")
    chains, dispatched = set(declared), set(dispatching)
    if len(blocks) != len(found) or len(chains) != len(declared) or len(dispatched) != len(dispatching):
        return everything
    named = Counter([port.name for port, _ in services])
    forms: dict[tuple[Any, ...], Writer] = {}
    examples: dict[tuple[Any, ...], str] = {}
    held: Counter[str] = Counter()
    left: list[Served] = []
    gone: set[str] = set()
    for served in services:
        port, endpoints = served
        form = _form(port, endpoints) if named[port.name] == 1 else None
        if form is None or form not in examples:
            left.append(served)
            if form is not None:
                examples[form], forms[form] = port.name, _written(port, endpoints, around)
            continue
        dispatch, *own = forms[form](served)
        parts = [(block[3 : block.index(" ", 3)], block) for block in own]
        if dispatch in dispatched and all(blocks.get(name) == block for name, block in parts):
            held[examples[form]] += 1
            gone.add(dispatch)
            gone.update(name for name, _ in parts)
        else:
            left.append(served)
    if not held or not gone.difference(dispatched) <= chains:
        return everything
    kept = [line for line in head.split("\n") if line[1:].partition(" ")[0] not in gone]
    for name, block in found:
        if name == names.SERVICES:
            kept += [line for line in block[:-1].split("\n") if line not in gone]
        elif name not in gone:
            kept.append(block[:-1])
    return Rest(left, "".join((before, mark, "\n".join(kept), end, after)), held)


def held_checks(checks: Iterable[Check], held: Mapping[str, int]) -> Counter[str]:
    """How many checks of each id the ports left out hold: as many as their examples."""
    counts: Counter[str] = Counter()
    for check in checks:
        if check.service in held:
            counts[check.id] += held[check.service]
    return counts


def _form(port: ServicePort, endpoints: Categorized) -> tuple[Any, ...] | None:
    """All that a plain port's rules depend on but name and addresses; None for one that is not plain."""
    if (
        port.externally_accessible
        or port.source_ranges
        or port.internal_policy_local
        or port.health_check_node_port
        or not endpoints.cluster
        or endpoints.reachable is not endpoints.cluster
    ):
        return None
    numbers = tuple([endpoint.port for endpoint in endpoints.cluster])
    return port.protocol, port.port, port.sticky_seconds, numbers


def _written(port: ServicePort, endpoints: Categorized, around: Surroundings) -> Writer:
    """The writer of the rules of any port of that form: the dispatch rule, then each chain's lines."""
    colon = ":" if around.family == "ipv6" else ""
    ips = [f"\1{colon}i{index}\2" for index in range(len(endpoints.cluster))]
    stand_in = _renamed(port, "\1name\2", f"\1{colon}vip\2")
    stand_ins = tuple(Endpoint(ip, e.port) for ip, e in zip(ips, endpoints.cluster, strict=True))
    rules = service_rules(stand_in, Categorized(stand_ins, (), stand_ins, True), around)
    texts = [
        f"-A {chain} {rule.text}" for _, chain, group in rules.shared for rule in RuleGroup((group,)).flat()
    ]
    texts += ["".join(f"-A {chain.name} {rule.text}\n" for rule in chain.rules()) for chain in rules.chains]
    tokens = _values(stand_in, stand_ins)
    places = {token: index for index, token in reversed(list(enumerate(tokens)))}
    longest_first = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
    pieces = re.split(f"({longest_first})", _END.join(texts))
    pattern = "%s".join(piece.replace("%", "%%") for piece in pieces[::2])
    pick = itemgetter(*(places[piece] for piece in pieces[1::2]))

    def write(served: Served) -> list[str]:
        text: str = pattern % pick(_values(served[0], served[1].cluster))
        return text.split(_END)

    return write


def _values(port: ServicePort, endpoints: Sequence[Endpoint]) -> list[str]:
    """What differs between ports of one form: name, cluster IP, endpoints, and the chains' hashed tails."""
    seed = names.seed(port)
    texts = list(map(str, endpoints))
    hashes = [names.digest(seed + text) for text in texts]
    return [port.name, port.cluster_ip, names.digest(seed), *texts, *[e.ip for e in endpoints], *hashes]


def _renamed(port: ServicePort, name: str, cluster_ip: str) -> ServicePort:
    return replace(port, namespace=name, service=name, port_name=name, cluster_ip=cluster_ip)
