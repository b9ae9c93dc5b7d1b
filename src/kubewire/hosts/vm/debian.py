"""Debian's part of a VM: its tools on this machine, and the guest's kernel and root file system."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubewire.core.processes import run
from kubewire.core.progress import Progress
from kubewire.hosts.vm import recipe
from kubewire.hosts.vm.cache import STEP, part, run_tool

COMPILE_SECONDS = 1800.0
BLOCKS = "4G"
"""The size of the root file system, sparse; each VM writes to its own copy."""
_FETCH = "Debian's packages could not be downloaded"
_MEND = "mmdebstrap uses the mirror in this machine's apt configuration, or Debian's; can it be reached?"


@dataclass(frozen=True)
class Tools:
    """Debian programs that run on any Linux directly from their folder, by their own loader."""

    folder: Path

    def argv(self, program: str, *arguments: str) -> list[str]:
        libraries = self.folder / "usr/lib/x86_64-linux-gnu"
        loader = str(libraries / "ld-linux-x86-64.so.2")
        return [loader, "--library-path", str(libraries), str(self.folder / program), *arguments]

    def compile(self, folder: Path, shown: str) -> None:
        """Write byte code that the guest uses unchecked; `shown` is the folder's path in the guest."""
        options = ("-qq", "--invalidation-mode=unchecked-hash", "-s", str(folder), "-p", shown)
        python = self.argv("usr/bin/python3", "-m", "compileall", *options, str(folder))
        home = f"PYTHONHOME={self.folder / 'usr'}"
        run(["env", home, *python], timeout=COMPILE_SECONDS)

    def make_image(self, source: Path, image: Path, size: str) -> None:
        """An ext4 image of a folder or a tar."""
        options = ("-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", str(source))
        argv = self.argv("usr/sbin/mkfs.ext4", *options, str(image), size)
        run_tool(argv, f"the disk image {image.name} could not be created")


@dataclass(frozen=True)
class Root:
    """A root file system, and the kernel that mounts it without an initramfs: NVMe and ext4 are built in."""

    image: Path
    kernel: Path


def tools(with_qemu: bool, progress: Progress) -> Tools:
    """The guest's Python, a mkfs.ext4 that reads a tar, and QEMU if this machine's own is too old."""

    def make(folder: Path) -> None:
        progress(
            STEP, f"downloading Debian {recipe.SUITE}'s {', '.join(recipe.tool_packages(with_qemu))} (once)"
        )
        archive = folder / "tools.tar"
        _debootstrap(archive, recipe.tool_packages(with_qemu), "--variant=extract")
        run_tool(
            ["tar", "-xf", str(archive), "-C", str(folder), "--no-same-owner", "--exclude=./dev"],
            "Debian's tools could not be unpacked",
        )
        archive.unlink()

    return Tools(part("tools", recipe.tools_key(with_qemu), 1.0, make, progress))


def root(tools: Tools, progress: Progress) -> Root:
    """Debian's kernel and root; created once for all labs."""

    def make(folder: Path) -> None:
        progress(STEP, f"assembling the guest's Debian {recipe.SUITE} (once)")
        archive = folder / "root.tar"
        ours = " ".join(f"'{recipe.GUEST / name}'" for name in recipe.BUILT_IN)
        _debootstrap(
            archive,
            recipe.ROOT_PACKAGES,
            "--variant=minbase",
            f"--customize-hook=copy-in {ours} /tmp",
            f"--customize-hook={recipe.guest_file('hook')}",
        )
        progress(STEP, "writing the guest's disk")
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.isfile() and "/boot/vmlinuz-" in f"/{member.name}":
                    _extract(tar, member, folder / "vmlinuz")
        tools.make_image(archive, folder / "root.img", BLOCKS)
        archive.unlink()

    folder = part("root", recipe.root_key(), 1.2, make, progress)
    return Root(folder / "root.img", folder / "vmlinuz")


def _debootstrap(archive: Path, packages: Sequence[str], *options: str) -> None:
    """A tar of a Debian system with these packages, from the machine's mirror or mmdebstrap's default."""
    include = f"--include={','.join(packages)}"
    run_tool(
        ["mmdebstrap", "--quiet", "--dpkgopt=force-unsafe-io", *options, include, recipe.SUITE, str(archive)],
        _FETCH,
        _MEND,
    )


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None  # noqa: S101 - it is a file
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
