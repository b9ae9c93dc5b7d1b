"""A packet's walk through base chains: every branch that it can take, each with its probability."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from fractions import Fraction
from typing import Literal

from kubewire.core.errors import LabError
from kubewire.dataplane.core.model import Chain, Rule
from kubewire.dataplane.core.packet import SURE, Action, NotModelled, Packet, Result
from kubewire.dataplane.core.routing import LOOPBACK, Routing
from kubewire.dataplane.trace.hooks import Base

DEEPEST = 64
MOST_PATHS = 20000
MOST_RULES = 1_000_000
"""That one packet may meet in one base chain, on all ways through it."""
_LONG = 128
"""Steps of a path that cost as much as one rule: each path keeps its own."""
Fate = Literal["delivered", "left", "rejected", "dropped", "unreachable", "refused"]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to the packet: the matching rule or the chosen route, as the tool prints it.

    `place` is hook and table, `effect` what the text does not say; `base` is the base chain of a rule.
    """

    node: str
    place: str
    text: str
    effect: str = ""
    action: Action = Action.NEXT
    base: Base | None = field(default=None, repr=False, compare=False)
    chain: Chain | None = field(default=None, repr=False, compare=False)
    rule: Rule | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A rule of which something is unknown; the walk went on as if it did not match."""

    base: Base
    chain: Chain
    rule: Rule
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a path ends. `text` says it in words; for `refused`: the rule and why its effect is unknown."""

    fate: Fate
    text: str
    packet: Packet
    node: str


@dataclass(frozen=True, slots=True)
class Visited:
    """A hook of a node that the packet came to, and the packet as it was then."""

    node: str
    name: str
    packet: Packet


@dataclass(frozen=True, slots=True)
class Path:
    """One path that the packet can take, so far or, with an outcome, to its end."""

    chance: Fraction
    packet: Packet
    steps: tuple[Step, ...] = ()
    outcome: Outcome | None = None
    hooks: tuple[Visited, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    def then(self, step: Step, packet: Packet | None = None) -> Path:
        """One step on."""
        return replace(self, steps=(*self.steps, step), packet=packet or self.packet)

    def end(self, fate: Fate, text: str, node: str) -> Path:
        return replace(self, outcome=Outcome(fate, text, self.packet, node))


class _Way(Enum):
    """How a path comes out of a chain: back to the one that jumped here, or out of the whole base chain."""

    BACK = auto()
    OUT = auto()


_Exits = Iterator[tuple[Path, _Way]]


class Budget:
    """How many more rules may be evaluated: chains that call each other make few rules many ways."""

    def __init__(self, rules: int = MOST_RULES) -> None:
        self._left = self._rules = rules

    def spend(self, rules: int, where: str) -> None:
        """LabError where there are more."""
        self._left -= rules
        if self._left < 0:
            raise LabError(f"packets meet more than {self._rules} rules on all their ways", where=where)


@dataclass(frozen=True, slots=True)
class Walker:
    """Walks paths through base chains of one node. `strict`: a rule that can't be evaluated ends a path."""

    node: str
    routing: Routing
    strict: bool = True
    budget: Budget = field(default_factory=Budget)

    def through(self, base: Base, path: Path) -> list[Path]:
        """All paths through a base chain, in the order of its rules; those that end there have an outcome.

        A NAT chain sees only what no NAT chain before it has settled.
        """
        settled = path.packet.source_set if base.changes_source else path.packet.destination_set
        if base.nat and settled:
            return [path]
        out: list[Path] = []
        seen = path.packet.tracked
        if base.before_conntrack and path.packet.in_interface != LOOPBACK:
            path = replace(path, packet=replace(path.packet, tracked=False))
        for walked, way in self._chain(base, base.chain.name, path, 0):
            after = replace(walked, packet=replace(walked.packet, tracked=seen))
            if way is _Way.BACK and base.policy == "DROP":
                text = f"the policy of {base.place} is DROP"
                step = Step(self.node, base.place, text, action=Action.DROP, base=base)
                out.append((after if self.strict else after.then(step)).end("dropped", text, self.node))
            else:
                out.append(after)
            if len(out) > MOST_PATHS:
                raise LabError(f"more than {MOST_PATHS} ways lead through {base.place}", where=self.node)
        return out

    def _chain(self, base: Base, name: str, path: Path, depth: int) -> _Exits:
        chain, here = base.owner.chain(base.chain.table, name), [path]
        for rule in chain.rules():
            self.budget.spend(sum(1 + len(each.steps) // _LONG for each in here), self.node)
            following: list[Path] = []
            for before in here:
                for after, way in self._rule(base, chain, rule, before, depth):
                    if way is None:
                        following.append(after)
                    else:
                        yield after, way
            here = following
            if not here:
                return
        yield from ((after, _Way.BACK) for after in here)

    def _rule(
        self, base: Base, chain: Chain, rule: Rule, path: Path, depth: int
    ) -> Iterator[tuple[Path, _Way | None]]:
        """The result of one rule; None: the next rule is evaluated."""
        try:
            results = base.owner.results(rule, chain, path.packet, self.routing)
        except NotModelled as error:
            if not self.strict:
                yield replace(path, doubts=(*path.doubts, Doubt(base, chain, rule, str(error)))), None
                return
            line = base.owner.line(chain, rule)
            yield path.end("refused", f"{line}\n{error}", self.node), _Way.OUT
            return
        for result in results:
            if not self.strict and (why := self._astray(base, result, depth)):
                yield replace(path, doubts=(*path.doubts, Doubt(base, chain, rule, why))), None
                continue
            if result.action is Action.MISS and result.packet is path.packet and result.chance == SURE:
                yield path, None
                continue
            after = replace(path, chance=path.chance * result.chance, packet=result.packet)
            if result.action is not Action.MISS:
                text = base.owner.line(chain, rule)
                step = Step(self.node, base.place, text, result.said, result.action, base, chain, rule)
                after = after.then(step)
            yield from self._act(base, result, after, depth)

    def _act(self, base: Base, result: Result, after: Path, depth: int) -> Iterator[tuple[Path, _Way | None]]:
        match result.action:
            case Action.MISS | Action.NEXT:
                yield after, None
            case Action.RETURN:
                yield after, _Way.BACK
            case Action.ACCEPT:
                yield after, _Way.OUT
            case Action.DROP | Action.REJECT:
                fate: Fate = "dropped" if result.action is Action.DROP else "rejected"
                yield after.end(fate, after.steps[-1].text, self.node), _Way.OUT
            case Action.JUMP | Action.GOTO if why := self._astray(base, result, depth):
                yield after.end("refused", f"{after.steps[-1].text}\n{why}", self.node), _Way.OUT
            case Action.JUMP | Action.GOTO:
                back = None if result.action is Action.JUMP else _Way.BACK
                for path, way in self._chain(base, result.chain, after, depth + 1):
                    yield path, back if way is _Way.BACK else way

    def _astray(self, base: Base, result: Result, depth: int) -> str:
        """Why a jump can't be followed, "" where it can."""
        if result.action not in (Action.JUMP, Action.GOTO):
            return ""
        try:
            base.owner.chain(base.chain.table, result.chain)
        except NotModelled as error:
            return str(error)
        return f"the chains call each other more than {DEEPEST} deep" if depth == DEEPEST else ""
