"""A trace as text: the tree of paths, each rule as the tool prints it, similar branches folded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from rich.text import Text

from kubewire.core.console import Screen
from kubewire.core.printable import printable
from kubewire.dataplane.core.objects import with_port
from kubewire.dataplane.core.packet import Address
from kubewire.dataplane.trace import Outcome, Step, Trace
from kubewire.dataplane.trace.walk import Path

_PARTICULAR = re.compile(r"KUBE-[A-Z]+-[A-Z2-7]{16}|\S*\d\S*")
_STYLES = {"delivered": "bold green", "left": "bold green", "refused": "bold yellow"}
_WORDS = {
    "delivered": "reaches",
    "left": "leaves",
    "rejected": "is rejected",
    "dropped": "is dropped",
    "unreachable": "has no way on",
    "refused": "can't be followed",
}
Shape = tuple[object, ...]


def print_trace(trace: Trace, screen: Screen) -> None:
    """Print it; the tools' texts are never wrapped, cut, or taken for markup."""
    for line in render(trace):
        screen.rendered(line)


def render(trace: Trace) -> Iterator[Text]:
    """All lines: the packet, its tree, the remarks."""
    start, target = trace.start, trace.target
    to = with_port(target.address, target.port)
    entry = f"comes into {start.node} by {start.interface}" if start.interface else f"starts on {start.node}"
    yield Text.assemble(
        (printable(start.who), "bold"),
        f" ({start.address}) → {to}/{target.protocol}: the first packet of a new connection {entry}",
    )
    yield from _branch(fold(trace.paths), "  ", start.address)
    yield from (Text(f"\nNote: {printable(remark)}") for remark in trace.remarks)


def _branch(branch: Branch, indent: str, client: Address) -> Iterator[Text]:
    at = ("", "")
    for step in branch.steps:
        here = (step.node, step.place)
        if here != at:
            yield Text.assemble(indent, (f"{step.node}  ", "bold"), (step.place, "bold cyan"))
            at = here
        yield from _step(step, f"{indent}  ")
    if branch.outcome is not None:
        yield from _end(branch.outcome, indent, client)
    shown: set[Shape] = set()
    for child in branch.branches:
        yield Text.assemble(indent, (percent(child.chance), "bold magenta"))
        shape = _shape(child)
        if shape in shown and child.outcome is not None:
            yield from (line for step in child.steps[:1] for line in _step(step, f"{indent}    "))
            yield Text(f"{indent}    … and on as above", style="dim")
            yield from _end(child.outcome, f"{indent}  ", client)
            continue
        shown.add(shape)
        yield from _branch(child, f"{indent}  ", client)


def _step(step: Step, indent: str) -> Iterator[Text]:
    yield Text(indent + printable(step.text))
    if step.effect:
        yield Text(f"{indent}    {printable(step.effect)}", style="italic")


def _end(outcome: Outcome, indent: str, client: Address) -> Iterator[Text]:
    packet = outcome.packet
    first, *more = printable(outcome.text).split("\n")
    yield Text.assemble(
        indent,
        (f"⇒ {_WORDS[outcome.fate]}", _STYLES.get(outcome.fate, "bold red")),
        f" {first}" if outcome.fate in ("delivered", "left") else f" on {outcome.node}: {first}",
    )
    yield from (Text(f"{indent}  {line}") for line in more)
    masked = ", its source translated" if packet.source != client else ""
    yield Text(f"{indent}  as {packet.source} → {packet.to}/{packet.protocol}{masked}", style="dim")


def percent(chance: Fraction) -> str:
    """`25 %`, `7.692 %`; the rounding of the kernel's 31 bits is hidden."""
    return f"{float(chance * 100):.4g} %"


def _shape(branch: Branch) -> Shape:
    """A branch without the names and numbers in its texts, and without the rule that chose it."""
    steps = [(s.node, s.place, _PARTICULAR.sub("#", s.text)) for s in branch.steps[1:]]
    fate = branch.outcome.fate if branch.outcome else ""
    return (*steps, fate, *map(_shape, branch.branches))


@dataclass(frozen=True, slots=True)
class Branch:
    """Steps that are taken with that probability (of the whole), then either branches or an end."""

    chance: Fraction
    steps: tuple[Step, ...]
    branches: tuple[Branch, ...] = ()
    outcome: Outcome | None = None


def fold(paths: Sequence[Path], taken: int = 0) -> Branch:
    """The tree of at least one path; the first `taken` steps of each are printed already."""
    first = paths[0].steps
    end = taken
    while end < len(first) and all(path.steps[end : end + 1] == first[end : end + 1] for path in paths):
        end += 1
    chance = sum((path.chance for path in paths), Fraction(0))
    if len(paths) == 1:
        return Branch(chance, first[taken:], outcome=paths[0].outcome)
    groups = [list(group) for _, group in groupby(paths, lambda path: path.steps[end : end + 1])]
    if len(groups) == 1:
        same = tuple(Branch(path.chance, (), outcome=path.outcome) for path in paths)
        return Branch(chance, first[taken:end], same)
    return Branch(chance, first[taken:end], tuple(fold(group, end) for group in groups))
