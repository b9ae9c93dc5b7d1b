"""QEMU's command line. Pure, except for finding QEMU."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kubewire.core.processes import run
from kubewire.hosts.vm import recipe
from kubewire.hosts.vm.debian import Root, Tools

Accelerator = Literal["kvm", "tcg"]
PROGRAM = "qemu-system-x86_64"
KERNEL = (
    "console=ttyS0 quiet loglevel=4 panic=-1 root=/dev/nvme0n1 rw rootfstype=ext4 net.ifnames=0 "
    "mitigations=off audit=0 nowatchdog no_timer_check rcupdate.rcu_cpu_stall_suppress=1 "
    "init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off apparmor=0 nokaslr "
    "transparent_hugepage=always init=/opt/kubewire/first"
)
"""On a busy machine, the kernel's checks of timers and CPU stalls fail without a fault.

Hardening costs an emulated guest a third of each program's start, and only its owner has access to it.
"""


@dataclass(frozen=True)
class Qemu:
    """A suitable QEMU and a short description of it. `firmware` are its data folders."""

    argv: tuple[str, ...]
    which: str
    firmware: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Machine:
    """The parts of one VM. `memory` is in MiB; `disks` are read-only, after the root's."""

    root: Root
    disks: tuple[Path, ...]
    memory: int
    cpus: int
    port: int
    console: Path


def own_qemu() -> Qemu | None:
    """This machine's QEMU if it is new enough."""
    path = shutil.which(PROGRAM)
    major, version = version_of([path]) if path else (0, "")
    return Qemu((path,), f"QEMU {version}") if path and major >= recipe.MIN_QEMU else None


def debians_qemu(tools: Tools) -> Qemu:
    """The one that comes with the tools."""
    argv = tools.argv(f"usr/bin/{PROGRAM}")
    firmware = tuple(tools.folder / "usr/share" / name for name in ("qemu", "seabios"))
    return Qemu(tuple(argv), f"QEMU {version_of(argv)[1]} of Debian {recipe.SUITE}", firmware)


def version_of(argv: list[str]) -> tuple[int, str]:
    """(10, "10.0.13"), or (0, "") if the program doesn't print its version."""
    said = run([*argv, "--version"], timeout=60.0).out
    found = re.search(r"version (\d+)\.[\d.]+", said)
    return (int(found[1]), found[0].removeprefix("version ")) if found else (0, "")


def command(qemu: Qemu, accelerator: Accelerator, machine: Machine) -> list[str]:
    """The argv; the only access is the SSH port on this machine's loopback; the guest has no way out."""
    cpu = "host" if accelerator == "kvm" else "max"
    accel = "kvm" if accelerator == "kvm" else "tcg,thread=multi,tb-size=1024"
    network = f"user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:{machine.port}-:22"
    return [
        *base(qemu, accel, cpu, machine.memory, machine.cpus),
        *("-kernel", str(machine.root.kernel), "-append", KERNEL),
        *_drive(machine.root.image, "if=none,id=root,snapshot=on,cache=unsafe"),
        *("-device", "nvme,drive=root,serial=root"),
        *(part for disk in machine.disks for part in _drive(disk, "if=virtio,readonly=on,cache=unsafe")),
        *("-nic", network, "-device", "virtio-rng-pci"),
        *("-serial", f"file:{machine.console}"),
    ]


def base(qemu: Qemu, accel: str, cpu: str, memory: int, cpus: int) -> list[str]:
    """The options of every QEMU: no display, no default devices, no reboot."""
    firmware = [part for folder in qemu.firmware for part in ("-L", str(folder))]
    return [
        *(*qemu.argv, *firmware, "-machine", "q35", "-accel", accel, "-cpu", cpu),
        *("-smp", str(cpus), "-m", f"{memory}M", "-nodefaults", "-no-user-config", "-no-reboot"),
        *("-display", "none", "-monitor", "none", "-sandbox", "on"),
    ]


def _drive(file: Path, how: str) -> tuple[str, str]:
    """A comma in a path is doubled: QEMU's own quoting."""
    return "-drive", f"file={str(file).replace(',', ',,')},format=raw,{how}"
