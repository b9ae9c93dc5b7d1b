"""Records of sandboxes: a reused pid, a reboot, a damaged file; and what garbage collection removes."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from kubewire.core import paths
from kubewire.core.errors import LabError
from kubewire.core.leftovers import remove
from kubewire.core.proc import Process, boot_id
from kubewire.providers.netns import state
from kubewire.providers.netns.provider import NetnsProvider


def record(keeper: Process) -> state.SandboxState:
    return state.SandboxState(
        lab="iptables",
        kubernetes="v1.37.2",
        rootful=True,
        boot=boot_id(),
        monitor=keeper,
        init=None,
        nodes=(state.NodeRecord("iptables-worker", "worker", ("172.18.0.3",)),),
        definition={"name": "iptables"},
    )


def folder_with(state_home: Path, recorded: state.SandboxState) -> Path:
    folder = state_home / "labs" / "iptables"
    folder.mkdir(parents=True)
    state.write_state(folder, recorded)
    for name in (state.KUBECONFIG, state.MONITOR_LOG, paths.RECORD, state.SOCKET):
        (folder / name).write_text("{}")
    return folder


def gone() -> Process:
    child = subprocess.Popen(["sleep", "100"])
    process = Process.of(child.pid)
    child.kill()
    child.wait()
    return process


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    recorded = replace(record(Process.of(os.getpid())), init=Process.of(os.getppid()))
    state.write_state(tmp_path, recorded)
    assert state.read_state(tmp_path) == recorded
    assert recorded.alive()


def test_the_same_pid_started_at_another_time_is_another_process() -> None:
    me = Process.of(os.getpid())
    assert me.alive()
    assert not replace(me, started=me.started + 1).alive()
    assert replace(me, started=me.started + 1).open() is None


def test_a_zombie_counts_as_gone() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ProcessLookupError):
        Process.of(child.pid)
    child.wait()


def test_a_record_from_before_a_reboot_is_dead() -> None:
    assert not replace(record(Process.of(os.getpid())), boot="another").alive()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": 99}', '{"schema": 1}', '{"schema": 1, "lab": 3}']
)
def test_a_damaged_record_is_no_record(tmp_path: Path, text: str) -> None:
    (tmp_path / state.FILE).write_text(text)
    assert state.read_state(tmp_path) is None


def test_a_lab_whose_keeper_was_killed_is_dead_and_says_how_to_go_on(state_home: Path) -> None:
    folder_with(state_home, record(gone()))
    provider = NetnsProvider()
    assert provider.status("iptables").phase == "dead"
    with pytest.raises(LabError, match="kubewire up iptables"):
        provider.nodes("iptables")


def test_garbage_of_dead_labs_is_removed_to_the_last_file(state_home: Path) -> None:
    folder_with(state_home, record(gone()))
    post_mortem = state.post_mortem("iptables")
    post_mortem.mkdir(parents=True)
    (post_mortem / "keeper.log").touch()
    assert len(remove(NetnsProvider().garbage())) == 1
    assert list((state_home / "labs").iterdir()) == []
    assert list((state_home / "logs").iterdir()) == []
    assert remove(NetnsProvider().garbage()) == []


def test_garbage_collection_leaves_living_labs_and_those_being_made(state_home: Path) -> None:
    living = folder_with(state_home, record(Process.of(os.getpid())))
    assert remove(NetnsProvider().garbage()) == []
    assert (living / state.FILE).exists()
    state.write_state(living, record(gone()))
    lock = state_home / "locks" / "iptables.lock"
    lock.parent.mkdir()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert remove(NetnsProvider().garbage()) == []
    assert remove(NetnsProvider().garbage()) != []


def test_down_of_nothing_is_false_and_of_leftovers_true(state_home: Path) -> None:
    provider = NetnsProvider()
    assert provider.down("iptables") is False
    folder_with(state_home, record(gone()))
    assert provider.down("iptables") is True
    assert provider.down("iptables") is False


def test_an_unmade_lab_is_absent(state_home: Path) -> None:
    assert NetnsProvider().status("iptables").phase == "absent"
