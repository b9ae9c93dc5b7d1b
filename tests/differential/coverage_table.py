"""The coverage table: feature by version and mode, in numbers of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from features import FEATURES


def table(coverage: Mapping[tuple[str, str], int], labels: Sequence[str]) -> str:
    """One row a feature, one column a version and mode (`1.37i` for iptables, `1.37n`, `1.37v` for ipvs)."""
    heads = [_short(label) for label in labels]
    rows = sorted({*FEATURES, *(row for row, _ in coverage)})
    width = max((len(row) for row in rows), default=0)
    lines = [" " * width + "".join(f"{head:>7}" for head in heads)]
    lines += [
        f"{row:<{width}}" + "".join(f"{coverage.get((row, label), 0):>7}" for label in labels) for row in rows
    ]
    return "\n".join(lines)


def _short(label: str) -> str:
    version, mode = label.split()
    letter = "v" if mode == "ipvs" else mode[0]
    return f"{version.removeprefix('v').rpartition('.')[0]}{letter}"
