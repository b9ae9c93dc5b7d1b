"""Where a node's chains hook into the kernel, and what the rules of each do: iptables and nft side by side.

Source: include/uapi/linux/netfilter_ipv4.h for iptables' priorities, net/netfilter/nf_nat_core.c for NAT.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec import structs

from kubewire.core.errors import LabError
from kubewire.dataplane.core.harm import nft_label, nft_owner
from kubewire.dataplane.core.model import Chain, Dataplane, Hook, Rule
from kubewire.dataplane.core.packet import NotModelled, Packet, Result
from kubewire.dataplane.core.routing import Routing
from kubewire.dataplane.iptables import statements as iptables_rules
from kubewire.dataplane.iptables.foreign import Foreign, Owned
from kubewire.dataplane.iptables.names import owned, tool
from kubewire.dataplane.iptables.observed import rule_line
from kubewire.dataplane.ipvs.membership import membership
from kubewire.dataplane.nftables import statements as nft_rules
from kubewire.dataplane.nftables.conditions import Sets
from kubewire.dataplane.nftables.foreign import may_end
from kubewire.dataplane.nftables.lookups import Lookup
from kubewire.dataplane.nftables.names import TABLE

_PRIORITIES: Mapping[str, Mapping[str, int]] = {
    "PREROUTING": {"raw": -300, "mangle": -150, "nat": -100},
    "INPUT": {"mangle": -150, "filter": 0, "security": 50, "nat": 100},
    "FORWARD": {"mangle": -150, "filter": 0, "security": 50},
    "OUTPUT": {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50},
    "POSTROUTING": {"mangle": -150, "nat": 100},
}
_CONNTRACK = -200
"""At PREROUTING and OUTPUT: NF_IP_PRI_CONNTRACK in include/uapi/linux/netfilter_ipv4.h."""
SOURCE_HOOKS = ("POSTROUTING", "INPUT")
"""Where NAT settles the source; in the other hooks it settles the destination."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base chain: `place` names hook and table in the tool's words, `policy` is `ACCEPT` or `DROP`.

    A NAT chain settles the source or, in hooks before routing, the destination.
    """

    owner: Rules
    chain: Chain
    place: str
    priority: int
    nat: bool
    changes_source: bool
    policy: str

    @property
    def before_conntrack(self) -> bool:
        """Whether conntrack has not seen a packet there but one that lo brings back."""
        return self.priority < _CONNTRACK and self.place.startswith(("PREROUTING ", "OUTPUT "))


class Rules(ABC):
    """The rules of one tool on one node and family; `unread` names what the dump has besides, and why."""

    unread: tuple[str, ...] = ()

    def __init__(self, dataplane: Dataplane) -> None:
        self._chains = {(chain.table, chain.name): chain for chain in dataplane.chains}

    def chain(self, table: str, name: str) -> Chain:
        """A chain of a table. NotModelled for one that doesn't exist."""
        if (table, name) not in self._chains:
            raise NotModelled(f"the dump has no chain {name!r}")
        return self._chains[table, name]

    @property
    def size(self) -> int:
        """How many rules there are."""
        return sum(len(group.rules) for chain in self._chains.values() for group in chain.groups)

    def bases(self, hook: str) -> list[Base]:
        """The base chains of a hook, by iptables' name of it."""
        found = []
        for chain in self._chains.values():
            if chain.hook is None or chain.hook.name.upper() != hook:
                continue
            place, policy = f"{hook} {chain.table}", chain.hook.policy.upper()
            priority, nat = self._hooked(chain, chain.hook)
            found.append(Base(self, chain, place, priority, nat, hook in SOURCE_HOOKS, policy))
        return found

    def results(self, rule: Rule, chain: Chain, packet: Packet, routing: Routing) -> list[Result]:
        """What a rule does to the packet. NotModelled where it is unknown."""
        if not rule.understood:
            raise NotModelled("the dump does not show it whole")
        return self._evaluate(rule.text, chain, packet, routing)

    @abstractmethod
    def line(self, chain: Chain, rule: Rule) -> str:
        """The rule as the tool prints it, with its chain."""

    @abstractmethod
    def label(self, chain: Chain) -> str:
        """A chain as findings name it: `iptables filter FORWARD`."""

    @abstractmethod
    def policy_line(self, chain: Chain) -> str:
        """A base chain's policy as the tool prints it."""

    @abstractmethod
    def is_foreign(self, chain: Chain, rule: Rule | None) -> bool:
        """Whether a rule, or with None a base chain's policy, is not kube-proxy's."""

    @abstractmethod
    def owner(self, chain: Chain, rule: Rule) -> str:
        """Whose a foreign rule is, "" if unknown."""

    @abstractmethod
    def may_end(self, chain: Chain, rule: Rule) -> bool:
        """Whether a rule that matches may end or divert a packet, for all that its text tells."""

    @abstractmethod
    def own(self) -> Rules:
        """kube-proxy's rules alone."""

    @abstractmethod
    def _hooked(self, chain: Chain, hook: Hook) -> tuple[int, bool]:
        """The priority of a base chain, and whether it is a NAT chain."""

    @abstractmethod
    def _evaluate(self, text: str, chain: Chain, packet: Packet, routing: Routing) -> list[Result]: ...


