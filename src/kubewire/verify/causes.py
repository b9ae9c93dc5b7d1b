"""Which failed check leads to which: a report shows the leading ones, with their consequences under them.

The widest loss leads: a node, a family, a table; a chain or map of several Services; Services; a Service's
endpoints; then a single chain or set; then single rules. Pure; without a failure nothing is looked at.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from kubewire.dataplane.core.findings import Check, adds_up
from kubewire.dataplane.kernel import SYSCTL as KERNEL_SYSCTL
from kubewire.dataplane.node_network import ADDRESS, LINK, ROUTE, SYSCTL
from kubewire.dataplane.proxy_status import CHECK as SYNCS

WRITTEN = "dataplane.written"
PRESENT, ENDPOINTS = "service.present", "service.endpoints"
_RANKS = (SYNCS, "dump.present", WRITTEN, PRESENT, ENDPOINTS)
_MODES = ("iptables.", "nftables.", "ipvs.")
_DECLARED = ("chain", "canary", "base-chain", "set", "interface")
_APART = (*_DECLARED, "table", "stray", "extra", "order", "jump", "sysctl")
_SPREAD = ("probability", "balancing", "affinity", "order", "real-server")
_INCIDENTAL = ("cluster-ip", "cluster-ips", "hairpin", "address")
_LOST = ("(missing)", "(no ")
_SERVER = "ipvsadm "
_SERVERS = ("virtual-server", "real-server", "nodeport", "external")
_SHOWN = 3
_WHY = "what is missing has a check of its own each, as a consequence of this one"
_REAL = re.compile(r" -r (\S+)")
_NOT_ADDRESS = re.compile(r"[^0-9A-Fa-f.:]+")

Key = tuple[str, ...]


def linked(checks: Sequence[Check]) -> list[Check]:
    """The checks, each failed consequence with its cause, and before them new ones that say what several
    failures have in common.
    """
    failed = [check for check in checks if check.status == "failed"]
    return _Links(checks, failed).result() if failed else list(checks)


def leading(checks: Iterable[Check]) -> list[Check]:
    """The failures without a cause, the most telling first."""
    failed = [check for check in checks if check.status == "failed"]
    followers = Counter(check.cause for check in failed)

    def rank(check: Check) -> tuple[int, bool, int]:
        first = _RANKS.index(check.id) if check.id in _RANKS else len(_RANKS)
        return first, adds_up(check) or _is_traffic(check), -followers[check.key]

    return sorted((check for check in failed if not check.cause), key=rank)


def is_kube_proxys_failure(check: Check) -> bool:
    """Whether an object that kube-proxy writes differs."""
    return check.status == "failed" and _is_kube_proxys(check)


class _Links:
    def __init__(self, checks: Sequence[Check], failed: Sequence[Check]) -> None:
        self.checks, self.failed = checks, failed
        self.rules = [check for check in failed if is_kube_proxys_failure(check)]
        self.causes: dict[Key, Check] = {}
        self.added: list[Check] = []
        nodes = {check.node for check in self.rules}
        self.content = [check for check in checks if check.node in nodes and _is_content(check)]

    def result(self) -> list[Check]:
        for check in self.failed:
            if check.id == SYNCS:
                self.lead(check, (other for other in self.rules if other.node == check.node))
        dumps = [check for check in self.failed if check.id == "dump.present"]
        for group in _groups(dumps, lambda check: (check.node, check.observed)).values():
            self.lead(group[0], group)
        self.networks()
        self.whole()
        self.containers(several=True)
        self.services()
        self.endpoints()
        self.servers()
        self.containers(several=False)
        self.hooks()
        self.objects()
        self.leftovers()
        self.sums()
        self.traffic()
        return [
            replace(check, cause=self.causes[check.key].key) if check.key in self.causes else check
            for check in (*self.added, *self.checks)
        ]

    def root(self, check: Check) -> Check:
        return self.causes.get(check.key, check)

    def lead(self, lead: Check, members: Iterable[Check]) -> None:
        """Let the members without a cause, and what follows them, follow the check that leads `lead`."""
        root = self.root(lead)
        for member in members:
            if member.key != root.key and member.key not in self.causes:
                self.causes[member.key] = root
                for key in [key for key, cause in self.causes.items() if cause.key == member.key]:
                    self.causes[key] = root

    def add(self, lead: Check, members: Iterable[Check]) -> None:
        """A new check that leads the members without a cause, if there are any."""
        if free := self.free(members):
            self.added.append(lead)
            self.lead(lead, free)

    def free(self, checks: Iterable[Check]) -> list[Check]:
        return [check for check in checks if check.key not in self.causes]

    def networks(self) -> None:
        """A link leads what lies on it, a node's address the routes over it, and what a sysctl breaks that it
        isn't what the provider wrote.
        """
        for check in self.failed:
            here = (other for other in self.failed if other.node == check.node)
            if check.id in (LINK, ADDRESS) and check.object.endswith("eth0"):
                self.lead(check, (o for o in here if o.id in (ADDRESS, ROUTE) or o.id.startswith("route.")))
            elif check.id == KERNEL_SYSCTL:
                self.lead(check, (o for o in here if (o.id, o.object) == (SYSCTL, check.object)))

    def whole(self) -> None:
        """Nodes, families, tables and the like of which nothing is there."""
        scopes = ((_node, _family), (_family, _part), (_kind, _family), (_part, _object))
        for wide, narrow in scopes:
            for key, group in _groups(self.content, wide).items():
                if all(map(_is_lost, group)) and len({narrow(check) for check in group}) > 1:
                    members = [check for check in self.rules if wide(check) == key]
                    self.add(_nothing_there(group, key), members)

    def containers(self, *, several: bool) -> None:
        """Chains, sets and maps of which nothing is there; `several`: only those of several Services."""
        for key, group in _groups(self.content, _object).items():
            enough = len({check.service for check in group}) > 1 if several else len(group) > 1
            if enough and all(map(_is_lost, group)):
                members = [check for check in self.rules if _object(check) == key]
                told = any(check.observed.startswith("(no ") for check in group)
                state = (
                    "missing" if told or any(_suffix(check) in _DECLARED for check in members) else "empty"
                )
                self.add(_written(group, group[0].object, f"{group[0].object} is {state}"), members)

    def services(self) -> None:
        """Services of which nothing is there, in one check a node."""
        for (node,), here in _groups(self.content, _node).items():
            groups = _groups([c for c in here if c.service and _suffix(c) not in _INCIDENTAL], _service)
            lost = {
                key: group
                for key, group in groups.items()
                if len(group) > 1 and all(map(_is_lost, group)) and self.free(group)
            }
            if not lost:
                continue
            count = f"{len(groups) - len(lost)} of {len(groups)} Services are there"
            names = [name for _, name in lost]
            families = {check.family for group in lost.values() for check in group}
            lead = Check(
                PRESENT,
                "failed",
                node,
                families.pop() if len(families) == 1 else "",
                names[0] if len(names) == 1 else "",
                _listed(names),
                f"the API knows it, so kube-proxy programs it; {_WHY}",
                f"{len(groups)} of {len(groups)} Services",
                "\n".join(f"{name} is missing ({count})" for name in names),
            )
            self.add(lead, (check for check in self.rules if _service(check) in lost))

    def endpoints(self) -> None:
        """What follows from a Service's missing or surplus endpoints."""
        for lead in [check for check in self.free(self.rules) if check.id == ENDPOINTS]:
            hosts = {
                line.partition(" ")[0].rpartition(":")[0].strip("[]") for line in lead.observed.splitlines()
            }
            for check in self.rules:
                if _family(check) == _family(lead) and check.service in ("", lead.service):
                    spread = check.service and _suffix(check) in _SPREAD
                    if spread or not hosts.isdisjoint(_addresses(f"{check.expected}\n{check.observed}")):
                        self.lead(lead, [check])

    def servers(self) -> None:
        """Several virtual servers of one Service, such as those of a node port, one for each address."""
        lost = [c for c in self.free(self.rules) if c.service and _suffix(c) in _SERVERS and _is_lost(c)]
        for group in _groups(lost, lambda check: (check.node, check.service)).values():
            names = dict.fromkeys(check.object for check in group if check.object.startswith(_SERVER))
            if len(names) > 1:
                goal = f"ipvsadm: {len(names)} virtual servers of {group[0].service}"
                self.add(_written(group, goal, f"{_listed(names)} are missing"), group)

    def hooks(self) -> None:
        """Jumps to one chain that are missing in several built-in chains."""
        jumps = [check for check in self.free(self.rules) if _suffix(check) == "jump" and _is_lost(check)]

        def target(check: Check) -> Key:
            _, arrow, name = check.object.partition(" -> ")
            return *_part(check), name if arrow else check.expected

        for group in _groups(jumps, target).values():
            if len(group) > 1:
                first = group[0]
                name = (first.object if " -> " in first.object else first.expected).split()[-1]
                goal = f"{_kind(first)[-1]} {name}"
                chains = ", ".join(check.object.partition(" -> ")[0].rpartition(" ")[2] for check in group)
                self.add(_written(group, goal, f"no jump to {goal} in {chains}"), group)

    def objects(self) -> None:
        """What is left of one chain, set or map: its declaration leads, else a rule."""
        for group in _groups(self.free(self.rules), _object).values():
            best = min(group, key=lambda c: (_suffix(c) not in _DECLARED, _suffix(c) in ("order", "extra")))
            self.lead(best, group)

    def leftovers(self) -> None:
        """Surplus chains follow what leads to them; elements and further virtual servers a virtual server."""
        for group in _groups([c for c in self.free(self.rules) if _suffix(c) == "extra"], _family).values():
            for check in group:
                named = set(check.observed.replace(",", " ").split())
                self.lead(check, (other for other in group if other.object.rpartition(" ")[2] in named))
                if check.object.startswith(_SERVER):
                    reals, own = set(_REAL.findall(check.observed)), _addresses(check.object)
                    self.lead(check, (c for c in group if _belongs(c, reals, own)))

    def sums(self) -> None:
        """Whole tables and the comparison of nodes follow what they count."""
        for check in filter(adds_up, self.failed):
            part = check.object.removesuffix(check.family).strip()
            near = [
                c for c in self.failed if not adds_up(c) and c.family == check.family and _is_dataplane(c)
            ]
            here = [c for c in near if c.node == check.node] if check.node else near
            inside = [c for c in here if c.object.startswith(part)]
            for first in (inside or here)[:1]:
                self.lead(first, [check])

    def traffic(self) -> None:
        """Failed requests follow a failure of the dataplane or of a route, the nearest one."""
        others = [check for check in self.failed if not _is_traffic(check)]
        for check in filter(_is_traffic, self.failed):
            near = sorted(others, key=lambda c: (c.node != check.node, c.service != check.service))
            for first in near[:1]:
                self.lead(first, [check])


