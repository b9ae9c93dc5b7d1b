"""`gc --dry-run` beside `gc`: the same lines over one leftover of each kind, and nothing is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import to_builtins

from kubewire.core import leftovers
from kubewire.core.paths import RECORD
from kubewire.core.proc import Process, boot_id
from kubewire.hosts import definitions, records
from kubewire.hosts.ssh_target import SshTarget
from kubewire.hosts.vm import state as vm
from kubewire.providers.kind import network, state
from kubewire.providers.kind.provider import KindProvider
from kubewire.providers.kind.records import NodeContainer
from kubewire.providers.netns.state import SandboxState, write_state

GONE = 4194304
"""No process has this id: PID_MAX_LIMIT of 64-bit Linux, one more than the largest."""


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This user's home, state, cache and runtime folder, with a short path."""
    with tempfile.TemporaryDirectory(prefix="k") as folder:
        monkeypatch.setenv("HOME", folder)
        for variable, name in (("STATE_HOME", "state"), ("CACHE_HOME", "cache"), ("RUNTIME_DIR", "run")):
            Path(folder, name).mkdir(mode=0o700)
            monkeypatch.setenv(f"XDG_{variable}", f"{folder}/{name}")
        yield Path(folder)


def leave_one_of_each(home: Path) -> None:
    """What crashes could leave, but on kind."""
    mine, dead = home / "state/kubewire", Process(GONE, 1)
    lab = mine / "labs/crashed"
    lab.mkdir(parents=True)
    write_state(lab, SandboxState(boot_id(), "crashed", "v1.37.2", True, dead, None, (), {}))
    definition = {"name": "crashed", "origin": "x", "text": "name: crashed\n", "manifests": {}}
    (lab / RECORD).write_text(
        json.dumps({"provider": "netns", "source": str(definitions.unpack(definition))})
    )
    for logs in ("crashed/post-mortem/keeper.log", "crashed/up.log", "only-logs/up.log"):
        (mine / "logs" / logs).parent.mkdir(parents=True, exist_ok=True)
        (mine / "logs" / logs).touch()
    (mine / "vm/in-vm").mkdir(parents=True)
    vm.write_state(vm.VmState(boot_id(), "in-vm", dead, None, 22, (), ""))
    for file in ("errors/traceback.log", "locks/crashed.lock", "locks/other.lock"):
        (mine / file).parent.mkdir(exist_ok=True)
        (mine / file).touch()
    ssh = home / "ssh"
    ssh.write_text("""#!/bin/sh\necho '{"schema": 1, "phase": "absent"}'\n""")
    ssh.chmod(0o755)
    away = records.RemoteLab("far", "far.yml", SshTarget("alice", (str(ssh),), "python3", {}))
    records.write(away)
    for folder in (f"run/kubewire/cell-{GONE}-x/state", f"run/kubewire/ssh-{GONE}-x"):
        (home / folder).mkdir(mode=0o700, parents=True)
        (home / "run/kubewire").chmod(0o700)
    (home / f"cache/kubewire/build/v1.37.2.{GONE}.x").mkdir(parents=True)


def files(home: Path) -> dict[str, tuple[float, str]]:
    """Every file and folder, with what it holds and when that changed."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_text() if path.is_file() else "")
        for path in sorted(home.rglob("*"))
    }


def gc(*options: str) -> list[str]:
    command = [sys.executable, "-m", "kubewire", "gc", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_same_lines_and_nothing_touched(home: Path) -> None:
    leave_one_of_each(home)
    before = files(home)
    announced = gc("--dry-run")
    assert files(home) == before
    assert all(line.startswith("would remove ") for line in announced)
    kinds = (
        "lab crashed: what a crash left",
        "the definition ",
        "what was kept of lab far on alice",
        "the folder of SSH sockets ",
        "lab in-vm: what a crash left of its VM",
        "the cell ",
        "the build folder ",
        f"the logs {home}/state/kubewire/logs/crashed",
        f"the logs {home}/state/kubewire/logs/only-logs",
        "the traceback ",
        f"the lock {home}/state/kubewire/locks/crashed.lock",
        f"the lock {home}/state/kubewire/locks/other.lock",
    )
    told = [line.removeprefix("would remove ") for line in announced]
    assert len(told) == len(kinds)
    for line, kind in zip(told, kinds, strict=True):
        assert line.startswith(kind)
    assert gc() == [f"removed {line}" for line in told]
    assert not (home / "state/kubewire").exists()
    assert gc("--dry-run") == gc() == ["nothing to remove"]


class FakeEngine:
    """A Docker engine with one cluster's containers."""

    def __init__(self, *nodes: NodeContainer) -> None:
        self.containers = list(nodes)

    def nodes(self, name: str = "") -> list[NodeContainer]:
        return [node for node in self.containers if node.name.startswith(name)]

    def remove(self, node: NodeContainer) -> None:
        self.containers.remove(node)

    def network_id(self) -> str:
        return "n"

    def remove_network(self, identity: str) -> None:
        assert identity == "n"


@contextmanager
def connected(engine: FakeEngine) -> Iterator[FakeEngine]:
    yield engine


def test_a_cluster_and_its_network_are_announced_as_removed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = state.owner_folder("demo")
    owner.mkdir(parents=True)
    mounts = ((str(owner), state.OWNER_MOUNT),)
    engine = FakeEngine(NodeContainer("demo-worker", "0", "worker", "running", "image", (), mounts))
    network._mark().write_text("n\n")
    text = json.dumps({"schema": 1, **to_builtins(state.ClusterState("demo", "v1", "image", (), {}))})
    (owner.parent / state.FILE).write_text(text)
    monkeypatch.setattr("kubewire.providers.kind.engine.answers", lambda: True)
    for module in ("engine.engine", "garbage.engine", "network.connected"):
        monkeypatch.setattr(f"kubewire.providers.kind.{module}", lambda: connected(engine))
    before = files(home)
    found = KindProvider().garbage()
    assert files(home) == before
    assert [each.what for each in found] == [
        "lab demo: its kind cluster (1 node containers)",
        "kind's network",
    ]
    assert leftovers.remove(found) == [each.what for each in found]
    assert not engine.containers
    assert not network._mark().exists()
