"""kube-proxy's nftables table, expected against observed, as a whole: only kube-proxy writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from kubewire.dataplane.core.compare import UNASKED, Item, compare_chain, compare_items
from kubewire.dataplane.core.findings import Check, Note, Place
from kubewire.dataplane.core.model import Chain, Dataplane, Element, Hook, Origin, Set
from kubewire.dataplane.nftables.layout import is_leftover
from kubewire.dataplane.nftables.names import TABLE, WORDS, is_service_chain
from kubewire.dataplane.nftables.text import member_text, priority_text
from kubewire.dataplane.nftables.words import references

_NOT_UNDERSTOOD = "it is nothing that kube-proxy writes, and it was not understood"


def compare_nft(expected: Dataplane, observed: Dataplane, place: Place) -> tuple[list[Check], list[Note]]:
    """Check every object of the table, and the table as a whole.

    Notes name what no packet can reach: stale service chains (kube-proxy deletes them a moment after emptying
    them), unreferenced chains and sets, leftovers of another kube-proxy version.
    """
    comparison = _Comparison(expected, observed, place)
    comparison.run()
    return comparison.checks, comparison.notes


def element_text(element: Element) -> str:
    """A set's or map's element as nft prints it: `10.96.0.1 . tcp . 443 : goto service-…`."""
    return member_text(element.key, element.value, element.comment)


def hook_text(hook: Hook | None) -> str:
    """A chain's first line as nft prints it: `type nat hook output priority -100; policy accept;`."""
    if hook is None:
        return "(no base chain)"
    priority = "?" if hook.priority is None else priority_text(hook.name, hook.priority)
    return f"type {hook.type} hook {hook.name} priority {priority}; policy {hook.policy};"


def set_text(item: Set) -> str:
    """A set's or map's attributes as nft prints them, on one line."""
    value = f" : {item.value_type}" if item.value_type else ""
    comment = (f'comment "{item.comment}"',) if item.comment else ()
    return "; ".join((f"type {item.key_type}{value}", *item.options, *comment))


def reachable_chains(dataplane: Dataplane) -> frozenset[str]:
    """The chains that a packet can reach from a base chain, by jumps, gotos and the elements of maps."""
    chains = {chain.name: chain for chain in dataplane.chains}
    maps = {item.name: item for item in dataplane.sets}
    todo = [chain.name for chain in dataplane.chains if chain.hook]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for rule in chains[name].rules() if name in chains else ():
            named = references(rule.text)
            todo += named.chains
            for used in named.sets:
                elements = maps[used].elements if used in maps else ()
                todo += [chain for element in elements for chain in references(element.value).chains]
    return frozenset(seen)


