"""A node's iptables of one family against what kube-proxy must have written there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from kubewire.dataplane.core.compare import UNPRINTABLE, compare_chain, listed, whole
from kubewire.dataplane.core.findings import Check, IpFamily, Note, Place
from kubewire.dataplane.core.harm import OTHER_MODE, Effects
from kubewire.dataplane.core.model import Chain, Dataplane, Rule
from kubewire.dataplane.iptables import names
from kubewire.dataplane.iptables.foreign import owner_of_chain, owner_of_rule
from kubewire.dataplane.iptables.observed import rule_line
from kubewire.dataplane.iptables.spec import Spec, parse_rule

MOST_STRANGE = 20
"""Rules of unknown owners that are told of one built-in chain."""
MOST_NAMED = 50
"""Chains of one owner in a table."""
Key = tuple[str, str]


class Dialect(Struct, frozen=True):
    """What differs between the modes that write iptables rules.

    `owned`: whether kube-proxy writes a chain of that table and name; `source`: where upstream does.
    """

    owned: Callable[[str, str], bool]
    source: str


IPTABLES = Dialect(names.owned, "pkg/proxy/iptables/proxier.go")


def compare_iptables(
    expected: Dataplane, observed: Dataplane, foreign: Effects, place: Place, dialect: Dialect = IPTABLES
) -> tuple[list[Check], list[Note]]:
    """Whole tables: kube-proxy's chains exactly, its jumps once each, foreign rules by what they do."""
    work = _Comparer(expected, observed, place, foreign, dialect)
    checks: list[Check] = []
    for table in expected.tables:
        found = [check for chain in work.tables[table.name] for check in work.chain(chain)]
        found += work.foreign_rules(table.name)
        found += work.unexpected_chains(table.name)
        checks += [*found, work.table(table.name, found)]
    kept = {table.name for table in expected.tables}
    for table in observed.tables:
        checks += [] if table.name in kept else work.foreign_rules(table.name)
    work.foreign_notes()
    return checks, work.notes


def check_foreign(
    observed: Dataplane, foreign: Effects, node: str, family: IpFamily
) -> tuple[list[Check], list[Note]]:
    """In another mode than iptables: only whether foreign iptables rules end or divert packets."""
    work = _Comparer(Dataplane(), observed, Place("iptables", node, family), foreign, IPTABLES)
    checks = [check for table in observed.tables for check in work.foreign_rules(table.name)]
    work.foreign_notes()
    return checks, work.notes


