"""Expected against observed, for all modes: rules of a chain and elements of a set, matched by their text.

There is one `Check` for each Service and kind of check; a changed rule is one finding, with its expected
and its observed text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct, field

from kubewire.dataplane.core.findings import Check, Place
from kubewire.dataplane.core.model import Chain, Origin, Rule, RuleGroup

UNASKED = "nothing that the API knows asks for it"
_SHOWN = 8
_SIMILAR = 0.3
_PAIRING_LIMIT = 250_000
UNPRINTABLE = "[unsupported"
"""In what an iptables prints of a rule whose match or target has a revision that it doesn't know."""
_NOBODY = Origin("", "", "", "")


class Item(Struct, frozen=True, gc=False):
    """One comparable piece of a container: a rule or an element, by its text."""

    text: str
    origin: Origin
    alternatives: tuple[str, ...] = ()
    optional: bool = False


class _Story(Struct):
    """All findings of one check about one container."""

    expected: list[str] = field(default_factory=list)
    wanting: list[str] = field(default_factory=list)
    instead: list[str] = field(default_factory=list)
    origin: Origin | None = None
    why: str = ""


Render = Callable[[str], str]


def compare_items(
    place: Place,
    label: str,
    items: Sequence[Item],
    observed: Sequence[str],
    *,
    render: Render,
    service: str = "",
    absent: str = "",
) -> list[Check]:
    """Every item present as often as expected and nothing else; one check for each (check id, Service).

    `absent`: the observed text when the whole container is missing. Extra pieces fail `PREFIX.extra`.
    """
    if _stand(items, observed):
        return _hold(place, label, [(item.origin, render(item.text)) for item in items])
    missing, positions = match_items(items, observed)
    taken = {position for position in positions if position is not None}
    extra = [text for position, text in enumerate(observed) if position not in taken]
    pairs, extra = _pair([item for item in missing if not item.optional], extra)
    stories: dict[tuple[str, str], _Story] = defaultdict(_Story)
    gone = {id(item) for item in missing}
    for item in items:
        if item.optional and id(item) in gone:
            continue
        story = stories[item.origin.check, item.origin.service]
        story.origin = story.origin or item.origin
        if id(item) in gone:
            story.wanting.append(render(item.text))
            story.origin = item.origin
            if id(item) in pairs:
                story.instead.append(render(pairs[id(item)]))
        else:
            story.expected.append(render(item.text))
    checks = [_tell(place, label, key, story, absent) for key, story in stories.items()]
    if extra:
        twice = {item.text for item in items}.issuperset(extra)
        why = "it is there more than once" if twice else UNASKED
        checks.append(place.unasked(label, why, "\n".join(map(render, extra)), service))
    return checks


def _stand(items: Sequence[Item], observed: Sequence[str]) -> bool:
    """Whether everything exists, in order, and nothing else."""
    return len(items) == len(observed) and all(a.text == b for a, b in zip(items, observed, strict=True))


def match_items(items: Sequence[Item], observed: Sequence[str]) -> tuple[list[Item], list[int | None]]:
    """The items that are missing, and for each item the position at which it was found."""
    if _stand(items, observed):
        return [], list(range(len(items)))
    free: dict[str, list[int]] = defaultdict(list)
    for position in range(len(observed) - 1, -1, -1):
        free[observed[position]].append(position)
    missing: list[Item] = []
    positions: list[int | None] = []
    for item in items:
        text = next((text for text in (item.text, *item.alternatives) if free.get(text)), None)
        positions.append(free[text].pop() if text is not None else None)
        if text is None:
            missing.append(item)
    return missing, positions


def _pair(missing: Sequence[Item], extra: list[str]) -> tuple[dict[int, str], list[str]]:
    """Each missing item with the most similar extra text, if there is one; and the remaining extras."""
    pairs: dict[int, str] = {}
    if not missing or not extra or len(missing) * len(extra) > _PAIRING_LIMIT:
        return pairs, extra
    words = [set(text.split()) for text in extra]
    scores = sorted(
        (
            (len(own & words[index]) / len(own | words[index]), -index, number)
            for number, item in enumerate(missing)
            for own in (set(item.text.split()),)
            for index in range(len(extra))
        ),
        reverse=True,
    )
    used: set[int] = set()
    for score, negative, number in scores:
        item = missing[number]
        if score >= _SIMILAR and -negative not in used and id(item) not in pairs:
            pairs[id(item)] = extra[-negative]
            used.add(-negative)
    return pairs, [text for index, text in enumerate(extra) if index not in used]