def _groups(checks: Iterable[Check], key: Callable[[Check], Key]) -> dict[Key, list[Check]]:
    groups: dict[Key, list[Check]] = defaultdict(list)
    for check in checks:
        groups[key(check)].append(check)
    return groups


def _listed(names: Iterable[str]) -> str:
    first, more = list(names)[:_SHOWN], len(list(names)) - _SHOWN
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def _node(check: Check) -> Key:
    return (check.node,)


def _family(check: Check) -> Key:
    return check.node, check.family


def _kind(check: Check) -> Key:
    """The table, or the kind of object, that holds a check's object: `iptables nat`, `ipset`."""
    words = check.object.partition(" -> ")[0].rpartition(" ")[0]
    return check.node, words.partition(" ")[0] if words.startswith(_SERVER) else words


def _part(check: Check) -> Key:
    return *_family(check), _kind(check)[-1]


def _object(check: Check) -> Key:
    return *_family(check), check.object


def _service(check: Check) -> Key:
    """The Service, without its port."""
    return check.node, check.service.partition(":")[0]


def _suffix(check: Check) -> str:
    return check.id.rpartition(".")[2]


def _is_traffic(check: Check) -> bool:
    return check.id.startswith("traffic.")


def _is_dataplane(check: Check) -> bool:
    return check.id.startswith(_MODES) or check.id in _RANKS


