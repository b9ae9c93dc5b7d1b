"""A `kubewire` with a state folder of the test's own, and a picture of the machine before and after."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

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
        return self.ok("exec", lab, node, "--", *argv, timeout=60).out

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
        outcome = self.run("verify", lab, "--format", "json", *options, timeout=120)
        assert outcome.out.strip(), outcome.text
        return outcome.code, json.loads(outcome.out)


def pods(listing: str) -> list[dict[str, Any]]:
    """The pods of `kubectl get pods -o json` that are not on their way out."""
    items: list[dict[str, Any]] = json.loads(listing)["items"]
    return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]


def picture(*folders: Path) -> dict[str, list[str]]:
    """The machine as a lab must leave it: links, network namespaces, mounts, processes, files."""
    ours = re.compile(r"kubewire|kube-|etcd|coredns|gunicorn|ansible-playbook")
    commands = [_command(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    namespaces = subprocess.run(
        ["lsns", "-n", "-t", "net", "-o", "NS"], capture_output=True, text=True, check=True
    )
    return {
        "links": sorted(link.name for link in Path("/sys/class/net").iterdir()),
        "namespaces": sorted(namespaces.stdout.split()),
        "mounts": sorted(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
        "processes": sorted(text for text in commands if ours.search(text) and "pytest" not in text),
        "files": sorted(str(path) for folder in folders for path in folder.rglob("*")),
    }


def _command(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
