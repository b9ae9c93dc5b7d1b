"""The VM's recipe: what names its cached parts, what they hold, and the command that is the machine."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from kubewire.core.errors import HostError
from kubewire.hosts.vm import cache, disks, qemu, recipe
from kubewire.hosts.vm.debian import Root
from kubewire.hosts.vm.qemu import Machine, Qemu
from kubewire.hosts.vm.state import write_inventory

LOCK = """flask==3.1 \\
    --hash=sha256:aa
greenlet==2.0.2 \\
    --hash=sha256:bb
    # via httpbin
gunicorn==27 \\
    --hash=sha256:cc
"""


def quiet(*_: object, **__: object) -> None:
    pass


def test_another_recipe_is_another_root(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe.root_key()
    assert recipe.root_key() == before
    monkeypatch.setattr(recipe, "ROOT_PACKAGES", (*recipe.ROOT_PACKAGES, "tcpdump"))
    assert recipe.root_key() != before


def test_the_guest_gets_the_lock_file_but_for_what_it_never_runs() -> None:
    kept = recipe.installable(LOCK)
    assert [line for line in kept.splitlines() if line[0].isalpha()] == ["flask==3.1 \\", "gunicorn==27 \\"]
    assert "bb" not in kept
    assert "cc" in kept


def test_a_part_is_whole_or_absent_and_made_once() -> None:
    made = []

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise HostError("no network")

    with pytest.raises(HostError):
        cache.part("root", "1", 0.0, fail, quiet)
    assert list(cache.folder().iterdir()) == []
    (cache.folder() / ".root-killed").mkdir()

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "whole").write_text("")

    for _ in range(2):
        assert (cache.part("root", "1", 0.0, make, quiet) / "whole").exists()
    assert len(made) == 1
    assert [path.name for path in cache.folder().iterdir()] == ["root-1"]


def test_old_parts_make_room() -> None:
    for key in "123":
        cache.part("source", key, 0.0, lambda folder: None, quiet)
    assert len(list(cache.folder().glob("source-*"))) == 2


def test_no_room_is_told_before_anything_is_fetched() -> None:
    with pytest.raises(HostError, match="XDG_CACHE_HOME"):
        cache.part("root", "1", 1e9, lambda folder: pytest.fail("it was made"), quiet)


def command(accelerator: qemu.Accelerator = "tcg") -> list[str]:
    root = Root(Path("/c/root,1.img"), Path("/c/vmlinuz"))
    machine = Machine(root, (Path("/c/a.img"), Path("/c/b.img")), 3000, 2, 4022, Path("/s/console.log"))
    return qemu.command(Qemu(("qemu",), "QEMU 10"), accelerator, machine)


def test_the_one_way_in_is_ssh_on_loopback_and_there_is_none_out() -> None:
    networks = [word for word in command() if "hostfwd" in word]
    assert networks == ["user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:4022-:22"]


def test_the_cached_disks_are_never_written() -> None:
    drives = [word for word in command() if word.startswith("file=/c/")]
    assert drives[0].startswith("file=/c/root,,1.img,") and "snapshot=on" in drives[0]
    assert all("readonly=on" in drive for drive in drives[1:])


def test_kvm_and_emulation_differ_in_processor_only() -> None:
    changed = set(command("kvm")) ^ set(command("tcg"))
    assert changed == {"kvm", "host", "tcg,thread=multi,tb-size=1024", "max"}


@pytest.mark.parametrize(
    ("said", "good"),
    [
        ("QEMU emulator version 7.2.22 (Debian 1:7.2)", False),
        ("QEMU emulator version 10.0.13", True),
        ("", False),
    ],
)
def test_an_old_qemu_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, good: bool
) -> None:
    program = tmp_path / qemu.PROGRAM
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = qemu.own_qemu()
    assert (found is not None) == good
    assert found is None or found.which == "QEMU 10.0.13"


def test_the_seed_holds_keys_for_root_alone_and_kubewire(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "kubewire.py").write_text("")
    host, login = disks.new_key(), disks.new_key()
    disks.write_seed(tmp_path / "seed", tmp_path / "lib", "ipvs", host, login.public)
    assert (tmp_path / "seed").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "seed").stat().st_size % 512 == 0
    with tarfile.open(tmp_path / "seed") as tar:
        members = {member.name: member for member in tar}
        stored = tar.extractfile("host_key")
        assert stored is not None
        load_ssh_private_key(stored.read(), None)
    assert members["host_key"].mode == 0o600
    assert members["init"].mode == 0o700
    assert members["lib/kubewire.py"].uid == 0
    assert host.private != login.private


def test_the_inventory_pins_the_hosts_key() -> None:
    from kubewire.core.proc import Process
    from kubewire.hosts.vm.state import VmState

    me = Process(1, 1)
    text = write_inventory(VmState("boot", "try", me, None, 4022, (), "")).read_text()
    assert '"hosts": {\n   "vm": {' in text
    assert "StrictHostKeyChecking=yes" in text
    assert '"ansible_port": 4022' in text
    assert "kubewire_python" in text