def _tell(place: Place, label: str, key: tuple[str, str], story: _Story, absent: str) -> Check:
    expected = "\n".join(story.wanting or story.expected)
    observed = "\n".join(story.instead) or absent or "(missing)" if story.wanting else expected
    ok, reason = not story.wanting, story.origin.reason if story.origin else ""
    return place.check(key[0], label, reason, expected, observed, ok=ok, service=key[1])


def compare_chain(
    place: Place, label: str, expected: Chain, observed: Chain | None, head: str = ""
) -> list[Check]:
    """Check a chain that only kube-proxy writes: its rules, no others, and their order.

    `head` is what the tool prints before each rule's text.
    """
    rules = tuple(expected.rules())
    texts = [rule.text for rule in observed.rules()] if observed else []
    if observed is not None and texts == [rule.text for rule in rules]:
        return _hold(place, label, [(rule.origin or _NOBODY, head + rule.text) for rule in rules])
    items = [rule_item(rule) for rule in rules]
    wanted, texts = _printable(items, texts)

    def render(text: str) -> str:
        return head + text

    service = expected.origin.service if expected.origin else ""
    absent = "" if observed else f"(no chain {expected.name})"
    checks = compare_items(place, label, wanted, texts, render=render, service=service, absent=absent)
    disorder = None if _stand(items, texts) else misplaced(expected.groups, match_items(items, texts)[1])
    if disorder is not None:
        why = "the kernel takes the first rule that matches, so these must stand in this order"
        order, actual = "\n".join(render(rule.text) for rule in disorder), "\n".join(map(render, texts))
        checks.append(
            place.check(f"{place.prefix}.order", label, why, order, actual, ok=False, service=service)
        )
    return checks


def _printable(items: list[Item], texts: list[str]) -> tuple[list[Item], list[str]]:
    """The rules that iptables could print, and what is expected of them: each of the others may be any rule
    that is not found."""
    printed = [text for text in texts if UNPRINTABLE not in text]
    hidden = {id(item) for item in match_items(items, printed)[0][: len(texts) - len(printed)]}
    return [item for item in items if id(item) not in hidden], printed


def whole(checks: Iterable[Check], good: str) -> str:
    """What is observed of all that the checks are about: `good`, or how many of them failed."""
    failed = sum(check.status == "failed" for check in checks)
    return f"{failed} {'difference' if failed == 1 else 'differences'}" if failed else good


def listed(texts: Sequence[str]) -> str:
    """The first of many names, sorted, and how many more there are."""
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(sorted(texts)[:_SHOWN]) + more


def _hold(place: Place, label: str, texts: Iterable[tuple[Origin, str]]) -> list[Check]:
    """The checks of a container that has everything, in order, and nothing else."""
    found: dict[tuple[str, str], tuple[Origin, str]] = {}
    for origin, text in texts:
        key = origin.check, origin.service
        first = found.get(key)
        found[key] = (first[0], f"{first[1]}\n{text}") if first else (origin, text)
    node, family = place.node, place.family
    return [
        Check(check, "passed", node, family, service, label, f"{origin.why} ({origin.source})", text, text)
        for (check, service), (origin, text) in found.items()
    ]


def rule_item(rule: Rule) -> Item:
    """A rule as something to compare; a rule must have an origin."""
    return Item(rule.text, rule.origin or _NOBODY, rule.alternatives, rule.optional)


def misplaced(groups: Iterable[RuleGroup], positions: Sequence[int | None]) -> tuple[Rule, ...] | None:
    """Two rules (or runs of rules) found in the wrong order, None if all is well.

    `positions` are where the rules of the groups, depth first, were found (None: not found).
    """
    rest = iter(positions)
    try:
        _extent(RuleGroup(tuple(groups)), rest)
    except _WrongOrderError as wrong:
        return wrong.rules
    return None


class _WrongOrderError(Exception):
    def __init__(self, rules: tuple[Rule, ...]) -> None:
        super().__init__()
        self.rules = rules


def _extent(group: RuleGroup, rest: Iterator[int | None]) -> tuple[int, int] | None:
    """The first and last position of a group; raises where an ordered one is out of order."""
    first = last = None
    before: Rule | RuleGroup | None = None
    for member in group.rules:
        if isinstance(member, Rule):
            position = next(rest)
            extent = None if position is None else (position, position)
        else:
            extent = _extent(member, rest)
        if extent is None:
            continue
        if group.ordered and last is not None and before is not None and extent[0] < last:
            raise _WrongOrderError((_edge(before, -1), _edge(member, 0)))
        first = extent[0] if first is None else min(first, extent[0])
        last = extent[1] if last is None else max(last, extent[1])
        before = member
    return None if first is None or last is None else (first, last)


def _edge(member: Rule | RuleGroup, index: int) -> Rule:
    return member if isinstance(member, Rule) else tuple(member.flat())[index]
