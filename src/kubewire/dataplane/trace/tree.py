"""The ways of a packet as a tree: what they share is told once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from kubewire.dataplane.trace.walk import Outcome, Path, Step


@dataclass(frozen=True, slots=True)
class Branch:
    """Steps that are taken with that probability (of the whole), then either branches or an end."""

    chance: Fraction
    steps: tuple[Step, ...]
    branches: tuple[Branch, ...] = ()
    outcome: Outcome | None = None


def fold(paths: Sequence[Path], taken: int = 0) -> Branch:
    """The tree of at least one path; the first `taken` steps of each are already told."""
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
