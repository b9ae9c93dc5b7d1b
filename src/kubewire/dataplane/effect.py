"""What the rules and policies of others do to the packets on their way to a Service through one node.

Each kind of way is followed twice, through all rules of the node and through kube-proxy's alone; what differs
is the effect of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import replace
from fractions import Fraction

from msgspec.structs import replace as replace_struct

from kubewire.core.errors import LabError
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.harm import Effects, Harm
from kubewire.dataplane.core.packet import SURE, Action, Address
from kubewire.dataplane.core.pods import Pod
from kubewire.dataplane.node import Inputs
from kubewire.dataplane.trace.hooks import Rules
from kubewire.dataplane.trace.journey import Network, NodeView, Servers
from kubewire.dataplane.trace.later_packets import back, ends, onward, visits
from kubewire.dataplane.trace.observe import view_with
from kubewire.dataplane.trace.walk import Budget, Path, Step
from kubewire.dataplane.ways import Asked, Surroundings, Way, ways_to

MOST_WAYS = 400
"""Ways that are followed on one node; more exist only where rules single out very many Services."""
MOST_MET = 200_000
"""Rules that packets may meet on all ways through one node, and in large dumps:"""
MOST_OF_EACH = 100
"""This many times each of its rules."""
_End = tuple[str, str, Address | None]
"""How and where a path ends, and the address that lost replies go to."""
_HAIR = Fraction(1, 10**6)
"""Two tools' probabilities of the same choice differ by less: iptables keeps 31 bits of 1/3."""
_DOES = {Action.DROP: "drops", Action.REJECT: "rejects"}
_BEFORE = {"dropped": "makes the node drop", "rejected": "makes the node reject"}


def effects(
    node: Inputs,
    pods: Sequence[Pod],
    family: IpFamily,
    asked: Asked,
    *,
    rules: tuple[Rules, ...],
    servers: Servers,
) -> Effects:
    """What foreign rules and policies of a node do to packets on their way to Services, each line once.

    `rules` are all that the node has in this family, nft first, `servers` IPVS's.
    """
    found: dict[tuple[str, str], list[Harm]] = {}
    done, ways = 0, []
    try:
        view = view_with(node.snapshot, family, lambda: rules, lambda: servers)
        around = Surroundings.of(asked.hosts, view.routing, asked.scopes)
        ways = [way for example in asked.examples for way in ways_to(*example, node, around)]
        judge = _Judge(view, pods)
        for way in ways[:MOST_WAYS]:
            for harm in judge.harms(way):
                found.setdefault((harm.label, harm.line), []).append(harm)
            done += 1
    except LabError as error:
        unknown = f"{done} of {len(ways)} kinds of ways were followed: {error}" if ways else str(error)
    else:
        many = len(ways) > MOST_WAYS
        unknown = f"only {MOST_WAYS} of {len(ways)} kinds of ways were followed" if many else ""
    return Effects(tuple(map(_joined, found.values())), unknown)


