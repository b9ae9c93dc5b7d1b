"""What the benchmarks measure with: the command in a state folder of its own, steps, memory."""

from __future__ import annotations

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
        return timed([sys.executable, "-m", "kubewire", *argv], env=environment)

    def popen(self, *argv: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "XDG_STATE_HOME": str(self.folder / "state")}
        return subprocess.Popen(
            [sys.executable, "-m", "kubewire", *argv], env=environment, text=True, stdout=subprocess.PIPE
        )


def steps_of(err: str) -> list[tuple[str, float]]:
    """The steps that the display told, with their seconds."""
    return [
        (name.strip(), float(seconds)) for name, seconds in re.findall(r"^  ✔ (.+?) +([\d.]+) s$", err, re.M)
    ]


def memory_of(cli: Cli, lab: str) -> dict[str, float]:
    """MiB of proportional set size of each kind of process in the lab's PID namespace."""
    time.sleep(2)
    process = cli.popen("exec", lab, "worker", "--", "sleep", "5")
    time.sleep(1)
    inside = _pid_namespace(process.pid)
    sizes: dict[str, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or _namespace(entry) != inside:
            continue
        try:
            rollup = (entry / "smaps_rollup").read_text()
            name = (entry / "comm").read_text().strip()
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        module = next((w.decode() for w in words if w.startswith(b"kubewire.")), name)
        found = re.search(r"^Pss:\s+(\d+)", rollup, re.M)
        sizes[module] = sizes.get(module, 0.0) + (int(found[1]) / 1024 if found else 0.0)
    process.kill()
    process.wait()
    return sizes


def _namespace(entry: Path) -> str:
    try:
        return str((entry / "ns" / "pid").readlink())
    except OSError:
        return ""


def _pid_namespace(pid: int) -> str:
    """The PID namespace of a process's children (of the process itself where it has none)."""
    return str(Path(f"/proc/{pid}/ns/pid_for_children").readlink())
