"""gc and removal beside what can't be judged: another PID namespace, a reused pid, a lock, a provider."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from kubewire.core import paths
from kubewire.core.errors import LabError
from kubewire.core.leftovers import remove
from kubewire.core.proc import Process, boot_id, host_id, pid_namespace
from kubewire.lab.lock import lab_lock
from kubewire.providers.netns import creation, state
from kubewire.providers.netns.provider import NetnsProvider


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A living process that gc or `down` could take for a lab's keeper."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def lab(state_home: Path, keeper: Process, **changed: object) -> Path:
    folder = state_home / "labs" / "iptables"
    folder.mkdir(parents=True)
    recorded = state.SandboxState(
        lab="iptables",
        kubernetes="v1.37.2",
        rootful=True,
        boot=boot_id(),
        monitor=keeper,
        init=None,
        nodes=(),
        definition={},
        host=host_id(),
        pid_namespace=pid_namespace(),
    )
    state.write_state(folder, replace(recorded, **changed))  # type: ignore[arg-type]
    return folder


def test_gc_in_a_container_that_shares_home_leaves_a_living_lab(
    state_home: Path, stranger: subprocess.Popen[bytes]
) -> None:
    folder = lab(state_home, Process.of(stranger.pid))
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if os.geteuid() == 0:
        inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*inside, "true"], capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("no PID namespace can be made here")
    environment = {**os.environ, "XDG_STATE_HOME": str(state_home.parent)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*inside, sys.executable, "-m", *arguments]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    done = run("kubewire", "gc")
    assert done.returncode == 0, done.stderr
    assert "left alone:" in done.stderr
    assert (folder / state.FILE).exists()
    done = run("kubewire.app.steps.remove", "iptables")
    assert done.returncode != 0
    assert "another PID namespace" in done.stderr
    assert (folder / state.FILE).exists()
    assert stranger.poll() is None


def test_a_pid_reused_after_a_reboot_is_not_killed(
    state_home: Path, stranger: subprocess.Popen[bytes]
) -> None:
    folder = lab(state_home, Process.of(stranger.pid), boot="an earlier one")
    assert creation.end(folder) is False
    assert stranger.poll() is None
    assert len(remove(NetnsProvider().garbage())) == 1
    assert stranger.poll() is None


def test_another_hosts_lab_is_left_alone_and_down_says_why(
    state_home: Path, stranger: subprocess.Popen[bytes]
) -> None:
    folder = lab(state_home, Process.of(stranger.pid), boot="of another host", host="another host")
    assert remove(NetnsProvider().garbage()) == []
    with pytest.raises(LabError, match="another host") as error:
        NetnsProvider().down("iptables")
    assert error.value.exit_code == 4
    assert (folder / state.FILE).exists()
    assert stranger.poll() is None


def test_gc_holds_the_lock_while_it_removes(state_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubewire.providers.netns import removal

    lab(state_home, Process(1, 1))
    held = []

    def removing(name: str) -> bool:
        code = "import sys; from kubewire.lab.lock import is_locked; sys.exit(is_locked('iptables'))"
        environment = {**os.environ, "XDG_STATE_HOME": str(state_home.parent)}
        held.append(subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode)
        return True

    monkeypatch.setattr(removal, "remove_lab", removing)
    remove(removal.garbage("netns"))
    assert held == [1]


def test_a_lab_that_another_holds_is_left(state_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = lab(state_home, Process(1, 1))
    with lab_lock("iptables", "up"), monkeypatch.context() as patch:
        patch.delenv("KUBEWIRE_LOCK_HELD")
        assert remove(NetnsProvider().garbage()) == []
        assert (folder / state.FILE).exists()


@pytest.mark.parametrize("record", [json.dumps({"provider": "podman"}), "{", "[]"])
def test_a_lab_of_an_unknown_provider_is_left(state_home: Path, record: str) -> None:
    folder = state_home / "labs" / "x"
    folder.mkdir(parents=True)
    (folder / paths.RECORD).write_text(record)
    assert remove(NetnsProvider().garbage()) == []
    assert (folder / paths.RECORD).exists()


def test_a_state_that_is_not_understood_proves_nothing(state_home: Path) -> None:
    folder = lab(state_home, Process(1, 1))
    (folder / state.FILE).write_text("{")
    assert remove(NetnsProvider().garbage()) == []
    assert (folder / state.FILE).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="plants files of another user")
def test_a_record_that_another_user_wrote_is_not_believed(
    state_home: Path, stranger: subprocess.Popen[bytes]
) -> None:
    folder = lab(state_home, Process.of(stranger.pid))
    os.chown(folder / state.FILE, 65534, 65534)
    assert remove(NetnsProvider().garbage()) == []
    with pytest.raises(LabError, match="belongs to user 65534"):
        NetnsProvider().down("iptables")
    assert stranger.poll() is None
    assert (folder / state.FILE).exists()