def _is_kube_proxys(check: Check) -> bool:
    """Whether it is about single objects that kube-proxy writes."""
    own = check.id.startswith(_MODES) and _suffix(check) not in ("stray", "sysctl") and not adds_up(check)
    return own or check.id == ENDPOINTS


def _is_content(check: Check) -> bool:
    """Whether it is about rules or elements that must be there."""
    return check.status != "skipped" and check.id.startswith(_MODES) and _suffix(check) not in _APART


def _is_lost(check: Check) -> bool:
    return check.status == "failed" and check.observed.startswith(_LOST)


def _belongs(check: Check, reals: set[str], own: set[str]) -> bool:
    """Whether a surplus object is of the Service whose virtual server has these real servers and address."""
    if check.object.startswith(_SERVER):
        return bool(reals) and set(_REAL.findall(check.observed)) == reals
    return not own.isdisjoint(_addresses(check.observed))


def _addresses(text: str) -> set[str]:
    """What may be an address in a text, also without its port."""
    words = [word.strip(".:") for word in _NOT_ADDRESS.split(text)]
    return {each for word in words for each in (word, word.rpartition(":")[0]) if len(each) > 2}


def _nothing_there(group: Sequence[Check], key: Key) -> Check:
    """The check for a whole node, family or part of which nothing is there."""
    _, *scope = key
    part = scope[-1] if scope else ""
    kind, _, table = part.partition(" ")
    goal = {"": "all tables", "ipv4": "all IPv4 tables", "ipv6": "all IPv6 tables"}.get(part, part)
    goal = f"{kind}s of table {table}" if table.endswith("kube-proxy") else goal
    text = f"nothing of what kube-proxy writes is there: {goal}"
    return _written(group, goal, text)


def _written(group: Sequence[Check], goal: str, text: str) -> Check:
    count = sum(check.expected.count("\n") + 1 for check in group)
    families = {check.family for check in group}
    services = {check.service for check in group}
    return Check(
        WRITTEN,
        "failed",
        group[0].node,
        families.pop() if len(families) == 1 else "",
        services.pop() if len(services) == 1 else "",
        goal,
        _WHY,
        f"{count} rules or elements",
        text,
    )
