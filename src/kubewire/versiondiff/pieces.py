"""A dataplane as comparable pieces: the lines of each container, by the text that the tool prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Chain, Dataplane, Element, Rule, Set, VirtualServer
from kubewire.dataplane.iptables.foreign import owner_of_rule
from kubewire.dataplane.iptables.names import SERVICE_PREFIXES, owned
from kubewire.dataplane.iptables.spec import parse_rule
from kubewire.dataplane.ipvs.ipset import steady_options
from kubewire.dataplane.ipvs.ipvsadm import real_lines, service_text
from kubewire.dataplane.ipvs.names import owned as owned_in_ipvs
from kubewire.dataplane.nftables.names import AFFINITY_PREFIX, is_service_chain
from kubewire.dataplane.nftables.text import member_text
from kubewire.dataplane.nftables.words import references

Pieces = Mapping[str, Counter[str]]
"""Container (`nftables ip chain services`) → its lines, each as often as it occurs."""
THERE = "(it is there)"
Owned = Callable[[str, str], bool]


def pieces_of(dataplane: Dataplane, mode: str, family: IpFamily, *, whole: bool = True) -> Pieces:
    """All pieces that kube-proxy writes in that mode; not `whole`: with alternatives of expected lines."""
    found: dict[str, Counter[str]] = {}
    for place, line in _lines(dataplane, mode, family, whole):
        found.setdefault(place, Counter())[line] += 1
    return found


def _lines(dataplane: Dataplane, mode: str, family: IpFamily, whole: bool) -> Iterator[tuple[str, str]]:
    if mode == "nftables":
        tool = f"nftables {'ip' if family == 'ipv4' else 'ip6'}"
        yield from _nftables(dataplane, tool, whole)
    else:
        tool = "iptables" if family == "ipv4" else "ip6tables"
        yield from _iptables(dataplane, tool, owned_in_ipvs if mode == "ipvs" else owned, whole)
        yield from _ipvs(dataplane, family, whole)
    for problem in dataplane.problems:
        yield f"{tool} {problem.where}", f"not understood: {problem.text}"


def _nftables(dataplane: Dataplane, tool: str, whole: bool) -> Iterator[tuple[str, str]]:
    texts = [rule.text for chain in dataplane.chains for rule in chain.rules()]
    texts += [element.value for item in dataplane.sets for element in item.elements]
    used = {name for text in texts for name in references(text).chains}
    yield from ((f"{tool} table {table.name}", _comment(table.comment)) for table in dataplane.tables)
    for chain in dataplane.chains:
        if chain.name in used or not is_service_chain(chain.name):
            place = f"{tool} chain {chain.name}"
            yield place, _chain(chain)
            yield from ((place, text) for rule in chain.rules() for text in _texts(rule, whole))
    for item in dataplane.sets:
        yield from _set(item, tool, whole)
    yield from ((f"{tool} counter {counter.name}", THERE) for counter in dataplane.counters)


def _iptables(dataplane: Dataplane, tool: str, ours: Owned, whole: bool) -> Iterator[tuple[str, str]]:
    used = {parse_rule(rule.text).target for chain in dataplane.chains for rule in chain.rules()}
    for chain in dataplane.chains:
        place, own = f"{tool} {chain.table} {chain.name}", ours(chain.table, chain.name)
        if own and (chain.name in used or not chain.name.startswith(SERVICE_PREFIXES)):
            yield place, THERE
            yield from ((place, text) for rule in chain.rules() for text in _texts(rule, whole))
        elif not own and (chain.hook or chain.shared):
            jumps = (rule for rule in chain.rules() if _is_jump(rule, chain.table, ours))
            yield from ((place, text) for rule in jumps for text in _texts(rule, whole))


def _ipvs(dataplane: Dataplane, family: IpFamily, whole: bool) -> Iterator[tuple[str, str]]:
    for item in dataplane.sets:
        yield from _set(item, "ipset", whole)
    for server in dataplane.servers:
        yield from _server(server)
    for link in dataplane.links:
        yield from ((f"ip addr {link.name} {family}", address.key) for address in link.addresses)
    for sysctl in dataplane.sysctls:
        yield "sysctl", f"{sysctl.name} = {sysctl.value}"


def _is_jump(rule: Rule, table: str, ours: Owned) -> bool:
    """The rules of a shared chain that lead to kube-proxy's chains or have no known owner."""
    spec = parse_rule(rule.text)
    if ours(table, spec.target):
        return True
    return rule.origin is None and "kubernetes" in rule.text and not owner_of_rule(spec)


def _texts(rule: Rule, whole: bool) -> tuple[str, ...]:
    return (rule.text,) if whole else (rule.text, *rule.alternatives)


def _comment(comment: str) -> str:
    return f'{THERE} comment "{comment}"' if comment else THERE


def _chain(chain: Chain) -> str:
    hook = chain.hook
    if hook is None or hook.priority is None:
        return _comment(chain.comment)
    policy = f" policy {hook.policy}" if hook.policy not in ("", "accept") else ""
    return f"type {hook.type} hook {hook.name} priority {hook.priority}{policy} {_comment(chain.comment)}"


def _set(item: Set, tool: str, whole: bool) -> Iterator[tuple[str, str]]:
    kind = "map" if item.value_type else "set"
    place = f"{tool} {kind} {item.name}"
    value = f" : {item.value_type}" if item.value_type else ""
    yield place, f"type {item.key_type}{value} {' '.join(steady_options(item))} {_comment(item.comment)}"
    if not item.dynamic and not item.name.startswith(AFFINITY_PREFIX):
        for element in item.elements:
            yield from ((place, text) for text in _elements(element, whole))


def _elements(element: Element, whole: bool) -> Iterator[str]:
    others = () if whole else element.alternatives
    for value, comment in ((element.value, element.comment), *others):
        yield member_text(element.key, value, comment)


def _server(server: VirtualServer) -> Iterator[tuple[str, str]]:
    place = f"ipvsadm {service_text(server)}"
    persistent = f" -p {server.persistent_seconds}" if server.persistent_seconds is not None else ""
    yield place, f"-s {server.scheduler}{persistent} {' '.join(server.flags)}".rstrip()
    for line in real_lines(server, server.servers):
        yield place, line
