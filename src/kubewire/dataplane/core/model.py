"""One model of a node's dataplane for all modes: chains and rules, sets and maps, virtual servers.

`expected` and `observed` both build it. An expected object carries its `Origin`; an observed one has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import cast

from msgspec import Struct

from kubewire.dataplane.core.findings import IpFamily


class Origin(Struct, frozen=True, gc=False):
    """Why an expected object must be there.

    `service` is the printed service port (`default/httpbin:http`) or "" for a fixed object, `why` one
    sentence, `source` the upstream file or KEP, `check` the id of the check that covers it.
    """

    service: str
    why: str
    source: str
    check: str

    @property
    def reason(self) -> str:
        """Why, with the source."""
        return f"{self.why} ({self.source})"


class Rule(Struct, frozen=True, gc=False):
    """One rule; `text` is the canonical text as the tool prints it (iptables: all that follows `-A CHAIN `).

    `optional`: its absence is no difference. `alternatives`: other texts that are also valid.
    `understood`: False for an observed rule that the parser could not read; its text is then the raw text.
    """

    text: str
    origin: Origin | None = None
    optional: bool = False
    alternatives: tuple[str, ...] = ()
    understood: bool = True


class RuleGroup(Struct, frozen=True, gc=False):
    """Rules or further groups whose order matters to the kernel (`ordered`) or not."""

    rules: tuple[Rule | RuleGroup, ...]
    ordered: bool = True

    def flat(self) -> Iterator[Rule]:
        """Every rule of the group, depth first."""
        if RuleGroup in map(type, self.rules):
            return self._deep()
        return iter(cast(tuple[Rule, ...], self.rules))

    def _deep(self) -> Iterator[Rule]:
        for member in self.rules:
            if isinstance(member, Rule):
                yield member
            else:
                yield from member.flat()


class Hook(Struct, frozen=True):
    """What makes a chain a base chain: iptables' built-in name, or nft's type, hook and priority."""

    name: str
    type: str = ""
    priority: int | None = None
    policy: str = ""


class Chain(Struct, frozen=True, gc=False):
    """A chain; its groups follow each other in order.

    `shared`: a chain with other owners too (iptables' built-in chains), of which kube-proxy owns only the
    rules named here, each exactly once and in no particular place. `comment` is nft's chain comment.
    """

    family: IpFamily
    table: str
    name: str
    hook: Hook | None = None
    groups: tuple[RuleGroup, ...] = ()
    origin: Origin | None = None
    shared: bool = False
    optional: bool = False
    comment: str = ""

    def rules(self) -> Iterator[Rule]:
        """Every rule of the chain in order."""
        if len(self.groups) == 1:
            return self.groups[0].flat()
        return chain.from_iterable(map(RuleGroup.flat, self.groups))


class Element(Struct, frozen=True, gc=False):
    """A member of a set, or of a map when `value` is given; keys joined as the tool prints them.

    `alternatives`: other (value, comment) pairs that are also valid. `optional`: its absence is no
    difference.
    """

    key: str
    value: str = ""
    comment: str = ""
    origin: Origin | None = None
    alternatives: tuple[tuple[str, str], ...] = ()
    optional: bool = False


class Set(Struct, frozen=True):
    """An nft set or map, or an ipset.

    `key_type` is `ipv4_addr . inet_proto . inet_service` or `hash:ip,port`; `value_type` is "" for a set and
    "verdict" for a verdict map; `options` are the remaining printed attributes (flags, timeout, family …).
    `dynamic`: the kernel fills it, its elements are not compared.
    """

    family: IpFamily
    table: str
    name: str
    key_type: str
    value_type: str = ""
    elements: tuple[Element, ...] = ()
    options: tuple[str, ...] = ()
    dynamic: bool = False
    comment: str = ""
    origin: Origin | None = None


class RealServer(Struct, frozen=True, gc=False):
    """An IPVS destination; `method` is ipvsadm's -m, -g or -i, the latter with its tunnel options."""

    address: str
    port: int
    weight: int = 1
    method: str = "-m"
    origin: Origin | None = None


class VirtualServer(Struct, frozen=True, gc=False):
    """An IPVS service; `protocol` is lower case, `persistent_seconds` None without affinity.

    `flags` are ipvsadm's further options, each as printed (`-b mh-port`). A service by firewall mark has the
    protocol `fwmark`, no address, and the mark as its port. `optional`: its absence is no difference.
    """

    family: IpFamily
    protocol: str
    address: str
    port: int
    scheduler: str
    persistent_seconds: int | None = None
    flags: tuple[str, ...] = ()
    servers: tuple[RealServer, ...] = ()
    origin: Origin | None = None
    optional: bool = False


class Link(Struct, frozen=True):
    """A network interface and its addresses of one family; an element's key is `10.96.0.1/32`.

    `up`: whether it is set up, None where that is not said.
    """

    family: IpFamily
    name: str
    addresses: tuple[Element, ...] = ()
    up: bool | None = None
    origin: Origin | None = None


class Sysctl(Struct, frozen=True):
    """A kernel setting, named with dots as sysctl prints it."""

    name: str
    value: str
    origin: Origin | None = None


class Table(Struct, frozen=True):
    """A table that exists, with nft's comment."""

    family: IpFamily
    name: str
    comment: str = ""


class Counter(Struct, frozen=True):
    """A named nft counter; its values are ignored."""

    family: IpFamily
    table: str
    name: str
    origin: Origin | None = None


class Problem(Struct, frozen=True):
    """A piece of a dump that was not understood: its place and its text, never dropped."""

    where: str
    text: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}: {self.why}"


class Dataplane(Struct, frozen=True):
    """One family's dataplane on a node, expected or observed; `remarks` are the tool's own warnings.

    `unread`: tables that exist and that the tool could not print.
    """

    tables: tuple[Table, ...] = ()
    chains: tuple[Chain, ...] = ()
    sets: tuple[Set, ...] = ()
    servers: tuple[VirtualServer, ...] = ()
    problems: tuple[Problem, ...] = ()
    remarks: tuple[str, ...] = ()
    counters: tuple[Counter, ...] = ()
    links: tuple[Link, ...] = ()
    sysctls: tuple[Sysctl, ...] = ()
    unread: tuple[str, ...] = ()