class _Comparison(Struct):
    expected: Dataplane
    observed: Dataplane
    place: Place
    checks: list[Check] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def run(self) -> None:
        self._compare_chains()
        self._compare_sets()
        self._compare_counters()
        for problem in self.observed.problems:
            if not problem.where.startswith("rule of chain "):  # checked with its chain
                self.checks.append(
                    self.place.unasked(problem.where, f"{_NOT_UNDERSTOOD}: {problem.why}", problem.text)
                )
        failed = sum(check.status == "failed" for check in self.checks)
        text = f"{len(self.expected.chains)} chains, {len(self.expected.sets)} sets and maps"
        differing = f"{failed} of its objects differ" if failed else text
        why = "kube-proxy rewrites this table whole: nothing may be missing, nothing else may be in it"
        self.checks.append(self.place.check("nftables.table", self._label("table", ""), why, text, differing))

    def _compare_chains(self) -> None:
        found = {chain.name: chain for chain in self.observed.chains}
        for chain in self.expected.chains:
            label, seen = self._label("chain", chain.name), found.get(chain.name)
            self.checks += compare_chain(self.place, label, chain, seen)
            if chain.hook or not any(chain.rules()):
                self._compare_declaration(chain, label, seen)
        extra = found.keys() - {chain.name for chain in self.expected.chains}
        reachable = reachable_chains(self.observed) if extra else frozenset()
        for name in sorted(extra):
            self._check_extra_chain(found[name], reachable=name in reachable)

    def _compare_declaration(self, chain: Chain, label: str, seen: Chain | None) -> None:
        origin = chain.origin or Origin("", "", "", "nftables.base-chain")
        wanted = hook_text(chain.hook)
        actual = hook_text(seen.hook) if seen else f"(no chain {chain.name})"
        check = "nftables.base-chain" if chain.hook else "nftables.chain"
        same = seen is not None and seen.hook == chain.hook
        self.checks.append(
            self.place.check(check, label, origin.reason, wanted, actual, ok=same, service=origin.service)
        )

    def _check_extra_chain(self, chain: Chain, *, reachable: bool) -> None:
        rules = tuple(rule.text for rule in chain.rules())
        label = self._label("chain", chain.name)
        if is_leftover(chain):
            self._say(f"{label} is left over from another version of kube-proxy")
        elif not reachable:
            stale = is_service_chain(chain.name) and not rules
            what = "was emptied and will be deleted soon" if stale else "is reached by no packet"
            self._say(f"{label} {what}")
        else:
            text = "\n".join((hook_text(chain.hook), *rules) if chain.hook else rules)
            self.checks.append(self.place.unasked(label, UNASKED, text or "(an empty chain)"))

    def _compare_sets(self) -> None:
        found = {item.name: item for item in self.observed.sets}
        for item in self.expected.sets:
            self._compare_set(item, found.get(item.name))
        extra = found.keys() - {item.name for item in self.expected.sets}
        used = self._used_sets() if extra else {}
        for name in sorted(extra):
            label = self._label(_kind(found[name]), name)
            if name not in used:
                self._say(f"{label} is used by no rule that a packet reaches")
            else:
                self.checks.append(
                    self.place.unasked(label, f"{UNASKED}; chain {used[name]} uses it", set_text(found[name]))
                )

    def _compare_set(self, item: Set, seen: Set | None) -> None:
        label = self._label(_kind(item), item.name)
        origin = item.origin or Origin("", "", "", "")
        wanted = set_text(item)
        actual = set_text(seen) if seen else f"(no {_kind(item)} {item.name})"
        self.checks.append(
            self.place.check("nftables.set", label, origin.reason, wanted, actual, service=origin.service)
        )
        if item.dynamic:
            return
        items = [_item(element, origin) for element in item.elements]
        kept = {element.key: element for element in item.elements if element.comment}
        texts = [self._text_of(e, kept.get(e.key), label) for e in seen.elements] if seen else []
        absent = "" if seen else actual
        self.checks += compare_items(self.place, label, items, texts, render=str, absent=absent)

    def _text_of(self, seen: Element, wanted: Element | None, label: str) -> str:
        """An observed element's text. kube-proxy keeps an element with the right key and value, so its
        comment may have the former name of a renamed port (pkg/proxy/nftables/proxier.go, nftElementStorage).
        """
        if wanted is None or seen.value != wanted.value or seen.comment in (wanted.comment, ""):
            return element_text(seen)
        if "/" not in seen.comment:  # no name of a Service's port
            return element_text(seen)
        self._say(f"{label}: {seen.key} keeps the former name {seen.comment}")
        return element_text(wanted)

    def _compare_counters(self) -> None:
        found = {counter.name for counter in self.observed.counters}
        for counter in self.expected.counters:
            origin = counter.origin or Origin("", "", "", "")
            label, text = self._label("counter", counter.name), f"counter {counter.name}"
            actual = text if counter.name in found else "(missing)"
            self.checks.append(self.place.check(origin.check, label, origin.reason, text, actual))
        for name in sorted(found - {counter.name for counter in self.expected.counters}):
            self._say(f"{self._label('counter', name)} is not kube-proxy's")

    def _used_sets(self) -> Mapping[str, str]:
        """Each set that a reachable chain uses, with one such chain."""
        reachable = reachable_chains(self.observed)
        chains: Iterable[Chain] = (chain for chain in self.observed.chains if chain.name in reachable)
        return {
            name: chain.name
            for chain in chains
            for rule in chain.rules()
            for name in references(rule.text).sets
        }

    def _label(self, kind: str, name: str) -> str:
        """As in a command of nft: `chain ip kube-proxy services`."""
        return f"{kind} {WORDS[self.place.family].ip} {TABLE} {name}".rstrip()

    def _say(self, text: str) -> None:
        self.notes.append(Note(text, self.place.node))


def _item(element: Element, origin: Origin) -> Item:
    others = tuple(member_text(element.key, *other) for other in element.alternatives)
    return Item(element_text(element), element.origin or origin, others)


def _kind(item: Set) -> str:
    return "map" if item.value_type else "set"
