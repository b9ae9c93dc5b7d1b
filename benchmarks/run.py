"""Speeds as ratios of two things run side by side; run it by `make bench` (about five minutes).

    python benchmarks/run.py            the lab's life, its parts and memory; the engine against jc
    python benchmarks/run.py --engine   the engine alone (a minute)
    python benchmarks/run.py --vm       only what runs in a VM, where the kernel has no ip_vs (five minutes)
    python benchmarks/run.py --kind     only what needs kind: a Docker engine and a node image (three minutes)

Needs root or a machine where an ordinary user may make namespaces, and cached binaries (`kubewire prefetch`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.extend(str(Path(__file__).parents[1] / part) for part in ("benchmarks", "tests"))
from engine import engine_rows
from measuring import Cli, Row, memory_of, steps_of


def life(cli: Cli, cycles: int) -> list[Row]:
    """up + verify, its steps, a second up, verify, down: medians of some cycles, and the lab's memory."""
    seen: dict[str, list[float]] = {}
    parts: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    for _ in range(cycles):
        for name, argv in (
            ("up + verify", ("up", "iptables", "--provider", "netns", "--verify")),
            ("second up", ("up", "iptables")),
            ("verify", ("verify", "iptables")),
            ("exec", ("exec", "iptables", "worker", "--", "true")),
        ):
            run = cli.run(*argv)
            seen.setdefault(name, []).append(run.seconds)
            if name == "up + verify":
                for step, seconds in steps_of(run.err):
                    parts.setdefault(step, []).append(seconds)
                memory = memory_of(cli, "iptables")
        seen.setdefault("down", []).append(cli.run("down", "iptables").seconds)
        seen.setdefault("up", []).append(cli.run("up", "iptables", "--provider", "netns").seconds)
        cli.run("down", "iptables")
    median = {name: statistics.median(values) for name, values in seen.items()}
    rows = [Row(name, f"{seconds:.2f} s") for name, seconds in median.items()]
    rows += [Row(f"  {step}", f"{statistics.median(values):.1f} s") for step, values in parts.items()]
    rows += [
        Row("second up / up", f"{median['second up'] / median['up']:.2f}", "≤ 0.3"),
        Row("down / up", f"{median['down'] / median['up']:.2f}", "≤ 0.2"),
        Row("memory of the lab, all processes (PSS)", f"{sum(memory.values()) / 1024:.2f} GiB", "≤ 1.2 GiB"),
    ]
    return rows + [Row(f"  {name}", f"{mib:.0f} MiB") for name, mib in sorted(memory.items())]


def show(rows: list[Row]) -> None:
    table = Table("what", "measured", "budget")
    for row in rows:
        table.add_row(row.what, row.measured, row.budget)
    Console(width=110).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cycles", type=int, default=3, help="how often the lab is made (default 3)")
    parser.add_argument("--engine", action="store_true", help="only the engine's ratios")
    parser.add_argument("--vm", action="store_true", help="only the ratios of labs in a VM")
    parser.add_argument("--kind", action="store_true", help="only the ratios that need kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kubewire-bench-") as folder:
        cli = Cli(Path(folder))
        if not options.engine:
            cli.run("prefetch", "iptables")
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Linux {os.uname().release}")
        started = time.monotonic()
        if options.kind:
            from kind import kind_rows

            show(kind_rows(cli))
            return
        if options.vm:
            from vm import vm_rows

            show(vm_rows(cli))
            return
        if not options.engine:
            show(life(cli, options.cycles))
        show(engine_rows(cli))
        print(f"took {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\n{error.stdout}\n{error.stderr}")
