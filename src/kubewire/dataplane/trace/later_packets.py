"""A connection's later packets and replies: the hooks that they come to, and what ends them there.

They meet the same rules as the first packet but those of NAT, which decides about that one
(net/netfilter/nf_nat_core.c).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import groupby

from kubewire.dataplane.core.packet import SURE, Packet
from kubewire.dataplane.trace.hooks import in_order
from kubewire.dataplane.trace.journey import Network, NodeView
from kubewire.dataplane.trace.walk import Budget, Fate, Path, Walker

_NAT = {"PREROUTING": -100, "OUTPUT": -100, "INPUT": 100, "POSTROUTING": 100}
"""The priority at which a known connection's packets are translated."""
_REPLY = {"PREROUTING": "POSTROUTING", "INPUT": "OUTPUT", "FORWARD": "FORWARD"}
_REPLY |= {there: here for here, there in _REPLY.items()}
Stage = tuple[str, Packet, Packet]
"""A hook, with a packet as it comes in and as it goes out."""


def visits(path: Path) -> list[tuple[str, list[Stage]]]:
    """Each node that the path came through, with its hooks and a later packet before and after each."""
    groups = [(node, list(each)) for node, each in groupby(path.hooks, lambda hook: hook.node)]
    found = []
    for index, (node, hooks) in enumerate(groups):
        last = groups[index + 1][1][0].packet if index + 1 < len(groups) else path.packet
        first = hooks[0].packet
        dnat, snat = last.to != first.to, last.source != first.source
        packets = [
            replace(packet, established=True, dnat=dnat, snat=snat)
            for packet in (*(hook.packet for hook in hooks), last)
        ]
        found.append((node, [(hook.name, packets[i], packets[i + 1]) for i, hook in enumerate(hooks)]))
    return found


def onward(stages: Iterable[Stage]) -> list[Stage]:
    """The hooks of the client's later packets."""
    return [
        (hook, before, replace(after, in_interface=before.in_interface, out_interface=before.out_interface))
        for hook, before, after in stages
    ]


def back(stages: Sequence[Stage]) -> list[Stage]:
    """The hooks of the replies, which come the same way back: to a process by the link that is routed to."""
    found = []
    for hook, before, after in reversed(_without_ipvs(stages)):
        at = after if hook == "OUTPUT" else before
        found.append((_REPLY[hook], _reversed(after, at), _reversed(before, at)))
    return found


def ends(view: NodeView, stages: Iterable[Stage], budget: Budget | None = None) -> Iterator[Path]:
    """What ends a packet of a known connection on a node, each with its chance, in the order of the hooks."""
    marks: Mapping[int, Fraction] = {0: SURE}
    walker = Walker(view.name, view.routing, view.strict, budget or Budget())
    for hook, before, after in stages:
        for base in in_order(view.rules(), hook):
            if base.nat:
                continue
            packet = after if base.priority > _NAT.get(hook, base.priority) else before
            following: dict[int, Fraction] = {}
            for mark, chance in marks.items():
                for path in walker.through(base, Path(chance, replace(packet, mark=mark))):
                    if path.outcome is not None:
                        yield path
                    else:
                        following[path.packet.mark] = following.get(path.packet.mark, 0) + path.chance
            marks = following


def with_replies(network: Network, path: Path) -> Iterator[Path]:
    """A path, ended where replies to its packet end; several of them where that is left to chance."""
    if path.outcome is None or path.outcome.fate not in ("delivered", "left"):
        yield path
        return
    rest, leaves, goes_on = path.chance, path.outcome.fate == "left", False
    for node, stages in reversed(visits(path)):
        view = network.nodes[node]
        if lost := _elsewhere(view, stages, goes_on=goes_on) if leaves else "":
            yield replace(path.end("dropped", f"the reply goes to {lost}", node), chance=rest)
            return
        coming, leaves, goes_on = rest, True, True
        for end in ends(view, back(stages)):
            if end.outcome is not None:
                fate: Fate = "refused" if end.outcome.fate == "refused" else "dropped"
                after = path.end(fate, f"the reply: {end.outcome.text}", node)
                yield replace(after, chance=coming * end.chance)
                rest -= coming * end.chance
    if rest:
        yield replace(path, chance=rest)


def _elsewhere(view: NodeView, stages: Sequence[Stage], *, goes_on: bool) -> str:
    """Where replies to a packet go that leaves a node, if not back to it; "" if they come.

    Only of one that `goes_on` to another node is it known that the client is reached without this one.
    """
    (_, first, _), (_, leaving, last) = stages[0], stages[-1]
    if last.source != first.source:
        known = view.routing.is_local(last.source)
        return "" if known else f"{last.source}, which is not an address of {view.name}"
    turned = goes_on and last.to != first.to and leaving.out_interface == first.in_interface != ""
    return f"{last.source} past {view.name}, which has not masqueraded the packet" if turned else ""


def _without_ipvs(stages: Iterable[Stage]) -> list[Stage]:
    """What IPVS takes in INPUT comes back through FORWARD; what it takes in OUTPUT, through INPUT once."""
    out: list[Stage] = []
    for hook, before, after in stages:
        last = out[-1][0] if out else ""
        if hook == "OUTPUT" and last in ("INPUT", "OUTPUT"):
            came = out.pop()[1]
            through = replace(before, in_interface=came.in_interface)
            out.append((hook if last == hook else "FORWARD", through, after))
        else:
            out.append((hook, before, after))
    return out


def _reversed(packet: Packet, at: Packet) -> Packet:
    """The reply to a packet, at the same place: its port is still the server's."""
    return replace(
        packet,
        source=packet.destination,
        destination=packet.source,
        in_interface=at.out_interface,
        out_interface=at.in_interface,
        reply=True,
    )
