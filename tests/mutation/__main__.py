"""The mutation score: `python tests/mutation [--share 0.1 [--foreign 1]] [--write FILE] [NAME …]`.

Applies every single-object change to recorded dumps (folders of tests/golden/versions and kind, all by
default) and tells what verify found. Exit code 0: all that packets can meet was found, every survivor is
explained, and there was no false alarm; else 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

sys.path.extend(str(Path(__file__).parents[1] / part) for part in ("", "differential"))

from mutants import Score
from report import report
from subjects import RECORDED, subjects


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/mutation")
    parser.add_argument("--share", type=float, default=1.0, help="of the mutants, at random")
    parser.add_argument("--foreign", type=float, help="of other owners' mutants; the same share if not named")
    parser.add_argument("--asked", type=float, default=0.01, help="of those found: sent probe packets too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", default="default", help="recorded nodes, separated by commas")
    parser.add_argument("--write", type=Path, help="a file for the report")
    parser.add_argument("names", nargs="*", help="such as v1.37.2-iptables")
    options = parser.parse_args()
    names = [name for name in RECORDED if name in (options.names or RECORDED)]
    started = time.monotonic()
    parts = [(name, number) for name in names for number in range(len(subjects(name, _nodes(options))))]
    scores: dict[str, Score] = {name: Score() for name in names}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for (name, _), score in zip(parts, pool.map(_part, parts, repeat(options)), strict=True):
            scores[name].include(score)
            print(f"{name}: {scores[name].made.total()} mutants, {len(scores[name].wrong)} wrong", flush=True)
    text = report(scores, options.share, options.seed, options.foreign)
    print(text)
    print(f"{time.monotonic() - started:.0f} s")
    if options.write:
        options.write.write_text(text)
    return 1 if any(score.wrong for score in scores.values()) else 0


def _nodes(options: argparse.Namespace) -> list[str]:
    return str(options.nodes).split(",")


def _part(part: tuple[str, int], options: argparse.Namespace) -> Score:
    name, number = part
    subject = subjects(name, _nodes(options))[number]
    return subject.score(options.share, options.asked, options.seed, options.foreign)


if __name__ == "__main__":
    sys.exit(main())
