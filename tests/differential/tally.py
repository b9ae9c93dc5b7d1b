"""What a run has held: how many states of each feature, by version and mode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from features import CHANGES, DUMPED, FEATURES, LEFTOVERS
from variants import variants

from kubewire.dataplane.core.features import Version

REFUSALS = 10  # of the API, the most common ones, are told
LEAST = 10  # states of each feature that a full run must hold


@dataclass
class Tally:
    """`rows` are the features that a label (`v1.37.2 nftables`) can have, `coverage` counts their states."""

    rows: Mapping[str, frozenset[str]]
    states: int = 0
    comparisons: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    gave_up: Counter[str] = field(default_factory=Counter)
    coverage_gaps: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_empty: Counter[str] = field(default_factory=Counter)
    coverage: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("apply", "settle"), 0.0))

    def count(self, label: str, found: Iterable[str]) -> None:
        self.comparisons += 1
        self.coverage.update((row, label) for row in self.rows[label].intersection(found))

    def rare(self) -> list[str]:
        """The rows that some label had in fewer than LEAST states."""
        rows = sorted(frozenset[str]().union(*self.rows.values()))
        return [
            row
            for row in rows
            if any(row in own and self.coverage[row, label] < LEAST for label, own in self.rows.items())
        ]

    def table(self) -> str:
        """One row a feature, one column a version and mode (`1.37i` iptables, `1.37v` ipvs)."""
        rows = sorted(frozenset[str]().union(*self.rows.values()))
        width = max(map(len, rows))
        lines = [" " * width + "".join(f"{_short(label):>7}" for label in self.rows)]
        lines += [
            f"{row:<{width}}" + "".join(f"{self._cell(row, label):>7}" for label in self.rows) for row in rows
        ]
        return "\n".join(lines)

    def summary(self, title: str, ready: float, whole: float) -> str:
        """What was compared, how long it took (in seconds), and what was told apart."""
        lines = [
            f"{self.states} states x {len(self.rows)} proxies = {self.comparisons} comparisons, {title}; "
            f"start {ready:.0f} s, applying {self.seconds['apply']:.0f} s, "
            f"settling and comparing {self.seconds['settle']:.0f} s, all {whole:.0f} s"
        ]
        lines += [
            f"{label}: started again {count} times, as it was not told {what} (a race of its own)"
            for (label, what), count in self.coverage_gaps.items()
        ]
        lines += [
            f"{label}: started again {count} times, as it had ended or could not write its rules"
            for label, count in self.gave_up.items()
        ]
        lines += [
            f"{label}: started again {count} times, as it had left an endpoint's chain empty"
            for label, count in self.left_empty.items()
        ]
        refused = self.refused.most_common(REFUSALS)
        lines += [f"refused by the API, {count} times: {text}" for text, count in refused]
        return "\n".join(lines)

    def _cell(self, row: str, label: str) -> str:
        return str(self.coverage[row, label]) if row in self.rows[label] else "-"


def rows_of(version: Version, mode: str, left_out: Sequence[str] = ()) -> frozenset[str]:
    """The features that a version and mode can have, but those that the run leaves out."""
    dumped = {row for row, known in DUMPED.items() if known(version, mode)}
    configurations = {f"config: {variant.name}" for variant in variants(version, mode)}
    return frozenset({*FEATURES, *CHANGES, LEFTOVERS, *dumped, *configurations}.difference(left_out))


def _short(label: str) -> str:
    version, mode = label.split()
    return f"{version.removeprefix('v').rpartition('.')[0]}{'v' if mode == 'ipvs' else mode[0]}"
