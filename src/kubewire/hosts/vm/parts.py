"""All parts of a VM, from the cache or built now."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kubewire.binaries.fetchplan import Need
from kubewire.core import os_packages
from kubewire.core.errors import LabError
from kubewire.core.files import read_own_json, write_atomically
from kubewire.core.proc import boot_id
from kubewire.core.processes import run
from kubewire.core.progress import Progress, emit
from kubewire.hosts.vm import cache, debian, disks, preflight
from kubewire.hosts.vm.debian import Root
from kubewire.hosts.vm.qemu import Accelerator, Qemu, base, debians_qemu, own_qemu

DEVICE = Path("/dev/kvm")
PATIENCE = 10.0
"""Seconds. Where KVM works, a kernel without a root panics, which ends QEMU, within two."""


@dataclass(frozen=True)
class Parts:
    """All parts of a VM."""

    program: Qemu
    root: Root
    packages: Path
    binaries: Path
    library: Path
    accelerator: Accelerator

    @property
    def about(self) -> str:
        how = "KVM" if self.accelerator == "kvm" else "pure emulation: KVM doesn't work here"
        return f"{self.program.which}, {how}"

    @property
    def names(self) -> tuple[str, ...]:
        disks = (self.root.image, self.packages, self.binaries)
        return (*(path.parent.name for path in disks), self.library.name)


KINDS = {
    "root": "its Debian root",
    "packages": "its packages",
    "binaries": "its Kubernetes",
    "source": "kubewire itself",
}


def unlike(running: Iterable[str], wanted: Iterable[str]) -> str:
    """The difference between the parts of two VMs: `its Kubernetes changed since …`; "" for none."""
    differ = {name.partition("-")[0] for name in {*running} ^ {*wanted}}
    found = [words for kind, words in KINDS.items() if kind in differ]
    return f"{' and '.join(found)} changed since it was created" if found else ""


def prepare(needs: Iterable[Need], progress: Progress = emit) -> Parts:
    """Put every missing part into the cache. HostError names what this machine lacks."""
    os_packages.provide(preflight.programs(), progress)
    preflight.require()
    own = own_qemu()
    tools = debian.tools(own is None, progress)
    program = own or debians_qemu(tools)
    root = debian.root(tools, progress)
    return Parts(
        program,
        root,
        disks.packages(tools, progress),
        disks.binaries(tools, needs, progress),
        disks.library(tools, progress),
        "kvm" if _kvm_works(program, root) else "tcg",
    )


def _kvm_works(qemu: Qemu, root: Root) -> bool:
    """Whether KVM really runs the guest's kernel here: it may hang although /dev/kvm exists.

    Tried once for each boot of this machine and each kernel; the result is cached.
    """
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return False
    verdict, key = cache.folder() / "kvm.json", f"{boot_id()} {root.kernel} {qemu.which}"
    try:
        known = read_own_json(verdict)
        if known["key"] == key:
            return bool(known["works"])
    except (OSError, LabError, KeyError):
        pass
    answer = _boots(qemu, root)
    write_atomically(verdict, json.dumps({"key": key, "works": answer}))
    return answer


def _boots(qemu: Qemu, root: Root) -> bool:
    argv = [
        *base(qemu, "kvm", "host", 512, 1),
        *("-kernel", str(root.kernel), "-append", "panic=-1 quiet", "-serial", "null"),
    ]
    return run(argv, timeout=PATIENCE).code == 0