class _Judge:
    """Follows ways through one node's rules, all of them and kube-proxy's alone."""

    def __init__(self, view: NodeView, pods: Sequence[Pod]) -> None:
        names = {ip: (pod.name, pod.node) for pod in pods if not pod.host for ip in pod.addresses}
        own = tuple(rules.own() for rules in view.rules())
        self._view = replace(view, strict=False)
        size = sum(rules.size for rules in view.rules())
        self._budget = Budget(max(MOST_MET, MOST_OF_EACH * size))
        self._all = Network({view.name: self._view}, names, self._budget)
        self._own = Network({view.name: replace(self._view, rules=lambda: own)}, names, self._budget)

    def harms(self, way: Way) -> Iterator[Harm]:
        """What others' rules and policies do to the packets of one way. Raises LabError.

        Of chains of one priority, that one runs first which was registered last, and no dump tells which.
        """
        found = list(self._harms(way, nft_first=True))
        if way.named:  # to shut out one client is what a ban is for
            yield from (replace_struct(harm, sure=False) for harm in found)
            return
        if len(self._view.rules()) < 2:
            yield from found
            return
        other = list(self._harms(way, nft_first=False))
        lines = [{harm.line for harm in each} for each in (found, other)]
        for harm in dict.fromkeys((*found, *other)):
            both = all(harm.line in each for each in lines)
            text = harm.text if both else f"{harm.text}, if its table was registered after the other tool's"
            yield replace_struct(harm, text=text, sure=harm.sure and both)

    def _harms(self, way: Way, *, nft_first: bool) -> Iterator[Harm]:
        paths = self._follow(self._all, way, nft_first)
        touched = [path for path in paths if path.doubts or any(map(_is_foreign, path.steps))]
        usual = self._ends(self._follow(self._own, way, nft_first) if touched else ())
        observed = self._ends(paths if touched else ())
        for (fate, to, lost), chance in list(usual.items()):
            if lost:  # to bring such replies back does no harm
                usual[fate, to, None] = usual.get((fate, to, None), Fraction(0)) + chance
        unusual = {end for end, chance in observed.items() if usual.get(end, 0) + _HAIR < chance}
        for path in touched:
            yield from self._first_packet(way, path, unusual)
        for path in paths:
            if (
                path.outcome is not None
                and path.outcome.fate in ("delivered", "left")
                and self._end(path) not in unusual
            ):
                yield from self._later_packets(way, path)

    def _follow(self, network: Network, way: Way, nft_first: bool) -> list[Path]:
        go = network.arrive if way.packet.in_interface else network.send
        return go(self._view.name, way.packet, nft_first=nft_first)

    def _first_packet(self, way: Way, path: Path, unusual: Set[_End]) -> Iterator[Harm]:
        culprit = _culprit(path, lost=self._lost(path))
        if self._end(path) in unusual and culprit is not None:
            text = f"{_does(culprit, path)} packets from {way}"
            spares = (d for d in path.doubts if not d.base.owner.may_end(d.chain, d.rule))
            if spare := next(spares, None):
                line = spare.base.owner.line(spare.chain, spare.rule)
                text += f", unless they are spared by {line} ({spare.why})"
            yield _harm(culprit, way, text, sure=spare is None)
            return
        for doubt in path.doubts:
            rules = doubt.base.owner
            if rules.is_foreign(doubt.chain, doubt.rule) and rules.may_end(doubt.chain, doubt.rule):
                line, owner = rules.line(doubt.chain, doubt.rule), rules.owner(doubt.chain, doubt.rule)
                text = f"may drop packets from {way} ({doubt.why})"
                yield Harm(rules.label(doubt.base.chain), line, owner, way.port.name, text, sure=False)

    def _later_packets(self, way: Way, path: Path) -> Iterator[Harm]:
        [(_, stages)] = visits(path)
        for what, found in (("later packets", onward(stages)), ("replies to packets", back(stages))):
            step = next((end.steps[-1] for end in ends(self._view, found, self._budget)), None)
            if step is not None and _is_foreign(step):
                yield _harm(step, way, f"{_DOES[step.action]} {what} from {way}")

    def _end(self, path: Path) -> _End:
        """Where a path ends, and where replies go if not to the client or to this node."""
        fate, packet = path.outcome.fate if path.outcome else "", path.packet
        if fate not in ("delivered", "left"):
            return fate, "", None
        return fate, packet.to, packet.source if self._lost(path) else None

    def _lost(self, path: Path) -> bool:
        """Whether replies go to a stranger, or to the client without coming by this node."""
        first, last = path.hooks[0].packet, path.packet
        if last.source == first.source:  # to an endpoint by the link that the packet came in by
            return last.to != first.to and last.out_interface == first.in_interface != ""
        left = path.outcome is not None and path.outcome.fate == "left"
        return left and not self._view.routing.is_local(last.source)

    def _ends(self, paths: Iterable[Path]) -> dict[_End, Fraction]:
        ends: dict[_End, Fraction] = {}
        for path in paths:
            end = self._end(path)
            ends[end] = ends.get(end, Fraction(0)) + path.chance
        return ends


_PASSING = (Action.NEXT, Action.JUMP, Action.GOTO)


def _culprit(path: Path, *, lost: bool) -> Step | None:
    """The foreign step by which a path ends as it does: that ended it, sent it elsewhere, or the last one.

    Another source counts only where replies to it are `lost`.
    """
    steps = [s for s in path.steps if _is_foreign(s) and (lost or not s.effect.startswith("source"))]
    for kind in (
        lambda step: step.action in _DOES,
        lambda step: step.effect.startswith("destination"),
        lambda step: step.effect.startswith("source"),
        lambda step: step.action not in _PASSING,
        lambda _: True,
    ):
        if found := [step for step in steps if kind(step)]:
            return found[-1]
    return None


def _is_foreign(step: Step) -> bool:
    if step.base is None:
        return False
    return step.base.owner.is_foreign(step.chain or step.base.chain, step.rule)


def _does(step: Step, path: Path) -> str:
    share = "" if path.chance == SURE else " some of the"
    if step.action in _DOES:
        return _DOES[step.action] + share
    if step.effect.startswith("destination"):
        return f"sends to {path.packet.to}{share}"
    if step.effect.startswith("source"):
        return f"sends to {path.packet.source} the replies to{share}"
    return _BEFORE.get(path.outcome.fate if path.outcome else "", "leads past kube-proxy's rules") + share


def _harm(step: Step, way: Way, text: str, *, sure: bool = True) -> Harm:
    base = step.base
    if base is None:
        raise ValueError(step.text)
    label = base.owner.label(base.chain)
    if step.chain is None or step.rule is None:
        return Harm(label, base.owner.policy_line(base.chain), "", way.port.name, text, sure)
    line, owner = base.owner.line(step.chain, step.rule), base.owner.owner(step.chain, step.rule)
    return Harm(label, line, owner, way.port.name, text, sure)


def _joined(harms: Sequence[Harm]) -> Harm:
    """One for the same line: the first that is sure tells the way, and how many more there are."""
    first = next((harm for harm in harms if harm.sure), harms[0])
    texts = dict.fromkeys(harm.text for harm in harms if harm.sure == first.sure)
    more = f", and {len(texts) - 1} other kinds of packets" if len(texts) > 1 else ""
    one = len({harm.service for harm in harms if harm.sure == first.sure}) == 1
    return replace_struct(first, text=first.text + more, service=first.service if one else "")
