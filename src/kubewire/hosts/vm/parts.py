"""All parts of a VM, from the cache or built now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kubewire.binaries.fetchplan import Need
from kubewire.core import os_packages
from kubewire.core.progress import Progress, emit
from kubewire.hosts.vm import debian, disks, kvm, preflight
from kubewire.hosts.vm.debian import Root
from kubewire.hosts.vm.qemu import Accelerator, Qemu, debians_qemu, own_qemu


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
        "kvm" if kvm.works(program, root) else "tcg",
    )
