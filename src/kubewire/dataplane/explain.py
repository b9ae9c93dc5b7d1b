"""A Service's path through a node's expected dataplane: the objects a packet passes, and why each exists.

The same for all modes: from the base chains down, a rule is listed if it belongs to the Service, looks
something up in a set with an element of the Service, or leads to such a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

from kubewire.dataplane.core.cluster import ServicePort
from kubewire.dataplane.core.iproute import address_text
from kubewire.dataplane.core.model import Chain, Dataplane, Element, Hook, Origin, Rule, Set
from kubewire.dataplane.iptables.observed import rule_line
from kubewire.dataplane.iptables.spec import Spec, parse_rule
from kubewire.dataplane.ipvs.ipvsadm import real_lines, server_line
from kubewire.dataplane.nftables.names import TABLE
from kubewire.dataplane.nftables.text import member_text
from kubewire.dataplane.nftables.words import References, references

_HOOKS = ("PREROUTING", "OUTPUT", "INPUT", "FORWARD", "POSTROUTING")
_TABLES = ("raw", "mangle", "nat", "filter")
_ON_EVERY_WAY = frozenset(
    f"{mode}.{part}"
    for mode in ("iptables", "ipvs", "nftables")
    for part in ("postrouting", "forward", "masquerading")
)
"""Checks of rules that packets of every Service pass."""


@dataclass(frozen=True, slots=True)
class Line:
    """One object: `place` is the chain, set, map or tool, `text` as the tool prints it, `why` one sentence.

    `source` is the upstream file or KEP that the rule comes from.
    """

    place: str
    text: str
    why: str
    source: str


def explain(dataplane: Dataplane, ports: Collection[ServicePort]) -> list[Line]:
    """The path of a Service's ports (of one family) through an expected dataplane, in a packet's order."""
    return list(_Telling(dataplane, ports).lines())


class _Telling:
    def __init__(self, dataplane: Dataplane, ports: Collection[ServicePort]) -> None:
        self.dataplane = dataplane
        self.names = frozenset(port.name for port in ports)
        self.addresses = frozenset(
            ip for port in ports for ip in (port.cluster_ip, *port.external_ips, *port.lb_vips)
        )
        self.chains = {(chain.table, chain.name): chain for chain in dataplane.chains}
        nft = any(table.name == TABLE for table in dataplane.tables)
        self.parsed: Callable[[str], References | Spec] = references if nft else parse_rule
        self.told: set[tuple[str, str]] = set()
        self.relevant: dict[tuple[str, str], bool] = {}

    @cached_property
    def sets(self) -> dict[str, tuple[Set, list[Element]]]:
        """The sets and maps with elements of the Service, reduced to these."""
        found = {
            item.name: (item, list(filter(self._is_element, item.elements))) for item in self.dataplane.sets
        }
        return {name: (item, elements) for name, (item, elements) in found.items() if elements}

    def lines(self) -> Iterator[Line]:
        hooked = [(_order(chain, chain.hook), chain) for chain in self.dataplane.chains if chain.hook]
        for _, chain in sorted(hooked, key=lambda pair: pair[0]):
            yield from self._chain(chain, whole=False)
        yield from self._servers()
        for link in self.dataplane.links:
            for element in filter(self._is_element, link.addresses):
                yield _line(f"interface {link.name}", address_text(element, link.family), element.origin)

    def _chain(self, chain: Chain, *, whole: bool) -> Iterator[Line]:
        """A chain's rules and the objects that they use, then the chains that they lead to; each once."""
        key = (chain.table, chain.name)
        if key in self.told:
            return
        rules = [r for r in chain.rules() if (self._may_meet(r) if whole else self._is_relevant(chain, r))]
        if not rules:
            return
        self.told.add(key)
        for rule in rules:
            yield self._rule(chain, rule)
        following: list[tuple[str, bool]] = []
        for rule in rules:
            parsed = self.parsed(rule.text)
            following += [(target, self._is_own(rule)) for target in parsed.chains]
            for name in parsed.sets:
                if name in self.sets and ("", name) not in self.told:
                    self.told.add(("", name))
                    yield from self._set(name)
                    elements = self.sets[name][1]
                    following += [(t, True) for e in elements for t in references(e.value).chains]
        for target, own in following:
            if next_chain := self.chains.get((chain.table, target)):
                yield from self._chain(next_chain, whole=own)

    def _rule(self, chain: Chain, rule: Rule) -> Line:
        if chain.table == TABLE:
            return _line(f"chain {chain.name}", rule.text, rule.origin)
        return _line(f"{chain.table} {chain.name}", rule_line(chain, rule), rule.origin)

    def _set(self, name: str) -> Iterator[Line]:
        item, elements = self.sets[name]
        for element in elements:
            if not item.table:
                yield _line(f"set {name}", f"add {name} {element.key}", element.origin)
                continue
            text = member_text(element.key, element.value, element.comment)
            kind = "map" if item.value_type else "set"
            yield _line(f"{kind} {name}", text, element.origin)

    def _servers(self) -> Iterator[Line]:
        for server in self.dataplane.servers:
            if server.origin and server.origin.service in self.names:
                place = "virtual server"
                yield _line(place, server_line(server), server.origin)
                for line, real in zip(real_lines(server, server.servers), server.servers, strict=True):
                    yield _line(place, line, real.origin)

    def _is_element(self, element: Element) -> bool:
        """Whether an element is the Service's; ports share the ones that are just an address."""
        mine = element.origin is not None and element.origin.service in self.names
        return mine or element.key.partition("/")[0] in self.addresses

    def _is_own(self, rule: Rule) -> bool:
        """Whether a rule is the Service's, or finds it in a set."""
        mine = rule.origin is not None and rule.origin.service in self.names
        return mine or any(name in self.sets for name in self.parsed(rule.text).sets)

    def _may_meet(self, rule: Rule) -> bool:
        """Whether the Service's packets can concern a rule: not those of others, or of sets without it."""
        other = rule.origin is not None and rule.origin.service and rule.origin.service not in self.names
        return self._is_own(rule) or not (other or self.parsed(rule.text).sets)

    def _is_relevant(self, chain: Chain, rule: Rule) -> bool:
        if self._is_own(rule):
            return True
        if not self._may_meet(rule):
            return False
        if rule.origin is not None and rule.origin.check in _ON_EVERY_WAY:
            return True
        return any(self._leads_to_it(chain.table, target) for target in self.parsed(rule.text).chains)

    def _leads_to_it(self, table: str, name: str) -> bool:
        key = (table, name)
        if key not in self.relevant:
            self.relevant[key] = False
            chain = self.chains.get(key)
            self.relevant[key] = chain is not None and any(self._is_relevant(chain, r) for r in chain.rules())
        return self.relevant[key]


def _line(place: str, text: str, origin: Origin | None) -> Line:
    return Line(place, text, origin.why if origin else "", origin.source if origin else "")


def _order(chain: Chain, hook: Hook) -> tuple[int, int]:
    """By hook in a packet's order, then by priority (iptables' tables by theirs)."""
    return _HOOKS.index(hook.name.upper()), _TABLES.index(
        chain.table
    ) if hook.priority is None else hook.priority
