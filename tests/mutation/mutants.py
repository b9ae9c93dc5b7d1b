"""What a mutation of a dump is, what verify owes it, and the score of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple


class Duty(Enum):
    """What verify owes a mutation."""

    FOUND = "must be found"  # it changes what a packet can meet, or what kube-proxy owns
    QUIET = "must not be found"  # a healthy node may look like that at any time
    EITHER = "found or not"  # no packet meets it, yet kube-proxy never writes it
    FATE = "found if met"  # another owner's: it must be found where a packet meets it, and only there


class Mutant(NamedTuple):
    """One changed dump: the kind of change, the object that it hit, and the dump, printed on demand.

    `why`: for what need not be found, the key of its reason in `equivalences`.
    """

    kind: str
    target: str
    duty: Duty
    dump: Callable[[], str]
    why: str = ""


Meets = Callable[[str], bool | None]
"""Whether a probe packet meets something else in this dump; None where no probe can tell."""


@dataclass
class Score:
    """Mutants by duty and kind: made, found, and those that a probe met; `wrong` is what verify owes us.

    `survivors` counts what was not found, by kind and reason.
    """

    made: Counter[tuple[Duty, str]] = field(default_factory=Counter)
    found: Counter[tuple[Duty, str]] = field(default_factory=Counter)
    probed: Counter[tuple[Duty, str]] = field(default_factory=Counter)
    met: Counter[tuple[Duty, str]] = field(default_factory=Counter)
    survivors: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(
        self, where: str, mutants: Iterable[Mutant], flagged: Callable[[str], bool], meets: Meets, ask: Ask
    ) -> None:
        """Judge mutants. Those that survive must be explained, and no probe may meet them."""
        for mutant in mutants:
            key = mutant.duty, mutant.kind
            dump = mutant.dump()
            hit = flagged(dump)
            self.made[key] += 1
            self.found[key] += hit
            told = f"{where}: {mutant.kind}: {mutant.target}"
            if not hit:
                self.survivors[mutant.kind, mutant.why] += 1
            if (mutant.duty is Duty.FOUND and not hit) or (mutant.duty is Duty.QUIET and hit):
                self.wrong.append(told)
            if hit and mutant.duty is not Duty.FATE and not ask():
                continue
            met = meets(dump)
            if met is not None:
                self.probed[key] += 1
                self.met[key] += met
            if mutant.duty is Duty.FATE and hit and met is False:
                self.wrong.append(f"{told}: found, though no packet meets it")
            if met and not hit:
                self.wrong.append(f"{told}: not found, though a packet meets it")

    def share(self, duty: Duty) -> tuple[int, int]:
        """Found and made of one duty."""
        return (
            sum(count for key, count in self.found.items() if key[0] is duty),
            sum(count for key, count in self.made.items() if key[0] is duty),
        )

    def include(self, other: Score) -> None:
        """Add another score's counts to these."""
        for name in ("made", "found", "probed", "met", "survivors"):
            getattr(self, name).update(getattr(other, name))
        self.wrong += other.wrong


Ask = Callable[[], bool]
"""Whether to send probes through a mutant that was found, too."""
