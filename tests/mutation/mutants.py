"""What a mutation of a dump is, and how many of them verify finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple


class Duty(Enum):
    """What verify owes a mutation."""

    FOUND = "must be found"  # it changes what a packet can meet
    QUIET = "must not be found"  # a healthy node may look like that at any time
    EITHER = "found or not"  # no packet meets it, yet kube-proxy never writes it


class Mutant(NamedTuple):
    """One changed dump: the kind of change, the object that it hit, and the dump, printed on demand."""

    kind: str
    target: str
    duty: Duty
    dump: Callable[[], str]


@dataclass
class Score:
    """Mutants by kind: how many there were, how many were found, and those that verify owes us."""

    made: dict[tuple[Duty, str], int] = field(default_factory=dict)
    found: dict[tuple[Duty, str], int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, where: str, mutants: Iterable[Mutant], flagged: Callable[[str], bool]) -> None:
        for mutant in mutants:
            key = mutant.duty, mutant.kind
            hit = flagged(mutant.dump())
            self.made[key] = self.made.get(key, 0) + 1
            self.found[key] = self.found.get(key, 0) + hit
            if (mutant.duty is Duty.FOUND and not hit) or (mutant.duty is Duty.QUIET and hit):
                self.wrong.append(f"{where}: {mutant.kind}: {mutant.target}")

    def share(self, duty: Duty) -> tuple[int, int]:
        """Found and made of one duty."""
        return (
            sum(count for key, count in self.found.items() if key[0] is duty),
            sum(count for key, count in self.made.items() if key[0] is duty),
        )

    def report(self) -> str:
        lines = []
        for duty in Duty:
            hit, made = self.share(duty)
            lines.append(f"{duty.value}: {hit} of {made} found")
            lines += [
                f"  {kind:<32}{self.found[duty, kind]:>7} of {count}"
                for (owed, kind), count in sorted(self.made.items(), key=lambda item: item[0][1])
                if owed is duty
            ]
        return "\n".join([*lines, *(f"WRONG {text}" for text in self.wrong)])
