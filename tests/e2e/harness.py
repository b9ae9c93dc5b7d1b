"""A `kubewire` with a state folder of the test's own, and a picture of what is its own before and after."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kubewire.core.proc import stat_fields

ROOT = Path(__file__).parents[2]


@dataclass
class Outcome:
    """How one run of the command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass
class Kubewire:
    """The command line, with a state folder of its own; the binaries' cache is the user's."""

    state: Path
    environment: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    """What it is run by, such as nsenter."""

    def popen(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "XDG_STATE_HOME": str(self.state),
            "NO_COLOR": "1",
            "COLUMNS": "120",
            **self.environment,
        }
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "kubewire", *argv],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, *argv: str, timeout: float = 1200) -> Outcome:
        """Run to the end; a run past the deadline is killed and fails the test with what it had printed."""
        process = self.popen(*argv)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"kubewire {' '.join(argv)} took over {timeout} s\n{out}\n{err}")
        return Outcome(process.returncode, out or "", err or "")

    def ok(self, *argv: str, timeout: float = 1200) -> Outcome:
        outcome = self.run(*argv, timeout=timeout)
        assert outcome.code == 0, f"kubewire {' '.join(argv)} → {outcome.code}\n{outcome.text}"
        return outcome

    def node(self, lab: str, node: str, *argv: str) -> str:
        """Run a command in a node, as a student would."""
        return self.ok("exec", lab, node, "--", *argv).out

    def privileges(self, lab: str, node: str) -> list[tuple[int, str, str]]:
        """Of each httpbin process: the uid it has to itself, its effective capabilities, NoNewPrivs."""
        script = (
            "for pid in $(pgrep python); do grep -q gunicorn /proc/$pid/cmdline || continue;"
            " echo $(cat /proc/$pid/uid_map)"
            " $(sed -n 's/^Uid:.\\([0-9]*\\).*/\\1/p; s/^CapEff:.//p; s/^NoNewPrivs:.//p' /proc/$pid/status);"
            " done"
        )
        seen = []
        for line in self.node(lab, node, "sh", "-c", script).splitlines():
            first, _, count, uid, capabilities, no_new = line.split()
            seen.append((int(first) if count == "1" else int(uid), capabilities, no_new))
        return seen

    def report(self, lab: str, *options: str) -> tuple[int, dict[str, Any]]:
        """`verify --format json`: the exit code and the report."""
        outcome = self.run("verify", lab, "--format", "json", *options)
        assert outcome.out.strip(), outcome.text
        return outcome.code, json.loads(outcome.out)


def pods(listing: str) -> list[dict[str, Any]]:
    """The pods of `kubectl get pods -o json` that are not on their way out."""
    items: list[dict[str, Any]] = json.loads(listing)["items"]
    return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]


def adopt_orphans() -> None:
    """Make this process the parent of whatever its descendants leave behind, so that all of it can be found.

    prctl(2), PR_SET_CHILD_SUBREAPER. A lab's monitor leaves its command's session and outlives it.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def picture(*folders: Path) -> dict[str, set[str]]:
    """What is there of this test process's own, whatever else runs on the machine.

    Its descendants (without those that only wait to be reaped), the network namespaces that they are in, the
    mounts below the folders, and the files there. What a lab makes in the kernel lies in those namespaces.
    """
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found = list(_descendants())
    return {
        "processes": {f"{pid} (started {started}): {_command(pid)}" for pid, started in found},
        "namespaces": {_network(pid) for pid, _ in found} - {_network(os.getpid()), ""},
        "mounts": {m for m in mounts if any(Path(m).is_relative_to(folder) for folder in folders)},
        "files": {str(path) for folder in folders for path in folder.rglob("*")},
    }


def _descendants() -> Iterator[tuple[int, str]]:
    """The pid and start time of every process that this one, or one of its descendants, has started."""
    children: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        fields = stat_fields(int(entry.name))
        if fields and fields[0] not in "ZX":
            children.setdefault(int(fields[1]), []).append((int(entry.name), fields[19]))
    todo = [os.getpid()]
    while todo:
        found = children.get(todo.pop(), [])
        yield from found
        todo += [pid for pid, _ in found]


def _network(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


def _command(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return ""
    return text.decode(errors="replace").strip()
