"""What the benchmarks measure with: the command in a state folder of its own, steps, memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    budget: str = ""


@dataclass(frozen=True)
class Timed:
    """One run of a command: wall seconds, peak memory of its largest process, what it said."""

    seconds: float
    peak_mib: float
    out: str
    err: str


def script(name: str) -> str:
    """A command installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def timed(argv: list[str], **options: str | Path | dict[str, str]) -> Timed:
    """Run a command to its end; raises CalledProcessError unless it succeeds."""
    script = (
        "import resource, subprocess, sys, time; t = time.monotonic();"
        "code = subprocess.run(sys.argv[1:]).returncode;"
        "u = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(f'\\n{time.monotonic() - t} {u.ru_maxrss / 1024}', file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *argv], capture_output=True, text=True, check=True, **options
    )
    err, _, figures = done.stderr.rstrip().rpartition("\n")
    seconds, peak = map(float, figures.split())
    return Timed(seconds, peak, done.stdout, err)


@dataclass(frozen=True)
class Cli:
    """The kubewire command with its labs in `folder`."""

    folder: Path

    def run(self, *argv: str) -> Timed:
        environment = {**os.environ, "XDG_STATE_HOME": str(self.folder / "state"), "NO_COLOR": "1"}
        return timed([script("kubewire"), *argv], env=environment)


def steps_of(err: str) -> list[tuple[str, float]]:
    """The steps that the display told, with their seconds."""
    return [
        (name.strip(), float(seconds)) for name, seconds in re.findall(r"^  ✔ (.+?) +([\d.]+) s$", err, re.M)
    ]


def memory_of(cli: Cli, lab: str) -> dict[str, float]:
    """MiB of proportional set size of each kind of process below the lab's PID 1, pods included."""
    time.sleep(2)
    state = json.loads((cli.folder / "state" / "kubewire" / "labs" / lab / "sandbox.json").read_text())
    parents = {
        pid: _parent(pid)
        for pid in map(int, filter(str.isdigit, (entry.name for entry in Path("/proc").iterdir())))
    }
    sizes: dict[str, float] = {}
    for pid in parents:
        if not _below(pid, state["init"]["pid"], parents):
            continue
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        name = next((word.decode() for word in words if word.startswith(b"kubewire.")), name)
        found = re.search(r"^Pss:\s+(\d+)", rollup, re.M)
        sizes[name] = sizes.get(name, 0.0) + (int(found[1]) / 1024 if found else 0.0)
    return sizes


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _below(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid and pid != ancestor:
        pid = parents.get(pid, 0)
    return pid == ancestor
