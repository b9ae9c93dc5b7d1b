"""Starting a VM: every way in which it fails is told with the console's words, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from kubewire.core.errors import HostError, LabError
from kubewire.core.leftovers import remove
from kubewire.core.proc import await_end
from kubewire.hosts.vm import cache, machine, preflight, state
from kubewire.hosts.vm.parts import Parts, unlike

from .conftest import LAB

UP = """
echo "kubewire-vm: ready" >"$CONSOLE"
exec python3 -c "
import socket, sys
server = socket.create_server(('127.0.0.1', int(sys.argv[1])))
while True:
    caller, _ = server.accept()
    caller.sendall(b'SSH-2.0-test')
    caller.close()
" "$PORT"
"""
Make = Callable[[str], Parts]


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "require_space", lambda *_: None)


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine.DEADLINE, "tcg", 1.0)


def write(text: str) -> str:
    """Shell that has this on the console the moment the console is there."""
    return f'echo "{text}" >"$CONSOLE.new"; mv "$CONSOLE.new" "$CONSOLE"'


def nothing_stays() -> bool:
    return not state.folder(LAB).exists() and state.read_state(LAB) is None


def test_one_that_greets_is_found(parts_of: Make) -> None:
    vm = machine.ensure(LAB, parts_of(UP))
    assert state.running(LAB) == vm
    assert vm.ssh[-3:] == ("-p", str(vm.port), "root@127.0.0.1")
    assert (state.folder(LAB) / state.KEY).stat().st_mode & 0o777 == 0o600
    assert (state.folder(LAB) / state.KNOWN_HOSTS).read_text().startswith(f"{state.alias(LAB)} ssh-ed25519 ")
    assert machine.ensure(LAB, parts_of(UP)) == vm
    assert machine.remove(LAB)
    assert nothing_stays()
    assert not machine.remove(LAB)


def test_a_hang_at_boot_shows_the_console(parts_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    with pytest.raises(LabError, match="didn't come up within") as raised:
        machine.ensure(LAB, parts_of(f"{write('rcu: stall on CPU 1')}; exec sleep 60"))
    assert "rcu: stall on CPU 1" in raised.value.hint
    assert raised.value.exit_code == 4
    assert nothing_stays()


def test_an_ssh_server_that_never_answers_is_told_apart(
    parts_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    with pytest.raises(LabError, match="SSH server doesn't answer"):
        machine.ensure(LAB, parts_of(f"{write(machine.READY)}; exec sleep 60"))
    assert nothing_stays()


def test_a_qemu_that_ends_at_once_says_why(parts_of: Make) -> None:
    with pytest.raises(LabError, match="ended while it was starting") as raised:
        machine.ensure(LAB, parts_of('echo "cannot allocate memory" >&2; exit 1'))
    assert "cannot allocate memory" in raised.value.hint
    assert nothing_stays()


def test_a_port_that_was_taken_meanwhile_is_chosen_anew(
    parts_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = iter([1, 2])
    real = machine.free_port
    monkeypatch.setattr(machine, "free_port", lambda: next(ports, None) or real())
    script = f'[ "$PORT" -gt 2 ] || {{ echo "Could not set up host forwarding rule" >&2; exit 1; }}\n{UP}'
    assert machine.ensure(LAB, parts_of(script)).port > 2


def test_a_vm_of_other_parts_is_replaced(parts_of: Make) -> None:
    first = machine.ensure(LAB, parts_of(UP))
    other = parts_of(UP)
    other.root.image.parent.rename(other.root.image.parent.with_name("part-2"))
    moved = Path(other.root.image.parent.with_name("part-2"))
    changed = Parts(
        other.program, type(other.root)(moved / "root.img", moved / "vmlinuz"), *(moved / "disk.img",) * 2,
        other.library, "tcg",
    )  # fmt: skip
    second = machine.ensure(LAB, changed)
    assert second.port != first.port
    with socket.socket() as asking:
        assert asking.connect_ex(("127.0.0.1", first.port)) != 0


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (("root-1", "packages-1", "binaries-1", "source-1"), ""),
        (("root-1", "packages-1", "binaries-1", "source-2"), "kubewire itself changed since it was created"),
        (
            ("root-2", "packages-1", "binaries-2", "source-1"),
            "its Debian root and its Kubernetes changed since it was created",
        ),
    ],
)
def test_why_a_vm_is_made_anew_is_told(now: tuple[str, ...], why: str) -> None:
    assert unlike(("root-1", "packages-1", "binaries-1", "source-1"), now) == why


def test_what_a_crash_left_is_cleaned(parts_of: Make) -> None:
    machine.ensure(LAB, parts_of(UP))
    recorded = state.read_state(LAB)
    assert recorded is not None and recorded.qemu is not None
    watched = os.pidfd_open(recorded.qemu.pid)
    os.kill(recorded.monitor.pid, signal.SIGKILL)
    await_end(watched, 10.0)
    os.close(watched)
    assert not recorded.qemu.alive()
    assert state.running(LAB) is None
    assert [line.partition(":")[0] for line in remove(machine.garbage())] == [f"lab {LAB}"]
    assert nothing_stays()


def test_a_full_disk_is_told_before_anything_starts(parts_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "require_space", cache.require_space)
    monkeypatch.setattr(machine, "OVERLAY", 1e9)
    with pytest.raises(HostError, match="GiB are free"):
        machine.ensure(LAB, parts_of(UP))
    assert nothing_stays()


def test_too_little_memory_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "available_memory", lambda: 1000)
    with pytest.raises(HostError, match="3072 MiB of memory, 1000 MiB") as raised:
        preflight.require()
    assert raised.value.exit_code == 3
    assert "--host NAME" in raised.value.hint


def test_what_is_not_installed_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told = dict(preflight.missing())
    assert "apt-get install openssh-client" in told["no ssh"]
    assert "apt-get install mmdebstrap" in told["no mmdebstrap"]