class IptablesRules(Rules):
    """What iptables-save shows. `owned` tells kube-proxy's chains by table and name."""

    def __init__(self, dataplane: Dataplane, owned: Owned = owned) -> None:
        super().__init__(dataplane)
        self._owned = owned
        self._foreign = Foreign(dataplane, owned)
        self._sets = {item.name: membership(item) for item in dataplane.sets}
        self._names: dict[str, set[str]] = {}
        for chain in dataplane.chains:
            self._names.setdefault(chain.table, set()).add(chain.name)

    def line(self, chain: Chain, rule: Rule) -> str:
        return rule_line(chain, rule)

    def label(self, chain: Chain) -> str:
        return f"{tool(chain.family)} {chain.table} {chain.name}"

    def policy_line(self, chain: Chain) -> str:
        return f":{chain.name} {chain.hook.policy if chain.hook else '-'} [0:0]"

    def is_foreign(self, chain: Chain, rule: Rule | None) -> bool:
        return self._foreign.holds(chain, rule.text if rule else None)

    def owner(self, chain: Chain, rule: Rule) -> str:
        return self._foreign.owner(chain, rule.text)

    def may_end(self, chain: Chain, rule: Rule) -> bool:
        return self._foreign.may_end(chain.table, rule.text)

    def own(self) -> Rules:
        return IptablesRules(self._foreign.rest(), self._owned)

    def _hooked(self, chain: Chain, hook: Hook) -> tuple[int, bool]:
        return _PRIORITIES[hook.name.upper()].get(chain.table, 0), chain.table == "nat"

    def _evaluate(self, text: str, chain: Chain, packet: Packet, routing: Routing) -> list[Result]:
        return iptables_rules.results(text, packet, routing, self._names[chain.table], self._sets)


class NftRules(Rules):
    """What nft shows: kube-proxy's table, and those of other owners."""

    def __init__(self, *dataplanes: Dataplane) -> None:
        dataplane = Dataplane(
            tables=tuple(table for each in dataplanes for table in each.tables),
            chains=tuple(chain for each in dataplanes for chain in each.chains),
            sets=tuple(item for each in dataplanes for item in each.sets),
        )
        super().__init__(dataplane)
        self._dataplane = dataplane
        problems = (p for each in dataplanes for p in each.problems if not p.where.startswith("rule"))
        self.unread = tuple(f"nft {problem.where}: {problem.why}" for problem in problems)
        lookups: dict[str, dict[str, Lookup]] = {table.name: {} for table in dataplane.tables}
        for item in dataplane.sets:
            empty = item.dynamic and item.table == TABLE
            lookups.setdefault(item.table, {})[item.name] = Lookup(() if empty else item.elements)
        self._sets = {name: Sets(found) for name, found in lookups.items()}

    def line(self, chain: Chain, rule: Rule) -> str:
        table = "" if chain.table == TABLE else f"table {chain.table} "
        return f"{table}chain {chain.name}: {rule.text}"

    def label(self, chain: Chain) -> str:
        return nft_label(chain)

    def policy_line(self, chain: Chain) -> str:
        return f"policy {chain.hook.policy if chain.hook else ''}"

    def is_foreign(self, chain: Chain, rule: Rule | None) -> bool:  # noqa: ARG002
        return chain.table != TABLE

    def owner(self, chain: Chain, rule: Rule) -> str:  # noqa: ARG002
        return nft_owner(chain.table)

    def may_end(self, chain: Chain, rule: Rule) -> bool:
        return chain.table != TABLE and may_end(rule)

    def own(self) -> Rules:
        chains = tuple(chain for chain in self._dataplane.chains if chain.table == TABLE)
        return NftRules(structs.replace(self._dataplane, chains=chains))

    def _hooked(self, chain: Chain, hook: Hook) -> tuple[int, bool]:
        if hook.priority is None:
            raise LabError("a base chain without a priority", where=chain.name)
        return hook.priority, hook.type == "nat"

    def _evaluate(self, text: str, chain: Chain, packet: Packet, routing: Routing) -> list[Result]:
        return nft_rules.results(text, packet, routing, self._sets[chain.table])


def in_order(tools: Iterable[Rules], hook: str) -> list[Base]:
    """All base chains of a hook in the kernel's order; of equal ones the tool given first comes first."""
    return sorted((base for tool in tools for base in tool.bases(hook)), key=lambda base: base.priority)