class _Comparer:
    def __init__(
        self, expected: Dataplane, observed: Dataplane, place: Place, foreign: Effects, dialect: Dialect
    ) -> None:
        self.expected, self.observed, self.place, self.foreign = expected, observed, place, foreign
        self.dialect = dialect
        self.wanted: dict[Key, Chain] = {(chain.table, chain.name): chain for chain in expected.chains}
        self.seen: dict[Key, Chain] = {(chain.table, chain.name): chain for chain in observed.chains}
        self.tables: dict[str, list[Chain]] = defaultdict(list)
        for chain in expected.chains:
            self.tables[chain.table].append(chain)
        self.notes = [
            Note(f"{names.tool(place.family)}: {remark}", place.node) for remark in observed.remarks
        ]

    def label(self, table: str, name: str = "") -> str:
        return f"{names.tool(self.place.family)} {table} {name}".rstrip()

    def chain(self, wanted: Chain) -> list[Check]:
        observed = self.seen.get((wanted.table, wanted.name))
        if wanted.shared:
            return list(self.jumps(wanted, observed))
        label, origin = self.label(wanted.table, wanted.name), wanted.origin
        checks = compare_chain(self.place, label, wanted, observed, f"-A {wanted.name} ")
        if origin is None or origin.service:
            return checks
        declared = f":{wanted.name} - [0:0]"
        name = f"{self.place.prefix}.{'canary' if wanted.name == names.CANARY else 'chain'}"
        actual = "(missing)" if observed is None else declared
        return [self.place.check(name, label, origin.reason, declared, actual), *checks]

    def jumps(self, wanted: Chain, observed: Chain | None) -> Iterator[Check]:
        """Each jump of a built-in chain to a kube-proxy chain must exist exactly once, in its exact form."""
        present: dict[str, list[str]] = defaultdict(list)
        for rule in observed.rules() if observed else ():
            present[parse_rule(rule.text).target].append(rule.text)
        for rule in wanted.rules():
            target = parse_rule(rule.text).target
            texts = present[target]
            line = rule_line(wanted, rule)
            reason = rule.origin.reason if rule.origin else ""
            if len(texts) > 1:
                reason = f"the jump must be there exactly once; {reason}"
            label = f"{self.label(wanted.table, wanted.name)} -> {target}"
            lines = "\n".join(rule_line(wanted, Rule(text)) for text in texts) or "(missing)"
            ok = texts == [rule.text] or (len(texts) == 1 and UNPRINTABLE in texts[0])
            yield self.place.check(f"{self.place.prefix}.jump", label, reason, line, lines, ok=ok)

    def foreign_rules(self, table: str) -> Iterator[Check]:
        """Foreign rules that a packet meets from a built-in chain on: those that end or divert one fail."""
        for chain in self.observed.chains:
            if chain.hook is None or chain.table != table:
                continue
            wanted = self.wanted.get((table, chain.name))
            own = {parse_rule(rule.text).target for rule in wanted.rules()} if wanted else set()
            yield self.strays(chain, [r for r in chain.rules() if parse_rule(r.text).target not in own])

    def strays(self, chain: Chain, rules: Sequence[Rule]) -> Check:
        label = self.label(chain.table, chain.name)
        for doubt in self.foreign.doubts(label):
            self.say(doubt)
        lines = self.foreign.lines(label)
        quiet: Counter[str] = Counter()
        dropping = chain.hook is not None and chain.hook.policy == "DROP"
        if dropping and not any(line.startswith(":") for line in lines):
            self.say(f"{label}: policy DROP, what no rule accepts is dropped")
        strange: list[str] = []
        for rule in rules:
            owner = self.owner(chain.table, parse_rule(rule.text))
            if owner:
                quiet[owner] += 1
            elif (line := rule_line(chain, rule)) not in lines and not self.is_own(chain.table, rule):
                strange.append(line)
        left = self.foreign.left
        for line in strange[:MOST_STRANGE]:
            self.say(f"{self.label(chain.table)}: a foreign rule, {left}: {line}")
        if (more := len(strange) - MOST_STRANGE) > 0:
            self.say(f"{label}: {more} more foreign rules, {left}")
        for owner, count in quiet.items():
            self.say(f"{label}: {count} {'rule' if count == 1 else 'rules'} of {owner}, {left}")
        jumps = [rule_line(chain, rule) for rule in rules if self.is_own(chain.table, rule)]
        return self.foreign.check(self.place, f"{self.place.prefix}.stray", label, jumps)

    def is_own(self, table: str, rule: Rule) -> bool:
        """Whether a rule leads to a chain of this mode's kube-proxy."""
        return bool(self.wanted) and self.dialect.owned(table, parse_rule(rule.text).target)

    def owner(self, table: str, spec: Spec) -> str:
        """The owner of a rule of a built-in chain; "" if unknown and for jumps to the mode's own chains."""
        ours = (table, spec.target) in self.wanted or self.dialect.owned(table, spec.target)
        if self.wanted and ours:
            return ""
        return owner_of_rule(spec) or self.leftover(table, spec.target)

    def leftover(self, table: str, target: str) -> str:
        """In another mode, jumps to the chains of iptables mode are leftovers of kube-proxy."""
        left = not self.wanted and (names.owned(table, target) or target == names.FIREWALL)
        return OTHER_MODE.format("iptables") if left else ""

    def unexpected_chains(self, table: str) -> list[Check]:
        """Unexpected kube-proxy chains: harmless if no packet reaches them."""
        extra = [
            chain
            for (where, name), chain in self.seen.items()
            if where == table and (table, name) not in self.wanted and self.dialect.owned(table, name)
        ]
        if not extra:
            return []
        reachable = self.reachable(table)
        if stale := [chain.name for chain in extra if chain.name not in reachable]:
            self.say(f"{self.label(table)}: stale chains that no packet reaches: {listed(stale)}")
        return [
            self.place.unasked(
                self.label(table, chain.name),
                "packets reach this chain, but no Service that the API knows asks for it",
                "\n".join(rule_line(chain, rule) for rule in chain.rules()) or "(empty)",
            )
            for chain in extra
            if chain.name in reachable
        ]

    def reachable(self, table: str) -> set[str]:
        """The chains that a packet can reach from a built-in chain."""
        todo = [name for (where, name), chain in self.seen.items() if where == table and chain.hook]
        found = set(todo)
        while todo:
            chain = self.seen.get((table, todo.pop()))
            targets = {parse_rule(rule.text).target for rule in chain.rules()} if chain else set()
            todo += targets - found
            found |= targets
        return found

    def table(self, name: str, found: Sequence[Check]) -> Check:
        chains = [chain for chain in self.tables[name] if not chain.shared]
        rules = sum(len(tuple(chain.rules())) for chain in self.tables[name])
        good = f"{len(chains)} chains, {rules} rules"
        there = any(table.name == name for table in self.observed.tables)
        state = whole(found, good) if there else f"(no table {name})"
        reason = f"all that kube-proxy keeps in this table, and nothing else ({self.dialect.source})"
        return self.place.check(f"{self.place.prefix}.table", self.label(name), reason, good, state)

    def foreign_notes(self) -> None:
        """Notes on other owners' chains, one for each owner and table."""
        groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        for (table, name), chain in self.seen.items():
            if (
                chain.hook is None
                and (table, name) not in self.wanted
                and not self.dialect.owned(table, name)
            ):
                groups[table, owner_of_chain(name) or "an unknown owner"].append(name)
        for (table, owner), members in groups.items():
            named = ", ".join(sorted(members)[:MOST_NAMED])
            more = f" and {len(members) - MOST_NAMED} more" if len(members) > MOST_NAMED else ""
            self.say(f"{self.label(table)}: chains of {owner}, {self.foreign.left}: {named}{more}")

    def say(self, text: str) -> None:
        self.notes.append(Note(text, self.place.node))
