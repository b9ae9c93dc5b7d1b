"""The mutation score: `python tests/mutation [--share 0.1] [--nodes default] [FOLDER …]`.

Applies every single-object change to recorded dumps (folders of tests/golden/versions, all by default)
and tells what verify found. Exit code 0: all that packets can meet was found, and no false alarm; else 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

from subjects import RECORDED, merged, score


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/mutation")
    parser.add_argument("--share", type=float, default=1.0, help="of the mutants, at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", default="default", help="recorded nodes, separated by commas")
    parser.add_argument("folders", nargs="*", help="such as v1.37.2-iptables")
    options = parser.parse_args()
    folders = [f for f in RECORDED if f.name in (options.folders or [f.name for f in RECORDED])]
    started = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        nodes = options.nodes.split(",")
        parts = list(pool.map(score, folders, repeat(nodes), repeat(options.share), repeat(options.seed)))
    for folder, part in zip(folders, parts, strict=True):
        made = sum(part.made.values())
        print(f"{folder.name}: {made} mutants, {len(part.wrong)} wrong")
    total = merged(parts)
    print(total.report())
    print(f"{sum(total.made.values())} mutants, {time.monotonic() - started:.0f} s")
    return 1 if total.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
